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

skip()
{
    echo "SKIP: $*"
    exit 77
}

[ -n "${ESTAB_BUILD:-}" ] || { echo "ESTAB_BUILD: name the build folder"; exit 1; }
[ $# -ge 3 ] || { echo "usage: $0 MEDIUM MTU FAMILY [SCENARIO]"; exit 1; }
export ESTAB_BUILD
if [ "${ESTAB_IN_NAMESPACE:-}" != yes ]; then
    [ -e /dev/net/tun ] || skip "there is no /dev/net/tun (modprobe tun)"
    command -v ip >/dev/null || skip "there is no ip(8) (Debian: iproute2)"
    export ESTAB_IN_NAMESPACE=yes # which ends with its last process
    unshare --net true 2>/dev/null && exec unshare --net "$0" "$@"
    unshare --user --map-root-user --net true 2>/dev/null &&
        exec unshare --user --map-root-user --net "$0" "$@"
    skip "may make neither a network namespace nor a user namespace"
fi

sh -c 'exec 3<>/dev/net/tun' 2>/dev/null || skip "/dev/net/tun may not be opened here"
ip tuntap add mode "$1" name probe 2>/dev/null || skip "no $1 device may be made in a namespace here"
ip link del probe
# A tail loss probe (RFC 8985) is a retransmission for want of time, not of a segment.
echo 0 >/proc/sys/net/ipv4/tcp_early_retrans
# Keepalives are answered however often they come.
echo 0 >/proc/sys/net/ipv4/tcp_invalid_ratelimit
ip link set lo up
recordings=$ESTAB_BUILD/test/recordings
mkdir -p "$recordings"
exec "$ESTAB_BUILD/test/interop_kernel" "$1" "$2" "$3" "$recordings" ${4+"$4"}
