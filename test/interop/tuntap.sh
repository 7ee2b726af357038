#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# tuntap.sh - the TUN and TAP links against the kernel, in a network namespace of their own.
# Exit status: 0 well, 1 not, 77 may not be tried here (the reason is printed).
set -u

skip()
{
    echo "SKIP: $*"
    exit 77
}

[ -n "${ESTAB_BUILD:-}" ] || { echo "ESTAB_BUILD: name the build folder"; exit 1; }
program=$ESTAB_BUILD/test/interop_tuntap
[ -e /dev/net/tun ] || skip "there is no /dev/net/tun (modprobe tun)"
command -v ip >/dev/null || skip "there is no ip(8) (Debian: iproute2)"

ns=estab-tuntap-$$
if ip netns add "$ns" 2>/dev/null; then
    trap 'ip netns del "$ns"' EXIT
    trap 'exit 130' INT TERM
    in_namespace="ip netns exec $ns"
elif unshare --user --map-root-user --net true 2>/dev/null; then
    in_namespace="unshare --user --map-root-user --net" # ends with its process
else
    skip "may make neither a network namespace nor a user namespace"
fi
$in_namespace sh -c 'exec 3<>/dev/net/tun' 2>/dev/null || skip "/dev/net/tun may not be opened here"
$in_namespace ip tuntap add mode tun name probe 2>/dev/null ||
    skip "no TUN device may be made in a namespace here"
$in_namespace ip link del probe 2>/dev/null

$in_namespace "$program"
