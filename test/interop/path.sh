#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# path.sh - fragments and path MTUs with the kernel: as the far end, which cuts and puts together
# echoes of any length, and as a router to a narrower link, which says what that takes.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"
command -v nsenter >/dev/null || skip "there is no nsenter (Debian: util-linux)"

mkdir "$tmp/www"
head -c 3000000 /dev/urandom >"$tmp/www/big"
# shellcheck disable=SC2086
"$estab" serve "$tmp/www" $ends --gw 10.77.0.1 --gw fd77::1 --listen :80 --ctl "$tmp/ctl" --msl 0.5 \
    --pcap "$tmp/x.pcapng" >"$tmp/log" 2>&1 &
server=$!
children=$server
await "the control socket" test -S "$tmp/ctl"
await "the first answer" curl -sf -o /dev/null -r 0-9 http://10.77.0.2/big

# Echoes that fit, that just do not, and of the greatest length there is.
cat >"$tmp/echo.py" <<'PY'
import os, socket, struct, sys, time

def checksum(b):
    b += b"\0" * (len(b) % 2)
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff

def echo(family, addr, length, number):
    v4 = family == socket.AF_INET
    s = socket.socket(family, socket.SOCK_RAW,
                      socket.IPPROTO_ICMP if v4 else socket.getprotobyname("ipv6-icmp"))
    s.settimeout(5)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    data = os.urandom(length)
    head = struct.pack("!BBHHH", 8 if v4 else 128, 0, 0, 77, number)
    if v4: # the kernel sums ICMPv6's
        head = struct.pack("!BBHHH", 8, 0, checksum(head + data), 77, number)
    s.sendto(head + data, (addr, 0))
    while True:
        got = s.recv(70000)
        if v4:
            got = got[(got[0] & 15) * 4:]
        if got[0] == (0 if v4 else 129) and got[4:8] == head[4:8]:
            return got[8:] == data

number = 0
for family, addr, lengths in ((socket.AF_INET, "10.77.0.2", (0, 56, 548, 549, 1472, 1473, 2952, 2953, 20000, 65507)),
                              (socket.AF_INET6, "fd77::2", (0, 56, 1452, 1453, 2896, 2897, 20000, 65527))):
    for length in lengths:
        number += 1
        time.sleep(0.1) # answers are limited
        try:
            good = echo(family, addr, length, number)
        except TimeoutError:
            good = None
        if not good:
            sys.exit("an echo of %d octets to %s: %s" % (length, addr, "no answer" if good is None else "changed"))
PY
python3 "$tmp/echo.py" || fail "echoes"

# A client behind a router whose next link takes 1400 octets, which the client does not know.
unshare --net sleep 1000 &
far=$!
children="$children $far"
own=$(readlink /proc/self/ns/net)
moved()
{
    [ "$(readlink /proc/$far/ns/net)" != "$own" ]
}
await "the client's namespace" moved
there()
{
    nsenter -t $far -n "$@"
}
ip link add near type veth peer name far
ip link set far netns $far
ip addr add 10.78.0.1/24 dev near
ip addr add fd78::1/64 dev near nodad
ip link set near mtu 1400 up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
there ip link set lo up
there ip addr add 10.78.0.2/24 dev far
there ip addr add fd78::2/64 dev far nodad
there ip link set far up
there ip route add default via 10.78.0.1
there ip route add default via fd78::1
for host in 10.77.0.2 '[fd77::2]'; do
    await "a small answer from $host" there curl -sf -m 20 -g -o /dev/null -r 0-9 "http://$host/big"
    there curl -sf -g --max-time 20 -o "$tmp/got" "http://$host/big" && cmp -s "$tmp/got" "$tmp/www/big" ||
        fail "a file of 3 MB from $host over a narrower link"
done
busy()
{
    "$estab" ss --ctl "$tmp/ctl" -j established | grep -q 'snd_mss'
}
idle()
{
    ! busy
}
# What the path takes shows, and holds for the connections to come.
for host in 10.77.0.2 '[fd77::2]'; do
    await "the end of what was before" idle
    there curl -s -m 120 -g --limit-rate 500k -o /dev/null "http://$host/big" &
    reader=$!
    children="$server $far $reader"
    await "the slow transfer" busy
    mss=$("$estab" ss --ctl "$tmp/ctl" -j established | sed 's/.*"snd_mss":\([0-9]*\),.*/\1/' | head -1)
    case $host in
    10.*) expect "the segments to a peer behind 1400 octets" $((1400 - 20 - 32)) "$mss" ;;
    *) expect "the segments to a peer behind 1400 octets, IPv6" $((1400 - 40 - 32)) "$mss" ;;
    esac
    kill $reader
    wait $reader 2>/dev/null
done
await "the end of the slow transfer" idle

kill -TERM $server
wait $server
expect "the server's exit status" 0 $?
kill $far
wait $far 2>/dev/null
children=
exit $failed
