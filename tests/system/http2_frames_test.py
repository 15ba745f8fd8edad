"""HTTP/2 by RFC 9113, section by section, in frames of our own: what is wrong ends the stream or the connection with the code
that the RFC names, and what is merely odd is taken. Names of cases are sections."""

import contextlib
import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import http2 as h2  # noqa: E402
import tidepool  # noqa: E402
import tls  # noqa: E402
from http2 import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PUSH_PROMISE,  # noqa: E402
                   RST_STREAM, SETTINGS, WINDOW_UPDATE, CONTINUATION, frame)

HOST = "images.example"
BODY = 40_000
UNKNOWN_FRAME = 0xBE


def setUpModule():
    global authority
    authority = tls.Authority()
    unittest.addModuleCleanup(authority.close)


def word(value):
    return struct.pack(">I", value)


def block(*fields):
    return h2.plain_block(fields)


def request(*more, drop=(), path="/uploads/a.jpg", method="GET"):
    """A header block of a GET, with some fields left out and some put behind."""
    fields = [(":method", method), (":scheme", "https"), (":authority", HOST), (":path", path)]
    return block(*[field for field in fields if field[0] not in drop], *more)


def headers(content, stream=1, flags=END_HEADERS | END_STREAM):
    return frame(HEADERS, flags, stream, content)


GET = headers(request())
POST = headers(request(method="POST"), flags=END_HEADERS)

