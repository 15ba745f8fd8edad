"""GET, HEAD and OPTIONS and the refusal of every other method; how long a connection lives and in which order it is answered.

HEAD must bring exactly the header fields that GET brings. Pipelined requests are answered in their order, whatever
they ask for, and one that is followed by the client's end of sending is answered all the same.
"""

import pathlib, sys; sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool

import random
import threading

LARGE = 3 * 1024 * 1024
ALLOW = "GET, HEAD, OPTIONS"


def fields_but_date(response):
    return [("date", "") if name == "date" else (name, value) for name, value in response.fields]


class MethodsCase(tidepool.ServerCase):
    @classmethod
    def fill(cls):
        cls.small = cls.tree.image("small.jpg", size=5000)
        cls.large = cls.tree.image("large.png", "image/png", size=LARGE)
        cls.vector = cls.tree.image("drawing.svg", "image/svg+xml", size=400)

    def ends(self, wire):
        self.assertEqual(wire.read_to_end(), (b"", "fin"))

    def goes_on(self, wire):
        self.assertEqual(wire.get("/uploads/small.jpg").body, self.small)


class Methods(MethodsCase):
    def test_get(self):
        for path, content in (("/uploads/small.jpg", self.small), ("/uploads/large.png", self.large)):
            wire = self.connect()
            for _ in range(3):
                answer = wire.get(path)
                self.assertEqual((answer.status, answer.body), (200, content))
                self.assertEqual(int(answer["content-length"]), len(content))
                self.assertIsNone(answer.get("connection"))

    def test_head_has_exactly_the_fields_of_get(self):
        small = tidepool.etag_of(self.small)
        cases = {
            "small": (200, "/uploads/small.jpg"),
            "large": (200, "/uploads/large.png"),
            "vector": (200, "/uploads/drawing.svg"),
            "with a query": (200, "/uploads/small.jpg?a=b"),
            "not modified": (304, "/uploads/small.jpg", f"If-None-Match: {small}"),
            "not modified, large": (304, "/uploads/large.png", "If-None-Match: *"),
            "precondition failed": (412, "/uploads/small.jpg", 'If-Match: "other"'),
            "absent": (404, "/uploads/absent.jpg"),
            "elsewhere": (404, "/elsewhere"),
            "malformed": (400, "/uploads/%zz.jpg"),
            "last of its connection": (200, "/uploads/small.jpg", "Connection: close"),
        }
        for what, (status, path, *fields) in cases.items():
            with self.subTest(what=what):
                self.server.get(path)  # so that it is known to both below
                wire = self.connect()
                if "Connection: close" in fields:
                    got, head = self.server.get(path, *fields), wire.get(path, *fields, method="HEAD")
                    self.ends(wire)
                else:
                    got, head = wire.get(path, *fields), wire.get(path, *fields, method="HEAD")
                    self.goes_on(wire)  # nothing of a body came after the head
                self.assertEqual((got.status, head.status), (status, status))
                self.assertEqual(fields_but_date(head), fields_but_date(got))

    def test_head_of_what_nobody_asked_for_before(self):
        for size, content_type in ((3000, "image/webp"), (LARGE, "image/gif")):
            name = f"fresh.{tidepool.EXTENSIONS[content_type]}"
            content = self.tree.image(name, content_type, size=size)
            wire = self.connect()
            head = wire.get(f"/uploads/{name}", method="HEAD")
            self.assertEqual(head.status, 200)
            self.assertEqual(head["content-type"], content_type)
            self.assertEqual(int(head["content-length"]), size)
            self.assertEqual(head["etag"], tidepool.etag_of(content))
            self.assertEqual(wire.get(f"/uploads/{name}").body, content)

    def test_head_ignores_range(self):
        """RFC 9110, 14.2: ranges are for GET alone."""
        for path in ("/uploads/small.jpg", "/uploads/large.png"):
            self.server.get(path)
            for wanted in ("bytes=0-9", "bytes=99999999-"):
                with self.subTest(path=path, wanted=wanted):
                    wire = self.connect()
                    head = wire.get(path, f"Range: {wanted}", method="HEAD")
                    self.assertEqual(head.status, 200)
                    self.assertEqual(fields_but_date(head), fields_but_date(wire.get(path)))

    def test_options(self):
        for target in ("*", "/", "/uploads/small.jpg", "/uploads/absent.jpg", "http://images.example/uploads/small.jpg",
                       "http://images.example"):
            with self.subTest(target=target):
                wire = self.connect()
                answer = wire.get(target, method="OPTIONS")
                self.assertEqual((answer.status, answer["allow"]), (204, ALLOW))
                self.assertIsNone(answer.get("content-length"))  # RFC 9110, 8.6
                self.assertIsNone(answer.get("content-type"))
                self.goes_on(wire)

    def test_other_methods(self):
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "PURGE", "QUERY", "get", "Head",
                       "GETS", "GE", "G", "!#$%&'*+-.^_`|~", "A" * 1000):
            for path in ("/uploads/small.jpg", "/uploads/absent.jpg", "/elsewhere"):
                with self.subTest(method=method[:20], path=path):
                    wire = self.connect()
                    answer = wire.get(path, method=method)
                    self.assertEqual((answer.status, answer["allow"]), (405, ALLOW))
                    self.assertEqual(answer["cache-control"], "no-store")
                    self.goes_on(wire)

    def test_connect_with_an_authority(self):
        self.assertEqual(self.server.get("images.example:443", method="CONNECT").status, 405)

    def test_the_method_cannot_be_overridden(self):
        wire = self.connect()
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            answer = wire.get("/uploads/small.jpg", f"{name}: DELETE")
            self.assertEqual((answer.status, answer.body), (200, self.small))

    def test_a_body_of_another_method_is_dropped(self):
        for size in (1, 5000, 64 * 1024):
            for split in (False, True):
                if split and size > 10_000:
                    continue
                with self.subTest(size=size, split=split):
                    wire = self.connect()
                    data = tidepool.request("/uploads/small.jpg", f"Content-Length: {size}", method="POST") + b"x" * size
                    if split:
                        wire.send_split(data)
                    else:
                        wire.send(data)
                    answer = wire.response()
                    self.assertEqual((answer.status, answer.closes), (405, False))
                    self.goes_on(wire)

    def test_a_body_that_looks_like_a_request_is_not_one(self):
        body = tidepool.request("/uploads/absent.jpg")
        wire = self.connect()
        wire.send(tidepool.request("/uploads/small.jpg", f"Content-Length: {len(body)}", method="PUT") + body +
                  tidepool.request("/uploads/small.jpg"))
        self.assertEqual(wire.response().status, 405)
        self.assertEqual(wire.response().body, self.small)
        self.goes_on(wire)

    def test_a_long_body_of_another_method_ends_the_connection(self):
        for framing, body in (("Content-Length: 65537", b"x" * 65537), ("Content-Length: 999999999999", b"x" * 1000),
                              ("Transfer-Encoding: chunked", b"11170\r\n" + b"x" * 70000 + b"\r\n0\r\n\r\n")):
            with self.subTest(framing=framing):
                wire = self.connect()
                wire.send(tidepool.request("/uploads/small.jpg", framing, method="POST") + body)
                answer = wire.response()
                self.assertEqual((answer.status, answer.closes), (405, True))
                self.ends(wire)

    def test_a_chunked_body_ends_the_connection(self):
        wire = self.connect()
        wire.send(tidepool.request("/uploads/small.jpg", "Transfer-Encoding: chunked", method="POST") +
                  b'5;a=b\r\nhello\r\n000A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n' + tidepool.request("/"))
        answer = wire.response()
        self.assertEqual((answer.status, answer.closes), (405, True))
        self.ends(wire)


