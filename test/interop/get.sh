#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# get.sh - `estab get`, from servers on the kernel's TCP.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

mkdir "$tmp/www"
head -c 3000000 /dev/urandom >"$tmp/www/big"

# What http.server does not do: each path is answered with octets as given, then a close.
cat >"$tmp/odd.py" <<'PY'
import socket, struct, threading, time

answers = {
    b"/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3;x\r\nefg\r\n0\r\n\r\n",
    b"/until-close": b"HTTP/1.0 200 OK\r\n\r\nto the end",
    b"/interim": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"/short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    b"/nothing": b"",
    b"/rubbish": b"SSH-2.0-OpenSSH\r\n\r\n",
    b"/moved": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    b"/reset": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    b"/silent": None,
}

def serve(c):
    path = c.recv(65536).split(b" ")[1]
    if answers[path] is None:
        time.sleep(30)
        return
    c.sendall(answers[path])
    if path == b"/reset":
        time.sleep(0.1)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()

s = socket.create_server(("10.77.0.1", 8001))
while True:
    threading.Thread(target=serve, args=s.accept()[:1], daemon=True).start()
PY
ip tuntap add mode tun name estab0
ip address add 10.77.0.1/24 dev estab0
ip address add fd77::1/64 dev estab0
ip link set estab0 up
(cd "$tmp/www" && exec python3 -m http.server --bind :: 8000) >/dev/null 2>&1 &
children=$!
python3 "$tmp/odd.py" &
children="$children $!"
await "http.server" curl -s -o /dev/null http://127.0.0.1:8000/
await "the odd server" python3 -c 'import socket; socket.create_connection(("10.77.0.1", 8001)).send(b"GET /nothing ")'

get()
{
    "$estab" get "$@" --addr 10.77.0.2/24 --addr fd77::2/64 --ctl "$tmp/ctl"
}
for host in 10.77.0.1 '[fd77::1]'; do
    get "http://$host:8000/big" -o "$tmp/got" || fail "the exit status of a good transfer"
    cmp -s "$tmp/got" "$tmp/www/big" || fail "a file of 3 MB from $host"
done
get http://10.77.0.1:8000/big | (sleep 0.3; cat >"$tmp/got")
cmp -s "$tmp/got" "$tmp/www/big" || fail "through a pipe that is read late"
get http://10.77.0.1:8000/big --dev 'fault:loss=2%,dup=1%,seed=3|tun:estab0' >"$tmp/got"
cmp -s "$tmp/got" "$tmp/www/big" || fail "over an impaired link"
expect "chunks" abcdefg "$(get http://10.77.0.1:8001/chunked)"
expect "until the close" "to the end" "$(get http://10.77.0.1:8001/until-close)"
expect "an interim response" ok "$(get http://10.77.0.1:8001/interim)"

# status WANTED PATTERN ARGUMENT...
status()
{
    want=$1
    pattern=$2
    shift 2
    get "$@" >"$tmp/out" 2>"$tmp/err"
    expect "get $*: exit status" "$want" $?
    expect_in "get $*" "$pattern" "$tmp/err"
}
echo before >"$tmp/kept"
status 22 'answered 404' http://10.77.0.1:8000/nope -o "$tmp/kept"
expect "an error leaves the file alone" before "$(cat "$tmp/kept")"
status 1 'only http' https://10.77.0.1/
status 2 'which URL'
status 3 'not a URL' 10.77.0.1/x
status 3 '1 to 65535' http://10.77.0.1:80000/x
status 6 'not an address' http://localhost/
status 7 'refused' http://10.77.0.1:8002/
status 7 'route' http://192.0.2.1/
status 8 'not HTTP' http://10.77.0.1:8001/rubbish
status 18 'broken off after 4 octets' http://10.77.0.1:8001/short
status 23 'No space left' http://10.77.0.1:8000/big -o /dev/full
status 28 'not complete after' http://10.77.0.1:8001/silent -m 0.3
status 28 'not complete after' http://10.77.0.99/ -m 0.3
status 45 'at most 15 characters' http://10.77.0.1:8000/big --dev tun:a-name-that-is-too-long
status 47 'elsewhere' http://10.77.0.1:8001/moved
status 52 'without an answer' http://10.77.0.1:8001/nothing
status 56 'reset' http://10.77.0.1:8001/reset
"$estab" get http://10.77.0.1:8000/ 2>"$tmp/err"
expect "no address: exit status" 2 $?

# The ladder, to the end of TIME-WAIT.
get http://10.77.0.1:8001/chunked --trace --linger --msl 0.1 >/dev/null 2>"$tmp/err"
expect_in "the ladder" 'SYN-SENT .* ESTABLISHED: rcv SYN,ACK' "$tmp/err"
expect_in "the ladder's end" '[^ ]* CLOSED: ' "$tmp/err"

# A signal ends it, and what it had begun.
"$estab" get http://10.77.0.1:8001/silent --addr 10.77.0.2/24 --ctl "$tmp/ctl" &
child=$!
children="$children $child"
await "its control socket" test -S "$tmp/ctl"
sleep 0.2
kill -INT $child
wait $child
expect "interrupted: exit status" 130 $?
[ ! -e "$tmp/ctl" ] || fail "the control socket is left"
exit $failed
