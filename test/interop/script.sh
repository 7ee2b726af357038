#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# script.sh - estab script as a program: what it prints where a script fails, and its exit status.
set -eu
estab=${ESTAB_BUILD:?name the build folder}/estab
[ -x "$estab" ] || { echo "SKIP: the program was not built"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export LC_ALL=C

has() { grep -qF -- "$2" "$1" || { echo "not in the output: $2"; cat "$1"; exit 1; }; }
exits() {
    want=$1
    shift
    "$@" >"$tmp/out" 2>&1 && status=0 || status=$?
    [ "$status" -eq "$want" ] || { echo "$*: exit status $status"; cat "$tmp/out"; exit 1; }
}

cat >"$tmp/good.pkt" <<'END'
0  socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 listen(3, 1) = 0
END
cat >"$tmp/bad.pkt" <<'END'
0  socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 1000 <mss 1000>
+0 > S. 0:0(0) ack 2 <...>
END
echo '+0 < nonsense' >"$tmp/none.pkt"

exits 0 "$estab" script "$tmp/good.pkt"
has "$tmp/out" "1 passed, 0 failed, 0 refused"
exits 1 "$estab" script "$tmp/good.pkt" "$tmp/bad.pkt" "$tmp/none.pkt"
has "$tmp/out" "bad.pkt:5: acknowledgment number 1 instead of 2"
has "$tmp/out" "  expected: 0.0000"
has "$tmp/out" "LISTEN -> SYN-RECEIVED: rcv SYN, snd SYN,ACK"
has "$tmp/out" "SYN,ACK SEQ 0 ACK 1 WND 65535"
has "$tmp/out" "none.pkt:1: syntax error"
has "$tmp/out" "1 passed, 1 failed, 1 refused"
exits 1 "$estab" script --json "$tmp/bad.pkt"
has "$tmp/out" '"verdict":"failed","line":5'
exits 0 "$estab" script --ip_version=ipv6 -D X=1 -q "$tmp/good.pkt"
[ ! -s "$tmp/out" ]
exits 0 "$estab" script --rules "$tmp/good.pkt"
has "$tmp/out" "rules that no script needed: "
has "$tmp/out" "blind-rst"
exits 2 "$estab" script
exits 2 "$estab" script -x "$tmp/good.pkt"
echo "estab script says what failed, where, and how it came to that"
