#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# lint.sh - check-lint finds a mistake that compilers pass, and passes a file without one; the
# whole tree takes minutes and is linted by `make check`.
set -eu
command -v clang-tidy >/dev/null || exit 77
mkdir -p "$ESTAB_BUILD/lint"
cp "$ESTAB_SOURCE/.clang-tidy" "$ESTAB_BUILD/lint"
cat >"$ESTAB_BUILD/lint/good.c" <<'END'
#include <stdlib.h>
#include <string.h>
char *room(const char *s);
char *room(const char *s) { return malloc(strlen(s) + 1); }
END
sed 's/strlen(s) + 1/strlen(s + 1)/' "$ESTAB_BUILD/lint/good.c" >"$ESTAB_BUILD/lint/bad.c"
"$ESTAB_SOURCE/scripts/check-lint" "$ESTAB_BUILD/lint/good.c"
if "$ESTAB_SOURCE/scripts/check-lint" "$ESTAB_BUILD/lint/bad.c"; then
    echo "accepted: room for strlen(s + 1)"
    exit 1
fi
