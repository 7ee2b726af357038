#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kernel.sh - estab against the kernel's TCP on one kind of device, in a namespace of its own.
# Usage: kernel.sh MEDIUM MTU FAMILY [SCENARIO]; with KEEP_RECORDINGS=yes the recordings of
# scenarios that passed stay as well.
# Exit status: 0 well, 1 not, 77 may not be tried here (the reason is printed).
# IPv6 needs an MTU of 1280 (RFC 8200 section 5): at 576 there is IPv4 only.
# case: tun 1500 v4
# case: tun 1500 v6
# case: tun 576 v4
# case: tun 9000 v4
# case: tun 9000 v6
# case: tap 1500 v4
# case: tap 1500 v6
# case: tap 576 v4
# case: tap 9000 v4
# case: tap 9000 v6
set -u
[ $# -ge 3 ] || { echo "usage: $0 MEDIUM MTU FAMILY [SCENARIO]"; exit 1; }
# shellcheck source=test/interop/enter
. "$(dirname "$0")/enter"

need_tun "$1"
# A tail loss probe (RFC 8985) is a retransmission for want of time, not of a segment.
echo 0 >/proc/sys/net/ipv4/tcp_early_retrans
# Keepalives are answered however often they come.
echo 0 >/proc/sys/net/ipv4/tcp_invalid_ratelimit
recordings=$ESTAB_BUILD/test/recordings
mkdir -p "$recordings"
exec "$ESTAB_BUILD/test/interop_kernel" "$1" "$2" "$3" "$recordings" ${4+"$4"}
