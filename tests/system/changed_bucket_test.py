"""What the server believes of a bucket's objects while somebody else changes bucket and catalog, or the bucket is wrong."""

import hashlib
import json
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402

SLICE = 1024 * 1024


class ChangedCase(cold.ColdCase):
    def tool(self, server, *arguments):
        status, out, error = tidepool.run_tool(arguments[0], "-c", str(server.config_file), *arguments[1:],
                                               environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
        self.assertEqual(status, 0, error)
        return out

    def row(self, server, name):
        return json.loads(self.tool(server, "stat", "--json", f"uploads/{name}"))

    def friendly(self):
        return {"origin": "friendly", "download_url": self.b2.friendly_url}

    def replace(self, name, content):
        self.b2.put(cold.BUCKET, f"uploads/{name}", content, "image/jpeg")

    def begun_answer(self, server, name):
        """Asks for an object that comes slowly; gives the thread that takes the answer, and where it puts it."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.get(f"/uploads/{name}")))
        thread.start()
        self.b2.wait_requests(1, operation="GetObject")
        return thread, answers


class Rows(ChangedCase):
    def test_the_end_of_an_old_fetch_does_not_undo_a_new_row(self):
        old = self.put("a.jpg", 1_500_000)
        server = self.serve_cold()
        self.b2.fault("trickle", method="GET", bytes_per_s=700_000)
        thread, answers = self.begun_answer(server, "a.jpg")
        new = tidepool.make_image("image/jpeg", 1_200_000, "new")
        self.replace("a.jpg", new)
        cold.scan(server, self.b2.key.secret)
        thread.join()
        self.assertTrue(answers[0].body == old)

        def is_new():
            return server.get("/uploads/a.jpg").body == new
        tidepool.eventually(is_new, "the new one is served")
        self.assertIn(str(len(new)), json.dumps(self.row(server, "a.jpg")))
        self.assertNotIn(hashlib.sha256(old).hexdigest(), json.dumps(self.row(server, "a.jpg")))
        self.assertTrue(is_new())

    def test_the_end_of_an_old_fetch_does_not_bring_back_what_was_removed(self):
        self.put("a.jpg", 1_500_000)
        server = self.serve_cold()
        self.b2.fault("trickle", method="GET", bytes_per_s=700_000)
        thread, answers = self.begun_answer(server, "a.jpg")
        self.tool(server, "rm", "uploads/a.jpg")
        thread.join()
        tidepool.eventually(lambda: server.get("/uploads/a.jpg").status == 404, "it is gone")
        self.assertEqual(self.tool(server, "ls").strip(), "")

    def test_what_was_fetched_well_is_known_from_then_on(self):
        content = self.put("a.jpg", 300_000)
        server = self.serve_cold()
        listed = server.get("/uploads/a.jpg", method="HEAD")["etag"]
        self.assertTrue(listed.startswith('"s-'))
        self.assert_served(server, "a.jpg")
        tidepool.eventually(lambda: hashlib.sha256(content).hexdigest() in json.dumps(self.row(server, "a.jpg")), "learnt")
        self.assertEqual(server.get("/uploads/a.jpg")["etag"], tidepool.etag_of(content))

    def test_a_wrong_body_is_never_learnt(self):
        for size in (300_000, 3_000_000):
            with self.subTest(size=size):
                name = f"{size}.jpg"
                content = self.put(name, size)
                server = self.serve_cold()
                fault = self.b2.fault("wrong_body", count=None, method="GET")
                try:
                    answer = server.get(f"/uploads/{name}")
                    self.assertEqual(answer.status, 502)
                except (tidepool.NotHttp, ConnectionResetError):
                    self.assertGreater(size, SLICE)  # it was being streamed, and is not ended as if whole
                fault.release()
                tidepool.eventually(lambda: server.get(f"/uploads/{name}").status == 200, "well again")
                self.assert_served(server, name)
                tidepool.eventually(
                    lambda: hashlib.sha256(content).hexdigest() in json.dumps(self.row(server, name)), "learnt")


class Versions(ChangedCase):
    PUBLIC = True

    def test_slices_are_of_one_version(self):
        for origin, pool in (("s3", {}), ("friendly", self.friendly())):
            with self.subTest(origin=origin):
                name = f"{origin}.jpg"
                old = self.put(name, 3 * SLICE + 5)
                server = self.serve_cold(pool=pool)
                part = server.get(f"/uploads/{name}", "Range: bytes=0-1000")
                self.assertTrue(part.body == old[:1001])
                tidepool.eventually(lambda: self.shelf_files(server), "the first slice is kept")
                self.replace(name, bytes(byte ^ 0x55 for byte in old))  # of the same size
                try:
                    part = server.get(f"/uploads/{name}", f"Range: bytes={SLICE - 1000}-{SLICE + 1000}")
                    self.assertTrue(part.status != 206 or part.body == old[SLICE - 1000:SLICE + 1001], "a mixture")
                except (tidepool.NotHttp, ConnectionResetError):
                    pass  # broken off within

    def assert_whole_or_refused(self, client):
        """It has all of the right bytes, or was answered with an error of its own, or can see that its answer broke off."""
        refused = client.whole and client.end != "rst" and client.status in (502, 503, 504)
        self.assertTrue(client.served or refused or not client.whole, client)

    def replaced_or_wrong_while_one_is_slow(self, server, old, wrong):
        if wrong:
            self.b2.fault("wrong_body", count=None, method="GET")
        self.b2.fault("slow_first_byte", count=1, method="GET", seconds=0.5)
        slow, fast = cold.Client("/uploads/a.jpg", old), cold.Client("/uploads/a.jpg", old)
        slow.limit = 10_000
        with cold.Crowd(server, [slow, fast], receive_buffer=65536) as crowd:
            crowd.run(until=lambda client: client.finished or (client is slow and client.received >= 10_000))
            if not wrong:
                self.replace("a.jpg", bytes(byte ^ 0x5a for byte in old))
            slow.limit = None
            crowd.run(clients=[slow])
        self.assert_whole_or_refused(slow)
        self.assert_whole_or_refused(fast)

    def test_who_was_left_behind_goes_on_with_the_same_version(self):
        for pool in ({}, self.friendly()):
            for wrong in (False, True):
                with self.subTest(pool=pool, wrong=wrong):
                    old = self.put("a.jpg", 12_000_000)
                    server = self.serve_cold({"server": {"threads": 2}, "shelf": {"path": ""}}, hashed=True, pool=pool)
                    try:
                        self.replaced_or_wrong_while_one_is_slow(server, old, wrong)
                    finally:  # what one failed with must not be met by the next
                        self.b2.clear_faults()
                        server.stop_process()


class Refusals(ChangedCase):
    def test_a_missing_object_is_not_asked_for_again_at_once(self):
        self.put("a.jpg")
        server = self.serve_cold({"cache": {"freshness": "60s"}})
        self.b2.delete(cold.BUCKET, "uploads/a.jpg")
        for _ in range(20):
            answer = server.get("/uploads/a.jpg")
            self.assertEqual((answer.status, answer["cache-control"]), (404, "public, max-age=60"))
        self.assertEqual(len(self.fetches()), 1)

    def test_a_cdn_loop_without_end_is_not_passed_on(self):
        self.put("a.jpg")
        server = self.serve_cold()
        long = "CDN-Loop: " + ", ".join(f"cdn-{number}" for number in range(1000))
        self.assertEqual(server.get("/uploads/a.jpg", long).status, 508)
        self.assertEqual(self.fetches(), [])
        self.assertEqual(server.get("/uploads/a.jpg", "CDN-Loop: cloudflare; loops=1; subreqs=1").status, 200)
        self.assertEqual(len(self.fetches()), 1)

    def test_a_slow_reader_s_fetch_shows_that_the_bucket_is_well(self):
        self.put("big.jpg", 12_000_000)
        self.put("small.jpg", 50_000)
        server = self.serve_cold({"shelf": {"path": ""}, "origin": {**cold.IMPATIENT, "tries": 1}})
        fault = self.b2.fault("error", method="GET", count=None, status=500)

        def is_open():
            server.get("/uploads/small.jpg")
            return server.metrics().sum("tidepool_origin_breaker_open", pool="cold") == 1
        tidepool.eventually(is_open, "the breaker is open")
        fault.release()
        tidepool.eventually(lambda: not server.metrics().sum("tidepool_origin_breaker_open", pool="cold"),
                            "it may be tried out")
        slow = cold.Client("/uploads/big.jpg", self.contents["big.jpg"])
        slow.limit = 100_000
        with cold.Crowd(server, [slow], receive_buffer=4096) as crowd:
            crowd.run(until=lambda client: client.received >= 50_000)
            self.assert_served(server, "small.jpg")


if __name__ == "__main__":
    tidepool.main()
