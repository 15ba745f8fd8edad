"""Ranges (RFC 9110, 14): single, suffix, open and several, of a file held in memory, of one that is sent from disk and of
an empty one.

Bodies of several ranges are parsed to the byte. What cannot be satisfied is 416 with the size and an empty body, what is
no range of bytes is ignored (contract of the edge, 3.7).
"""

import pathlib, sys; sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool

import random
import re
import time

SMALL = 10_000  # held in memory
LARGE = 5 * 1024 * 1024 + 123
LIMIT = 20
MIB = 1024 * 1024


def parse_parts(answer):
    """[(content type, first, last, size, bytes)] of a multipart/byteranges body, every byte of which is accounted for."""
    kind = re.fullmatch(r'multipart/byteranges; boundary=([0-9A-Za-z\'()+_,\-./:=?]{1,70})', answer["content-type"])
    assert kind, answer["content-type"]
    rest, mark, parts = answer.body, b"\r\n--" + kind[1].encode(), []
    while True:
        assert rest.startswith(mark), rest[:100]
        rest = rest[len(mark):]
        if rest == b"--\r\n":
            return parts
        head, blank, rest = rest.partition(b"\r\n\r\n")
        assert blank
        fields = re.fullmatch(rb"\r\nContent-Type: ([a-z]+/[a-z+]+)\r\nContent-Range: bytes (\d+)-(\d+)/(\d+)", head)
        assert fields, head
        first, last, size = int(fields[2]), int(fields[3]), int(fields[4])
        assert first <= last < size, head
        content, rest = rest[:last - first + 1], rest[last - first + 1:]
        assert len(content) == last - first + 1
        parts.append((fields[1].decode(), first, last, size, content))


class RangeCase(tidepool.ServerCase):
    SETTINGS = {"limits": {"ranges": LIMIT}, "types": {"allowed": ["*"]}}

    @classmethod
    def fill(cls):
        cls.files = {
            "/uploads/small.jpg": cls.tree.image("small.jpg", size=SMALL),
            "/uploads/large.png": cls.tree.image("large.png", "image/png", size=LARGE),
        }
        cls.tree.put("empty.jpg", b"")
        cls.tree.put("one.jpg", b"x")

    def setUp(self):
        self.wire = self.connect()

    def ask(self, value, path="/uploads/small.jpg", *fields):
        return self.wire.get(path, f"Range: {value}", *fields)

    def single(self, value, path, first, last):
        content = self.files[path]
        with self.subTest(value=value[:100], path=path):
            answer = self.ask(value, path)
            self.assertEqual(answer.status, 206)
            self.assertEqual(answer["content-range"], f"bytes {first}-{last}/{len(content)}")
            self.assertEqual(answer["content-length"], str(last - first + 1))
            self.assertTrue(answer.body == content[first:last + 1])
            self.assertEqual(answer["content-type"], "image/jpeg" if "small" in path else "image/png")

    def whole(self, value, path="/uploads/small.jpg", *fields):
        with self.subTest(value=value[:100], path=path, fields=fields):
            answer = self.ask(value, path, *fields)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.all("content-range"), [])
            self.assertTrue(answer.body == self.files[path])

    def unsatisfiable(self, value, path, size):
        with self.subTest(value=value, path=path):
            answer = self.ask(value, path)
            self.assertEqual((answer.status, answer["content-range"]), (416, f"bytes */{size}"))
            self.assertEqual((answer["content-length"], answer.body), ("0", b""))
            self.assertEqual(answer["cache-control"], "no-store")
            self.assertFalse(answer.closes)

    def several(self, value, path, expected):
        content = self.files[path]
        with self.subTest(value=value, path=path):
            answer = self.ask(value, path)
            self.assertEqual(answer.status, 206)
            self.assertEqual(answer.all("content-range"), [])  # RFC 9110, 15.3.7.2
            content_type = "image/jpeg" if "small" in path else "image/png"
            self.assertEqual(parse_parts(answer), [(content_type, first, last, len(content), content[first:last + 1])
                                                   for first, last in expected])


