"""The simulator of Cloudflare's edge, rule by rule, in front of an origin that answers what the test wants."""

import gzip
import json
import pathlib
import re
import socket
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import edge as edge_module  # noqa: E402
import http1  # noqa: E402
import sockets  # noqa: E402

HOST = "img.example.com"
MIB = 1024 * 1024
ETAG = '"one"'


class EdgeCase(unittest.TestCase):
    """self.answers says what the origin answers for a path: (status, fields, body), the bytes of all that, or a
    function of the request that gives one of these (None: ends the connection). OPTIONS go to the edge.
    """

    OPTIONS = {}
    maxDiff = 2000

    def setUp(self):
        self.answers = {}
        self.origin = sockets.Listener(self.serve)
        self.addCleanup(self.origin.stop)
        self.edge = self.start()

    def start(self, **options):
        edge = edge_module.Edge(self.origin.address, **{**self.OPTIONS, **options})
        self.addCleanup(edge.stop)
        return edge

    def serve(self, sock, _):
        reader = http1.Reader(sock)
        while (request := http1.read_request_head(reader)) is not None:
            request.body = reader.exactly(request.length() or 0)
            answer = self.answers.get(request.path, (404, [], b"nothing"))
            answer = answer(request) if callable(answer) else answer
            if answer is None:
                return
            if not isinstance(answer, bytes):
                status, fields, body = answer
                length = [] if status in (204, 304) else [("Content-Length", str(len(body)))]
                head = http1.Answer(status, [*fields, *length]).head()
                answer = head + body if http1.has_body(request.method, status) else head
            sock.sendall(answer)

    def ask(self, path="/a.jpg", *fields, method="GET", edge=None):
        """One request on a connection of its own: an answer, whose body may have been cut."""
        with socket.create_connection((edge or self.edge).address) as sock:
            sock.settimeout(45)
            fields = [("Host", HOST), *fields]
            lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
            sock.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
            reader = http1.Reader(sock)
            answer = http1.read_answer_head(reader)
            answer.cut = False
            if http1.has_body(method, answer.status):
                try:
                    answer.body = reader.exactly(answer.length())
                except http1.Ended as ended:
                    answer.body, answer.cut = ended.taken, True
            return answer

    def cache(self, path="/a.jpg", *fields, **options):
        """The CF-Cache-Status of an answer."""
        return self.ask(path, *fields, **options).get("cf-cache-status")

    def say(self, *fields, status=200, body=b"bytes", path="/a.jpg"):
        self.answers[path] = (status, list(fields), body)

    def later(self, seconds):
        self.edge.clock_offset_s += seconds


