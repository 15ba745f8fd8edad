"""An image's life in front of the edge: uploaded, hit, cached, moved to cold, hit, hidden, shown, deleted and purged; and at no
step does the edge serve somebody what he should not have."""

import base64
import hashlib
import hmac
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402
import uploads  # noqa: E402
from behind_edge import PAGE, BehindEdgeCase  # noqa: E402
from pictures import picture  # noqa: E402

SIGNING_KEY = "a key of a private image host"
PROFILES = uploads.ONE_PROFILE
DAY_S = 86_400


class Life(uploads.UploadCase, BehindEdgeCase):
    def pools(self, **options):
        hot = super().pools(**options)
        store = cold.Store(self.b2.s3_url, self.b2.region, self.b2.key)
        return [*hot, tidepool.bucket_pool(store, cold.BUCKET, "cold")]

    def start(self, **config):
        self.environment["TIDEPOOL_TEST_PRIVATE"] = SIGNING_KEY
        sections = {"private": {"signing_key": "env:TIDEPOOL_TEST_PRIVATE"}, "purge": self.zone(),
                    "cache": {"freshness": "100ms"}, **config}
        server = super().start(config=sections, extra=PROFILES)
        self.edge.origin = server.address
        return server

    def stored_image(self):
        """Uploads one, and has all made of it that visitors can have: {path: content}."""
        content = picture("jpg", 300, 200)
        stored = self.accepted(self.upload(content))
        self.uuid = stored["image_uuid"]
        original = uploads.path_of(stored["url"])
        folder = original.replace("/original/", "/variants/").rpartition(".")[0]
        contents = {original: content}
        for path in (f"{folder}_small.webp", f"{folder}.webp"):
            answer = self.server.get(path)
            if answer.status == 200:
                contents[path] = answer.body
        self.assertIn(f"{folder}_small.webp", contents)
        return contents

    def seen(self, path, fields=()):
        answer = self.visit(path, *fields)
        return answer.status, answer.get("cf-cache-status"), answer.body

    def all_of(self):
        """Each way to ask for all that there is of the image."""
        return [(path, fields) for path in self.contents for fields in ((), (("Origin", PAGE),))]

    def assert_served(self, *caches):
        """Everybody gets all of it, from where each of `caches` says, one request after the other."""
        for path, fields in self.all_of():
            for cache in caches:
                self.assertEqual(self.seen(path, fields), (200, cache, self.contents[path]), path)

    def assert_refused(self, *statuses):
        """Nobody gets any byte of it, and the edge stores no refusal of what others may have."""
        for path, fields in self.all_of():
            for _ in range(2):
                status, cache, body = self.seen(path, fields)
                self.assertIn(status, statuses, path)
                self.assertNotIn(self.contents[path][:100], body)
                if status == 403:
                    self.assertNotEqual(cache, "HIT")

    def signed(self, path):
        return json.loads(self.tool("sign", path, "--json"))["url"]

    def purged_by(self, count):
        """Waits until so many purges in all have ended well."""
        def done():
            jobs = self.purges()
            self.assertNotIn("failed", {job["state"] for job in jobs}, jobs)
            return sum(job["state"] == "done" for job in jobs) >= count and all(job["state"] == "done" for job in jobs)
        tidepool.eventually(done, "the edge has forgotten", every_s=0.1)

    def test_an_image_that_is_public_moved_hidden_shown_and_deleted(self):
        self.start()
        self.contents = self.stored_image()
        with self.subTest("uploaded, hit and cached"):
            self.assert_served("MISS", "HIT", "HIT")
        with self.subTest("moved to cold"):
            self.tool("mv", self.uuid, "--to", "cold")
            self.wait_for_jobs()
            self.assertEqual({row["pool"] for row in self.json("ls", "--limit", "0")}, {"cold"})
            self.assert_served("HIT")
            # When it has grown old there it is the same still, by its ETag.
            self.edge.clock_offset_s += 30 * DAY_S + 3600  # stale, for no longer than it may be
            fetched = len(self.edge.fetches)
            for path, fields in self.all_of():
                status, cache, body = self.seen(path, fields)
                self.assertEqual((status, body == self.contents[path]), (200, True), path)
                self.assertIn(cache, ("UPDATING", "REVALIDATED"))
            # The edge asks for some of it behind its visitors' backs.
            tidepool.eventually(lambda: len(self.edge.fetches) >= fetched + len(self.all_of())
                                and all(fetch.status for fetch in self.edge.fetches[fetched:]), "it is asked for anew")
            self.assertEqual({fetch.status for fetch in self.edge.fetches[fetched:]}, {304})
            tidepool.eventually(lambda: self.seen(*self.all_of()[0])[1] == "HIT", "it is as new")
        with self.subTest("hidden"):
            self.good("PATCH", f"/images/{self.uuid}", {"visibility": "private"})
            self.purged_by(1)
            self.edge.clock_offset_s += 10
            self.assert_refused(403)
            for path in self.contents:
                url = self.signed(path)
                for _ in range(2):
                    self.assertEqual(self.seen(url), (200, "BYPASS", self.contents[path]))
                self.assertEqual(self.seen(url[:-1] + ("A" if url[-1] != "A" else "B"))[0], 403)
                late = self.signed_at(path, int(time.time()) - 2 * DAY_S)
                self.assertEqual(self.seen(late)[0], 410)
            self.assert_refused(403)
        with self.subTest("shown"):
            self.good("PATCH", f"/images/{self.uuid}", {"visibility": "public"})
            self.purged_by(2)
            self.edge.clock_offset_s += 10
            for path, fields in self.all_of():
                self.assertEqual(self.seen(path, fields)[0], 200)
            self.assert_served("HIT")
        with self.subTest("deleted"):
            self.good("DELETE", f"/images/{self.uuid}", status=202)
            self.purged_by(3)
            self.edge.clock_offset_s += 10
            self.assert_refused(410)
            self.edge.clock_offset_s += DAY_S
            self.assert_refused(410, 404)
        self.wait_for_jobs()
        self.assertEqual(self.stored("hot"), {})
        self.assertEqual(self.b2.keys(cold.BUCKET), [])

    def signed_at(self, path, at):
        """As somebody signed it then."""
        mac = hmac.new(SIGNING_KEY.encode(), f"{path}{at:010}".encode(), hashlib.sha256).digest()
        return f"{path}?verify={at:010}-{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    def test_an_image_that_is_deleted_while_the_edge_cannot_be_told(self):
        """The origin refuses at once; the edge serves what it has until it is told, which is not forgotten."""
        self.start()
        self.contents = self.stored_image()
        self.assert_served("MISS", "HIT")
        self.edge.fail_purges(3)
        self.good("DELETE", f"/images/{self.uuid}", status=202)
        for path in self.contents:
            self.assertEqual(self.server.get(path).status, 410)
        self.purged_by(1)
        self.edge.clock_offset_s += 10
        self.assert_refused(410)


if __name__ == "__main__":
    tidepool.main()