class Single(RangeCase):
    def test_first_and_last(self):
        for path, content in self.files.items():
            end = len(content) - 1
            for first, last in ((0, 0), (0, 1), (0, end), (1, end), (end, end), (1000, 1999), (end - 1, end), (7, 7)):
                self.single(f"bytes={first}-{last}", path, first, last)

    def test_beyond_the_end(self):
        for path, content in self.files.items():
            end = len(content) - 1
            for last in (end + 1, end + 1000, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 5, 10**400):
                self.single(f"bytes=5-{last}", path, 5, end)

    def test_open(self):
        for path, content in self.files.items():
            end = len(content) - 1
            for first in (0, 1, 5000, end):
                self.single(f"bytes={first}-", path, first, end)

    def test_suffix(self):
        for path, content in self.files.items():
            size = len(content)
            for length in (1, 2, 5000, size - 1, size):
                self.single(f"bytes=-{length}", path, size - length, size - 1)
            for length in (size + 1, 2**32, 2**63, 2**64, 2**64 + 1, 10**400):
                self.single(f"bytes=-{length}", path, 0, size - 1)

    def test_as_the_edge_cuts_a_file(self):
        path, content, got = "/uploads/large.png", self.files["/uploads/large.png"], b""
        tags = set()
        for first in range(0, len(content), MIB):
            answer = self.ask(f"bytes={first}-{first + MIB - 1}", path, "Accept-Encoding: identity")
            self.assertEqual(answer.status, 206)
            self.assertEqual(answer["content-range"], f"bytes {first}-{min(first + MIB, LARGE) - 1}/{LARGE}")
            self.assertEqual(answer.all("content-encoding"), [])
            tags.add(answer["etag"])
            got += answer.body
        self.assertTrue(got == content)
        self.assertEqual(tags, {tidepool.etag_of(content)})

    def test_random_ones(self):
        dice = random.Random(1)
        for path, content in self.files.items():
            for _ in range(100):
                first = dice.randrange(len(content))
                last = min(len(content) - 1, first + dice.randrange(200_000))
                self.single(f"bytes={first}-{last}", path, first, last)

    def test_accepted_spellings(self):
        for value in ("bytes=10-19", "Bytes=10-19", "BYTES=10-19", "bytes= 10-19", "bytes=10-19 ", "bytes=\t10-19\t",
                      "bytes=,10-19", "bytes=10-19,", "bytes=, ,10-19 , ,", "bytes=0010-00019",
                      "bytes=" + "0" * 300 + "10-19"):
            self.single(value, "/uploads/small.jpg", 10, 19)

    def test_fields(self):
        for path, _ in self.files.items():
            self.wire.get(path)
            whole, part = self.wire.get(path), self.ask("bytes=0-9", path)
            for name in ("etag", "last-modified", "cache-control", "cloudflare-cdn-cache-control", "accept-ranges",
                         "x-content-type-options", "cache-status", "content-type"):
                self.assertEqual(part.all(name), whole.all(name), name)
            self.assertEqual(part["accept-ranges"], "bytes")

    def test_active_content_stays_shut_in(self):
        self.tree.image("drawing.svg", "image/svg+xml")
        answer = self.ask("bytes=0-19", "/uploads/drawing.svg")
        self.assertEqual(answer.status, 206)
        self.assertIn("sandbox", answer["content-security-policy"])
        self.assertEqual(answer["content-disposition"], "attachment")
        several = self.ask("bytes=0-1,-1", "/uploads/drawing.svg")
        self.assertIn("sandbox", several["content-security-policy"])

    def test_of_a_file_that_nobody_asked_for_before(self):
        for size in (SMALL, LARGE):
            content = self.tree.image(f"cold-{size}.jpg", size=size)
            answer = self.ask("bytes=100-199", f"/uploads/cold-{size}.jpg")
            self.assertEqual((answer.status, answer.body), (206, content[100:200]))
            self.assertEqual(answer["etag"], tidepool.etag_of(content))

    def test_of_what_is_absent(self):
        self.assertEqual(self.ask("bytes=0-9", "/uploads/absent.jpg").status, 404)

    def test_range_is_for_get_alone(self):
        answer = self.wire.get("*", "Range: bytes=0-9", method="OPTIONS")
        self.assertEqual((answer.status, answer.all("content-range")), (204, []))


