#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# campaign.sh - a campaign over many machines: the commands of doc/SIM.md, with workers on this one.
#
# GNU parallel: two workers of its own.  A Slurm array: its script, with the number that Slurm would set.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

PATH=$(cd "$(dirname "$estab")" && pwd):$PATH
cd "$tmp" || exit 1
export HOME="$tmp"

# sum FILE...: seeds that were run, of which held.
sum()
{
    awk '/ seeds: / { all += $1; held += $3 } END { print all + 0, held + 0 }' "$@"
}

for task in 0 1 2; do
    SLURM_ARRAY_TASK_ID=$task sh -c 'estab sim -q \
        --seed $((SLURM_ARRAY_TASK_ID * 20 + 1)) --campaign 20 pair loss=3% bytes=20kB' >slurm.$task ||
        fail "task $task of the array"
done
[ "$(sum slurm.*)" = "60 60" ] || fail "the array: $(cat slurm.*)"

if ! parallel --version 2>/dev/null | grep -q "^GNU parallel"; then
    [ "$failed" = 0 ] && skip "no GNU parallel"
    exit 1
fi
mkdir -p .parallel && touch .parallel/will-cite
parallel --sshlogin 2/: estab sim -q --seed '{}001' \
    --campaign 20 -j1 pair loss=3% bytes=20kB ::: 0 1 2 3 >local 2>err ||
    fail "two workers of parallel's: $(cat err)"
[ "$(sum local)" = "80 80" ] || fail "two workers of parallel's: $(cat local)"

# A failure on one of them is a failure.
printf 'host a b\nlink a b loss=20%%\nflow f bulk a b bytes=20kB\nexpect f time < 1ms\n' >never.topo
parallel --sshlogin 2/: estab sim -q --no-shrink --seed '{}001' --campaign 5 -j1 "$tmp/never.topo" \
    ::: 0 1 >out 2>err && fail "a campaign that finds something is a success"
exit "$failed"
