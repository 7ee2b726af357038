#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check.sh - the short explorations of `estab check` keep every promise, and take every edge that the API can take.
set -eu
estab=${ESTAB_BUILD:?name the build folder}/estab
[ -x "$estab" ] || { echo "SKIP: the program was not built"; exit 77; }
out=$("$estab" check --quick) || { echo "$out"; exit 1; }
echo "$out"
# LISTEN -> SYN-SENT is SEND on a listener, which no socket does; LISTEN -> CLOSED is not among the explorer's calls.
left=$(echo "$out" | awk '/^  [A-Z].* -> / && $NF == 0' | grep -v 'LISTEN *-> *\(SYN-SENT\|CLOSED\) ' || true)
[ -z "$left" ] || { echo "edges never taken:"; echo "$left"; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$estab" check --loss 0 --duplicate 0 --early 0 --reorder 1 --diagram "$dir/states.dot" >/dev/null
grep -q '"ESTABLISHED" -> "FIN-WAIT-1"' "$dir/states.dot"
! "$estab" check --loss many 2>"$dir/err"
grep -q 'takes a number' "$dir/err"

# A run is told as a script that estab script accepts, and that does the same.
n=0
for bounds in "--loss 1 --sends 1" "-s" "-a --sends 1" "-t --connections 2" "--connections 2 --early 1"; do
    for run in 7 300 1900; do
        n=$((n + 1))
        "$estab" check $bounds --states 2000 --run $run --script "$dir/$n.pkt" >/dev/null
        [ -s "$dir/$n.pkt" ] || { echo "$bounds: no run $run"; exit 1; }
    done
done
"$estab" script "$dir"/*.pkt
grep -c 'connect(3' "$dir"/*.pkt | grep -q ':2'