class Unsatisfiable(RangeCase):
    def test_outside(self):
        for path, content in self.files.items():
            size = len(content)
            for value in (f"{size}-", f"{size}-{size}", f"{size}-{size + 5}", f"{size + 1}-", "-0", f"{2**32}-", f"{2**63}-",
                          f"{2**64 - 1}-", f"{2**64}-", f"{2**64 + 1}-{2**64 + 2}", "9" * 400 + "-", "5-4", "1-0",
                          f"{size - 1}-0", f"{2**64}-5", f"{size}-,{size + 7}-", "-0,-0", f"5-4,-0,{size}-"):
                self.unsatisfiable("bytes=" + value, path, size)

    def test_empty_file(self):
        for value in ("0-", "0-0", "-1", "-5", "1-", "0-99", "-0", "0-0,1-1"):
            self.unsatisfiable("bytes=" + value, "/uploads/empty.jpg", 0)
        for fields in ([], ["Range: bytes=x"], ['If-Range: "other"', "Range: bytes=0-"]):
            answer = self.wire.get("/uploads/empty.jpg", *fields)
            self.assertEqual((answer.status, answer["content-length"], answer.body), (200, "0", b""))
            self.assertEqual(answer["etag"], tidepool.etag_of(b""))

    def test_file_of_one_byte(self):
        for value in ("0-0", "0-", "-1", "-2", "0-9"):
            answer = self.ask("bytes=" + value, "/uploads/one.jpg")
            self.assertEqual((answer.status, answer["content-range"], answer.body), (206, "bytes 0-0/1", b"x"))
        self.unsatisfiable("bytes=1-", "/uploads/one.jpg", 1)

    def test_answers_without_a_body_are_not_held_back(self):
        """A head that waits for a body that never comes leaves after the kernel's 200 ms: here, after 30 s in all."""
        begun = time.monotonic()
        for _ in range(150):
            self.assertEqual(self.ask("bytes=99999-").status, 416)
        self.assertLess(time.monotonic() - begun, 15)


