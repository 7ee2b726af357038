#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# rfc.sh - check-rfc accepts this tree, and rejects what it is there to reject; skipped where there
# is no python3.
set -eu
command -v python3 >/dev/null || exit 77
root=${ESTAB_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
"$root/scripts/check-rfc" "$root"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# rejects WHY FILE SCRIPT: a tree in which sed has changed this file so is refused for that reason.
rejects()
{
    rm -rf "$tmp/tree"
    mkdir -p "$tmp/tree"
    for folder in src include host test doc; do
        cp -r "$root/$folder" "$tmp/tree/$folder"
    done
    sed -i "$3" "$tmp/tree/$2"
    if "$root/scripts/check-rfc" "$tmp/tree" >"$tmp/out"; then
        echo "accepted: $3 in $2"
        exit 1
    fi
    grep -q "^$1" "$tmp/out" || { echo "refused for another reason:"; cat "$tmp/out"; exit 1; }
}
rejects 'MUST-8: no code' src/tcp/tcp_isn.c 's/MUST-8, //'
rejects 'MUST-8: no test' test/unit/rfc_9293_test.c 's/\[MUST-8\]//'
rejects 'MUST-99: no such rule' src/tcp/tcp_isn.c 's/MUST-8, /MUST-99, /'
rejects 'MUST-8: has code and test' doc/requirements.tsv '/^MUST-8\t/s/$/not met: why not/'
rejects 'doc/CONFORMANCE.md is not' doc/CONFORMANCE.md 's/MUST-8/MUST-9/'
rejects 'doc/HOSTILE.md: P7 is tested' doc/HOSTILE.md 's/, ip_neigh_test//'
rejects 'doc/HOSTILE.md: W4 is missing' doc/HOSTILE.md '/^| W4/d'
