#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# doctor.sh - `estab doctor` of a stack in another process: well, and with a peer that is gone.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

XDG_RUNTIME_DIR=$tmp/run
export XDG_RUNTIME_DIR
mkdir -m 700 "$tmp/run" "$tmp/www"
head -c 3000000 /dev/zero >"$tmp/www/a.bin"
"$estab" doctor >"$tmp/out" 2>&1
expect "no stack: exit status" 3 $?
# shellcheck disable=SC2086
"$estab" serve "$tmp/www" $ends --grace 0 >"$tmp/log" 2>&1 &
server=$!
children=$server
await "the control socket" test -S "$tmp/run/estab/$server.sock"
await "the first answer" curl -sf -o /dev/null -H 'Connection: close' http://10.77.0.2/a.bin
"$estab" doctor --interval 0.1 >"$tmp/out"
expect "a stack that is well: exit status" 0 $?
expect_in "a stack that is well" '^nothing is wrong' "$tmp/out"

# A peer that asks and does not read.
cat >"$tmp/hold.py" <<'PY'
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.connect(("10.77.0.2", 80))
s.sendall(b"GET /a.bin HTTP/1.1\r\nHost: h\r\n\r\n")
time.sleep(60)
PY
python3 "$tmp/hold.py" &
children="$children $!"
is_stuck()
{
    "$estab" why | grep -q 'the peer.s window is zero'
}
await "the closed window" is_stuck
"$estab" doctor --patience 0 --interval 0.1 >"$tmp/out"
expect "a closed window: exit status" 1 $?
expect_in "a closed window" "^serve (process $server): 1 connection to 10.77.0.1 with a window of zero" "$tmp/out"
"$estab" doctor --patience 0 --interval 0.1 --json | python3 -c '
import json, sys
f = [json.loads(line) for line in sys.stdin]
assert [x["finding"] for x in f] == ["zero-window"], f
assert "does not read" in f[0]["text"] and "estab kill" in f[0]["todo"]
' || fail "the JSON"
kill -TERM $server
wait $server
exit $failed
