#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# ss.sh - `estab ss` of stacks whose connections are held in known states.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

XDG_RUNTIME_DIR=$tmp/run
export XDG_RUNTIME_DIR
mkdir -m 700 "$tmp/run" "$tmp/www"
echo hello >"$tmp/www/a.txt"

"$estab" ss >"$tmp/out" 2>&1
expect "no stack: exit status" 1 $?
expect_in "no stack" 'no stack runs.*estab serve' "$tmp/out"

# shellcheck disable=SC2086
"$estab" serve "$tmp/www" $ends --msl 60 >"$tmp/log" 2>&1 &
server=$!
children=$server
socket=$tmp/run/estab/$server.sock
await "the control socket" test -S "$socket"
expect "only its owner may use it" "700 600" "$(stat -c %a "$tmp/run/estab" "$socket" | xargs)"
await "the first answer" curl -sf -o /dev/null -H 'Connection: close' http://10.77.0.2/a.txt

# One idle connection, one half-closed by us (its end does not read our FIN's answer).
cat >"$tmp/hold.py" <<'PY'
import socket, sys, time
idle = socket.create_connection(("10.77.0.2", 80))
half = socket.create_connection(("fd77::2", 80))
half.sendall(b"GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
while half.recv(65536):
    pass
open(sys.argv[1], "w").close()
time.sleep(60)
PY
python3 "$tmp/hold.py" "$tmp/held" &
holder=$!
children="$children $holder"
await "the connections" test -e "$tmp/held"

half_closed()
{
    "$estab" ss fin-wait-2 | grep -q '^FIN-WAIT-2'
}
await "the answer to the FIN" half_closed

"$estab" ss >"$tmp/out" || fail "exit status"
expect_in "the heading" '^State *Recv-Q *Send-Q *Local Addr *Peer Addr *Timer' "$tmp/out"
expect_in "an idle connection" '^ESTABLISHED  *0  *0  10.77.0.2:80  *10.77.0.1:[0-9]* ' "$tmp/out"
expect_in "a half-closed one" '^FIN-WAIT-2  *0  *0  \[fd77::2\]:80  *\[fd77::1\]:[0-9]* ' "$tmp/out"
expect_in "one in TIME-WAIT" '^TIME-WAIT .* 2msl 11[0-9].[0-9] s$' "$tmp/out"
! grep -q LISTEN "$tmp/out" || fail "a listener without -l"

"$estab" ss -l >"$tmp/out"
expect_in "-l" '^LISTEN  *0  *512  \*:80  *\*:\*' "$tmp/out"
expect "-l has one line" 2 "$(wc -l <"$tmp/out")"
expect "-a has all" 5 "$("$estab" ss -a | wc -l)"
expect "a state" 2 "$("$estab" ss FIN_WAIT_2 | wc -l)"
expect "two states" 3 "$("$estab" ss fin-wait-2 time-wait | wc -l)"
expect "a filter" 3 "$("$estab" ss exclude listening exclude closed dst 10.77.0.0/24 | wc -l)"
expect "a port" 2 "$("$estab" ss state established '( sport = :80 or sport = :443 )' | wc -l)"
expect "a prefix" 2 "$("$estab" ss state connected dst fd77::/64 | wc -l)"
expect "no such port" 1 "$("$estab" ss -a dport = :1 | wc -l)"
expect "-4" 3 "$("$estab" ss -4 | wc -l)"
expect "-6" 2 "$("$estab" ss -6 -t -n | wc -l)"
expect "-u" 1 "$("$estab" ss -a -u | wc -l)"
expect "-H" 3 "$("$estab" ss -H | wc -l)"
"$estab" ss -m -p -w established >"$tmp/out"
expect_in "-m" 'mem [0-9]*, received 0 of [0-9]* (up to [0-9]*), to send 0 of ' "$tmp/out"
expect_in "-p" "estab serve, process $server" "$tmp/out"
expect_in "-w" 'nothing to send for ' "$tmp/out"
timeout 2 "$estab" ss --watch 0.3 -H established >"$tmp/out"
[ "$(grep -c '^ESTABLISHED' "$tmp/out")" -ge 3 ] || fail "--watch shows it once"
"$estab" ss -i established >"$tmp/out"
expect_in "-i" 'rtt .* mss 1448 pmtu 1500 cwnd .* cubic' "$tmp/out"
expect "-s" "LISTEN 1 ESTABLISHED 1 FIN-WAIT-2 1 TIME-WAIT 1" "$("$estab" ss -s | xargs)"
"$estab" ss -a --json >"$tmp/out"
python3 - "$tmp/out" $server <<'PY' || fail "the JSON"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
assert sorted(r["state"] for r in rows) == ["ESTABLISHED", "FIN-WAIT-2", "LISTEN", "TIME-WAIT"]
assert all(r["pid"] == int(sys.argv[2]) and r["command"] == "serve" for r in rows)
wait = next(r for r in rows if r["state"] == "TIME-WAIT")
assert wait["timer"] == "2msl" and 0 < wait["timer_ms"] <= 120000
PY
"$estab" ss sideways >"$tmp/out" 2>&1
expect "no such state: exit status" 2 $?

# A client that asks and does not read, and one that says nothing, hold nothing up.
python3 - "$socket" <<'PY' &
import socket, sys, time
held = []
for ask in (b"sockets\n", b"", b"x" * 1000, b"what?\n") * 4:
    c = socket.socket(socket.AF_UNIX)
    c.connect(sys.argv[1])
    try:
        c.send(ask)
    except BrokenPipeError:
        pass
    held.append(c)
time.sleep(60)
PY
rude=$!
sleep 0.3
expect "a stack with rude clients serves" hello "$(curl -s -m 5 http://10.77.0.2/a.txt)"
"$estab" ss --ctl "$socket" >"$tmp/out" || fail "the list beside rude clients"
kill $rude
wait $rude 2>/dev/null

# Thousands of connections in one answer.
curl -s -o /dev/null -H 'Connection: close' 'http://10.77.0.2/a.txt?[1-2000]'
# A port that the kernel chooses again takes its TIME-WAIT with it: so not always as many as came.
n=$("$estab" ss time-wait | grep -c '^TIME-WAIT')
[ "$n" -gt 1000 ] || fail "only $n in TIME-WAIT"
expect "as many as -s counts" "TIME-WAIT $n" "$("$estab" ss -s | grep TIME-WAIT | xargs)"

kill -KILL $holder
kill -TERM $server
wait $server
children=
[ ! -e "$socket" ] || fail "the control socket is left"

# What a killed stack leaves is found out and removed.
# shellcheck disable=SC2086
"$estab" serve "$tmp/www" $ends >"$tmp/log" 2>&1 &
server=$!
children=$server
await "the second control socket" test -S "$tmp/run/estab/$server.sock"
kill -KILL $server
wait $server 2>/dev/null
children=
"$estab" ss >"$tmp/out" 2>&1
expect "a killed stack: exit status" 1 $?
[ ! -e "$tmp/run/estab/$server.sock" ] || fail "a killed stack's socket is left"
exit $failed
