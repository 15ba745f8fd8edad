"""Every request shape that two readers could take for different requests, and every other one that is refused.

Each is sent with a second, proper request behind it, once in one piece and once byte by byte. There must be exactly one
answer, the refusal, then the end of the connection: whatever came behind is never read as a request. Each refusal must
be counted, once, under its reason.
"""

import pathlib, sys; sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool

REQUEST_LINE = 16 * 1024
HEADERS = 128 * 1024
FIELDS = 200
DISCARD = 64 * 1024
SMUGGLED = tidepool.request("/uploads/smuggled.jpg", host="smuggled.example")


def lines(*all_lines):
    return b"\r\n".join(all_lines) + b"\r\n\r\n"


def get(*fields, target=b"/uploads/a.jpg", host=b"x"):
    return tidepool.request(target, *fields, host=host)


def post(*fields, body=b""):
    return tidepool.request("/uploads/a.jpg", *fields, method="POST", host="x") + body


def chunked(body):
    return post("Transfer-Encoding: chunked", body=body)


SHAPES = {
    "two_content_lengths": {
        "the same twice": get("Content-Length: 0", "Content-Length: 0"),
        "the same twice with a body": post("Content-Length: 3", "Content-Length: 3", body=b"abc"),
        "different": post("Content-Length: 0", "Content-Length: %d" % len(SMUGGLED)),
        "different, the other way round": post("Content-Length: %d" % len(SMUGGLED), "Content-Length: 0"),
        "in different case and apart": post("Content-Length: 0", "A: b", "cONTENT-lENGTH: 5"),
    },
    "bad_content_length": {
        "list of the same": post("Content-Length: 3, 3", body=b"abc"),
        "list of different": post("Content-Length: 0, 3", body=b"abc"),
        "empty": post("Content-Length:"),
        "plus": post("Content-Length: +3", body=b"abc"),
        "minus": post("Content-Length: -3", body=b"abc"),
        "minus zero": get("Content-Length: -0"),
        "hexadecimal": post("Content-Length: 0x3", body=b"abc"),
        "fraction": post("Content-Length: 3.0", body=b"abc"),
        "blank inside": post("Content-Length: 1 0", body=b"abc"),
        "quoted": post('Content-Length: "3"', body=b"abc"),
        "2^64": post("Content-Length: 18446744073709551616"),
        "2^64 + 3": post("Content-Length: 18446744073709551619", body=b"abc"),
        "digits without end": post("Content-Length: " + "9" * 400),
        "letters": get("Content-Length: none"),
        "digits that are not ASCII": post("Content-Length: ٣", body=b"abc"),
    },
    "length_with_transfer_encoding": {
        "length first": post("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        "encoding first": post("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
        "zero length on GET": get("Content-Length: 0", "Transfer-Encoding: chunked"),
        "identity": post("Content-Length: 5", "Transfer-Encoding: identity", body=b"hello"),
        "empty encoding": post("Content-Length: 5", "Transfer-Encoding:", body=b"hello"),
        "two lengths as well": post("Content-Length: 5", "Content-Length: 5", "Transfer-Encoding: chunked"),
    },
    "bad_transfer_encoding": {
        "unknown": post("Transfer-Encoding: x-own", body=b"0\r\n\r\n"),
        "identity": post("Transfer-Encoding: identity"),
        "gzip": post("Transfer-Encoding: gzip"),
        "gzip before chunked": post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
        "gzip after chunked": post("Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
        "chunked twice in a list": post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
        "chunked in two fields": post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        "chunked and identity": post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"0\r\n\r\n"),
        "empty": post("Transfer-Encoding:"),
        "comma before": post("Transfer-Encoding: , chunked", body=b"0\r\n\r\n"),
        "parameter": post("Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"),
        "quoted": post('Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
        "prefix": post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
        "on GET": get("Transfer-Encoding: gzip"),
        "in HTTP/1.0": tidepool.request("/", "Transfer-Encoding: chunked", method="POST", version="HTTP/1.0") +
        b"0\r\n\r\n",
    },
    "bare_line_feed": {
        "after the request line": b"GET /uploads/a.jpg HTTP/1.1\nHost: x\r\n\r\n",
        "after a field": b"GET /uploads/a.jpg HTTP/1.1\r\nHost: x\n\r\n",
        "between fields": b"GET /uploads/a.jpg HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
        "as the empty line": b"GET /uploads/a.jpg HTTP/1.1\r\nHost: x\r\n\n",
        "everywhere": b"GET /uploads/a.jpg HTTP/1.1\nHost: x\n\n",
        "in a value": b"GET /uploads/a.jpg HTTP/1.1\r\nHost: x\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n",
        "in a name": b"GET /uploads/a.jpg HTTP/1.1\r\nHost: x\r\nA\n: b\r\n\r\n",
        "in the target": b"GET /uploads/\na.jpg HTTP/1.1\r\nHost: x\r\n\r\n",
    },
    "bad_request_line": {
        "CRLF before": b"\r\n" + get(),
        "LF before": b"\n" + get(),
        "CR before": b"\r" + get(),
        "no version": b"GET /uploads/a.jpg\r\nHost: x\r\n\r\n",
        "HTTP/0.9": b"GET /uploads/a.jpg\r\n\r\n",
        "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
        "method alone": b"GET\r\nHost: x\r\n\r\n",
        "blank behind": b"GET /uploads/a.jpg HTTP/1.1 \r\nHost: x\r\n\r\n",
        "blank before": b" GET /uploads/a.jpg HTTP/1.1\r\nHost: x\r\n\r\n",
        "blanks before the version": b"GET /uploads/a.jpg  HTTP/1.1\r\nHost: x\r\n\r\n",
        "four words": b"GET /uploads/a.jpg b HTTP/1.1\r\nHost: x\r\n\r\n",
        "tabs": b"GET\t/uploads/a.jpg\tHTTP/1.1\r\nHost: x\r\n\r\n",
        "form feeds": b"GET\x0c/uploads/a.jpg\x0cHTTP/1.1\r\nHost: x\r\n\r\n",
        "version in lower case": b"GET /uploads/a.jpg http/1.1\r\nHost: x\r\n\r\n",
        "version of another protocol": b"GET /uploads/a.jpg ICAP/1.0\r\nHost: x\r\n\r\n",
        "version with three digits": b"GET /uploads/a.jpg HTTP/1.10\r\nHost: x\r\n\r\n",
        "version without minor": b"GET /uploads/a.jpg HTTP/1\r\nHost: x\r\n\r\n",
        "method with a colon": b"GE:T /uploads/a.jpg HTTP/1.1\r\nHost: x\r\n\r\n",
        "method with NUL": b"GE\0T /uploads/a.jpg HTTP/1.1\r\nHost: x\r\n\r\n",
        "method not ASCII": b"G\xc3\x89T /uploads/a.jpg HTTP/1.1\r\nHost: x\r\n\r\n",
        "bare CR behind the version": b"GET /uploads/a.jpg HTTP/1.1\r\r\nHost: x\r\n\r\n",
        "bare CR instead of CRLF": b"GET /uploads/a.jpg HTTP/1.1\rHost: x\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    },
    "bad_version": {
        "HTTP/1.2": tidepool.request("/uploads/a.jpg", version="HTTP/1.2"),
        "HTTP/2.0": tidepool.request("/uploads/a.jpg", version="HTTP/2.0"),
        "HTTP/0.9": tidepool.request("/uploads/a.jpg", version="HTTP/0.9"),
        "HTTP/9.9": tidepool.request("/uploads/a.jpg", version="HTTP/9.9"),
        "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    },
    "bad_target": {
        "two blanks": b"GET  /uploads/a.jpg HTTP/1.1\r\nHost: x\r\n\r\n",
        "relative": get(target=b"uploads/a.jpg"),
        "asterisk with GET": get(target=b"*"),
        "host and port": get(target=b"x:80"),
        "fragment": get(target=b"/uploads/a.jpg#b"),
        "NUL": get(target=b"/uploads/a.jpg\0"),
        "tab": get(target=b"/uploads/\ta.jpg"),
        "escape": get(target=b"/uploads/\x1ba.jpg"),
        "DEL": get(target=b"/uploads/a\x7f.jpg"),
        "bare CR": get(target=b"/uploads/a.jpg\r"),
        "another scheme": get(target=b"ftp://x/uploads/a.jpg"),
        "absolute without host": get(target=b"http:///uploads/a.jpg"),
        "scheme alone": get(target=b"http://"),
    },
    "folded_field": {
        "by a blank": get("A: b", " c"),
        "by a tab": get("A: b", "\tc"),
        "right behind the request line": lines(b"GET /uploads/a.jpg HTTP/1.1", b" Host: x", b"Host: x"),
        "hiding a length": post("A: b", " Content-Length: 3", body=b"abc"),
        "of an encoding": post("Transfer-Encoding:", " chunked", body=b"0\r\n\r\n"),
        "of blanks alone": get("A: b", "  "),
    },
    "bad_field_name": {
        "blank before the colon": get("A : b"),
        "tab before the colon": get("A\t: b"),
        "blank behind Content-Length": post("Content-Length : 3", body=b"abc"),
        "blank behind Transfer-Encoding": post("Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
        "blank behind Host": lines(b"GET /uploads/a.jpg HTTP/1.1", b"Host : x"),
        "blank inside": get("A B: c"),
        "no colon": get("Ab"),
        "no name": get(": b"),
        "NUL": get("A\0B: c"),
        "NUL behind Content-Length": post("Content-Length\0: 3", body=b"abc"),
        "control character": get("A\x01B: c"),
        "vertical tab before": get("\x0bA: c"),
        "bare CR": get("A\rB: c"),
        "bare CR at the start": get("\rA: c"),
        "DEL": get("A\x7f: c"),
        "not ASCII": get("Ä: c"),
        "slash": get("A/B: c"),
        "bracket": get("A[]: c"),
        "quotes": get('"A": c'),
    },
    "bad_field_value": {
        "NUL": get("A: b\0c"),
        "NUL in a length": post("Content-Length: 3\0", body=b"abc"),
        "bare CR": get("A: b\rc"),
        "bare CR at the end": get("A: b\r"),
        "bare CR before a field": get("A: b\rTransfer-Encoding: chunked"),
        "vertical tab": get("A: b\x0bc"),
        "vertical tab before an encoding": post("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
        "form feed": get("A: b\x0c"),
        "escape": get("A: \x1b[0m"),
        "first control character": get("A: \x01"),
        "last control character": get("A: \x1f"),
        "DEL": get("A: \x7f"),
    },
    "bad_host": {
        "missing": get(host=None),
        "doubled": get("Host: x"),
        "doubled with another": get("host: y"),
        "list": get(host=b"x, y"),
        "path": get(host=b"x/uploads"),
        "user": get(host=b"a@x"),
        "blank": get(host=b"x y"),
        "backslash": get(host=b"x\\y"),
        "query": get(host=b"x?y"),
        "angle bracket": get(host=b"<x>"),
        "not ASCII": get(host="ä.example".encode()),
        "missing in absolute form": get(target=b"http://x/uploads/a.jpg", host=None),
        "doubled in HTTP/1.0": tidepool.request("/uploads/a.jpg", "Host: y", version="HTTP/1.0"),
    },
    "bad_chunk": {
        "size missing": chunked(b"\r\n0\r\n\r\n"),
        "size not hexadecimal": chunked(b"g\r\nhello\r\n0\r\n\r\n"),
        "size with 0x": chunked(b"0x5\r\nhello\r\n0\r\n\r\n"),
        "size with minus": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
        "size with plus": chunked(b"+5\r\nhello\r\n0\r\n\r\n"),
        "size with an underscore": chunked(b"1_0\r\nhello\r\n0\r\n\r\n"),
        "blank before the size": chunked(b" 5\r\nhello\r\n0\r\n\r\n"),
        "blank behind the size": chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
        "tab behind the size": chunked(b"5\t\r\nhello\r\n0\r\n\r\n"),
        "size of 2^64": chunked(b"10000000000000000\r\nhello\r\n0\r\n\r\n"),
        "size of 2^64 + 5": chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        "size beyond all": chunked(b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n"),
        "bare LF behind the size": chunked(b"5\nhello\r\n0\r\n\r\n"),
        "bare CR behind the size": chunked(b"5\rhello\r\n0\r\n\r\n"),
        "bare LF behind the data": chunked(b"5\r\nhello\n0\r\n\r\n"),
        "data too short": chunked(b"6\r\nhello\r\n0\r\n\r\n"),
        "data too long": chunked(b"4\r\nhello\r\n0\r\n\r\n"),
        "nothing behind the data": chunked(b"5\r\nhello0\r\n\r\n"),
        "extension without size": chunked(b";a=b\r\n0\r\n\r\n"),
        "bare LF in an extension": chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
        "bare CR in an extension": chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
        "NUL in an extension": chunked(b"5;a=\0\r\nhello\r\n0\r\n\r\n"),
        "control character in an extension": chunked(b"5;a=\x01\r\nhello\r\n0\r\n\r\n"),
        "bare LF behind the last chunk": chunked(b"0\n\r\n"),
        "bare LF behind a trailer": chunked(b"0\r\nA: b\n\r\n"),
        "bare CR in a trailer": chunked(b"0\r\nA: b\rc\r\n\r\n"),
        "NUL in a trailer": chunked(b"0\r\nA: \0\r\n\r\n"),
        "trailer without colon": chunked(b"0\r\nA\r\n\r\n"),
        "blank before a trailer's colon": chunked(b"0\r\nA : b\r\n\r\n"),
        "trailer that is an encoding": chunked(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    },
    "body_not_allowed": {
        "one byte": get("Content-Length: 1") + b"a",
        "a request as body": get("Content-Length: %d" % len(SMUGGLED)),
        "as much as would be dropped": get("Content-Length: %d" % DISCARD),
        "more than would be dropped": get("Content-Length: %d" % (DISCARD + 1)),
        "the longest": get("Content-Length: " + "9" * 18),
        "chunked": get("Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
        "chunked in another case": get("tRANSFER-eNCODING: ChUnKeD") + b"0\r\n\r\n",
        "chunked and empty": get("Transfer-Encoding: chunked") + b"0\r\n\r\n",
        "announced by Expect": get("Content-Length: 5", "Expect: 100-continue") + b"hello",
        "on OPTIONS": tidepool.request("*", "Content-Length: 5", method="OPTIONS") + b"hello",
        "for what is absent": get("Content-Length: 5", target=b"/uploads/absent.jpg") + b"hello",
    },
    "expectation": {
        "unknown": get("Expect: more"),
        "list": get("Expect: 100-continue, more"),
        "twice": get("Expect: 100-continue", "Expect: 100-continue"),
        "empty": get("Expect:"),
        "on POST": post("Expect: 200-ok", "Content-Length: 3", body=b"abc"),
    },
}
# Too long to be sent byte by byte; a test below does that with smaller limits.
LONG_SHAPES = {
    "request_line_too_long": {
        "one byte too long": tidepool.request("/uploads/a.jpg?" + "q" * (REQUEST_LINE + 1 - 28)),
        "path": get(target=b"/uploads/" + b"a" * 2 * REQUEST_LINE),
        "method": b"G" * 2 * REQUEST_LINE + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
        "version": b"GET / HTTP/1." + b"1" * 2 * REQUEST_LINE + b"\r\nHost: x\r\n\r\n",
        "no end": b"A" * 2 * REQUEST_LINE,
        "longer than all headers may be": get(target=b"/" + b"a" * 2 * HEADERS),
    },
    "headers_too_large": {
        "one byte too large": get("A: " + "b" * (HEADERS + 1 - len(get("A: ")))),
        "one field": get("A: " + "b" * 2 * HEADERS),
        "name": get("A" * 2 * HEADERS + ": b"),
        "hundred fields": get(*("A: " + "b" * (HEADERS // 50) for _ in range(100))),
        "no end": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 2 * HEADERS,
    },
    "too_many_fields": {
        "one too many": get(*(f"A{n}: b" for n in range(FIELDS))),
        "of the same name": get(*("A: b" for _ in range(FIELDS))),
        "thousand": get(*("A: b" for _ in range(1000))),
    },
}
STATUS = {"bad_version": 505, "expectation": 417, "request_line_too_long": 414, "headers_too_large": 431,
          "too_many_fields": 431}
SMALL = {"limits": {"request_line": "256B", "headers": "1KiB", "header_fields": 8}}
SMALL_SHAPES = {
    "request_line_too_long": {
        "one byte too long": tidepool.request("/uploads/a.jpg?" + "q" * (257 - 28)),
        "no end": b"A" * 300,
    },
    "headers_too_large": {
        "one byte too large": get("A: " + "b" * (1025 - len(get("A: ")))),
        "no end": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 1024,
    },
    "too_many_fields": {"one too many": get(*(f"A{n}: b" for n in range(8)))},
}


def answers(data):
    """Every response that stands in what a connection brought until its end."""
    found = []
    while data:
        head, blank, rest = data.partition(b"\r\n\r\n")
        if not blank:
            raise tidepool.NotHttp(f"no response: {data[:200]!r}")
        response = tidepool.parse_head(head)
        length = 0 if response.status in (204, 304) else int(response["content-length"])
        response.body, data = rest[:length], rest[length:]
        if len(response.body) != length:
            raise tidepool.NotHttp(f"cut off: {response}")
        found.append(response)
    return found


class Shapes(tidepool.ServerCase):
    @classmethod
    def fill(cls):
        cls.tree.image("a.jpg")
        cls.tree.image("smuggled.jpg")

    def ask(self, server, data, split=False):
        with server.connect() as wire:
            if split:
                wire.send_split(data)
            else:
                wire.send(data)
            received, end = wire.read_to_end()
            self.assertEqual(end, "fin", received[:200])
            return answers(received)

    def check(self, server, shapes, split):
        for reason, requests in shapes.items():
            for what, data in requests.items():
                with self.subTest(reason=reason, what=what, split=split):
                    before = server.metrics()
                    found = self.ask(server, data + SMUGGLED, split)
                    after = server.metrics()
                    self.assertEqual([a.status for a in found], [STATUS.get(reason, 400)])
                    self.assertTrue(found[0].closes)
                    self.assertEqual(found[0]["x-content-type-options"], "nosniff")
                    self.assertEqual(found[0].body, reason.encode() + b"\n")
                    name = "tidepool_http_refused_total"
                    self.assertEqual(after.sum(name, reason=reason), before.sum(name, reason=reason) + 1)
                    self.assertEqual(after.sum(name), before.sum(name) + 1)

    def test_this_test_sees_a_second_answer(self):
        close = tidepool.request("/uploads/a.jpg", "Connection: close")
        for split in (False, True):
            self.assertEqual([a.status for a in self.ask(self.server, SMUGGLED + close, split)], [200, 200])

    def test_in_one_piece(self):
        self.check(self.server, SHAPES, split=False)

    def test_byte_by_byte(self):
        self.check(self.server, SHAPES, split=True)

    def test_too_long(self):
        self.check(self.server, LONG_SHAPES, split=False)

    def test_too_long_byte_by_byte(self):
        server = self.serve(SMALL)
        self.check(server, SMALL_SHAPES, split=False)
        self.check(server, SMALL_SHAPES, split=True)

    def test_behind_good_requests_in_one_piece(self):
        for reason, requests in SHAPES.items():
            what, data = next(iter(requests.items()))
            with self.subTest(reason=reason, what=what):
                found = self.ask(self.server, get() + get(target=b"/uploads/absent.jpg") + data + SMUGGLED)
                self.assertEqual([a.status for a in found], [200, 404, STATUS.get(reason, 400)])
                self.assertEqual([a.closes for a in found], [False, False, True])

    def test_refused_with_head_closes_without_body(self):
        with self.connect() as wire:
            wire.send(tidepool.request("/uploads/a.jpg", "Content-Length: 5", method="HEAD") + b"hello" + SMUGGLED)
            answer = wire.response(head_only=True)
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.closes)
            self.assertGreater(int(answer["content-length"]), 0)
            self.assertEqual(wire.read_to_end(), (b"", "fin"))

    def test_broken_trailers_end_the_connection(self):
        """These are read leniently, which is safe because nothing behind a chunked body is ever read."""
        for body in (b"0\r\nA: b\r\n c\r\n\r\n", b"0\r\n: b\r\n\r\n", b"0\r\n\n", b"0\r\nContent-Length: 5\r\n\r\n"):
            for split in (False, True):
                with self.subTest(body=body, split=split):
                    found = self.ask(self.server, chunked(body) + SMUGGLED, split)
                    self.assertEqual(len(found), 1)
                    self.assertIn(found[0].status, (400, 405))
                    self.assertTrue(found[0].closes)

    def test_what_is_just_within_the_limits_is_answered(self):
        good = {
            "request line": tidepool.request("/uploads/a.jpg?" + "q" * (REQUEST_LINE - 28)),
            "headers": get("A: " + "b" * (HEADERS - len(get("A: ")))),
            "fields": get(*(f"A{n}: b" for n in range(FIELDS - 1))),
            "zero length": get("Content-Length: 0"),
            "zeros": get("Content-Length: 0000"),
            "tabs and blanks around a value": get("A:\t b \t"),
            "empty value": get("A:"),
            "bytes beyond ASCII in a value": get(b"A: \x80\xff"),
            "every character of a name": get("!#$%&'*+-.^_`|~09azAZ: b"),
            "colons in a value": get("A:::b"),
            "host with port": get(host=b"images.example:8080"),
            "host in brackets": get(host=b"[2001:db8::1]:8080"),
            "empty host": get(host=b""),
        }
        self.assertEqual(len(good["request line"].split(b"\r\n")[0]), REQUEST_LINE)
        self.assertEqual(len(good["headers"]), HEADERS)
        for what, data in good.items():
            with self.subTest(what=what):
                wire = self.connect()
                wire.send(data + get(target=b"/uploads/absent.jpg"))
                self.assertEqual(wire.response().status, 200)
                self.assertEqual(wire.response().status, 404)

    def test_within_small_limits_byte_by_byte(self):
        server = self.serve(SMALL)
        server.tree.image("a.jpg")
        for data in (tidepool.request("/uploads/a.jpg?" + "q" * (256 - 28)),
                     get("A: " + "b" * (1024 - len(get("A: ")))), get(*(f"A{n}: b" for n in range(7)))):
            with server.connect() as wire:
                self.assertEqual(wire.send_split(data).response().status, 200)


if __name__ == "__main__":
    tidepool.main()