class Requests(EdgeCase):
    OPTIONS = {"country": "DE", "visitor_ip": "203.0.113.7", "origin_fields": [("x-secret", "s")]}

    def test_what_the_origin_sees(self):
        self.ask("/a.jpg?x=1", ("X-Real-IP", "1.2.3.4"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "10.0.0.1"),
                 ("Accept-Encoding", "zstd"), ("Accept", "image/*"), ("Cookie", "a=b"), ("Connection", "close"),
                 ("X-Odd.Name", "1"), ("If-None-Match", "*"), ("Range", "bytes=0-1"), ("CDN-Loop", "other; a=1"),
                 ("True-Client-IP", "6.6.6.6"))
        fetch, = self.edge.fetches
        fields = dict(fetch.fields)
        self.assertEqual(len(fields), len(fetch.fields))
        self.assertRegex(fields.pop("cf-ray"), "^[0-9a-f]{16}-FRA$")
        self.assertEqual((fetch.method, fetch.target), ("GET", "/a.jpg?x=1"))
        self.assertEqual(fields, {
            "host": HOST, "accept-encoding": "br, gzip", "accept": "image/*", "cookie": "a=b",
            "connection": "Keep-Alive", "cf-connecting-ip": "203.0.113.7", "x-forwarded-proto": "https",
            "x-forwarded-for": "10.0.0.1, 203.0.113.7",
            "cf-visitor": '{"scheme":"https"}', "cdn-loop": "other; a=1, cloudflare", "cf-ipcountry": "DE",
            "true-client-ip": "6.6.6.6", "x-secret": "s"})
        other = self.start(accept_encoding="gzip, br", visitor_ip=None, country=None, origin_fields=())
        self.ask(edge=other)
        self.assertEqual(other.fetches[0].headers["accept-encoding"], "gzip, br")
        self.assertEqual(other.fetches[0].headers["x-forwarded-for"], "127.0.0.1")

    def test_what_visitors_do_not_see(self):
        self.say(("Cache-Tag", "a,b"), ("Cloudflare-CDN-Cache-Control", "max-age=5"), ("X-Accel-Redirect", "/x"),
                 ("CDN-Cache-Control", "max-age=6"), ("X-Other", "1"), ("Cache-Control", "max-age=7"), ("ETag", "bare"))
        answer = self.ask()
        names = {name for name, _ in answer.fields}
        self.assertEqual(names, {"date", "server", "cf-ray", "cf-cache-status", "cdn-cache-control", "x-other",
                                 "cache-control", "content-length"})
        self.assertEqual(answer.get("cf-ray"), self.edge.fetches[0].headers["cf-ray"])
        self.assertEqual(answer.get("server"), "cloudflare")

    def test_requests_that_come_from_itself(self):
        for fields in ([("CF-Connecting-IP", "1.2.3.4")], [("X-Forwarded-For", "1.2.3.4, " * 12)],
                       [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", "1.2.3.5")]):
            answer = self.ask("/a.jpg", *fields)
            self.assertEqual((answer.status, answer.body), (403, b"error code: 1000"))
        self.assertEqual(self.edge.fetches, [])

    def test_methods(self):
        self.say()
        head = self.ask(method="HEAD")
        self.assertEqual((head.status, head.get("content-length"), head.get("cf-cache-status")), (200, "5", "MISS"))
        self.assertEqual(self.edge.fetches[0].method, "GET")
        self.assertEqual(self.cache(), "HIT")
        self.say(path="/page")
        self.assertEqual(self.cache("/page", ("Range", "bytes=0-1"), ("If-None-Match", "*"), method="HEAD"), "DYNAMIC")
        self.assertEqual(self.edge.fetches[1].method, "HEAD")
        self.assertEqual(self.edge.fetches[1].headers["range"], "bytes=0-1")
        self.assertEqual(self.edge.fetches[1].headers["if-none-match"], "*")
        self.assertEqual(self.cache(method="DELETE"), "DYNAMIC")


class Caching(EdgeCase):
    def test_lifetimes_without_instructions(self):
        for status, seconds in ((200, 7200), (301, 7200), (302, 1200), (303, 1200), (404, 180), (410, 180)):
            path = f"/{status}.jpg"
            self.say(status=status, path=path)
            self.assertEqual([self.cache(path) for _ in range(2)], ["MISS", "HIT"])
            self.later(seconds - 5)
            self.assertEqual(self.cache(path), "HIT")
            self.later(10)
            self.assertEqual(self.cache(path), "EXPIRED")
        for status in (403, 500, 503):
            self.say(status=status, path="/b.jpg")
            self.assertEqual([self.cache("/b.jpg") for _ in range(2)], ["MISS", "MISS"])

    def test_who_decides_about_the_lifetime(self):
        fields = [("Cloudflare-CDN-Cache-Control", "max-age=10"), ("CDN-Cache-Control", "max-age=20"),
                  ("Cache-Control", "max-age=30"), ("Expires", http1.date(self.edge.now() + 40))]
        for skipped in range(4):
            self.edge.clock_offset_s = 0
            path = f"/{skipped}.jpg"
            self.say(*fields[skipped:], path=path)
            self.cache(path)
            self.later(10 * skipped + 8)
            self.assertEqual(self.cache(path), "HIT")
            self.later(3)
            self.assertEqual(self.cache(path), "EXPIRED")
        self.say(("Surrogate-Control", ""), ("Cache-Control", "no-store"), path="/s.jpg")
        self.assertEqual([self.cache("/s.jpg") for _ in range(2)], ["MISS", "HIT"])

    def test_what_is_not_stored(self):
        for number, fields in enumerate(([("Cache-Control", "no-store")], [("Cache-Control", "private, max-age=9")],
                                         [("Set-Cookie", "a=b")], [("Vary", "*")])):
            path = f"/{number}.jpg"
            self.say(*fields, path=path)
            self.assertEqual([self.cache(path) for _ in range(2)], ["BYPASS"] * 2, fields)
        self.say(("Vary", "Accept"), ("Cache-Control", 'max-age=9, private="x-mine"'), ("X-Mine", "1"))
        self.assertEqual([self.cache() for _ in range(2)], ["MISS", "HIT"])
        self.assertIsNone(self.ask().get("x-mine"))
        for control, statuses in (("max-age=9", ["BYPASS"] * 2), ("public, max-age=9", ["MISS", "HIT"]),
                                  ("s-maxage=9", ["MISS", "HIT"])):
            self.say(("Cache-Control", control), path=f"/{control[:3]}.jpg")
            self.assertEqual([self.cache(f"/{control[:3]}.jpg", ("Authorization", "x")) for _ in range(2)], statuses)

    def test_what_is_always_asked_again(self):
        for control, first in (("no-cache", "BYPASS"), ("max-age=0", "MISS"), ("s-maxage=0", "MISS")):
            path = f"/{control[:4]}.jpg"
            fields = [("ETag", ETAG), ("Cache-Control", control)]
            self.answers[path] = lambda request, fields=fields: (
                304 if request.get("if-none-match") == ETAG else 200, fields, b"x")
            self.assertEqual([self.cache(path) for _ in range(3)], [first, "REVALIDATED", "REVALIDATED"])
            self.assertEqual(self.ask(path).body, b"x")

    def test_revalidation(self):
        modified = http1.date(1_700_000_000)
        self.say(("ETag", ETAG), ("Last-Modified", modified), ("Cache-Control", "max-age=10"))
        self.cache()
        self.later(11)
        self.answers["/a.jpg"] = (304, [("ETag", ETAG), ("Cache-Control", "max-age=20"), ("X-New", "1")], b"")
        answer = self.ask()
        self.assertEqual((answer.status, answer.body, answer.get("x-new")), (200, b"bytes", "1"))
        self.assertEqual(answer.get("cf-cache-status"), "REVALIDATED")
        self.assertEqual(self.edge.fetches[1].headers["if-none-match"], ETAG)
        self.assertEqual(self.edge.fetches[1].headers["if-modified-since"], modified)
        self.later(15)
        self.assertEqual(self.cache(), "HIT")
        self.later(10)
        self.say(("ETag", '"two"'), body=b"other")
        answer = self.ask()
        self.assertEqual((answer.body, answer.get("cf-cache-status"), answer.get("age")), (b"other", "EXPIRED", None))
        self.later(5)
        self.assertEqual(self.ask().get("age"), "5")

    def test_a_date_is_invented_where_there_is_no_validator(self):
        self.say(("Cache-Control", "max-age=10"))
        modified = self.ask().get("last-modified")
        self.assertTrue(modified)
        self.assertEqual(self.ask("/a.jpg", ("If-Modified-Since", modified)).status, 304)
        self.later(11)
        self.assertEqual(self.cache(), "EXPIRED")
        self.assertNotIn("if-modified-since", self.edge.fetches[1].headers)

    def test_stale_while_it_is_asked_again(self):
        asked, go_on = threading.Event(), threading.Event()
        self.say(("Cache-Control", "max-age=10, stale-while-revalidate=20"))
        self.cache()

        def slow(_):
            asked.set()
            go_on.wait(45)
            return 200, [("Cache-Control", "max-age=10, stale-while-revalidate=20")], b"other"
        self.answers["/a.jpg"] = slow
        self.later(12)
        for _ in range(3):
            answer = self.ask()
            self.assertEqual((answer.get("cf-cache-status"), answer.body), ("UPDATING", b"bytes"))
        self.assertTrue(asked.wait(45))
        go_on.set()
        self.edge.wait_refreshed()
        self.assertEqual(len(self.edge.fetches), 2)
        self.assertEqual((self.cache(), self.ask().body), ("HIT", b"other"))
        self.later(31)
        self.assertEqual(self.cache(), "EXPIRED")
        for directive in ("s-maxage=10", "must-revalidate", "no-cache", "proxy-revalidate"):
            self.edge.evict()
            self.say(("Cache-Control", f"max-age=10, stale-while-revalidate=20, {directive}"))
            self.cache()
            self.later(12)
            self.assertEqual(self.cache(), "EXPIRED", directive)

    def test_stale_where_the_origin_fails(self):
        self.say(("Cache-Control", "max-age=10, stale-if-error=100"))
        self.cache()
        self.later(50)
        for failure in ((503, [], b""), lambda _: None, b"nonsense\r\n\r\n"):
            self.answers["/a.jpg"] = failure
            answer = self.ask()
            self.assertEqual((answer.status, answer.body, answer.get("cf-cache-status")), (200, b"bytes", "STALE"))
        self.later(100)
        self.answers["/a.jpg"] = (503, [], b"")
        self.assertEqual(self.ask().status, 503)
        self.say(("Cache-Control", "max-age=10, stale-while-revalidate=50"))
        self.assertEqual(self.ask().status, 200)

    def test_keys(self):
        self.say()
        self.assertEqual(self.cache(), "MISS")
        for fields in ([("Origin", "https://a.example")], [("X-Forwarded-Host", "x")], [("X-Original-URL", "/b")],
                       [("X-HTTP-Method-Override", "PUT")], [("X-Forwarded-Scheme", "nothttps")]):
            self.assertEqual([self.cache("/a.jpg", *fields) for _ in range(2)], ["MISS", "HIT"], fields)
        for fields in ([("Accept", "image/webp")], [("Cookie", "a=b")], [("X-Forwarded-Scheme", "https")]):
            self.assertEqual(self.cache("/a.jpg", *fields), "HIT", fields)
        self.assertEqual([self.cache("/a.jpg?b") for _ in range(2)], ["MISS", "HIT"])

    def test_conditions_are_judged_by_the_edge(self):
        self.say(("ETag", ETAG), ("Cache-Control", "max-age=10"))
        for expected in ("MISS", "HIT"):
            answer = self.ask("/a.jpg", ("If-None-Match", f'"x", W/{ETAG}'))
            self.assertEqual((answer.status, answer.get("cf-cache-status"), answer.get("etag")), (304, expected, ETAG))
        self.assertNotIn("if-none-match", self.edge.fetches[0].headers)
        self.assertEqual(self.ask("/a.jpg", ("If-None-Match", '"x"')).status, 200)

    def test_compression_weakens_the_tag(self):
        svg = b"<svg>" + b" " * 1000
        self.say(("ETag", ETAG), ("Content-Type", "image/svg+xml"), body=svg, path="/a.svg")
        self.say(("ETag", ETAG), ("Content-Type", "image/jpeg"), body=svg)
        plain, packed = self.ask("/a.svg"), self.ask("/a.svg", ("Accept-Encoding", "gzip"))
        self.assertEqual((plain.get("etag"), plain.body), (ETAG, svg))
        self.assertEqual((packed.get("etag"), packed.get("content-encoding")), (f"W/{ETAG}", "gzip"))
        self.assertEqual(gzip.decompress(packed.body), svg)
        image = self.ask("/a.jpg", ("Accept-Encoding", "gzip"))
        self.assertEqual((image.get("etag"), image.get("content-encoding")), (ETAG, None))
        self.say(("ETag", ETAG), ("Content-Encoding", "gzip"), body=gzip.compress(svg), path="/b.svg")
        unpacked = self.ask("/b.svg")
        self.assertEqual((unpacked.get("etag"), unpacked.body), (f"W/{ETAG}", svg))


class Ranges(EdgeCase):
    DATA = bytes(range(251)) * 12_000  # 2.9 MiB

    def setUp(self):
        super().setUp()
        self.answers["/a.jpg"] = self.whole_or_part

    def whole_or_part(self, request):
        fields = [("ETag", ETAG), ("Content-Type", "image/jpeg"), ("Cache-Control", "max-age=100")]
        chosen = http1.parse_range(request.get("range"), len(self.DATA))
        if chosen == "unsatisfiable":
            return 416, [("Content-Range", f"bytes */{len(self.DATA)}")], b""
        if chosen is None:
            return 200, fields, self.DATA
        first, last = chosen
        return 206, [*fields, ("Content-Range", f"bytes {first}-{last}/{len(self.DATA)}")], self.DATA[first:last + 1]

    def test_the_edge_cuts_by_itself(self):
        size = len(self.DATA)
        for value, first, last in (("bytes=0-9", 0, 9), ("bytes=-5", size - 5, size - 1), ("bytes=100-", 100, size - 1),
                                   (f"bytes=-{size + 1}", 0, size - 1)):
            answer = self.ask("/a.jpg", ("Range", value))
            self.assertEqual((answer.status, answer.get("content-range")), (206, f"bytes {first}-{last}/{size}"))
            self.assertTrue(answer.body == self.DATA[first:last + 1])
        for value in (f"bytes={size}-", "bytes=-0", "bytes=9-5"):
            answer = self.ask("/a.jpg", ("Range", value))
            self.assertEqual((answer.status, answer.body, answer.get("content-range")), (416, b"", f"bytes */{size}"))
        for fields in ([("Range", "lines=0-9")], [("Range", "bytes=x")], [("Range", "bytes=0-9"), ("If-Range", '"x"')]):
            self.assertEqual(self.ask("/a.jpg", *fields).status, 200)
        self.assertEqual(self.ask("/a.jpg", ("Range", "bytes=0-9"), ("If-Range", ETAG)).status, 206)
        self.assertEqual(self.ask("/a.jpg", ("Range", "bytes=0-9"), ("If-None-Match", ETAG)).status, 304)
        self.assertEqual(len(self.edge.fetches), 1)
        self.assertNotIn("range", self.edge.fetches[0].headers)

    def blocks(self, edge):
        return [fetch.headers.get("range") for fetch in edge.fetches]

    def test_aligned_blocks(self):
        edge, size = self.start(ranges="on"), len(self.DATA)
        one, two, three = (f"bytes={i * MIB}-{(i + 1) * MIB - 1}" for i in range(3))
        answer = self.ask("/a.jpg", ("Range", "bytes=1500000-2500000"), edge=edge)
        self.assertEqual((answer.status, answer.get("content-range")), (206, f"bytes 1500000-2500000/{size}"))
        self.assertTrue(answer.body == self.DATA[1_500_000:2_500_001])
        self.assertEqual(self.blocks(edge), [two, three])
        self.assertEqual({fetch.headers["accept-encoding"] for fetch in edge.fetches}, {"identity"})
        self.assertEqual(self.cache("/a.jpg", ("Range", "bytes=1500000-2000000"), edge=edge), "HIT")
        answer = self.ask("/a.jpg", ("Range", "bytes=-5"), edge=edge)
        self.assertEqual((answer.body, answer.get("cf-cache-status")), (self.DATA[-5:], "HIT"))
        self.assertTrue(self.ask("/a.jpg", ("Range", "bytes=10-"), edge=edge).body == self.DATA[10:])
        self.assertEqual(self.blocks(edge), [two, three, one])
        self.assertEqual(edge.violations, [])
        self.assertTrue(self.ask("/a.jpg", edge=edge).body == self.DATA)
        self.assertEqual(self.cache("/a.jpg", ("Range", "bytes=0-9"), edge=edge), "HIT")
        self.assertEqual(self.ask("/a.jpg", ("Range", f"bytes={size}-"), edge=self.start(ranges="on")).status, 416)

    def test_an_origin_that_breaks_the_rules(self):
        def broken(change):
            def answer(request):
                status, fields, body = self.whole_or_part(request)
                return change(status, fields, body) if (request.get("range") or "").startswith(f"bytes={MIB}-") else (
                    status, fields, body)
            return answer
        for what, change in (
                ("another ETag", lambda status, fields, body: (status, [("ETag", '"2"'), *fields[1:]], body)),
                ("200 in answer to a range", lambda status, fields, body: (200, fields[:-1], self.DATA)),
                ("Content-Length is not the range's", lambda status, fields, body: (status, fields, body[1:])),
                ("Content-Encoding", lambda status, fields, body: (
                    status, [*fields, ("Content-Encoding", "gzip")], body))):
            with self.subTest(what=what):
                self.answers["/a.jpg"] = broken(change)
                edge = self.start(ranges="on")
                answer = self.ask("/a.jpg", ("Range", "bytes=0-1999999"), edge=edge)
                self.assertEqual((answer.status, len(answer.body), answer.cut), (206, MIB, True))
                self.assertEqual(edge.violations, [what])
        self.answers["/a.jpg"] = (200, [("ETag", ETAG)], self.DATA)  # which costs, but is allowed
        edge = self.start(ranges="on")
        self.assertEqual(self.ask("/a.jpg", ("Range", "bytes=5-9"), edge=edge).body, self.DATA[5:10])
        self.assertEqual(edge.violations, [])


class Failures(EdgeCase):
    def test_garbled_answers(self):
        huge = b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n"
        for answer in (b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nno field\r\nContent-Length: 0\r\n\r\n", huge,
                       b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", lambda _: None):
            self.answers["/a.jpg"] = answer
            said = self.ask()
            self.assertEqual((said.status, said.body), (520, b"error code: 520"))
        self.assertEqual(self.edge.stored, 0)

    def test_an_origin_that_is_not_there(self):
        self.origin.close()
        self.assertEqual(self.ask().status, 521)

    def test_an_origin_that_does_not_answer(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            edge = edge_module.Edge(silent.getsockname(), read_s=0.1)
            self.addCleanup(edge.stop)
            self.assertEqual(self.ask(edge=edge).status, 524)

    def test_an_origin_that_does_not_accept(self):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            waiting = []
            try:
                for _ in range(3):  # so many that the kernel answers no more
                    waiting.append(socket.socket())
                    waiting[-1].setblocking(False)
                    waiting[-1].connect_ex(full.getsockname())
                edge = edge_module.Edge(full.getsockname(), connect_s=0.1)
                self.addCleanup(edge.stop)
                self.assertEqual(self.ask(edge=edge).status, 522)
            finally:
                for sock in waiting:
                    sock.close()

    def test_a_body_that_is_cut(self):
        self.answers["/a.jpg"] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n" + b"x" * 40

        def once(sock, number):
            http1.read_request_head(http1.Reader(sock))
            sock.sendall(self.answers["/a.jpg"])
            sockets.end_by_fin(sock)
        self.origin._serve = once
        answer = self.ask()
        self.assertEqual((answer.status, answer.length(), answer.body, answer.cut), (200, 100, b"x" * 40, True))
        self.assertEqual(self.edge.stored, 0)

    def test_chunks(self):
        self.answers["/a.jpg"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        answer = self.ask()
        self.assertEqual((answer.body, answer.get("content-length")), (b"abc", "3"))

    def test_a_visitor_that_leaves_before_the_answer(self):
        asked, ended = threading.Event(), threading.Event()

        def wait(sock, _):
            http1.read_request_head(http1.Reader(sock))
            asked.set()
            if not sock.recv(1):
                ended.set()
        self.origin._serve = wait
        edge = self.start(read_s=200)  # so that it is not this which ends it
        with socket.create_connection(edge.address) as sock:
            sock.sendall(f"GET /a.jpg HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            self.assertTrue(asked.wait(45))
        self.assertTrue(ended.wait(45))


class Connections(EdgeCase):
    def test_they_are_kept_and_used_again(self):
        for number in range(5):
            self.ask(f"/{number}.jpg")
        self.assertEqual(self.origin.accepted, 1)
        self.assertEqual([fetch.reused for fetch in self.edge.fetches], [False] + [True] * 4)

    def test_one_that_the_origin_closed_is_not_used_again(self):
        self.ask("/1.jpg")
        self.origin.drop_all()
        self.origin.wait_connections(0)
        self.assertEqual(self.ask("/2.jpg").status, 404)
        self.assertEqual(self.origin.accepted, 2)

    def test_one_that_says_more_than_it_should_is_not_used_again(self):
        self.answers["/1.jpg"] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc"
        self.assertEqual(self.ask("/1.jpg").body, b"a")
        self.assertEqual(self.ask("/2.jpg").status, 404)
        self.assertEqual(self.origin.accepted, 2)

    def test_one_that_asks_for_its_end_is_closed(self):
        self.say(("Connection", "close"))
        self.assertEqual(self.ask().get("connection"), None)
        self.assertEqual(len(self.edge.pool), 0)

    def test_idle_ones_are_closed(self):
        edge = self.start(idle_s=0.05)
        self.ask("/1.jpg", edge=edge)
        edge.pool.wait_empty()
        self.ask("/2.jpg", edge=edge)
        self.assertEqual([fetch.reused for fetch in edge.fetches], [False, False])


class Purging(EdgeCase):
    def call(self, body, name="purge_cache", token="purge-token", edge=None):
        edge = edge or self.edge
        address, body = edge._api.address, json.dumps(body).encode()
        with socket.create_connection(address) as sock:
            sock.settimeout(45)
            lines = (f"POST /client/v4/zones/{edge.zone_id}/{name} HTTP/1.1", "Host: api",
                     f"Content-Length: {len(body)}", f"Authorization: Bearer {token}", "", "")
            sock.sendall("\r\n".join(lines).encode() + body)
            reader = http1.Reader(sock)
            answer = http1.read_answer_head(reader)
            answer.body = json.loads(reader.exactly(answer.length()))
            self.assertEqual(answer.body["success"], answer.status == 200)
            self.assertEqual(bool(answer.body["errors"]), answer.status != 200)
            return answer

    def fill(self):
        self.edge.evict()
        for name, tags in (("a", "img-1, pool-x"), ("b", "img-2,Pool-X"), ("c", "img-3")):
            self.say(("Cache-Tag", tags), ("ETag", ETAG), ("Cache-Control", "max-age=100, stale-while-revalidate=50"),
                     path=f"/up/{name}.jpg")
            self.cache(f"/up/{name}.jpg")

    def there(self):
        return "".join(sorted(re.search(r"/(\w)\.jpg", entry.target)[1] for entry in self.edge._cache.values()))

    def test_selectors(self):
        for body, left in (({"files": [f"https://{HOST.upper()}/up/a.jpg"]}, "bc"), ({"tags": ["pool-x"]}, "c"),
                           ({"files": [f"https://{HOST}/up/A.jpg"]}, "abc"), ({"hosts": [HOST]}, ""),
                           ({"hosts": ["x"]}, "abc"), ({"prefixes": [f"{HOST}/up/"]}, ""), ({"tags": ["IMG-3"]}, "ab"),
                           ({"prefixes": [f"{HOST}/up/b"]}, "ac"), ({"purge_everything": True}, "")):
            self.fill()
            self.assertEqual(self.call(body).status, 200)
            self.assertEqual(self.there(), left, body)
        self.assertEqual(len(self.edge.purges), 9)

    def test_a_purge_by_url_misses_what_was_stored_for_an_origin(self):
        self.fill()
        self.cache("/up/a.jpg", ("Origin", "https://x"))
        self.call({"files": [f"https://{HOST}/up/a.jpg"]})
        self.assertEqual(self.there(), "abc")
        self.call({"files": [{"url": f"https://{HOST}/up/a.jpg", "headers": {"Origin": "https://x"}}]})
        self.assertEqual(self.there(), "bc")

    def test_invalidation_only_makes_stale(self):
        self.fill()
        self.assertEqual(self.call({"tags": ["img-1"]}, "invalidate_cache").status, 200)
        self.answers["/up/a.jpg"] = (304, [("ETag", ETAG), ("Cache-Control", "max-age=100")], b"")
        self.assertEqual(self.cache("/up/a.jpg"), "UPDATING")
        self.edge.wait_refreshed()
        self.assertEqual(self.edge.fetches[-1].headers["if-none-match"], ETAG)
        self.assertEqual(self.cache("/up/a.jpg"), "HIT")
        self.assertEqual(self.cache("/up/b.jpg"), "HIT")
        self.call({"tags": ["img-2"]}, "invalidate_cache")
        self.later(51)
        self.assertEqual(self.cache("/up/b.jpg"), "EXPIRED")

    def test_calls_that_are_refused(self):
        self.fill()
        urls = [f"https://{HOST}/{number}" for number in range(31)]
        for body, options, status in (({"tags": ["img-1"]}, {"token": "x"}, 403), ({}, {}, 400), ([], {}, 400),
                                      ({"tags": ["a"], "hosts": ["b"]}, {}, 400), ({"tags": []}, {}, 400),
                                      ({"files": urls}, {}, 400), ({"tags": urls * 4}, {}, 400),
                                      ({"tags": urls}, {}, 200), ({"files": urls[:30]}, {}, 200),
                                      ({"tags": ["x"]}, {"name": "nothing"}, 404)):
            self.assertEqual(self.call(body, **options).status, status)
        self.assertEqual(self.there(), "abc")

    def test_limits(self):
        edge = self.start(other_limit=(3, 0.1), url_limit=(2, 1))
        self.assertEqual([self.call({"tags": ["a"]}, edge=edge).status for _ in range(4)], [200, 200, 200, 429])
        answer = self.call({"hosts": ["a"]}, "invalidate_cache", edge=edge)
        self.assertEqual((answer.status, answer.get("retry-after")), (429, "10"))
        self.assertEqual(self.call({"files": ["https://a/b"]}, edge=edge).status, 200)
        edge.clock_offset_s += 10
        self.assertEqual([self.call({"tags": ["a"]}, edge=edge).status for _ in range(2)], [200, 429])

    def test_calls_that_are_told_to_fail(self):
        self.edge.fail_purges(2, 503, retry_after=7)
        self.assertEqual([self.call({"tags": ["a"]}).status for _ in range(3)], [503, 503, 200])
        self.assertEqual([purge.status for purge in self.edge.purges], [503, 503, 200])

    def test_calls_that_go_wrong_in_other_ways(self):
        self.fill()
        self.edge.fail_purges(1, "unsuccessful")
        with self.assertRaises(AssertionError):
            self.call({"tags": ["img-1"]})  # 200, and no success
        self.edge.forget_nothing(1)
        self.assertEqual(self.call({"tags": ["img-1"]}).status, 200)
        self.assertEqual(self.there(), "abc")
        self.edge.foreign_hosts.add("other.example")
        answer = self.call({"files": [f"https://{HOST}/up/a.jpg", "https://other.example/a.jpg"]})
        self.assertEqual((answer.status, answer.body["errors"][0]["code"], self.there()), (400, 1012, "abc"))
        self.assertEqual(self.call({"tags": ["img-1"]}).status, 200)
        self.assertEqual(self.there(), "bc")


if __name__ == "__main__":
    unittest.main()