# What is sent after preface and settings; then what ends: a stream (its number) or the connection (0), and the codes with
# which it may.
CONNECTION, STREAM = 0, 1
BROKEN = {
    "4.2 a frame larger than allowed": (frame(DATA, 0, 1, b"x" * 16_385), CONNECTION, h2.FRAME_SIZE_ERROR),
    "4.3 a block that cannot be unpacked": (headers(b"\x00\x05abc"), CONNECTION, h2.COMPRESSION_ERROR),
    "4.3 an index that names nothing": (headers(b"\xfe\xff\x03"), CONNECTION, h2.COMPRESSION_ERROR),
    "4.3 another frame within a block": (headers(request(), flags=END_STREAM) + frame(PING, payload=b"8" * 8), CONNECTION,
                                         h2.PROTOCOL_ERROR),
    "4.3 a block of another stream goes on": (headers(request(), flags=END_STREAM)
                                              + frame(CONTINUATION, END_HEADERS, 3, b""), CONNECTION, h2.PROTOCOL_ERROR),
    "5.1 DATA to a stream that never began": (frame(DATA, 0, 1, b"x"), CONNECTION, h2.PROTOCOL_ERROR),
    "5.1 RST_STREAM to a stream that never began": (h2.rst(1), CONNECTION, h2.PROTOCOL_ERROR),
    "5.1 WINDOW_UPDATE to a stream that never began": (h2.window_update(1, 1), CONNECTION, h2.PROTOCOL_ERROR),
    "5.1 CONTINUATION to a stream that never began": (frame(CONTINUATION, END_HEADERS, 1, request()), CONNECTION,
                                                      h2.PROTOCOL_ERROR),
    "5.1 DATA behind the end of a request": (GET + frame(DATA, 0, 1, b"x"), CONNECTION, h2.STREAM_CLOSED),
    "5.1.1 a stream with an even number": (headers(request(), stream=2), CONNECTION, h2.PROTOCOL_ERROR),
    "5.1.1 a stream with a smaller number": (headers(request(), stream=5) + headers(request(), stream=3), CONNECTION,
                                             (h2.PROTOCOL_ERROR, h2.STREAM_CLOSED)),
    "5.3.1 a stream that depends on itself": (frame(PRIORITY, 0, 1, word(1) + b"\x10"), None, None),
    "6.1 DATA of stream 0": (frame(DATA, 0, 0, b"x"), CONNECTION, h2.PROTOCOL_ERROR),
    "6.1 padding longer than its frame": (POST + frame(DATA, PADDED, 1, b"\x06xxx"), CONNECTION, h2.PROTOCOL_ERROR),
    "6.2 HEADERS of stream 0": (headers(request(), stream=0), CONNECTION, h2.PROTOCOL_ERROR),
    "6.2 padding longer than its block": (headers(b"\xff" + request(), flags=END_HEADERS | END_STREAM | PADDED), CONNECTION,
                                          h2.PROTOCOL_ERROR),
    "6.3 PRIORITY of stream 0": (frame(PRIORITY, 0, 0, word(1) + b"\x10"), CONNECTION, h2.PROTOCOL_ERROR),
    "6.3 PRIORITY that is too short": (frame(PRIORITY, 0, 1, word(3)), STREAM, h2.FRAME_SIZE_ERROR),
    "6.4 RST_STREAM of stream 0": (h2.rst(0), CONNECTION, h2.PROTOCOL_ERROR),
    "6.4 RST_STREAM that is too short": (POST + frame(RST_STREAM, 0, 1, b"abc"), CONNECTION, h2.FRAME_SIZE_ERROR),
    "6.5 SETTINGS of a stream": (frame(SETTINGS, 0, 1), CONNECTION, h2.PROTOCOL_ERROR),
    "6.5 SETTINGS acknowledged with content": (frame(SETTINGS, ACK, 0, b"x" * 6), CONNECTION, h2.FRAME_SIZE_ERROR),
    "6.5 SETTINGS that are cut": (frame(SETTINGS, 0, 0, b"x" * 5), CONNECTION, h2.FRAME_SIZE_ERROR),
    "6.5.2 ENABLE_PUSH of 2": (h2.settings((h2.ENABLE_PUSH, 2)), CONNECTION, h2.PROTOCOL_ERROR),
    "6.5.2 INITIAL_WINDOW_SIZE too large": (h2.settings((h2.INITIAL_WINDOW_SIZE, 1 << 31)), CONNECTION,
                                            h2.FLOW_CONTROL_ERROR),
    "6.5.2 MAX_FRAME_SIZE too small": (h2.settings((h2.MAX_FRAME_SIZE, 16_383)), CONNECTION, h2.PROTOCOL_ERROR),
    "6.5.2 MAX_FRAME_SIZE too large": (h2.settings((h2.MAX_FRAME_SIZE, 1 << 24)), CONNECTION, h2.PROTOCOL_ERROR),
    "6.6 PUSH_PROMISE from a client": (POST + frame(PUSH_PROMISE, END_HEADERS, 1, word(2) + request()), CONNECTION,
                                       h2.PROTOCOL_ERROR),
    "6.7 PING of a stream": (frame(PING, 0, 1, b"8" * 8), CONNECTION, h2.PROTOCOL_ERROR),
    "6.7 PING of 6 bytes": (frame(PING, 0, 0, b"6" * 6), CONNECTION, h2.FRAME_SIZE_ERROR),
    "6.8 GOAWAY of a stream": (frame(GOAWAY, 0, 1, word(0) + word(0)), CONNECTION, h2.PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of 0": (h2.window_update(0, 0), CONNECTION, h2.PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of 0 to a stream": (POST + h2.window_update(1, 0), STREAM, h2.PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE that is too short": (frame(WINDOW_UPDATE, 0, 0, b"abc"), CONNECTION, h2.FRAME_SIZE_ERROR),
    "6.9.1 a window above its limit": (h2.window_update(0, (1 << 31) - 1), CONNECTION, h2.FLOW_CONTROL_ERROR),
    "6.9.1 a stream's window above its limit": (POST + h2.window_update(1, (1 << 31) - 1), STREAM, h2.FLOW_CONTROL_ERROR),
    "8.1 HEADERS behind a body that does not end it": (POST + frame(DATA, 0, 1, b"x")
                                                       + headers(block(("a", "b")), flags=END_HEADERS), STREAM,
                                                       h2.PROTOCOL_ERROR),
    "8.1.1 a length that is not that of the body": (headers(request(("content-length", "3"), method="POST"),
                                                            flags=END_HEADERS) + frame(DATA, END_STREAM, 1, b"xx"), STREAM,
                                                    h2.PROTOCOL_ERROR),
    "8.1.1 a body longer than its length": (headers(request(("content-length", "1"), method="POST"), flags=END_HEADERS)
                                            + frame(DATA, 0, 1, b"xx"), STREAM, h2.PROTOCOL_ERROR),
    "8.2.1 a name in upper case": (headers(request(("X-Test", "1"))), STREAM, h2.PROTOCOL_ERROR),
    "8.2.1 a name with a blank": (headers(request(("x test", "1"))), STREAM, h2.PROTOCOL_ERROR),
    "8.2.1 a value with a line feed": (headers(request(("x-test", "1\r\nx-two: 2"))), STREAM, h2.PROTOCOL_ERROR),
    "8.2.1 a value with a zero": (headers(request(("x-test", b"a\0b"))), STREAM, h2.PROTOCOL_ERROR),
    "8.2.1 a value that begins with a blank": (headers(request(("x-test", " a"))), STREAM, h2.PROTOCOL_ERROR),
    "8.2.2 Connection": (headers(request(("connection", "keep-alive"))), STREAM, h2.PROTOCOL_ERROR),
    "8.2.2 Transfer-Encoding": (headers(request(("transfer-encoding", "chunked"))), STREAM, h2.PROTOCOL_ERROR),
    "8.2.2 TE that is not trailers": (headers(request(("te", "gzip"))), STREAM, h2.PROTOCOL_ERROR),
    "8.3 a pseudo field that nobody knows": (headers(request((":test", "1"))), STREAM, h2.PROTOCOL_ERROR),
    "8.3 the pseudo field of an answer": (headers(request((":status", "200"))), STREAM, h2.PROTOCOL_ERROR),
    "8.3 a pseudo field behind others": (headers(request(("a", "b"), (":path", "/"), drop=(":path",))), STREAM,
                                         h2.PROTOCOL_ERROR),
    "8.3 a pseudo field as trailer": (POST + headers(block((":method", "GET"))), STREAM, h2.PROTOCOL_ERROR),
    "8.3.1 no :method": (headers(request(drop=(":method",))), STREAM, h2.PROTOCOL_ERROR),
    "8.3.1 no :scheme": (headers(request(drop=(":scheme",))), STREAM, h2.PROTOCOL_ERROR),
    "8.3.1 no :path": (headers(request(drop=(":path",))), STREAM, h2.PROTOCOL_ERROR),
    "8.3.1 an empty :path": (headers(request(path="")), STREAM, h2.PROTOCOL_ERROR),
    "8.3.1 a :path without its slash": (headers(request(path="uploads/a.jpg")), STREAM, h2.PROTOCOL_ERROR),
    "8.3.1 :path twice": (headers(request((":path", "/"))), STREAM, h2.PROTOCOL_ERROR),
}

# Taken as if it were not there: the request behind it, of stream 101, is answered.
ODD = {
    "4.1 a frame of a type that nobody knows": frame(UNKNOWN_FRAME, 0, 0, b"x" * 100),
    "4.1 a frame of a type that nobody knows, of a stream": frame(UNKNOWN_FRAME, 0xFF, 1, b""),
    "4.1 flags that nobody knows": frame(PING, 0xF6, 0, b"8" * 8),
    "4.1 the reserved bit": frame(PING, 0, 1 << 31, b"8" * 8),
    "5.3 PRIORITY of a stream that never began": frame(PRIORITY, 0, 7, word(0) + b"\x10"),
    "6.5.2 a setting that nobody knows": h2.settings((0xABCD, 1)),
    "6.5.2 the same setting twice": h2.settings((h2.INITIAL_WINDOW_SIZE, 10), (h2.INITIAL_WINDOW_SIZE, 65_535)),
    "6.5.2 the largest frames": h2.settings((h2.MAX_FRAME_SIZE, (1 << 24) - 1)),
    "6.7 PING acknowledged that was not asked": frame(PING, ACK, 0, b"8" * 8),
    "6.9 the window is opened": h2.window_update(0, 1_000_000),
    "6.10 a head in many pieces": (headers(request()[:20], flags=END_STREAM) + frame(CONTINUATION, 0, 1, request()[20:30])
                                   + frame(CONTINUATION, 0, 1, b"") + frame(CONTINUATION, END_HEADERS, 1, request()[30:])),
    "6.1 a body of padding": POST + frame(DATA, PADDED | END_STREAM, 1, b"\x09" + b"\0" * 9),
    "8.1 trailers": POST + frame(DATA, 0, 1, b"x") + headers(block(("x-sum", "1"))),
    "8.1 RST_STREAM of an answered stream": GET + h2.rst(1),
    "5.4.2 a request taken back": POST + h2.rst(1, h2.CANCEL),
    "8.2.3 Cookie in crumbs": headers(request(("cookie", "a=1"), ("cookie", "b=2"))),
}


class Frames(tidepool.OwnServerCase):
    @classmethod
    def setUpClass(cls):
        certificate = tidepool.toml_section("[[certificate]]", authority.certificate(HOST))
        cls.shared = tidepool.Server(config={"tls": {"listen": ["127.0.0.1:0"]}}, extra=certificate)
        cls.addClassCleanup(cls.shared.stop)
        cls.content = cls.shared.tree.image("a.jpg", size=BODY)

    def wire(self, **options):
        wire = h2.Http2Wire(self.shared.tls[0], authority.client(), **options)
        self.addCleanup(wire.close)
        return wire

    @contextlib.contextmanager
    def section(self, name):
        """A case of a connection of its own; what it showed is printed, for the report that CI shows."""
        shown = "failed"
        try:
            with self.subTest(name), self.wire() as wire:
                yield wire
                shown = "held"
        finally:
            print(f"{shown:6} {name}")

    def test_what_is_broken(self):
        for name, (sent, what, codes) in BROKEN.items():
            with self.section(name) as wire:
                codes = codes if isinstance(codes, tuple) else (codes,)
                wire.send(sent)
                if what == CONNECTION:
                    goaway = wire.read_to_end()
                    self.assertIsNotNone(goaway, wire.frames)
                    self.assertIn(goaway[1], codes)
                    continue
                if what == STREAM:
                    got = wire.read_until(lambda each: each.type == RST_STREAM and each.stream == 1)
                    if wire.goaway is not None:  # it may be taken for an error of the connection, 5.4.2
                        self.assertIn(wire.goaway[1], codes)
                        continue
                    self.assertIsNotNone(got, wire.frames)
                    self.assertIn(struct.unpack(">I", got.payload)[0], codes)
                wire.next_stream = 101  # others go on
                self.assertTrue(wire.get("/uploads/a.jpg").body == self.content)

    def test_what_is_odd(self):
        for name, sent in ODD.items():
            with self.section(name) as wire:
                wire.send(sent)
                wire.next_stream = 101
                answer = wire.get("/uploads/a.jpg")
                self.assertEqual((answer.status, answer.body == self.content), (200, True))
                self.assertIsNone(wire.goaway)

    def test_3_4_what_comes_first(self):
        for name, sent in {"no preface": b"GET / HTTP/1.1\r\nHost: images.example\r\n\r\n", "no SETTINGS":
                           h2.PREFACE + frame(PING, payload=b"8" * 8), "another": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\t"}.items():
            with self.subTest(name), self.wire(begin=False) as wire:
                wire.send(sent)
                goaway = wire.read_to_end()
                self.assertIn(goaway and goaway[1], (None, h2.PROTOCOL_ERROR))

    def test_3_4_our_settings_come_first(self):
        with self.wire() as wire:
            wire.read()
            self.assertEqual(wire.frames[0].type, SETTINGS)
            self.assertEqual(wire.theirs[h2.MAX_CONCURRENT_STREAMS], 128)
            self.assertNotIn(h2.ENABLE_PUSH, wire.theirs)
            self.assertIsNotNone(wire.read_until(lambda got: got.type == SETTINGS and got.flags & ACK))

    def test_6_7_a_ping_comes_back(self):
        with self.wire() as wire:
            wire.send(frame(PING, payload=b"12345678"))
            got = wire.read_until(lambda each: each.type == PING)
            self.assertEqual((got.flags, got.payload), (ACK, b"12345678"))

    def test_6_9_an_answer_waits_for_its_window(self):
        with self.wire(own=((h2.INITIAL_WINDOW_SIZE, 10),)) as wire:
            wire.opens_windows = False
            stream = wire.ask("/uploads/a.jpg")
            self.assertTrue(wire.ping())
            answer = wire.answers[stream]
            self.assertEqual((answer.status, len(answer.body), answer.ended), (200, 10, False))
            # By settings it may become less than nothing, 6.9.2.
            wire.send(h2.settings((h2.INITIAL_WINDOW_SIZE, 0)) + h2.window_update(stream, 5))
            self.assertTrue(wire.ping())
            self.assertEqual(len(answer.body), 10)
            wire.send(h2.window_update(stream, 6))
            self.assertTrue(wire.ping())
            self.assertEqual(len(answer.body), 11)
            wire.send(h2.window_update(stream, BODY))
            self.assertTrue(wire.answer(stream).body == self.content)

    def test_6_9_the_window_of_all_of_them(self):
        with self.wire() as wire:
            wire.opens_windows = False
            streams = [wire.ask("/uploads/a.jpg") for _ in range(3)]
            self.assertTrue(wire.ping())
            self.assertEqual(sum(len(wire.answers[stream].body) for stream in streams), 65_535)
            wire.send(h2.window_update(0, 3 * BODY))
            for stream in streams:
                self.assertTrue(wire.answer(stream).body == self.content)

    def test_4_2_frames_are_no_larger_than_allowed(self):
        with self.wire() as wire:
            wire.get("/uploads/a.jpg")
            self.assertLessEqual(max(len(each.payload) for each in wire.frames), 16_384)

    def test_8_3_1_the_host(self):
        for fields, status in [((("host", HOST),), 200), ((("host", HOST.upper()),), 200), ((("host", "other.example"),), 400)]:
            with self.subTest(fields), self.wire() as wire:
                wire.send(headers(request(*fields)))
                self.assertEqual(wire.answer(1).status, status)
        with self.wire() as wire:
            wire.send(headers(request(("host", HOST), drop=(":authority",))))
            self.assertEqual(wire.answer(1).status, 200)
            wire.send(headers(request(drop=(":authority",)), stream=3))
            self.assertEqual(wire.answer(3).reset, h2.PROTOCOL_ERROR)


if __name__ == "__main__":
    tidepool.main()
