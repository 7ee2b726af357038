#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# tree.sh - doc/ARCHITECTURE.md describes the tree that is here.
exec "$ESTAB_SOURCE/scripts/check-tree"
