#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# channel.sh - messages with a peer made of Python's standard library, over the kernel's loopback:
# `estab channel serve` with its clients, `estab channel call` with its servers.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"
py=$(dirname "$0")/channel.py

# with_server OPTION...: a server of ours, for the client cases that follow.
with_server()
{
    "$estab" channel serve "$@" 0.0.0.0:7000 &
    server=$!
    children="$children $server"
    await "the server" python3 -c 'import socket; socket.create_connection(("127.0.0.1", 7000))'
}
# client LENGTH CASE...
client()
{
    length=$1
    shift
    for case in "$@"; do
        timeout 60 python3 "$py" client 7000 "$length" "$case" || fail "$case, length $length"
    done
}
stop()
{
    kill -TERM $server
    wait $server
    expect "the server's exit status" 143 $?
}
for length in 4 2 8 leb128; do
    with_server --length $length --max 60000
    client $length echo pipelined in_pieces ping too_large no_such_type end_of_stream
    [ $length != leb128 ] || client $length overlong
    stop
done
with_server --heartbeat 0.2
client 4 dead ping
stop
with_server --plain --length 2
client 2 plain
stop

# call WANTED-STATUS WANTED-OUTPUT CASE LENGTH ARGUMENT...: a server of Python's for our client.
port=7100
call()
{
    status=$1
    output=$2
    case=$3
    length=$4
    shift 4
    port=$((port + 1))
    python3 "$py" server $port "$length" "$case" >"$tmp/ready.$port" &
    children="$children $!"
    await "Python's server" grep -q ready "$tmp/ready.$port"
    got=$(timeout 60 "$estab" channel call --length "$length" "$@" 2>"$tmp/err" | tr '\n' ' ')
    expect "call $case $*: output" "$output" "$got"
    timeout 60 "$estab" channel call --length "$length" "$@" >/dev/null 2>&1
    expect "call $case $*: exit status, the second time" "$status" $?
}
for length in 4 2 8 leb128; do
    call 0 "ONE TWO  FOUR " upper $length 127.0.0.1:$((port + 1)) one two '' four
done
call 0 "C B A " reverse 4 --at-once 127.0.0.1:$((port + 1)) a b c
call 28 "TWO " late 4 --within 1 127.0.0.1:$((port + 1)) one two
expect_in "late" 'no reply in time' "$tmp/err"
call 1 "TWO " refuse 4 127.0.0.1:$((port + 1)) one two
expect_in "refuse" 'not carried out' "$tmp/err"
call 1 "" hang_up 4 127.0.0.1:$((port + 1)) one
call 0 "ONE TWO " plain_upper 4 --plain 127.0.0.1:$((port + 1)) one two
"$estab" channel call 127.0.0.1:7999 x 2>"$tmp/err"
expect "nobody listens: exit status" 1 $?
expect_in "nobody listens" refused "$tmp/err"
"$estab" channel call 127.0.0.1 x 2>/dev/null
expect "no port: exit status" 2 $?

# The same from a stack on a TUN device, to a server on the kernel's sockets; and over a bad link.
ip tuntap add mode tun name estab0
with_server --heartbeat 0.5
for dev in tun:estab0 'fault:loss=5%,dup=2%,seed=2|tun:estab0'; do
    on_stack="--dev $dev --addr 10.77.0.2/24 --kernel-addr 10.77.0.1/24"
    # shellcheck disable=SC2086 # options
    got=$("$estab" channel call $on_stack 10.77.0.1:7000 one two three | tr '\n' ' ')
    expect "from a stack, $dev" "one two three " "$got"
    # shellcheck disable=SC2086
    got=$("$estab" channel call --at-once $on_stack 10.77.0.1:7000 one two three | tr '\n' ' ')
    expect "from a stack, at once, $dev" "one two three " "$got"
done
# shellcheck disable=SC2086
"$estab" channel call $on_stack --within 0.5 10.77.0.9:7000 x 2>"$tmp/err"
expect "from a stack, nobody there: exit status" 28 $?
stop

# What each way costs is the same every time, and in the order that anybody would expect.
for run in 1 2; do
    "$estab" channel cost --requests 300 --concurrency 10 --link loss=0.5%,delay=10ms --json >"$tmp/cost$run" ||
        fail "cost: exit status"
done
cmp -s "$tmp/cost1" "$tmp/cost2" || fail "cost: two runs differ"
"$estab" channel cost --requests 300 --concurrency 10 --json | python3 -c '
import json, sys
way = {w["way"]: w for w in map(json.loads, sys.stdin)}
assert len(way) == 8 and all(w["failed"] == 0 for w in way.values())
long, short = way["long, synchronous"], way["short, synchronous"]
assert (long["connections"], short["connections"]) == (1, 300)
assert abs(long["time_s"] - 301 * 0.02) < 1e-3     # a round trip each, and one to connect
assert abs(short["time_s"] - 600 * 0.02) < 1e-3    # two each
assert (long["timewait_client"], short["timewait_client"]) == (1, 300)
assert long["segments"] < 2 * 300 + 8 and short["segments"] == 7 * 300
assert way["long, asynchronous"]["segments"] < long["segments"] / 3
assert way["pool, asynchronous"]["connections"] == 10
assert way["long, simplex pair"]["connections"] == 2
' || fail "cost: what it says"
"$estab" channel cost --requests none 2>/dev/null
expect "cost: wrong usage" 2 $?
exit $failed
