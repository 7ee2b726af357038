#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sim.sh - `estab sim` as a program: what it prints, writes and ends with.
set -u

[ -n "${ESTAB_BUILD:-}" ] || { echo "ESTAB_BUILD: name the build folder"; exit 1; }
estab=$ESTAB_BUILD/estab
[ -x "$estab" ] || { echo "SKIP: the program is not built"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
fail()
{
    echo "FAILED: $*"
    failed=1
}
man=$(cd "$(dirname "$0")/../../man" && pwd) || exit 1
cd "$tmp" || exit 1

# Every topology that is listed can be shown, and what is shown can be run.
"$estab" sim --list >list || fail "--list"
grep -q '^dumbbell  *Pairs of hosts' list || fail "--list does not have the dumbbell"
while read -r name rest; do
    "$estab" sim --show "$name" >"$name.topo" || fail "--show $name"
    grep -q "^about $rest" "$name.topo" || fail "$name is about something else"
done <list
"$estab" sim -q --for 1s dumbbell.topo rate=5Mbit >out 2>err || fail "a topology from a file"
grep -q '^fairness' out || fail "no fairness of a dumbbell"
[ ! -s err ] || fail "-q is not quiet: $(cat err)"

# The same twice; another seed is another run.
for try in 1 2; do
    "$estab" sim --json --seed 7 pair loss=1% bytes=200kB >"json$try" 2>/dev/null || fail "--json"
done
cmp -s json1 json2 || fail "two runs with one seed differ"
"$estab" sim --json --seed 8 pair loss=1% bytes=200kB >json2 2>/dev/null
cmp -s json1 json2 && fail "two seeds are the same"
[ "$(wc -l <json1)" = 1 ] || fail "JSON is not one line"

# A failure: status 1, the command again, and files that show it.
cat >late.topo <<'TOPO'
host a b
link a b rate=10Mbit delay=10ms loss=20%
flow f bulk a b bytes=100kB
expect f time < 60ms
TOPO
"$estab" sim late.topo --seed 3 --shrink late >out 2>err
[ $? = 1 ] || fail "the exit status of a failure"
grep -q '^BROKEN at .*: expect: late.topo:4: expected f time < 60ms' out || fail "what failed: $(cat out)"
grep -q '^again: estab sim --seed 3 late.topo' err || fail "the command again: $(cat err)"
"$estab" sim late.topo --seed 3 --fates late.fates --no-shrink >out 2>/dev/null
[ $? = 1 ] || fail "the fates do not show it again"
"$estab" script -q late-a.pkt late-b.pkt || fail "the scripts do not replay"
for size in 64kB 2MB; do
    sed "/^flow/s/\$/ sndbuf=$size/; s/100kB/2MB/; s/20%/5%/" late.topo >size.topo
    "$estab" sim size.topo --seed 3 --shrink size >out 2>err
    "$estab" script -q size-a.pkt size-b.pkt || fail "the scripts of a flow with sndbuf=$size do not replay"
done
"$estab" sim --campaign 20 -j2 late.topo --no-shrink >out 2>/dev/null
[ $? = 1 ] || fail "the exit status of a campaign that finds something"
grep -q '^again: estab sim --seed' out || fail "a campaign does not say how"
"$estab" sim --campaign 20 -j2 -q pair bytes=100kB >out || fail "a campaign that finds nothing"
grep -q '^20 seeds: 20 held, 0 did not' out || fail "the summary of a campaign: $(cat out)"

# What varies makes the rows.
printf 'vary loss 0%% 1%%\nvary size 1kB 9kB\nhost a b\nlink a b delay=1ms loss=$loss\n' >table.topo
printf 'flow f bulk a b bytes=$size\n' >>table.topo
"$estab" sim --table table.topo >out || fail "--table"
[ "$(wc -l <out)" = 5 ] || fail "a table of 2 x 2: $(cat out)"

# The first example of the manual page, as it stands there.
sed -n '/^A link of one/,/^\.Ed/{/^[a-z]/p}' "$man/estab-sim.1" >example.topo
[ "$(wc -l <example.topo)" = 4 ] || fail "the example of the manual page is another: $(cat example.topo)"
"$estab" sim example.topo --no-shrink >out 2>&1 || fail "the example of the manual page: $(cat out)"

# Nobody works on for a campaign that was killed.
"$estab" sim --campaign 1000000 -j2 pair bytes=1kB >/dev/null 2>&1 &
parent=$!
two_workers()
{
    workers=$(ps -o pid= --ppid $parent)
    # shellcheck disable=SC2086
    [ "$(echo $workers | wc -w)" = 2 ]
}
await "two workers of a campaign" two_workers
kill -KILL $parent
wait $parent 2>/dev/null
all_gone()
{
    for pid in $workers; do
        case $(ps -o stat= -p "$pid") in "" | Z*) ;; *) return 1 ;; esac
    done
}
await "the end of a campaign's workers" all_gone

# Mistakes: status 2.
for wrong in "--seed x pair" "--for soon pair" "pair dumbbell" "--campaign 0 pair" "" "nosuch" "pair rate=x"; do
    # shellcheck disable=SC2086
    "$estab" sim $wrong >/dev/null 2>&1
    [ $? = 2 ] || fail "the exit status of '$wrong'"
done
exit $failed
