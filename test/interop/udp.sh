#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# udp.sh - UDP sockets with the kernel's, both ways, in datagrams of every kind of length.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

for medium in tun tap; do
    ip tuntap add mode $medium name estab0
    ip address add 10.77.0.1/24 dev estab0
    ip address add fd77::1/64 dev estab0 nodad
    ip link set estab0 up
    python3 - "$tmp/calls.$medium" <<'PY' &
import select, socket, sys
v4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
v4.bind(("10.77.0.1", 9000))
v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
v6.bind(("fd77::1", 9000))
open(sys.argv[1], "w").close()
while True:
    for s in select.select([v4, v6], [], [])[0]:
        text, who = s.recvfrom(100)
        s.sendto(text + b" yourself", who)
PY
    server=$!
    children=$server
    await "the server" test -e "$tmp/calls.$medium"
    "$ESTAB_BUILD/test/interop_udp" $medium:estab0 >"$tmp/said.$medium" &
    children="$server $!"
    await "two answers and two refusals" sh -c "[ \$(wc -l <'$tmp/said.$medium') = 4 ]"
    for ip in 10.77.0.1 fd77::1; do
        expect_in "an answer over $medium" "^$ip hello yourself\$" "$tmp/said.$medium"
        expect_in "a refusal over $medium" "^$ip connection refused\$" "$tmp/said.$medium"
    done
    python3 - <<'PY' || fail "echoes over $medium"
import os, socket

def echo(s, n):
    text = os.urandom(n)
    s.send(text)
    assert s.recv(65536) == text, "an echo of %d octets" % n

for family, ip, most in (socket.AF_INET, "10.77.0.2", 65507), (socket.AF_INET6, "fd77::2", 65527):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(20)
    s.connect((ip, 7))
    for n in 0, 1, 2, 1451, 1452, 1453, 1472, 1473, 3000, 9001, 40000, most:
        echo(s, n)
    burst = [os.urandom(900 + i) for i in range(40)]
    for text in burst:
        s.send(text)
    assert [s.recv(65536) for _ in burst] == burst, "a burst in its order"
    s.connect((ip, 8))
    s.send(b"is anybody there")
    try:
        s.recv(10)
        assert False, "somebody is"
    except ConnectionRefusedError:
        pass
PY
    # shellcheck disable=SC2086
    kill $children
    wait
    children=
    ip link del estab0
done
[ $failed = 0 ] && echo "well"
exit $failed
