#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# tuntap.sh - the TUN and TAP links against the kernel, in a network namespace of their own.
# Exit status: 0 well, 1 not, 77 may not be tried here (the reason is printed).
set -u
# shellcheck source=test/interop/enter
. "$(dirname "$0")/enter"

need_tun tun
exec "$ESTAB_BUILD/test/interop_tuntap"
