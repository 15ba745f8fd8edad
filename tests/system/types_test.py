"""What an answer says about a file: its type, by its bytes, and the fields for caches and browsers.

What could run in a browser goes out shut in and as attachment; what is not allowed is 404. Lifetimes come from the
built-in rules and from those of the configuration.
"""

import pathlib, sys; sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool

import email.utils
import os
import time

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
FOREVER = "public, max-age=31536000, immutable"
EDGE_FOREVER = "max-age=2592000, stale-while-revalidate=86400, stale-if-error=604800"
SHORT = "public, max-age=300"
ABSENT = "public, max-age=60"
LARGE = 200_000
PIXELS = tidepool.filler(300, "pixels")
SANDBOX = "default-src 'none'; sandbox"


def box(*brands):
    """The beginning of an ISO base media file of these brands, the first of which is the major one."""
    names = [brand.encode() for brand in brands]
    body = b"ftyp" + names[0] + b"\0\0\0\0" + b"".join(names[1:])
    return (len(body) + 4).to_bytes(4, "big") + body + PIXELS


class TypesCase(tidepool.ServerCase):
    def setUp(self):
        self.wire = self.connect()
        self.number = 0

    def type_of(self, content, extension="jpg"):
        """The answer for a file of this content, asked for twice: read from disk, then known."""
        self.number += 1
        name = f"{self._testMethodName}-{self.number}" + (f".{extension}" if extension else "")
        self.tree.put(name, content)
        first = self.wire.get("/uploads/" + name)
        answer = self.wire.get("/uploads/" + name)
        self.assertEqual(first.status, answer.status)
        self.assertEqual(first.all("content-type"), answer.all("content-type"))
        if answer.status == 200:
            self.assertEqual((first.body, answer.body), (content, content))
        return answer

    def is_type(self, content, expected, extension="jpg"):
        with self.subTest(content=content[:40], extension=extension):
            answer = self.type_of(content, extension)
            self.assertEqual((answer.status, answer["content-type"]), (200, expected))
            self.assertEqual(answer["x-content-type-options"], "nosniff")
            return answer

    def is_absent(self, content, extension="jpg"):
        with self.subTest(content=content[:40], extension=extension):
            answer = self.type_of(content, extension)
            self.assertEqual((answer.status, answer["content-type"]), (404, "text/plain; charset=utf-8"))
            self.assertEqual(answer["cache-control"], ABSENT)
            self.assertNotIn(content[:10] or b"x" * 99, answer.body)

    def is_shut_in(self, answer):
        self.assertEqual(answer["content-security-policy"], SANDBOX)
        self.assertEqual(answer["content-disposition"], "attachment")

    def is_free(self, answer):
        self.assertEqual(answer.all("content-security-policy") + answer.all("content-disposition"), [])