class Connections(MethodsCase):
    def test_keep_alive(self):
        wire = self.connect()
        self.goes_on(wire)
        before = self.server.metrics().sum("tidepool_connections_accepted_total")
        for number in range(200):
            answer = wire.get("/uploads/small.jpg" if number % 3 else "/uploads/absent.jpg")
            self.assertEqual(answer.status, 200 if number % 3 else 404)
            self.assertIsNone(answer.get("connection"))
        self.assertEqual(self.server.metrics().sum("tidepool_connections_accepted_total"), before)

    def test_close(self):
        for fields in (["Connection: close"], ["connection: CLOSE"], ["Connection: a, close"], ["Connection: ,close,"],
                       ["Connection: keep-alive", "Connection: close"], ["Connection: close, keep-alive"],
                       ["Connection:\tclose\t"]):
            for path, status in (("/uploads/small.jpg", 200), ("/uploads/large.png", 200), ("/uploads/absent.jpg", 404)):
                with self.subTest(fields=fields, path=path):
                    wire = self.connect()
                    answer = wire.get(path, *fields)
                    self.assertEqual((answer.status, answer.closes), (status, True))
                    self.ends(wire)

    def test_nothing_behind_the_last_request_is_answered(self):
        wire = self.connect()
        wire.send(tidepool.request("/uploads/small.jpg", "Connection: close") + tidepool.request("/uploads/small.jpg"))
        self.assertTrue(wire.response().closes)
        self.ends(wire)

    def test_other_connection_options_keep_it(self):
        for value in ("keep-alive", "closed", "not-close", "upgrade", "", "a b", "TE, HTTP2-Settings"):
            with self.subTest(value=value):
                wire = self.connect()
                answer = wire.get("/uploads/small.jpg", f"Connection: {value}", "Upgrade: h2c")
                self.assertEqual((answer.status, answer.get("connection")), (200, None))
                self.goes_on(wire)

    def test_http_1_0(self):
        for fields, host in (([], None), ([], "images.example"), (["Connection: close"], None), (["Connection: a"], None)):
            with self.subTest(fields=fields, host=host):
                wire = self.connect()
                wire.send(tidepool.request("/uploads/small.jpg", *fields, version="HTTP/1.0", host=host))
                answer = wire.response()
                self.assertEqual((answer.status, answer.body, answer.closes), (200, self.small, True))
                self.ends(wire)

    def test_http_1_0_with_keep_alive(self):
        wire = self.connect()
        for _ in range(3):
            wire.send(tidepool.request("/uploads/small.jpg", "Connection: Keep-Alive", version="HTTP/1.0", host=None))
            answer = wire.response()
            self.assertEqual((answer.status, answer.body), (200, self.small))
            self.assertEqual(answer["connection"].lower(), "keep-alive")
        self.goes_on(wire)

    def test_absolute_form(self):
        for target, status in (("http://images.example/uploads/small.jpg", 200),
                               ("https://images.example/uploads/small.jpg", 200),
                               ("HTTP://images.example:8080/uploads/small.jpg?a=http://b/c", 200),
                               ("http://other.example/uploads/small.jpg", 200),
                               ("http://[::1]/uploads/small.jpg", 200),
                               ("http://images.example", 404), ("http://images.example/", 404),
                               ("http://images.example?/uploads/small.jpg", 404),
                               ("http://images.example/uploads/absent.jpg", 404),
                               ("http://images.example/uploads/../small.jpg", 400)):
            with self.subTest(target=target):
                wire = self.connect()
                answer = wire.get(target)
                self.assertEqual(answer.status, status)
                if status == 200:
                    self.assertEqual(answer.body, self.small)
                self.goes_on(wire)

    def test_expect_without_a_body_is_answered_at_once(self):
        for value in ("100-continue", "100-Continue"):
            wire = self.connect()
            answer = wire.get("/uploads/small.jpg", f"Expect: {value}")
            self.assertEqual((answer.status, answer.body), (200, self.small))  # no 100 before
            self.goes_on(wire)

    def test_expect_with_a_body_is_refused_before_the_body(self):
        wire = self.connect()
        wire.send(tidepool.request("/uploads/small.jpg", "Expect: 100-continue", "Content-Length: 5", method="PUT"))
        answer = wire.response()  # no 100, and no waiting for what may never come
        self.assertEqual((answer.status, answer.closes), (405, True))
        self.ends(wire)

    def test_expect_in_http_1_0_is_ignored(self):
        wire = self.connect()
        wire.send(tidepool.request("/uploads/small.jpg", "Expect: 100-continue", version="HTTP/1.0"))
        self.assertEqual(wire.response().body, self.small)

    def test_half_closed_after_the_request(self):
        for path, content in (("/uploads/small.jpg", self.small), ("/uploads/large.png", self.large)):
            for cold in (False, True):
                with self.subTest(path=path, cold=cold):
                    if cold:
                        path = path.replace("/uploads/", "/uploads/half-closed/")
                        self.tree.put(path.removeprefix("/uploads/"), content)
                    wire = self.connect()
                    wire.send(tidepool.request(path)).finish_sending()
                    self.assertEqual(wire.response().body, content)
                    self.ends(wire)

    def test_half_closed_after_many_requests(self):
        wire = self.connect()
        wire.send(tidepool.request("/uploads/small.jpg") * 100).finish_sending()
        for _ in range(100):
            self.assertEqual(wire.response().body, self.small)
        self.ends(wire)

    def test_half_closed_within_a_request(self):
        data = tidepool.request("/uploads/small.jpg")
        for length in (0, 1, 10, len(data) - 1):
            wire = self.connect()
            wire.send(data[:length]).finish_sending()
            self.ends(wire)

    def test_byte_by_byte(self):
        wire = self.connect()
        for _ in range(3):
            wire.send_split(tidepool.request("/uploads/small.jpg", "User-Agent: slow"))
            self.assertEqual(wire.response().body, self.small)


