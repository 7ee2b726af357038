#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# serve.sh - `estab serve`, with curl and raw HTTP on the kernel's TCP as clients.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

mkdir "$tmp/www" "$tmp/www/sub" "$tmp/www/page"
head -c 3000000 /dev/urandom >"$tmp/www/big"
echo hello >"$tmp/www/a.txt"
echo index >"$tmp/www/page/index.html"
: >"$tmp/www/empty"
: >"$tmp/www/sub/x <&> y"
ln -s /etc/passwd "$tmp/www/leak"
ln -s a.txt "$tmp/www/inside"

# shellcheck disable=SC2086
"$estab" serve "$tmp/www" $ends --listen :80 --listen 10.77.0.2:8080 --ctl "$tmp/ctl" --msl 0.5 \
    --pcap "$tmp/x.pcapng" -v >"$tmp/log" 2>&1 &
server=$!
children=$server
await "the control socket" test -S "$tmp/ctl"
await "the first answer" curl -sf -o /dev/null http://10.77.0.2/a.txt

status()
{
    curl -s -o /dev/null -w '%{http_code}' "$@"
}

for host in 10.77.0.2 '[fd77::2]' 10.77.0.2:8080; do
    curl -sf -g -o "$tmp/got" "http://$host/big" && cmp -s "$tmp/got" "$tmp/www/big" ||
        fail "a file of 3 MB from $host"
done
expect "an empty file" "200 0" "$(curl -s -o /dev/null -w '%{http_code} %{size_download}' http://10.77.0.2/empty)"
expect "a link within" hello "$(curl -s http://10.77.0.2/inside)"
expect "no such file" 404 "$(status http://10.77.0.2/nope)"
expect "a file as a folder" 404 "$(status http://10.77.0.2/a.txt/)"
expect "POST" 405 "$(status -d x=y http://10.77.0.2/a.txt)"
expect "dots" 400 "$(status --path-as-is http://10.77.0.2/../../../etc/passwd)"
expect "encoded dots" 400 "$(status --path-as-is http://10.77.0.2/%2e%2e/%2e%2e/etc/passwd)"
expect "an absolute path" 404 "$(status --path-as-is http://10.77.0.2//etc/passwd)"
expect "a link that leaves" 403 "$(status http://10.77.0.2/leak)"
expect "a range" ell "$(curl -s -r 1-3 http://10.77.0.2/a.txt)"
expect "the end" lo "$(curl -s -r -3 http://10.77.0.2/a.txt)"
expect "a range's status" 206 "$(status -r 1-3 http://10.77.0.2/a.txt)"
expect "no such range" 416 "$(status -r 100- http://10.77.0.2/a.txt)"
expect "two addresses, one connection" "1 0 " \
    "$(curl -s -o /dev/null -o /dev/null -w '%{num_connects} ' http://10.77.0.2/a.txt http://10.77.0.2/nope)"
expect "a folder without its slash" "301 http://10.77.0.2/sub/" \
    "$(curl -s -o /dev/null -w '%{http_code} %{redirect_url}' http://10.77.0.2/sub)"
expect "an index page" index "$(curl -s http://10.77.0.2/page/)"
curl -s http://10.77.0.2/sub/ >"$tmp/got"
expect_in "a list" 'href="./x%20%3C%26%3E%20y">x &lt;&amp;&gt; y<' "$tmp/got"
curl -sI http://10.77.0.2/a.txt >"$tmp/got"
expect_in "HEAD" 'Content-Length: 6' "$tmp/got"
expect_in "a media type" 'Content-Type: text/plain' "$tmp/got"

# Requests may arrive together, in pieces, or as rubbish.
cat >"$tmp/raw.py" <<'PY'
import socket, sys, time

def talk(*pieces):
    s = socket.create_connection(("10.77.0.2", 80))
    for piece in pieces:
        s.sendall(piece)
        time.sleep(0.02)
    s.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        more = s.recv(65536)
        if not more:
            return got
        got += more

