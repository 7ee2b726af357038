#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# layers.sh - check-layers accepts this tree, and rejects what it is there to reject.
set -eu
root=${ESTAB_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
"$root/scripts/check-layers" "$root"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# rejects FILE LINE WHY: a tree with this one line more in this file is refused for that reason.
rejects()
{
    rm -rf "$tmp/tree"
    mkdir -p "$tmp/tree/host" "$tmp/tree/cli"
    cp -r "$root/src" "$tmp/tree/src"
    mkdir -p "$tmp/tree/$(dirname "$1")"
    printf '%s\n' "$2" >>"$tmp/tree/$1"
    if "$root/scripts/check-layers" "$tmp/tree" >"$tmp/out"; then
        echo "accepted: $2 in $1"
        exit 1
    fi
    grep -q "^$1:[0-9]*: $3" "$tmp/out" || { echo "refused for another reason:"; cat "$tmp/out"; exit 1; }
}
rejects src/base/bad.c '#include "tcp/tcp.h"' 'upward include'
rejects src/wire/tcp.h '#include "ip/ip.h"' 'upward include'
rejects src/tcp/bad.c '#include <stdio.h>' 'the core may not use'
rejects src/base/bad.h '#  include <time.h>' 'the core may not use'
rejects src/ip/bad.c '#include <estab/host.h>' 'the core may not use'
rejects src/ip/bad.c '#include "ip.h"' 'write it as'
rejects src/ip/bad.c '#include "host/link.h"' 'no such layer'
rejects src/extra/bad.c '#include "base/seq.h"' 'folder is not in'
rejects host/bad.c '#include "base/seq.h"' 'customers include'
rejects cli/bad.c '#include "../src/tcp/tcp.h"' 'customers include'