class Types(TypesCase):
    IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp", "image/jxl", "image/heic",
              "image/tiff", "image/x-icon")

    def test_images_by_their_bytes_whatever_their_name(self):
        for content_type in self.IMAGES:
            for extension in (tidepool.EXTENSIONS[content_type], "jpg", "JPG", "png", "html", "svg", "js", "txt", "exe", ""):
                self.is_free(self.is_type(tidepool.make_image(content_type, 500), content_type, extension))

    def test_large_images(self):
        for content_type in self.IMAGES:
            self.is_type(tidepool.make_image(content_type, LARGE), content_type, "jpg")

    def test_variants_of_formats(self):
        for content, content_type in (
                (b"GIF87a" + PIXELS, "image/gif"), (b"MM\0*" + PIXELS, "image/tiff"), (b"\xff\xd8\xff\xdb" + PIXELS, "image/jpeg"),
                (b"\0\0\0\x0cJXL \r\n\x87\n" + PIXELS, "image/jxl"), (box("avis"), "image/avif"), (box("heix", "mif1"), "image/heic"),
                (box("mif1", "avif"), "image/avif"), (box("mif1", "heic"), "image/heic"), (b"RIFF\0\0\0\0WEBPVP8L", "image/webp")):
            self.is_type(content, content_type)

    def test_what_begins_like_an_image_but_is_none(self):
        for content in (b"RIFF\0\0\0\0WAVEfmt " + PIXELS, b"BMW is a car, and this is a text about it.", b"GIF88a" + PIXELS,
                        b"\x89PNX\r\n\x1a\n" + PIXELS, b"\xff\xd8", b"\xff", b"R", b"RIFF", b"\0\0\0\x08ftyp", box("mif1"),
                        box("isom", "mp42"), box("qt  "), b"", PIXELS, b"  \x89PNG\r\n\x1a\n", b"\n" + tidepool.make_image()):
            self.is_absent(content)

    def test_types_that_are_not_allowed(self):
        for content, extension in ((b"%PDF-1.7\n", "pdf"), (b"PK\x03\x04" + PIXELS, "zip"), (b"\x1f\x8b\x08" + PIXELS, "svgz"),
                                   (b"\x1a\x45\xdf\xa3" + PIXELS, "webm"), (b"just text\n", "txt"), (b"alert(1)\n", "js"),
                                   (b"a { color: red }\n", "css"), (b"{}\n", "json"), (b"<?php phpinfo();", "php"),
                                   (b"#!/bin/sh\n", "sh"), (b"\x7fELF" + PIXELS, ""), (b"MZ" + PIXELS, "exe")):
            self.is_absent(content, extension)
            self.is_absent(content, "jpg")

    def test_html_and_xml_in_disguise(self):
        for content in (b"<!DOCTYPE html><p>a", b"<html>", b"<HTML>", b"<script>alert(1)</script>", b"\n\t <ScRiPt >", b"<body/>",
                        b"\xef\xbb\xbf<html>", b"<!-- a --><html>", b"<!-- a", b"<a href=b>", b"<iframe src=a>", b"<img src=a>",
                        "\ufeff<html>".encode("utf-16-le"), "\ufeff<html>".encode("utf-16-be"), b'<?xml version="1.0"?><a/>',
                        b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>'):
            for extension in ("jpg", "png", "html", ""):
                self.is_absent(content, extension)

    def test_svg_is_shut_in_whatever_its_name(self):
        for content in (tidepool.make_image("image/svg+xml"), b"<svg>", b"<SVG onload=alert(1)>", b"\xef\xbb\xbf \n<svg/>",
                        b'<?xml version="1.0"?><svg/>', b'<?xml version="1.0"?>\n<!-- a --><!DOCTYPE svg><svg onload="a"/>',
                        b"<!-- a --><svg>", b"<!-- a --><!-- b -->\n<svg>", b"<!DOCTYPE svg><svg>",
                        tidepool.make_image("image/svg+xml", LARGE)):
            for extension in ("svg", "jpg", "png", "SVG", ""):
                self.is_shut_in(self.is_type(content, "image/svg+xml", extension))

    def test_text_that_is_named_svg_is_shut_in(self):
        self.is_shut_in(self.is_type(b"no element at all\n", "image/svg+xml", "svg"))

    def test_polyglots_are_images_and_stay_so(self):
        for content_type in self.IMAGES:
            content = tidepool.make_image(content_type, 100) + b"<html><script>alert(1)</script></html>"
            self.is_free(self.is_type(content, content_type, "html"))

    def test_the_client_has_no_say(self):
        content = self.tree.image("say.jpg")
        plain = self.wire.get("/uploads/say.jpg") and self.wire.get("/uploads/say.jpg")
        for fields in (["Accept: text/html"], ["Accept: image/webp,image/avif"], ["Accept-Encoding: gzip, br, zstd"],
                       ["Accept-Language: de"], ["Origin: https://other.example"], ["Cookie: a=b"], ["Authorization: Basic YTpi"],
                       ["CF-Connecting-IP: 192.0.2.1"], ["X-Forwarded-For: 192.0.2.1"], ["Cache-Control: no-cache"],
                       ["Pragma: no-cache"], ["Cache-Control: only-if-cached"], ["Sec-Fetch-Dest: document"]):
            with self.subTest(fields=fields):
                answer = self.wire.get("/uploads/say.jpg", *fields)
                self.assertEqual((answer.status, answer.body), (200, content))
                self.assertEqual([field for field in answer.fields if field[0] != "date"],
                                 [field for field in plain.fields if field[0] != "date"])

    def test_disguises_are_counted(self):
        server = self.serve({"cache": {"freshness": "1h"}})  # each is looked at once
        server.tree.image("disguised.jpg", "image/png")
        server.tree.image("honest.png", "image/png")
        server.tree.put("page.jpg", b"<html>")
        for path, status in (("disguised.jpg", 200), ("honest.png", 200), ("page.jpg", 404)):
            for _ in range(2):
                self.assertEqual(server.get("/uploads/" + path).status, status)
        for name in ("tidepool_type_mismatch_total", "tidepool_type_refused_total"):
            self.assertEqual(server.metrics().sum(name), 1, name)


class AllowedTypes(TypesCase):
    SETTINGS = {"types": {"allowed": ["*"]}}

    def test_active_content_is_shut_in(self):
        for content, content_type, extension in (
                (b"<!DOCTYPE html><p>a", "text/html", "html"), (b"<html>", "text/html", "jpg"), (b"<script>", "text/html", ""),
                (b"plain words\n", "text/html", "html"), (b"<?xml version='1.0'?><a/>", "application/xml", "xml"),
                (b"<?xml version='1.0'?><a/>", "application/xml", "jpg"), (b"plain words\n", "application/xml", "xml"),
                (b"\xff\xfe<\0h\0t\0m\0l\0>\0", "text/html", "txt"), (b"alert(1)\n", "text/javascript", "js"),
                (b"%PDF-1.7\n", "application/pdf", "pdf"), (b"<svg/>", "image/svg+xml", "txt")):
            self.is_shut_in(self.is_type(content, content_type, extension))

    def test_other_content_is_not(self):
        for content, content_type, extension in (
                (b"plain words\n", "text/plain", "txt"), (b"a { color: red }\n", "text/css", "css"),
                (b"{}\n", "application/json", "json"), (box("isom"), "video/mp4", "mp4"),
                (b"\x1a\x45\xdf\xa3" + PIXELS, "video/webm", "webm"), (b"PK\x03\x04" + PIXELS, "application/zip", "jar"),
                (b"plain words\n", "application/octet-stream", "jpg"), (PIXELS, "application/octet-stream", "txt"),
                (PIXELS, "application/octet-stream", "html"), (PIXELS, "application/octet-stream", ""),
                (b"", "application/octet-stream", "jpg")):
            self.is_free(self.is_type(content, content_type, extension))


class ChosenTypes(TypesCase):
    SETTINGS = {"types": {"allowed": ["image/png", "video/*"]}}

    def test_only_what_is_chosen(self):
        self.is_type(tidepool.make_image("image/png"), "image/png")
        self.is_type(box("isom"), "video/mp4", "mp4")
        for content_type in ("image/jpeg", "image/svg+xml", "text/html"):
            self.is_absent(tidepool.make_image(content_type))


class Fields(TypesCase):
    @classmethod
    def fill(cls):
        cls.small = cls.tree.image("small.jpg", size=1000, mtime=1_600_000_000)
        cls.large = cls.tree.image("large.jpg", size=LARGE, mtime=1_600_000_000)

    def test_exactly_these(self):
        """Nothing that would vary, identify or set a cookie: whatever is new here must be wanted."""
        expected = ["accept-ranges", "cache-control", "cache-status", "content-length", "content-type", "date", "etag",
                    "last-modified", "x-content-type-options"]
        for name in ("small.jpg", "large.jpg"):
            for _ in range(2):
                answer = self.wire.get("/uploads/" + name)
                self.assertEqual(sorted(field for field, _ in answer.fields), expected)
        self.tree.put(f"{UUID}.jpg", self.small)
        answer = self.wire.get(f"/uploads/{UUID}.jpg")
        self.assertEqual(sorted(field for field, _ in answer.fields), sorted([*expected, "cache-tag", "cloudflare-cdn-cache-control"]))

    def test_validators(self):
        for name, content in (("small.jpg", self.small), ("large.jpg", self.large)):
            answer = self.wire.get("/uploads/" + name)
            self.assertEqual(answer["etag"], tidepool.etag_of(content))
            self.assertEqual(answer["last-modified"], "Sun, 13 Sep 2020 12:26:40 GMT")
            self.assertEqual(answer["accept-ranges"], "bytes")
            self.assertEqual(answer["content-length"], str(len(content)))

    def test_last_modified_follows_the_file(self):
        self.tree.image("touched.jpg", mtime=1_500_000_000)
        self.assertEqual(self.wire.get("/uploads/touched.jpg")["last-modified"], "Fri, 14 Jul 2017 02:40:00 GMT")
        os.utime(self.tree.path / "touched.jpg", (1_500_000_000, 1_500_000_000 + 86400))
        tidepool.eventually(lambda: self.wire.get("/uploads/touched.jpg")["last-modified"] == "Sat, 15 Jul 2017 02:40:00 GMT",
                            "the new time is seen")

    def test_date_is_now(self):
        for path in ("/uploads/small.jpg", "/uploads/absent.jpg"):
            before = int(time.time())
            date = email.utils.parsedate_to_datetime(self.wire.get(path)["date"]).timestamp()
            self.assertTrue(before - 2 <= date <= time.time() + 1, (before, date))

    def test_date_goes_on(self):
        first = self.wire.get("/uploads/small.jpg")["date"]
        tidepool.eventually(lambda: self.wire.get("/uploads/small.jpg")["date"] != first, "the clock ticks")

    def test_nothing_is_kept_in_memory_where_that_is_off(self):
        server = self.serve({"cache": {"freshness": "1h", "memory": "0B", "memory_object_max": "0B"}})
        content = server.tree.image("a.jpg")
        for expected in ("tidepool; fwd=uri-miss; stored; detail=disk", "tidepool; hit; detail=file"):
            answer = server.get("/uploads/a.jpg")
            self.assertEqual((answer.body, answer["cache-status"]), (content, expected))


class CacheStatus(TypesCase):
    SETTINGS = {"cache": {"freshness": "1h"}}

    def test_cache_status(self):
        miss, absent_miss = "tidepool; fwd=uri-miss; stored; detail=disk", "tidepool; fwd=uri-miss; detail=absent"
        self.tree.image("status-small.jpg", size=1000)
        self.tree.image("status-large.jpg", size=LARGE)
        for name, hit in (("status-small.jpg", "memory"), ("status-large.jpg", "file")):
            got = [self.wire.get("/uploads/" + name)["cache-status"] for _ in range(2)]
            self.assertEqual(got, [miss, f"tidepool; hit; detail={hit}"])
        got = [self.wire.get("/uploads/status-absent.jpg")["cache-status"] for _ in range(2)]
        self.assertEqual(got, [absent_miss, "tidepool; hit; detail=absent"])
        for fields in (["If-None-Match: *"], ["Range: bytes=0-9"], ["Range: bytes=0-9,500-509"]):
            self.assertEqual(self.wire.get("/uploads/status-small.jpg", *fields)["cache-status"], "tidepool; hit; detail=memory")
        self.tree.image("status-range.jpg", size=1000)
        self.assertEqual(self.wire.get("/uploads/status-range.jpg", "Range: bytes=0-9")["cache-status"], miss)
        self.tree.image("status-304.jpg", size=1000)
        self.assertEqual(self.wire.get("/uploads/status-304.jpg", "If-None-Match: *")["cache-status"], miss)


class DefaultLifetimes(TypesCase):
    def lifetime(self, path, *fields, status=200, method="GET"):
        answer = self.wire.get(path, *fields, method=method)
        self.assertEqual(answer.status, status)
        return answer["cache-control"], answer.get("cdn-cache-control"), answer.get("cloudflare-cdn-cache-control")

    def test_names_that_never_get_other_content(self):
        for name in (f"{UUID}.jpg", f"{UUID}_thumb.jpg", f"2024/01/{UUID}.png", f"{UUID}.tar.gz.jpg", f"{UUID}_"):
            with self.subTest(name=name):
                self.tree.image(name)
                for _ in range(2):
                    self.assertEqual(self.lifetime("/uploads/" + name), (FOREVER, None, EDGE_FOREVER))
                self.assertEqual(self.lifetime("/uploads/" + name, "Range: bytes=0-9", status=206), (FOREVER, None, EDGE_FOREVER))
                self.assertEqual(self.lifetime("/uploads/" + name, "Range: bytes=0-9,900-909", status=206),
                                 (FOREVER, None, EDGE_FOREVER))
                self.assertEqual(self.lifetime("/uploads/" + name, "If-None-Match: *", status=304), (FOREVER, None, EDGE_FOREVER))
                self.assertEqual(self.lifetime("/uploads/" + name, method="HEAD"), (FOREVER, None, EDGE_FOREVER))

    def test_other_names(self):
        for name in ("a.jpg", f"{UUID}", f"{UUID}x.jpg", f"{UUID.upper()}.jpg", f"a{UUID}.jpg", f"{UUID[:-1]}.jpg", f"{UUID}-1.jpg",
                     f"{UUID.replace('-', '')}.jpg", f"{UUID}.d/a.jpg", f"{UUID.replace('f', 'g')}.jpg"):
            with self.subTest(name=name):
                self.tree.image(name)
                for _ in range(2):
                    self.assertEqual(self.lifetime("/uploads/" + name), (SHORT, None, None))
                self.assertEqual(self.lifetime("/uploads/" + name, "Range: bytes=0-9", status=206), (SHORT, None, None))
                self.assertEqual(self.lifetime("/uploads/" + name, "If-None-Match: *", status=304), (SHORT, None, None))

    def test_answers_without_a_file(self):
        self.tree.image("a.jpg")
        for path in ("/uploads/absent.jpg", f"/uploads/{UUID}.jpg.absent", "/elsewhere", "/uploads/.hidden"):
            for _ in range(2):
                self.assertEqual(self.lifetime(path, status=404), (ABSENT, None, None))
        for path, status, method, *fields in (
                ("/uploads/a.jpg", 405, "DELETE"), ("/uploads/%00", 400, "GET"), ("/uploads/a.jpg", 204, "OPTIONS"),
                ("/uploads/a.jpg", 412, "GET", 'If-Match: "a"'), ("/uploads/a.jpg", 416, "GET", "Range: bytes=99999-")):
            self.assertEqual(self.lifetime(path, *fields, status=status, method=method), ("no-store", None, None))
        wire = self.connect()
        self.assertEqual(wire.get("/", "Expect: more")["cache-control"], "no-store")

    def test_a_failing_disk_is_not_remembered(self):
        server = self.serve()
        content = server.tree.image("a.jpg")
        server.tree.path.rename(server.folder / "away")
        for path in ("/uploads/a.jpg", f"/uploads/{UUID}.jpg"):
            for _ in range(2):
                answer = server.get(path)
                self.assertEqual((answer.status, answer["cache-control"]), (503, "no-store"))
                self.assertRegex(answer["retry-after"], r"^[1-9][0-9]*$")
                self.assertEqual(answer.all("etag") + answer.all("cloudflare-cdn-cache-control"), [])
        (server.folder / "away").rename(server.tree.path)
        answer = tidepool.eventually(lambda: (got := server.get("/uploads/a.jpg")).status == 200 and got, "the disk is back")
        self.assertEqual(answer.body, content)


class ConfiguredLifetimes(TypesCase):
    EXTRA = """
[[cache_control]]
status = ["200", "4xx"]
prefix = "uploads/private/"
cache_control = "private, no-cache"

[[cache_control]]
status = ["200"]
prefix = "uploads/thumbs/"
cache_control = "public, max-age=11"
cdn_cache_control = "max-age=12"
cloudflare_cdn_cache_control = "max-age=13"

[[cache_control]]
status = ["200"]
content_type = "image/png"
cache_control = "public, max-age=21"

[[cache_control]]
status = ["200"]
uuid_named = true
prefix = "uploads/u/"
cache_control = "public, max-age=31"

[[cache_control]]
status = ["200"]
content_type = "image/*"
prefix = "uploads/any/"
cache_control = "public, max-age=41"

[[cache_control]]
status = ["404"]
prefix = "uploads/soon/"
cache_control = "no-store"

[[cache_control]]
status = ["4xx"]
prefix = "uploads/gone/"
cache_control = "public, max-age=51"
cdn_cache_control = "max-age=52"
"""

    lifetime = DefaultLifetimes.lifetime

    def file(self, name, content_type="image/jpeg"):
        self.tree.image(name, content_type)
        got = {self.lifetime("/uploads/" + name) for _ in range(2)}
        got.add(self.lifetime("/uploads/" + name, "Range: bytes=1-2", status=206))
        got.add(self.lifetime("/uploads/" + name, "If-None-Match: *", status=304))
        self.assertEqual(len(got), 1, f"206 and 304 follow 200: {got}")
        return got.pop()

    def test_the_first_rule_that_matches_decides(self):
        for name, content_type, expected in (
                ("private/a.jpg", "image/jpeg", ("private, no-cache", None, None)),
                (f"private/{UUID}.png", "image/png", ("private, no-cache", None, None)),
                ("thumbs/a.jpg", "image/jpeg", ("public, max-age=11", "max-age=12", "max-age=13")),
                (f"thumbs/{UUID}.png", "image/png", ("public, max-age=11", "max-age=12", "max-age=13")),
                ("thumbs2/a.jpg", "image/jpeg", (SHORT, None, None)),
                ("x/thumbs/a.jpg", "image/jpeg", (SHORT, None, None)),
                ("a.png", "image/png", ("public, max-age=21", None, None)),
                ("disguised.jpg", "image/png", ("public, max-age=21", None, None)),
                ("disguised.png", "image/jpeg", (SHORT, None, None)),
                (f"u/{UUID}.jpg", "image/jpeg", ("public, max-age=31", None, None)),
                (f"{UUID}.jpg", "image/jpeg", (FOREVER, None, EDGE_FOREVER)),
                ("u/a.jpg", "image/jpeg", (SHORT, None, None)),
                ("any/a.gif", "image/gif", ("public, max-age=41", None, None)),
                ("any/a.svg", "image/svg+xml", ("public, max-age=41", None, None))):
            with self.subTest(name=name):
                self.assertEqual(self.file(name, content_type), expected)

    def test_absent_files(self):
        for path, expected in (("private/absent.jpg", ("private, no-cache", None, None)),
                               ("soon/absent.jpg", ("no-store", None, None)), ("absent.jpg", (ABSENT, None, None)),
                               ("gone/absent.jpg", ("public, max-age=51", "max-age=52", None)),
                               ("thumbs/absent.jpg", (ABSENT, None, None))):
            with self.subTest(path=path):
                for _ in range(2):
                    self.assertEqual(self.lifetime("/uploads/" + path, status=404), expected)

    def test_an_encoded_path_is_ruled_as_what_it_names(self):
        self.tree.image("thumbs/b.jpg")
        self.assertEqual(self.lifetime("/uploads/%74humbs/%62.jpg")[0], "public, max-age=11")


if __name__ == "__main__":
    tidepool.main()
