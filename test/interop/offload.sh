#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# offload.sh - links with super-segments and open checksums against the kernel's sockets, in a
# namespace of its own.  Usage: offload.sh KIND FAMILY
# Exit status: 0 well, 1 not, 77 may not be tried here (the reason is printed).
# case: tun v4
# case: tun v6
# case: tap v4
# case: tap v6
# case: plain v4
# case: packet v4
# case: packet v6
# case: packet-plain v4
# case: packet-refused v4
# case: xdp v4
# case: xdp v6
# case: xdp-refused v4
set -u
[ $# -eq 2 ] || { echo "usage: $0 KIND FAMILY"; exit 1; }
# shellcheck source=test/interop/enter
. "$(dirname "$0")/enter"

program=$ESTAB_BUILD/test/interop_offload
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

case $1 in
tun | tap)
    need_tun "$1"
    exec "$program" "$1:eoff0,vnet=on" eoff0 "$2" super
    ;;
packet | packet-plain | packet-refused | xdp | xdp-refused)
    ip link add eoff0 type veth peer name eoff1 2>/dev/null || skip "no veth pair may be made here"
    ip link set eoff0 up && ip link set eoff1 up
    ;;
esac

estab=$ESTAB_BUILD/estab
failed=0
# refused LINK WORDS: the program does not take the link, and says why in these words.
refused()
{
    told=$("$estab" get http://10.97.0.1/ --addr 10.97.0.2/24 --dev "$1" 2>&1) &&
        { echo "FAILED: $1 was taken"; failed=1; }
    case $told in
    *"$2"*) ;;
    *) echo "FAILED: $1: '$told' does not say '$2'"; failed=1 ;;
    esac
}

need_xdp()
{
    told=$("$estab" get http://10.98.0.1/ --addr 10.97.0.2/24 --dev xdp:eoff1 2>&1) # no route
    case $told in
    *"built without AF_XDP"*) skip "this was built without AF_XDP" ;;
    *"Operation not permitted"*) skip "no XDP program may be attached here" ;;
    *"xdp:eoff1: making a map"* | *"a socket at its queue: Address family"*)
        skip "this kernel has no AF_XDP: $told" ;;
    esac
}

case $1 in
packet)
    exec "$program" packet:eoff1,vnet=on eoff0 "$2" super
    ;;
packet-plain)
    exec "$program" packet:eoff1,vnet=off eoff0 "$2" plain
    ;;
packet-refused)
    [ -x "$estab" ] || skip "the program is not built"
    refused packet:lo "packet:lo: is no Ethernet device"
    refused packet:nodev "packet:nodev: finding the device: No such device"
    refused packet:eoff1,mtu=9000 "mtu=9000 is more than the device's 1500"
    refused packet: "has 1 to 15 characters"
    ip link set eoff1 down
    refused packet:eoff1 "is down; set it up with \`ip link set eoff1 up\`"
    exit $failed
    ;;
xdp)
    [ -x "$estab" ] || skip "the program is not built"
    need_xdp
    exec "$program" xdp:eoff1 eoff0 "$2" plain
    ;;
xdp-refused)
    [ -x "$estab" ] || skip "the program is not built"
    need_xdp
    refused xdp:lo "xdp:lo: is no Ethernet device"
    refused xdp:nodev "xdp:nodev: finding the device: No such device"
    refused xdp:eoff1,mtu=9000 "mtu=9000 is more than the device's 1500"
    refused xdp:eoff1,queue=1 "queue=1: the device has 1"
    refused xdp:eoff1,queue=x "must be the number of a queue"
    refused xdp:eoff1,vnet=on 'no option "vnet=on"; there is mtu='
    mkdir "$tmp/www"
    "$estab" serve "$tmp/www" --listen 10.97.0.2:80 --addr 10.97.0.2/24 --dev xdp:eoff1 >"$tmp/out" 2>&1 &
    first=$!
    tries=0
    until ip link show eoff1 | grep -q xdp; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { cat "$tmp/out"; exit 1; }
        sleep 0.05
    done
    refused xdp:eoff1 "there is another XDP program"
    # However it ends, the device is as before.
    kill -KILL $first
    wait $first 2>/dev/null
    ip link show eoff1 | grep -q xdp && { echo "FAILED: the program stayed at the device"; failed=1; }
    ip link show eoff1 | grep -q PROMISC && { echo "FAILED: the device stayed promiscuous"; failed=1; }
    ip link set eoff1 mtu 9000
    refused xdp:eoff1 "its MTU of 9000 is more than AF_XDP carries, 3822"
    ip link add eoff2 numrxqueues 2 numtxqueues 2 type veth peer name eoff3 numrxqueues 2 numtxqueues 2
    ip link set eoff2 up && ip link set eoff3 up
    refused xdp:eoff3 "has 2 queues"
    ip link set eoff3 down
    refused xdp:eoff3 "is down; set it up with \`ip link set eoff3 up\`"
    exit $failed
    ;;
plain)
    need_tun tun
    exec "$program" tun:eoff0,vnet=off eoff0 "$2" plain
    ;;
esac
