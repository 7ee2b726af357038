#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# headers.sh - every header compiles alone.
exec "$ESTAB_SOURCE/scripts/check-headers"
