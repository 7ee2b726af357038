#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# man.sh - the manual pages are without warnings; skipped where there is no mandoc.
command -v mandoc >/dev/null || exit 77
exec "$ESTAB_SOURCE/scripts/check-man"
