#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# impair.sh - `estab impair`: two namespaces of the kernel's, joined by a link that is modelled.
set -u
# shellcheck source=test/interop/namespace
. "$(dirname "$0")/namespace"

a=estab-a-$$
b=estab-b-$$
ends="ns:$a,10.99.0.1/24 ns:$b,10.99.0.2/24"
# shellcheck disable=SC2086
"$estab" impair --for 1ms $ends >/dev/null 2>"$tmp/why" || skip "no named namespace may be made here: $(cat "$tmp/why")"
for name in $a $b; do
    [ ! -e "/run/netns/$name" ] || fail "$name is left behind"
done

# A server on the right; how long one octet there and back takes, in ms, on the left.
cat >"$tmp/echo.py" <<'PY'
import socket, sys, time
if sys.argv[1] == "serve":
    s = socket.create_server(("10.99.0.2", 7))
    while True:
        c = s.accept()[0]
        while text := c.recv(65536):
            c.sendall(text)
else:
    c = socket.create_connection(("10.99.0.2", 7), timeout=float(sys.argv[2]))
    began = time.monotonic()
    c.sendall(b"x")
    assert c.recv(1) == b"x"
    print(int((time.monotonic() - began) * 1000))
PY
cat >"$tmp/ask" <<ASK
ip netns exec $b python3 $tmp/echo.py serve &
for try in 1 2 3 4 5 6 7 8 9; do
    ip netns exec $a python3 $tmp/echo.py ask 20 2>/dev/null && break
    sleep 0.2
done
kill \$!
ASK

# shellcheck disable=SC2086
"$estab" impair --link rate=10Mbit,delay=25ms $ends -- sh "$tmp/ask" >"$tmp/out" 2>&1 ||
    fail "the exit status of a command that ends well"
expect_in "what the command says" '^[0-9]*$' "$tmp/out"
took=$(grep '^[0-9]*$' "$tmp/out")
[ "${took:-0}" -ge 50 ] || fail "a round trip takes 2 x 25 ms at least, not $took"
expect_in "the table" "^$a>$b" "$tmp/out"
# shellcheck disable=SC2086
"$estab" impair $ends -- false >/dev/null 2>&1 && fail "the exit status of a command that fails"

# The way back may differ; --json is for programs.
# shellcheck disable=SC2086
"$estab" impair --json --link delay=1ms --back loss=100% $ends -- \
    ip netns exec $a python3 "$tmp/echo.py" ask 1 >"$tmp/out" 2>/dev/null
python3 - "$tmp/out" "$a>$b" "$b>$a" <<'PY' || fail "the figures of a way back that loses all"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1]) if line[0] in "[{"]
there, back = lines[0]
assert 0 < lines[1]["behind_p99_s"] <= 2 * lines[1]["behind_max_s"], lines[1]
assert (there["name"], back["name"]) == (sys.argv[2], sys.argv[3])
assert there["delivered"] > 0 and there["lost"] == 0, there
assert back["offered"] > 0 and back["delivered"] == 0, back
PY

# Nobody but who was asked to sends anything.
# shellcheck disable=SC2086
"$estab" impair --for 500ms $ends >"$tmp/out" 2>&1
expect_in "a quiet link" "^$a>$b *0 " "$tmp/out"
expect_in "how late it was" '^handed over no later than 0.000 ms' "$tmp/out"

# A signal ends it, and it takes its namespaces away; devices that are there already are joined.
# shellcheck disable=SC2086
"$estab" impair $ends >"$tmp/signal" 2>&1 &
children=$!
await "the namespaces" grep -q "are joined" "$tmp/signal"
kill -INT "$children"
wait "$children" || fail "the exit status after Ctrl-C"
for name in $a $b; do
    [ ! -e "/run/netns/$name" ] || fail "$name is left behind by Ctrl-C"
done
ip tuntap add mode tun name one
ip tuntap add mode tun name two
"$estab" impair --for 50ms tun:one tun:two >"$tmp/out" 2>&1 || fail "two devices that are there"
expect_in "the table of devices" "^one>two" "$tmp/out"

# What is wrong is said.
"$estab" impair --link rate=fast >"$tmp/out" 2>&1 && fail "a rate that is none is taken"
expect_in "a rate that is none" 'rate=fast' "$tmp/out"
"$estab" impair somewhere "ns:$b,10.99.0.2/24" >"$tmp/out" 2>&1 && fail "an end that is none is taken"
expect_in "an end that is none" "'somewhere'" "$tmp/out"
exit $failed
