#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# demo.sh - `estab demo` in each place it can be in, and what it leaves: nothing.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

TMPDIR=$tmp
export TMPDIR

good()
{
    name="demo $*"
    "$estab" demo --msl 0.1 "$@" >"$tmp/out" 2>"$tmp/err"
    expect "$name: exit status" 0 $?
    expect_in "$name" '4 of 4 files arrived intact; 4 of 4 connections reached CLOSED' "$tmp/out"
    expect_in "$name" 'SYN-RECEIVED .* ESTABLISHED: rcv ACK of SYN' "$tmp/out"
    expect_in "$name" 'SYN-SENT .* ESTABLISHED: rcv SYN,ACK' "$tmp/out"
    expect_in "$name" 'LAST-ACK .* CLOSED' "$tmp/out"
    expect "$name: ends of TIME-WAIT" 2 "$(grep -c 'TIME-WAIT .* CLOSED: timeout=2MSL' "$tmp/out")"
    expect "$name: openings" 4 "$(grep -c 'SYN SEQ 0' "$tmp/out")"
    expect_in "$name: folded" 'data segments, ' "$tmp/out"
    [ ! -s "$tmp/err" ] || fail "$name says on standard error: $(cat "$tmp/err")"
}
good
expect_in "where" 'where   a private network namespace' "$tmp/out"
good --in memory
expect_in "where" 'two stacks in this process' "$tmp/out"
if [ "$(cat /proc/sys/user/max_user_namespaces 2>/dev/null || echo 0)" -gt 0 ]; then
    good --in userns --size 1
fi

LC_ALL=C "$estab" demo --msl 0.1 --size 1 >"$tmp/out"
! LC_ALL=C grep -q '[^ -~]' "$tmp/out" || fail "not only ASCII in the C locale"

mkdir "$tmp/folder"
head -c 100000 /dev/urandom >"$tmp/folder/large one.bin"
echo small >"$tmp/folder/small"
"$estab" demo --msl 0.1 --json --pcap "$tmp/x.pcapng" "$tmp/folder" >"$tmp/out" || fail "--json"
python3 - "$tmp/out" "$(sha256sum <"$tmp/folder/large one.bin")" <<'PY' || fail "the JSON"
import json, sys
r = json.load(open(sys.argv[1]))
assert r["ok"] and r["sha256"] == sys.argv[2].split()[0] and len(r["transfers"]) == 4
assert all(t["intact"] and t["closed"] and t["octets"] == 100000 for t in r["transfers"])
PY
[ -s "$tmp/x.pcapng" ] || fail "no capture"

# Without curl it says what to install.
mkdir "$tmp/bin"
PATH=$tmp/bin "$estab" demo >"$tmp/out" 2>&1
expect "without curl: exit status" 1 $?
expect_in "without curl" 'curl is not installed: apt-get install curl' "$tmp/out"

# Interrupted wherever it is, it leaves no process, no folder, no device.
# interrupt AFTER SIGNAL STATUS
interrupt()
{
    # A shell's background processes begin with SIGINT ignored.
    env --default-signal=INT "$estab" demo --msl 5 >"$tmp/out" 2>&1 &
    demo=$!
    sleep "$1"
    kill "-$2" $demo
    wait $demo
    expect "exit status after SIG$2" "$3" $?
}
interrupt 0.05 INT 130
interrupt 0.3 TERM 143
interrupt 1.2 INT 130
interrupt 2.3 HUP 129
"$estab" demo --msl 0.1 2>/dev/null | head -n 5 >/dev/null
expect "temporary folders that are left" 0 "$(find "$tmp" -maxdepth 1 -name 'estab-demo-*' | wc -l)"

# Killed, its children end with it.
"$estab" demo --msl 0.1 --size 16 >"$tmp/out" 2>&1 &
demo=$!
child_of()
{
    [ -n "$(cat "/proc/$demo/task/$demo/children" 2>/dev/null)" ]
}
await "a child of the demo" child_of
child=$(cat "/proc/$demo/task/$demo/children")
kill -KILL $demo
wait $demo 2>/dev/null
gone()
{
    for pid in $child; do
        [ ! -e "/proc/$pid" ] || grep -q '^State:.*Z' "/proc/$pid/status" || return 1
    done
}
await "the end of the demo's children" gone
exit $failed
