#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# why.sh - `estab why`, `estab kill` and `estab trace` of a stack in another process.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

XDG_RUNTIME_DIR=$tmp/run
export XDG_RUNTIME_DIR
mkdir -m 700 "$tmp/run" "$tmp/www"
echo hello >"$tmp/www/a.txt"
# shellcheck disable=SC2086
"$estab" serve "$tmp/www" $ends --ctl "$tmp/s" --ctl-group 0 >"$tmp/log" 2>&1 &
server=$!
children=$server
await "the control socket" test -S "$tmp/s"
expect "a group may use it" 660 "$(stat -c %a "$tmp/s")"
await "the first answer" curl -sf -o /dev/null -H 'Connection: close' http://10.77.0.2/a.txt

"$estab" trace --ctl "$tmp/s" -c 8 sport = :80 >"$tmp/trace" 2>&1 &
tracer=$!
"$estab" trace --ctl "$tmp/s" --json dport = :1 >"$tmp/none" 2>&1 &
children="$children $! $tracer"
sleep 0.3

cat >"$tmp/hold.py" <<'PY'
import socket, sys, time
held = [socket.create_connection(("10.77.0.2", 80), source_address=("10.77.0.1", p)) for p in (5001, 5002, 5003)]
held[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
open(sys.argv[1], "w").close()
time.sleep(60)
PY
python3 "$tmp/hold.py" "$tmp/held" &
children="$children $!"
await "the connections" test -e "$tmp/held"

wait $tracer
expect "the trace ends" 0 $?
expect_in "a segment" ' 10.77.0.2:80 <- 10.77.0.1:500[123] SYN seq' "$tmp/trace"
expect_in "a state" ' 10.77.0.2:80 -- 10.77.0.1:500[123] SYN-RECEIVED to ESTABLISHED: rcv ACK of SYN' "$tmp/trace"
expect "eight records" 8 "$(wc -l <"$tmp/trace")"
expect "nothing else" "" "$(cat "$tmp/none")"

"$estab" why --ctl "$tmp/s" state established dport = :5001 >"$tmp/out" || fail "why: exit status"
expect_in "whom" '^ESTABLISHED 10.77.0.2:80 > 10.77.0.1:5001$' "$tmp/out"
expect_in "why" '^    nothing to send for ' "$tmp/out"
expect "one only" 2 "$(wc -l <"$tmp/out")"
"$estab" why --ctl "$tmp/s" -a listening >"$tmp/out"
expect_in "a listener" '^    waits for connections: 0 to accept and 0 half-open, of 512' "$tmp/out"
"$estab" why --ctl "$tmp/s" --json dport = :5002 | python3 -c '
import json, sys
r = json.loads(sys.stdin.read())
assert r["why"] == "nothing-to-send" and r["sentence"].startswith("nothing to send"), r
' || fail "the JSON"

"$estab" kill --ctl "$tmp/s" dport = :5000 >"$tmp/out" 2>&1
expect "nobody to kill: exit status" 1 $?
"$estab" kill --ctl "$tmp/s" >"$tmp/out" 2>&1
expect "kill without a filter: exit status" 2 $?
"$estab" kill --ctl "$tmp/s" dst 10.77.0.1 >"$tmp/out" 2>&1
expect "three at once: exit status" 1 $?
expect_in "three at once" '3 connections match: say --yes' "$tmp/out"
expect "three still live" 3 "$("$estab" ss --ctl "$tmp/s" -H established | wc -l)"
"$estab" kill --ctl "$tmp/s" dst 10.77.0.1:5001 >"$tmp/out" || fail "kill: exit status"
expect "one killed" "killed ESTABLISHED 10.77.0.2:80 > 10.77.0.1:5001" "$(cat "$tmp/out")"
"$estab" kill --ctl "$tmp/s" --yes dst 10.77.0.1 >"$tmp/out" || fail "kill --yes: exit status"
expect "two killed" 2 "$(grep -c '^killed' "$tmp/out")"
expect "nobody is left" 0 "$("$estab" ss --ctl "$tmp/s" -H established | wc -l)"
expect "it serves" hello "$(curl -s -m 5 http://10.77.0.2/a.txt)"

# Whoever is not to see it is told so.
if [ "$(id -u)" = 0 ] && setpriv --reuid 4243 --clear-groups --regid 4243 true 2>/dev/null; then
    chmod 755 "$tmp"
    setpriv --reuid 4243 --regid 4243 --clear-groups "$estab" why --ctl "$tmp/s" >"$tmp/out" 2>&1
    expect "somebody else: exit status" 1 $?
    expect_in "somebody else" 'permission denied: a stack answers' "$tmp/out"
    chmod 666 "$tmp/s"
    setpriv --reuid 4243 --regid 4243 --clear-groups "$estab" ss --ctl "$tmp/s" >"$tmp/out" 2>&1
    expect "a socket left open: exit status" 1 $?
    expect_in "a socket left open" 'answers only the user who runs it' "$tmp/out"
fi

kill -TERM $server
wait $server
exit $failed
