#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# bench.sh - `estab bench`: that it runs, says what it does, and has every figure; not how fast.
# case: command
# case: tables
# case: run
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
    for name in bulk_gbps bulk_write_4k_gbps bulk_64k_gbps bulk_64k_write_64k_gbps conn_per_s conn_1m_idle_ratio rr_1 rr_10k rr_1m \
        bytes_idle bytes_half_open shards_2_ratio shards_2_steered_ratio; do
        expect_in "the figures" "^$name [0-9]" "$tmp/figures"
    done
    ;;
run)
    case $(sed -n 's/^ESTAB_SANITIZE:STRING=//p' "$ESTAB_BUILD/CMakeCache.txt") in
    ?*) skip "a sanitized build does not run under valgrind" ;;
    esac
    "$ESTAB_SOURCE/bench/run" --quick "$ESTAB_BUILD" >"$tmp/out" 2>"$tmp/err" ||
        { fail "bench/run: status $?"; cat "$tmp/out" "$tmp/err"; }
    kernel=yes
    ! grep -q "not measured" "$tmp/out" || kernel=no
    python3 - "$ESTAB_BUILD/quick/results.json" $kernel "$(command -v valgrind)" "$([ ! -r /proc/slabinfo ] || echo slabinfo)" <<'PY' || fail "results.json"
import json, sys
figures = json.load(open(sys.argv[1]))
missing = 0
def have(*names):
    global missing
    for name in names:
        if not isinstance(figures.get(name), (int, float)):
            print(name, "is", figures.get(name, "not there"))
            missing = 1
have("bulk_gbps", "bulk_64k_gbps", "conn_per_s", "conn32_per_s", "conn_1m_idle_ratio", "rr_1", "rr_10k", "rr_1m",
     "bytes_idle", "bytes_time_wait", "bytes_half_open", "bytes_100k_time_wait", "connections_max",
     "shards_2_ratio")
if sys.argv[2] == "yes":
    have("tun_out_vs_bare", "tun_in_vs_bare", "tap_rr_p50_us", "crr_vs_veth", "shm_gbps", "shm_rr_us",
         "bulk_gbps_loopback", "bulk_gbps_veth", "conn_per_s_loopback", "conn_per_s_veth",
         "rr_1_loopback", "rr_1_veth", "shards_2_ratio_loopback")
if sys.argv[2] == "yes" and sys.argv[4]:
    have("bytes_idle_kernel", "bytes_time_wait_kernel", "bytes_half_open_kernel")
if sys.argv[3]:
    have("bulk_instr_per_segment", "conn_instr", "bulk_instr_per_segment_100k_time_wait_ratio",
         "conn_instr_100k_time_wait_ratio", "rr_instr_100k_time_wait_ratio")
# lwIP is there where its source could be fetched.
for name in ("bulk_vs_lwip", "conn_vs_lwip", "conn32_vs_lwip"):
    if name not in figures:
        print(name, "is not there")
        missing = 1
sys.exit(missing)
PY
    expect_in "the tables" "Everyone, both ends on one core" "$ESTAB_BUILD/quick/RESULTS.md"
    ;;
esac
exit $failed
