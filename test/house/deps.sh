#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# deps.sh - what is there already is not installed again: no output, no privileges, no network.
set -eu
command -v apt-get >/dev/null || exit 77
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for tool in apt-get sudo; do
    printf '#!/bin/sh\necho "$0 $*"\nexit 1\n' >"$tmp/$tool"
    chmod +x "$tmp/$tool"
done
out=$(PATH="$tmp:$PATH" "$ESTAB_SOURCE/scripts/deps" demo test)
[ -z "$out" ] || { echo "$out"; exit 1; }
if "$ESTAB_SOURCE/scripts/deps" nonsense 2>/dev/null; then
    echo "accepted: nonsense"
    exit 1
fi
