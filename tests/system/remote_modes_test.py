"""How an object of a bucket is served: streamed from the S3 API or the friendly host, or by a redirect; and what passes."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402

MIB = 1024 * 1024
UUID = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab"
PRIVATE_FIELDS = ("Cookie: session=secret", "Authorization: Bearer secret", "CF-Connecting-IP: 192.0.2.1",
                  "CF-Ray: 0123", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "Referer: https://a.example")


class Modes(cold.ColdCase):
    PUBLIC = True

    def friendly(self, **options):
        return self.serve_cold(pool={"origin": "friendly", "download_url": self.b2.friendly_url}, **options)

    def servers(self):
        self.put(f"{UUID}.jpg", 90_000)
        self.put("b.png", 2_000_000, "image/png")
        for origin, server in (("s3", self.serve_cold()), ("friendly", self.friendly())):
            self.b2.clear_requests()
            with self.subTest(origin=origin):
                yield origin, server

    def test_both_origins_serve_the_same(self):
        for origin, server in self.servers():
            for name in self.contents:
                self.assert_served(server, name)
                part = server.get(f"/uploads/{name}", "Range: bytes=100-80000")
                self.assertEqual(part.status, 206)
                self.assertTrue(part.body == self.contents[name][100:80_001])
                answer = server.get(f"/file/{cold.BUCKET}/uploads/{name}")
                self.assertTrue(answer.body == self.contents[name])
            self.assertEqual({entry.face for entry in self.fetches()}, {origin})
            self.assertEqual(len(self.fetches()), 2)

    def test_heads_and_304_make_no_call(self):
        for _, server in self.servers():
            for name, content in self.contents.items():
                head = server.get(f"/uploads/{name}", method="HEAD")
                self.assertEqual((head.status, head["content-length"]), (200, str(len(content))))
                same = server.get(f"/uploads/{name}", f"If-None-Match: {head['etag']}")
                self.assertEqual((same.status, same["etag"]), (304, head["etag"]))
                self.assertEqual(server.get(f"/uploads/{name}", 'If-Match: "x"').status, 412)
                self.assertEqual(server.get(f"/uploads/{name}", "Range: bytes=9000000-").status, 416)
            self.assertEqual(self.b2.requests, [])

    def test_ranges_that_would_cost_much_more_than_they_ask_for_are_refused(self):
        size = 12 * MIB
        content = self.put("big.png", size, "image/png")
        far_apart = "Range: bytes=" + ",".join(f"{number * MIB + 5}-{number * MIB + 5}" for number in range(12))
        for has_shelf in (True, False):
            server = self.serve_cold({} if has_shelf else {"shelf": {"path": ""}})
            refused = server.get("/uploads/big.png", far_apart)
            self.assertEqual((refused.status, refused["content-range"], refused["cache-control"]),
                             (416, f"bytes */{size}", "no-store"))
            self.assertEqual(self.fetches(), [])
            several = server.get("/uploads/big.png", "Range: bytes=0-9,500-509,5242880-5242889,5300000-5300009")
            self.assertEqual(several.status, 206)
            for first in (0, 500, 5_242_880, 5_300_000):
                self.assertIn(content[first:first + 10], several.body)
            large = server.get("/uploads/big.png", f"Range: bytes=0-{5 * MIB - 1},{6 * MIB}-{11 * MIB - 1}")
            self.assertEqual(large.status, 206)
            self.assertEqual(len(self.fetches()), 11 if has_shelf else 6)
        # What is on the disk costs nobody anything.
        server = self.serve_cold()
        self.assert_served(server, "big.png")
        self.assertEqual(server.get("/uploads/big.png", far_apart).status, 206)

    def test_nothing_of_the_origin_s_head_passes(self):
        for _, server in self.servers():
            fault = self.b2.fault("extra_headers", count=None, headers=[
                ("Set-Cookie", "a=b"), ("X-Amz-Meta-Secret", "s"), ("X-Bz-Info-Secret", "s"), ("X-Odd", "s"),
                ("Vary", "Cookie"), ("Via", "1.1 origin")])
            for name, kind in ((f"{UUID}.jpg", "image/jpeg"), ("b.png", "image/png")):
                answer = self.assert_served(server, name)
                allowed = {"date", "content-type", "content-length", "accept-ranges", "cache-control", "etag",
                           "cache-tag", "cdn-cache-control", "cloudflare-cdn-cache-control", "last-modified", "cache-status",
                           "x-content-type-options", "connection"}
                self.assertLessEqual({field for field, _ in answer.fields}, allowed)
                self.assertEqual(answer["content-type"], kind)
                lifetime = "public, max-age=31536000, immutable" if UUID in name else "public, max-age=300"
                self.assertEqual(answer["cache-control"], lifetime)
            fault.release()

    def test_nothing_of_the_client_s_head_passes_but_the_chain_of_proxies(self):
        for _, server in self.servers():
            answer = server.get("/uploads/b.png", *PRIVATE_FIELDS, "CDN-Loop: cloudflare; loops=1")
            self.assertEqual(answer.status, 200)
            entry, = self.fetches()
            self.assertEqual(entry.headers["cdn-loop"], "cloudflare; loops=1, tidepool")
            for name, value in entry.fields:
                self.assertFalse(name.startswith(("cf-", "cookie", "x-forwarded", "referer")), name)
                self.assertNotIn("secret", value)
                self.assertNotIn("192.0.2.1", value)

    def test_our_own_name_in_the_chain_is_a_loop(self):
        for _, server in self.servers():
            answer = server.get("/uploads/b.png", "CDN-Loop: cloudflare, tidepool")
            self.assertEqual((answer.status, answer.body, answer["cache-control"]), (508, b"", "no-store"))
            self.assertEqual(self.b2.requests, [])

    def test_a_redirect_costs_the_bucket_nothing(self):
        self.put(f"{UUID}.jpg")
        server = self.serve_cold(pool={"serve": "redirect", "public_base_url": "https://images-b2.example"})
        for method in ("GET", "HEAD"):
            answer = server.get(f"/uploads/{UUID}.jpg", method=method)
            self.assertEqual((answer.status, answer["location"], answer.body),
                             (302, f"https://images-b2.example/uploads/{UUID}.jpg", b""))
            self.assertEqual(answer["cache-control"], "public, max-age=300")
        self.assertEqual(server.get("/uploads/absent.jpg").status, 404)
        self.assertEqual(self.b2.requests, [])

    def test_a_file_that_is_put_beside_is_served(self):
        self.put("a.jpg")
        server = self.serve_cold()
        self.assertEqual(server.get("/uploads/new.jpg").status, 404)
        content = server.tree.image("new.jpg")
        tidepool.eventually(lambda: server.get("/uploads/new.jpg").body == content, "it shows")
        self.assert_served(server, "a.jpg")
        self.assertEqual(len(self.fetches()), 1)

    def test_what_is_on_the_shelf_outlives_restarts(self):
        self.put("a.jpg", 500_000)
        server = self.serve_cold()
        self.assert_served(server, "a.jpg")
        self.assertEqual(server.exit_of(server.take_over()), 0)
        self.assert_served(server, "a.jpg")
        server.stop_process()
        self.assert_served(self.serve_cold(folder=server.folder, scanned=False), "a.jpg")
        self.assertEqual(self.fetches(), [])


if __name__ == "__main__":
    tidepool.main()
