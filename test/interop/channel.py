# SPDX-License-Identifier: BSD-2-Clause
"""The format of doc/CHANNEL.md, as an other than estab speaks it: Python's standard library only.

channel.py client PORT LENGTH CASE   against `estab channel serve`
channel.py server PORT LENGTH CASE   for `estab channel call`; prints "ready" when it listens
"""
import socket
import struct
import sys

MESSAGE, REQUEST, REPLY, REFUSE, PING, PONG, TURN, BYE = range(8)


def leb128(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


class Channel:
    """Messages on a connected socket; plain ones are text only."""

    def __init__(self, sock, length, plain=False):
        self.sock, self.length, self.plain, self.have = sock, length, plain, b""
        sock.settimeout(20)

    def octets(self, n):
        while len(self.have) < n:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError
            self.have += more
        got, self.have = self.have[:n], self.have[n:]
        return got

    def header(self, n):
        if self.length == "leb128":
            return leb128(n)
        return struct.pack({"2": ">H", "4": ">I", "8": ">Q"}[self.length], n)

    def read_length(self):
        if self.length != "leb128":
            return int.from_bytes(self.octets(int(self.length)), "big")
        n = shift = 0
        while True:
            octet = self.octets(1)[0]
            n |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return n

    def send(self, text, kind=MESSAGE, number=0):
        prefix = b"" if self.plain else struct.pack(">BQ", kind, number)
        self.sock.sendall(self.header(len(prefix) + len(text)) + prefix + text)

    def recv(self):
        body = self.octets(self.read_length())
        if self.plain:
            return None, None, body
        kind, number = struct.unpack(">BQ", body[:9])
        return kind, number, body[9:]

    def is_over(self):
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


# ---- as the client of `estab channel serve` ----

def echo(c):
    for n in 0, 1, 118, 127, 128, 4096, 60000:
        c.send(b"x" * n, REQUEST, n + (1 << 40))
        assert c.recv() == (REPLY, n + (1 << 40), b"x" * n)


def pipelined(c):
    for n in range(200):
        c.send(b"%d" % n, REQUEST, n)
    for n in range(200):
        assert c.recv() == (REPLY, n, b"%d" % n)


def in_pieces(c):
    whole = c.header(9 + 5) + struct.pack(">BQ", REQUEST, 7) + b"hello"
    c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in whole:
        c.sock.sendall(bytes([octet]))
    assert c.recv() == (REPLY, 7, b"hello")


def ping(c):
    c.send(b"", PING, 99)
    assert c.recv() == (PONG, 99, b"")


def too_large(c):
    c.sock.sendall(c.header(2000000) if c.length != "2" else c.header(65535))
    assert c.is_over()


def no_such_type(c):
    c.send(b"", 77, 0)
    assert c.is_over()


def overlong(c):
    c.sock.sendall(b"\x80\x00")
    assert c.is_over()


def dead(c):
    """Says nothing: it is asked whether it is there, and then given up."""
    asked = 0
    try:
        while True:
            kind, _, _ = c.recv()
            assert kind == PING
            asked += 1
    except (EOFError, ConnectionResetError):
        assert asked == 2


def end_of_stream(c):
    c.send(b"last", REQUEST, 1)
    c.sock.shutdown(socket.SHUT_WR)
    assert c.recv() == (REPLY, 1, b"last")
    assert c.is_over()


def plain(c):
    c.plain = True
    for text in b"one", b"", b"three":
        c.send(text)
    assert [c.recv()[2] for _ in range(3)] == [b"one", b"", b"three"]


# ---- as the server of `estab channel call` ----

def requests(c, n):
    got = []
    while len(got) < n:
        kind, number, text = c.recv()
        if kind == REQUEST:
            got.append((number, text))
        elif kind == PING:
            c.send(b"", PONG, number)
    return got


def upper(c):
    while True:
        for number, text in requests(c, 1):
            c.send(text.upper(), REPLY, number)


def reverse(c):
    for number, text in reversed(requests(c, 3)):
        c.send(text.upper(), REPLY, number)
    upper(c)


def late(c):
    """The first reply comes when the second request is there, and before its reply."""
    first = requests(c, 1)
    for number, text in first + requests(c, 1):
        c.send(text.upper(), REPLY, number)
    upper(c)


def refuse(c):
    for number, _ in requests(c, 1):
        c.send(b"", REFUSE, number)
    upper(c)


def hang_up(c):
    requests(c, 1)


def plain_upper(c):
    c.plain = True
    while True:
        c.send(c.recv()[2].upper())


def serve(port, length, case):
    listener = socket.create_server(("127.0.0.1", port))
    print("ready", flush=True)
    while True:
        sock, _ = listener.accept()
        try:
            case(Channel(sock, length))
        except (EOFError, ConnectionError):
            pass
        sock.close()


def main(role, port, length, case):
    if role == "server":
        serve(int(port), length, globals()[case])
    globals()[case](Channel(socket.create_connection(("127.0.0.1", int(port))), length))


main(*sys.argv[1:])