class Pipelining(MethodsCase):
    def plan(self, seed, count):
        """`count` requests with what must come back: (bytes, is it HEAD, status, body or None)."""
        dice = random.Random(seed)
        for number in range(count):
            absent = f"/uploads/absent-{number}.jpg"
            first = dice.randrange(len(self.small))
            kind = dice.randrange(10)
            if kind < 3:
                yield tidepool.request("/uploads/small.jpg"), False, 200, self.small
            elif kind == 3:
                yield tidepool.request("/uploads/small.jpg", method="HEAD"), True, 200, None
            elif kind == 4:
                yield tidepool.request(absent), False, 404, b"not found\n"
            elif kind == 5:
                yield tidepool.request(absent, method="HEAD"), True, 404, None
            elif kind == 6:
                last = dice.randrange(first, len(self.small))
                yield (tidepool.request("/uploads/small.jpg", f"Range: bytes={first}-{last}"), False, 206,
                       self.small[first:last + 1])
            elif kind == 7:
                yield (tidepool.request("/uploads/large.png", f"Range: bytes={first * 500}-{first * 500 + 999}"), False,
                       206, self.large[first * 500:first * 500 + 1000])
            elif kind == 8:
                yield tidepool.request("/uploads/drawing.svg", "If-None-Match: *"), False, 304, b""
            else:
                yield (tidepool.request("/uploads/small.jpg", "Content-Length: 7", method="POST") + b"GET / H", False,
                       405, b"method not allowed\n")

    def check(self, plan, send):
        wire = self.connect()
        sender = threading.Thread(target=send, args=(wire, [data for data, *_ in plan]))
        sender.start()
        self.addCleanup(sender.join)
        for number, (_, is_head, status, body) in enumerate(plan):
            answer = wire.response(head_only=is_head)
            self.assertEqual(answer.status, status, f"answer {number}")
            if body is not None:
                self.assertEqual(answer.body, body, f"answer {number}")
        self.goes_on(wire)

    def test_hundreds_at_once(self):
        for seed in range(3):
            self.check(list(self.plan(seed, 600)), lambda wire, requests: wire.send(b"".join(requests)))

    def test_hundreds_cut_anywhere(self):
        def send(wire, requests):
            data, dice = b"".join(requests), random.Random(7)
            while data:
                length = dice.randrange(1, 400)
                wire.send(data[:length])
                data = data[length:]
        self.check(list(self.plan(8, 500)), send)

    def test_large_files_between_small_ones(self):
        plan = []
        for number in range(8):
            plan.append((tidepool.request("/uploads/large.png"), False, 200, self.large))
            plan += list(self.plan(100 + number, 10))
        self.check(plan, lambda wire, requests: wire.send(b"".join(requests)))

    def test_the_last_of_many_closes(self):
        wire = self.connect()
        wire.send(tidepool.request("/uploads/small.jpg") * 50 + tidepool.request("/uploads/small.jpg", "Connection: close") +
                  tidepool.request("/uploads/small.jpg") * 50)
        self.assertEqual([wire.response().closes for _ in range(51)], [False] * 50 + [True])
        self.ends(wire)

    def test_files_that_nobody_asked_for_before(self):
        contents = [self.tree.image(f"cold-{number}.jpg", size=1000 + number) for number in range(100)]
        wire = self.connect()
        wire.send(b"".join(tidepool.request(f"/uploads/cold-{number}.jpg") for number in range(100)))
        for content in contents:
            self.assertEqual(wire.response().body, content)


if __name__ == "__main__":
    tidepool.main()
