#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# shm.sh - a link in shared memory between two processes.
[ -n "${ESTAB_BUILD:-}" ] || { echo "ESTAB_BUILD: name the build folder"; exit 1; }
exec "$ESTAB_BUILD/test/interop_shm"