get = b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n"
assert talk(get * 100).count(b"hello\n") == 100, "a hundred at once"
assert talk(*[get[i:i + 1] for i in range(len(get))]).endswith(b"hello\n"), "octet by octet"
assert talk(get, get[:20]).count(b"hello\n") == 1, "cut off"
assert talk(b"\x16\x03\x01\x00\x05hello\r\n\r\n").startswith(b"HTTP/1.1 400 "), "rubbish"
assert talk(b"GET /" + b"a" * 9000).startswith(b"HTTP/1.1 431 "), "a head without end"
assert talk(b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 "), "no host"
two = b"HEAD /big HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /a.txt HTTP/1.0\r\n\r\n"
assert talk(two).endswith(b"hello\n"), "HTTP/1.0"
PY
python3 "$tmp/raw.py" || fail "raw requests"

# A slow reader costs no more than the send buffer, and gets its file although the server is told
# to end meanwhile; a new connection is refused then.
cat >"$tmp/slow.py" <<'PY'
import os, socket, sys, time

go, out = sys.argv[1:]
s = socket.socket()
s.settimeout(120)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.connect(("10.77.0.2", 80))
s.sendall(b"GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
got = s.recv(1000)
while not os.path.exists(go):
    time.sleep(0.01)
while more := s.recv(65536):
    got += more
with open(out, "wb") as f:
    f.write(got.split(b"\r\n\r\n", 1)[1])
PY
python3 "$tmp/slow.py" "$tmp/go" "$tmp/slow" &
reader=$!
children="$children $reader"
busy()
{
    "$estab" ss --ctl "$tmp/ctl" established | grep -q 10.77.0.2
}
await "the slow transfer" busy
"$estab" ss --ctl "$tmp/ctl" -j established | grep send_q >"$tmp/slow.json"
queued=$(sed 's/.*"send_q":\([0-9]*\),.*/\1/' "$tmp/slow.json" | head -1)
buffer=$(sed 's/.*"sndbuf":\([0-9]*\),.*/\1/' "$tmp/slow.json" | head -1)
[ "$queued" -le "$buffer" ] || fail "$queued octets are queued for a slow reader, of $buffer"
[ "$buffer" -le 8000000 ] || fail "the send buffer of a slow reader is $buffer octets"
kill -INT $server
touch "$tmp/go"
wait $reader || fail "the slow reader was cut off"
cmp -s "$tmp/slow" "$tmp/www/big" || fail "the slow reader's file differs"
wait $server
expect "the server's exit status" 0 $?
children=
expect_in "the totals" 'connections, .* requests, .* sent in' "$tmp/log"
expect_in "the access log" ' /a.txt 200 6' "$tmp/log"
[ ! -e "$tmp/ctl" ] || fail "the control socket is left"
if command -v tshark >/dev/null; then
    tshark -r "$tmp/x.pcapng" -Y 'frame.comment contains "ESTABLISHED"' 2>/dev/null | grep -q . ||
        fail "no state in the capture's comments"
fi

# The shortest command line: the addresses are those of --listen.
"$estab" serve "$tmp/www" --listen 10.77.0.2:80 --listen '[fd77::2]:80' --kernel-addr 10.77.0.1/24 \
    --kernel-addr fd77::1/64 --trace --ctl "$tmp/ctl" >"$tmp/log" 2>&1 &
server=$!
children=$server
await "the control socket" test -S "$tmp/ctl"
expect "the shortest command line" hello "$(curl -s http://10.77.0.2/a.txt)"
expect "the shortest command line, IPv6" hello "$(curl -s -g 'http://[fd77::2]/a.txt')"
kill -TERM $server
wait $server
expect "its exit status" 0 $?
children=
expect_in "the ladder" 'LISTEN .* SYN-RECEIVED: rcv SYN' "$tmp/log"

# A port that is free, for who asks for none in particular.
# shellcheck disable=SC2086
"$estab" serve "$tmp/www" $ends --listen 10.77.0.2:0 --ctl "$tmp/ctl" >"$tmp/log" 2>&1 &
server=$!
children=$server
await "the control socket" test -S "$tmp/ctl"
at=$(sed -n 's/.* on \([^ ]*\) over .*/\1/p' "$tmp/log")
expect "a port that was free" hello "$(curl -s "http://$at/a.txt")"
kill -TERM $server
wait $server
children=

# What is wrong is said, with what to do.
refused()
{
    want=$1
    pattern=$2
    shift 2
    "$estab" serve "$@" >"$tmp/out" 2>&1
    expect "serve $*: exit status" "$want" $?
    expect_in "serve $*" "$pattern" "$tmp/out"
}
refused 2 'which folder' --addr 10.77.0.2/24
refused 2 'needs an address' "$tmp/www"
refused 2 'not an address with a prefix' "$tmp/www" --addr 10.77.0.2.3/24
refused 2 'unknown option' "$tmp/www" --addr 10.77.0.2/24 --frob
refused 1 'cannot open the folder' "$tmp/none" --addr 10.77.0.2/24
refused 1 'cannot listen on 10.9.9.9:80' "$tmp/www" --addr 10.77.0.2/24 --listen 10.9.9.9:80
refused 1 'at most 15 characters' "$tmp/www" --addr 10.77.0.2/24 --dev tun:a-name-that-is-too-long
exit $failed
