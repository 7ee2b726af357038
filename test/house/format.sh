#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# format.sh - every tracked C file is formatted; skipped where there is no clang-format.
command -v clang-format >/dev/null || exit 77
exec "$ESTAB_SOURCE/scripts/check-format"
