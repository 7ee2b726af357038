#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# shards.sh - two stacks with one address, a thread each, on one device with two queues, against the
# kernel's sockets, in a namespace of its own.  Usage: shards.sh KIND FAMILY
# Exit status: 0 well, 1 not, 77 may not be tried here (the reason is printed).
# case: tun v4
# case: tun v6
# case: tap v4
# case: tap v6
# case: packet v4
# case: packet v6
# case: xdp v4
# case: xdp v6
# case: xdp-refused v4
set -u
[ $# -eq 2 ] || { echo "usage: $0 KIND FAMILY"; exit 1; }
# shellcheck source=test/interop/enter
. "$(dirname "$0")/enter"

case $1 in
tun | tap)
    need_tun "$1" multi_queue
    ip tuntap add mode "$1" multi_queue name esh0
    device=esh0
    ;;
packet)
    ip link add esh0 type veth peer name esh1 2>/dev/null || skip "no veth pair may be made here"
    ip link set esh1 up
    device=esh1
    ;;
xdp | xdp-refused)
    queues=2
    [ "$1" = xdp ] || queues=1
    # The kernel's end chooses the queue by which a frame comes.
    ip link add esh0 numtxqueues 2 numrxqueues 2 type veth peer name esh1 \
        numtxqueues $queues numrxqueues $queues 2>/dev/null || skip "no veth pair may be made here"
    ip link set esh1 up
    device=esh1
    ;;
esac
ip link set esh0 up
case $2 in
v4) ip addr add 10.96.0.1/24 dev esh0 ;;
v6) ip addr add fd96::1/64 dev esh0 nodad ;;
esac
case $1 in
xdp*)
    told=$("$ESTAB_BUILD/estab" get http://10.98.0.1/ --addr 10.96.0.9/24 --dev xdp:esh1,queue=0 2>&1) # no route
    case $told in
    *"built without AF_XDP"*) skip "this was built without AF_XDP" ;;
    *"Operation not permitted"*) skip "no XDP program may be attached here" ;;
    *"making a map"* | *"a socket at its queue: Address family"*) skip "this kernel has no AF_XDP: $told" ;;
    esac
    ;;
esac
[ "$1" != xdp-refused ] || exec "$ESTAB_BUILD/test/interop_shards" xdp:esh1 "$2" \
    "are 1, and the stacks 2, which have one each; make them as many, with \`ethtool -L esh1 combined 2\`"
exec "$ESTAB_BUILD/test/interop_shards" "$1:$device" "$2"
