#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# rfc.sh - every rule of doc/requirements.tsv has code and test or a reason, and doc/CONFORMANCE.md
# says so; skipped where there is no python3.
command -v python3 >/dev/null || exit 77
exec "$ESTAB_SOURCE/scripts/check-rfc"