class Several(RangeCase):
    def test_parts_in_the_order_asked_for(self):
        for path, content in self.files.items():
            size = len(content)
            self.several("bytes=0-9,5000-5009", path, [(0, 9), (5000, 5009)])
            self.several("bytes=5000-5009,0-9", path, [(5000, 5009), (0, 9)])
            self.several("bytes=0-0, -1", path, [(0, 0), (size - 1, size - 1)])
            self.several("bytes=-1,0-0,3000-3999", path, [(size - 1, size - 1), (0, 0), (3000, 3999)])
            self.several(f"bytes=100-199,{size - 100}-", path, [(100, 199), (size - 100, size - 1)])
            self.several("bytes= 100-199,,\t9000-9099 ,", path, [(100, 199), (9000, 9099)])

    def test_large_parts(self):
        path = "/uploads/large.png"
        self.several(f"bytes=0-{MIB},{2 * MIB}-{4 * MIB},-1000", path,
                     [(0, MIB), (2 * MIB, 4 * MIB), (LARGE - 1000, LARGE - 1)])

    def test_unsatisfiable_ones_are_left_out(self):
        for path, content in self.files.items():
            size = len(content)
            self.several(f"bytes=0-9,{size}-,5000-5009,5-4", path, [(0, 9), (5000, 5009)])
            self.single(f"bytes={size}-,0-9", path, 0, 9)
            self.single("bytes=-0,7-8,5-4", path, 7, 8)

    def test_what_touches_is_joined(self):
        for path, _ in self.files.items():
            self.single("bytes=0-9,10-19", path, 0, 19)
            self.single("bytes=0-9,5-19", path, 0, 19)
            self.single("bytes=10-19,0-9", path, 0, 19)
            self.single("bytes=0-9,0-9", path, 0, 9)
            self.single("bytes=0-99,20-29", path, 0, 99)
            self.single("bytes=20-29,0-99,50-51", path, 0, 99)
            self.single("bytes=0-9,15-24", path, 0, 24)  # the gap is shorter than a part's head
            self.several("bytes=0-9,5000-5009,8-20", path, [(0, 20), (5000, 5009)])
            self.several("bytes=5000-5009,0-9,5005-5020,9-12", path, [(5000, 5020), (0, 12)])

    def test_ranges_that_are_no_smaller_than_the_file_bring_the_file(self):
        for path, content in self.files.items():
            size = len(content)
            self.whole(f"bytes=0-,-{size}", path)
            self.whole(f"bytes=0-{size // 2},{size // 2 + 1}-", path)
            self.whole(f"bytes={size // 2}-,0-{size // 2}", path)
            self.whole("bytes=" + ",".join(["0-"] * LIMIT), path)

    def test_up_to_the_limit(self):
        path = "/uploads/large.png"
        starts = [number * 1000 for number in range(LIMIT)]
        self.several("bytes=" + ",".join(f"{first}-{first + 9}" for first in starts), path,
                     [(first, first + 9) for first in starts])

    def test_more_than_the_limit_bring_the_file(self):
        for path, _ in self.files.items():
            self.whole("bytes=" + ",".join(f"{number * 200}-{number * 200 + 9}" for number in range(LIMIT + 1)), path)
            self.whole("bytes=" + ",".join(["0-0"] * (LIMIT + 1)), path)
            self.whole("bytes=" + ",".join(["99999999-"] * (LIMIT + 1)), path)
            self.whole("bytes=" + ",".join(["0-0"] * 3000), path)
        self.single("bytes=" + "," * 5000 + "0-9", "/uploads/small.jpg", 0, 9)  # empty elements are none

    def test_the_length_is_that_of_what_comes(self):
        """The next answer on the connection begins where the body ends."""
        for path, _ in self.files.items():
            for _ in range(3):
                answer = self.ask("bytes=0-9,3000-3009,7000-7009", path)
                self.assertEqual(len(parse_parts(answer)), 3)

    def test_boundary_is_not_in_the_content(self):
        for path, content in self.files.items():
            boundary = self.ask("bytes=0-9,3000-3009", path)["content-type"].partition("boundary=")[2]
            self.assertNotIn(b"--" + boundary.encode(), content)

    def test_if_range(self):
        for path, content in self.files.items():
            answer = self.ask("bytes=0-9,3000-3009", path, f"If-Range: {tidepool.etag_of(content)}")
            self.assertEqual([part[1:3] for part in parse_parts(answer)], [(0, 9), (3000, 3009)])
            self.whole("bytes=0-9,3000-3009", path, 'If-Range: "other"')
            self.whole("bytes=99999999-", path, 'If-Range: "other"')

    def test_conditions_come_first(self):
        for path, _ in self.files.items():
            self.assertEqual(self.ask("bytes=0-9", path, "If-None-Match: *").status, 304)
            self.assertEqual(self.ask("bytes=99999999-", path, 'If-Match: "other"').status, 412)


class Ignored(RangeCase):
    def test_what_is_no_range_of_bytes(self):
        for value in ("", "bytes", "bytes=", "bytes= ", "bytes=,", "bytes=-", "bytes=--1", "bytes=a-b", "bytes=1-b",
                      "bytes=a-", "bytes=-a", "bytes=0x0-0x9", "bytes=+1-2", "bytes=1-+2", "bytes=-+2", "bytes=1.0-2",
                      "bytes=1", "bytes=1-2-3", "bytes=1 -2", "bytes=1- 2", "bytes=- 2", "bytes=1-2 3-4", "bytes=1-2;3-4",
                      "bytes:1-2", "bytes 1-2", "bytes =1-2", "bytes=1-2,x", "bytes=x,1-2", "bytes=1-2,-", "bytes==1-2",
                      "=1-2", "1-2", "byte=1-2", "bytess=1-2", "items=1-2", "seconds=1-2", "none", "bytes=*", "bytes=0-*",
                      "bytes=\u0661-2", "bytes=1\u20132", '"bytes=1-2"', "bytes=1-2\t3", "bytes=%31-2"):
            self.whole(value)
        self.whole("items=1-2", "/uploads/large.png")

    def test_two_fields(self):
        answer = self.wire.get("/uploads/small.jpg", "Range: bytes=0-9", "Range: bytes=20-29")
        self.assertEqual((answer.status, answer.body), (200, self.files["/uploads/small.jpg"]))

    def test_fields_that_only_look_alike(self):
        for field in ("Content-Range: bytes 0-9/100", "X-Range: bytes=0-9", "Request-Range: bytes=0-9"):
            self.assertEqual(self.wire.get("/uploads/small.jpg", field).status, 200)


if __name__ == "__main__":
    tidepool.main()
