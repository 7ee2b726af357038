#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# output.sh - what cannot be written is said, and who shows what happens ends when nobody looks any more.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

XDG_RUNTIME_DIR=$tmp/run
export XDG_RUNTIME_DIR
mkdir -m 700 "$tmp/run" "$tmp/www"
echo hello >"$tmp/www/a.txt"
# shellcheck disable=SC2086
"$estab" serve "$tmp/www" $ends >"$tmp/log" 2>&1 &
server=$!
children=$server
await "the first answer" curl -sf -o /dev/null http://10.77.0.2/a.txt

# full ARGUMENT...: the disk is.
full()
{
    "$estab" "$@" >/dev/full 2>"$tmp/err"
    expect "estab $*: exit status on a full disk" 1 $?
    expect_in "estab $*" "^estab.*: cannot write the output" "$tmp/err"
    expect "estab $*: it is said once" 1 "$(grep -c 'cannot write' "$tmp/err")"
}
printf '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n' >"$tmp/a.pkt"
full --version
full --help
full help ss
full ss -a
full ss --watch 0.1
full why -a
full doctor
full trace
full check -s --states 100
full check -s --states 100 --json
full script "$tmp/a.pkt"
full sim --list
full sim pair --for 1s
full sim pair --for 1s --json
full sim --show pair
full channel cost --requests 10
full demo --in memory --size 1
full demo --in memory --size 1 --json
full bench once estab rr 1 10
"$estab" check -s --states 100 --run 5 --script /dev/full >"$tmp/out" 2>"$tmp/err"
expect "a script on a full disk: exit status" 1 $?
expect_in "a script on a full disk" "^estab check: cannot write /dev/full: No space left on device" "$tmp/err"

# left ARGUMENT...: who reads the output goes after a line of it.
left()
{
    { timeout 60 "$estab" "$@" 2>"$tmp/err"; echo $? >"$tmp/status"; } | head -n 1 >"$tmp/out"
    expect "estab $*: exit status" 141 "$(cat "$tmp/status")"
    [ -s "$tmp/out" ] || fail "estab $*: no line"
    [ ! -s "$tmp/err" ] || { fail "estab $*: it speaks"; cat "$tmp/err"; }
}
left ss -a --watch 0.1
left check --quick
while sleep 0.1; do curl -s -o /dev/null http://10.77.0.2/a.txt; done &
busy=$!
children="$children $busy"
left trace
kill $busy
wait $busy 2>/dev/null
children=$server

# A descriptor that is closed is not the next device or socket.
"$estab" ss -a >&- 2>"$tmp/err"
expect "no standard output: exit status" 1 $?
expect_in "no standard output" '^estab ss: cannot write the output: Bad file descriptor' "$tmp/err"
exit $failed
