#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# symbols.sh - the installed libraries export estab_* only, the core needs no more of the C library
# than it says, file-local names are unique; and the check notices when they are not.
set -eu
root=$ESTAB_SOURCE
"$root/scripts/check-symbols" "$ESTAB_BUILD"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/scripts" "$tmp/src/base" "$tmp/build/sealed"
cp "$root/scripts/check-symbols" "$tmp/scripts"

rejects() # WHY: the tree in $tmp is refused for that reason
{
    cc -c -o "$tmp/x.o" "$tmp/src/base/x.c"
    rm -f "$tmp/build/sealed/libestab.a"
    ar rcs "$tmp/build/sealed/libestab.a" "$tmp/x.o"
    if "$tmp/scripts/check-symbols" "$tmp/build" >"$tmp/out"; then
        echo "accepted: $1"
        exit 1
    fi
    grep -q "$1" "$tmp/out" || { echo "refused for another reason:"; cat "$tmp/out"; exit 1; }
}
echo 'int leaked; int estab_x(void) { return leaked; }' >"$tmp/src/base/x.c"
rejects 'exports leaked'
echo 'int puts(const char *); int estab_x(void) { return puts(""); }' >"$tmp/src/base/x.c"
rejects 'needs puts'
printf 'static int\ntwice(int a)\n{ return a; }\nint estab_x(void) { return twice(1); }\n' >"$tmp/src/base/x.c"
echo 'static int twice[] = {1};' >"$tmp/src/base/y.c"
rejects 'file-local name twice'
