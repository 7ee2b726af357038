#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# bench.sh - `estab bench`: that it runs, says what it does, and has every figure; not how fast.
# case: command
# case: tables
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"
[ -x "$ESTAB_BUILD/bench/estab-bench" ] || skip "the benchmarks are not built"

case $1 in
command)
    "$estab" bench connections 2k --figures "$tmp/figures" >"$tmp/out" 2>"$tmp/err" ||
        fail "two thousand connections: status $?"
    expect "how many there were" "connections at the same time: 2000" "$(cat "$tmp/out")"
    expect "the figure" "connections_max 2000" "$(cat "$tmp/figures")"
    for step in open answered closed; do
        expect_in "progress" "^$step 1000 of 2000, " "$tmp/err"
        expect_in "progress" "^$step 2000 of 2000, " "$tmp/err"
    done
    for number in 0 x 1kk 21M -5 99999999999M; do
        "$estab" bench connections $number >"$tmp/out" 2>&1
        expect "the status of connections $number" 2 $?
    done
    "$estab" bench nonsense >"$tmp/out" 2>&1
    expect "the status of what there is not" 2 $?
    expect_in "what there is not" "nonsense" "$tmp/out"
    "$estab" bench --help >"$tmp/out" || fail "help: status $?"
    expect_in "help" "connections N" "$tmp/out"
    mkdir "$tmp/alone"
    cp "$estab" "$tmp/alone/estab"
    "$tmp/alone/estab" bench >"$tmp/out" 2>&1
    expect "the status without estab-bench" 1 $?
    expect_in "without estab-bench" "make install" "$tmp/out"
    ;;
tables)
    "$estab" bench --quick --figures "$tmp/figures" >"$tmp/out" 2>"$tmp/err" ||
        { fail "the tables: status $?"; cat "$tmp/err"; }
    for name in bulk_gbps bulk_64k_gbps conn_per_s conn_1m_idle_ratio rr_1 rr_10k rr_1m \
        bytes_idle bytes_half_open shards_2_ratio shards_2_steered_ratio; do
        expect_in "the figures" "^$name [0-9]" "$tmp/figures"
    done
    ;;
esac
exit $failed
