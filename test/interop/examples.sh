#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# examples.sh - the examples, each on the kernel's sockets and on estab's, with each other, curl, wrk.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

bin=$ESTAB_BUILD/examples
[ -x "$bin/client_estab" ] || skip "the examples are not built"
command -v wrk >/dev/null || skip "there is no wrk"

# tun NAME NET: a device whose kernel's end has the first address of a network.
tun()
{
    ip tuntap add mode tun name "$1" && ip addr add "10.77.$2.1/24" dev "$1" &&
        ip addr add "fd77:$2::1/64" dev "$1" nodad && ip link set "$1" up
}

# estab_at NET: what ESTAB_POSIX says for the device of that network.
estab_at()
{
    echo "dev=tun:t$1 addr=10.77.$1.2/24 addr=fd77:$1::2/64 gw=10.77.$1.1 msl=0.1"
}

for net in 1 2 3 4; do
    tun t$net $net || skip "no TUN device"
done
sysctl -q -w net.ipv4.ip_forward=1 2>/dev/null # so that two stacks can talk through the kernel

"$bin/echo_threads_kernel" 7 >"$tmp/echo_kernel" 2>&1 &
children="$children $!"
ESTAB_POSIX=$(estab_at 1) "$bin/echo_threads_estab" 7 >"$tmp/echo_estab" 2>&1 &
children="$children $!"
"$bin/http_events_kernel" 8080 >"$tmp/http_kernel" 2>&1 &
children="$children $!"
ESTAB_POSIX="$(estab_at 2) ctl=$tmp/http.sock" "$bin/http_events_estab" 8080 >"$tmp/http_estab" 2>&1 &
http=$!
children="$children $http"
for log in echo_kernel echo_estab http_kernel http_estab; do
    await "$log listens" grep -q listening "$tmp/$log"
done

"$estab" ss -l --ctl "$tmp/http.sock" >"$tmp/ss" || fail "ss of a program with posix.h"
expect_in "its listener" '^LISTEN .*:8080 ' "$tmp/ss"

# Messages: a number that clients on both kinds of sockets add to.
"$bin/counter_kernel" serve 70 >"$tmp/counter_kernel" 2>&1 &
children="$children $!"
ESTAB_POSIX=$(estab_at 4) "$bin/counter_estab" serve 70 >"$tmp/counter_estab" 2>&1 &
children="$children $!"
for log in counter_kernel counter_estab; do
    await "$log listens" grep -q listening "$tmp/$log"
done
for server in 127.0.0.1 10.77.4.2; do
    expect "the kernel's client adds to $server" 1000 "$("$bin/counter_kernel" add $server:70 1000)"
done
for server in 10.77.3.1 10.77.4.2; do
    expect "estab's client adds to $server" 2000 "$(ESTAB_POSIX=$(estab_at 3) "$bin/counter_estab" add $server:70 1000)"
done

head -c 300000 /dev/urandom >"$tmp/data"
# Kernel and estab as client, kernel and estab as server.
for server in 127.0.0.1 10.77.1.2 fd77:1::2; do
    "$bin/client_kernel" $server 7 <"$tmp/data" >"$tmp/back" || fail "kernel's client, $server"
    cmp -s "$tmp/data" "$tmp/back" || fail "what came back to the kernel's client from $server"
    "$bin/client_kernel" $server 7 50 >"$tmp/out" || fail "rounds with $server"
    echo "kernel's client, $server: $(cat "$tmp/out")"
done
for server in 10.77.3.1 10.77.1.2 fd77:3::1; do
    ESTAB_POSIX=$(estab_at 3) "$bin/client_estab" $server 7 <"$tmp/data" >"$tmp/back" ||
        fail "estab's client, $server"
    cmp -s "$tmp/data" "$tmp/back" || fail "what came back to estab's client from $server"
    ESTAB_POSIX=$(estab_at 3) "$bin/client_estab" $server 7 50 >"$tmp/out" ||
        fail "estab's rounds with $server"
    echo "estab's client, $server: $(cat "$tmp/out")"
done
ESTAB_POSIX=$(estab_at 3) "$bin/client_estab" 10.77.3.1 9 2>"$tmp/out" </dev/null && fail "a closed port"
expect_in "a closed port" 'connecting: Connection refused' "$tmp/out"

# Several at once.
pids=
for i in 1 2 3 4 5 6; do
    "$bin/client_kernel" 10.77.1.2 7 <"$tmp/data" >"$tmp/back$i" &
    pids="$pids $!"
done
for pid in $pids; do
    wait "$pid" || fail "one of several clients"
done
for i in 1 2 3 4 5 6; do
    cmp -s "$tmp/data" "$tmp/back$i" || fail "client $i of several"
done

for host in 127.0.0.1 10.77.2.2 '[fd77:2::2]'; do
    before=$failed
    expect "GET from $host" "/a/b" "$(curl -s -g "http://$host:8080/a/b")"
    expect "two GETs on one connection to $host" "/x/y" \
        "$(curl -s -g "http://$host:8080/x" "http://$host:8080/y" | tr -d '\n')"
    expect "POST to $host" 400 "$(curl -s -g -o /dev/null -w '%{http_code}' -d x "http://$host:8080/")"
    timeout 60 wrk -t 1 -c 20 -d 1 "http://$host:8080/" >"$tmp/wrk" 2>&1 || fail "wrk on $host"
    [ $failed = $before ] || { cat "$tmp/http_estab"; autopsy $http "$tmp/http.sock"; }
    grep -q 'Requests/sec' "$tmp/wrk" || fail "no answer to wrk from $host"
    grep -E 'Socket errors|Non-2xx' "$tmp/wrk" && fail "wrk had errors with $host"
    echo "wrk, $host: $(grep Requests/sec "$tmp/wrk")"
done
expect "an HTTP client of sockets alone" "HTTP/1.1 200 OK" \
    "$(printf 'GET /z HTTP/1.0\r\n\r\n' | "$bin/client_kernel" 10.77.2.2 8080 | head -1 | tr -d '\r')"
i=0
while [ $i -lt 300 ]; do
    printf 'GET /many/%d HTTP/1.1\r\n\r\n' $i
    i=$((i + 1))
done >"$tmp/many"
printf 'GET /last HTTP/1.1\r\nConnection: close\r\n\r\n' >>"$tmp/many"
for host in 127.0.0.1 10.77.2.2; do
    expect "300 requests at once to $host" 301 \
        "$(timeout 20 "$bin/client_kernel" $host 8080 <"$tmp/many" | grep -c '200 OK')"
done
exit $failed
