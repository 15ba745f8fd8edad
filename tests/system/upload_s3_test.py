"""Uploads where a bucket is all the storage there is: on the B2 simulator, and on a real S3, Ceph's gateway."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import pictures  # noqa: E402
import radosgw  # noqa: E402
import s3_client  # noqa: E402
import tidepool  # noqa: E402
import uploads  # noqa: E402
from pictures import picture, stamped  # noqa: E402
from uploads import IMAGES, INTERNAL_UPLOAD, NODE, ONE_PROFILE, OTHER_OWNER, OWNER, UPLOAD  # noqa: E402

MIB = 1024 * 1024
BASE = "https://images-b2.example"


class LoneBucketCase(uploads.UploadCase):
    """The bucket is the pool "cold", of the coldest tier that serves, and there is no other pool."""

    POOL = {"public_base_url": BASE}

    def pools(self, **options):
        return [self.bucket_pool(cold.BUCKET, "cold", **{**self.POOL, **options})]

    def bucket_pool(self, bucket, name, **options):
        return tidepool.bucket_pool(self.store(), bucket, name, **options)

    def store(self):
        return cold.Store(self.b2.s3_url, self.b2.region, self.b2.key)

    def token(self, max_bytes, owner=uploads.OWNER, pool=None, **options):
        return super().token(max_bytes, owner, self.pool_id("cold") if pool is None else pool, **options)

    def versions(self):
        """[key] of all that the bucket holds, one for each version."""
        return [key for key in self.b2.keys(cold.BUCKET) for _ in self.b2.versions(cold.BUCKET, key)]

    def assert_clean(self, *keys):
        """The bucket holds these keys, each once; nothing is on this machine's disk, and the catalog knows the same."""
        tidepool.eventually(lambda: not uploads.spooled(self.spool), lambda: f"left: {uploads.spooled(self.spool)}")
        self.assertEqual(sorted(self.versions()), sorted(keys))
        for tree in self.trees.values():
            self.assertEqual([path for path in tree.path.rglob("*") if path.is_file()], [])
        self.assertEqual(sorted(row["key"] for row in self.json("ls", "--limit", "0")), sorted(keys))


class Semantics:
    """What holds for any store."""

    def test_an_upload_lands_in_the_bucket(self):
        self.start(extra=ONE_PROFILE)
        for extension in ("jpg", "png", "gif", "webp", "avif"):
            with self.subTest(extension):
                content = picture(extension, 300, 200)
                session = self.session(len(content), processing={"profile": "original_only"})
                self.assertEqual((session["pool_id"], session["upload_url"]), (self.pool_id("cold"), BASE + UPLOAD))
                stored = self.accepted(self.upload(content, f"a.{extension}", session["token"]))
                self.assertEqual(stored["url"], BASE + uploads.path_of(stored["url"]))
                self.assertTrue(self.stored("cold")[uploads.path_of(stored["url"])[1:]] == content)
                answer = self.server.get(uploads.path_of(stored["url"]))
                self.assertEqual((answer.status, answer.body == content), (200, True))
        self.assert_clean(*self.stored("cold"))
        self.assert_balanced()

    def test_its_variants_are_made_and_answer(self):
        self.start()
        key = self.key()
        content = picture("jpg")
        stored = self.accepted(self.upload(content, "a.jpg", self.session(len(content), key)["token"]))
        uuid = stored["image_uuid"]
        self.wait_processed(uuid, key)
        held = self.stored("cold")
        image = self.image(uuid, key)
        self.assertEqual({uploads.base_of(leaf["url"]) for _, _, leaf in uploads.leaves(image)}, {BASE})
        served = self.assert_all_served(image)
        self.assertEqual(len(served), 9)
        self.assertEqual(set(held), set(served))
        for name, bytes_held in held.items():
            self.assertTrue(bytes_held == served[name], name)
        self.assert_clean(*served)
        self.assert_balanced()

    def test_it_is_all_there_after_a_restart(self):
        self.start(extra=ONE_PROFILE)
        key = self.key()
        content = picture("png", 300, 200)
        uuid = self.accepted(self.upload(content, "a.png"))["image_uuid"]
        self.wait_processed(uuid, key)
        self.server.stop_process()
        self.start(extra=ONE_PROFILE)
        served = self.assert_all_served(self.image(uuid, key))
        self.assertEqual(len(served), 2)
        again = self.accepted(self.upload(content, "a.png"))
        self.assertEqual((again["image_uuid"], again["duplicate"]), (uuid, True))
        self.assert_clean(*served)

    def test_the_same_file_at_once_is_one_object(self):
        self.start(extra='[[profile]]\nname = "small"\nwidth = 50\nformats = ["webp"]\nat_upload = []\n\n')
        for round_ in range(3):
            content = stamped(pictures.noise(100, 100, round_), f"{round_}")
            token = self.token(len(content))
            got = [self.accepted(answer)
                   for answer in uploads.at_once(6, lambda _, c=content, t=token: self.upload(c, "a.png", t))]
            self.assertEqual(len({image["image_uuid"] for image in got}), 1)
            self.assertEqual(sorted(image["duplicate"] for image in got), [False] + [True] * 5)
        other = self.accepted(self.upload(content, "a.png", owner=OTHER_OWNER))
        self.assertFalse(other["duplicate"])
        tidepool.eventually(lambda: len(self.versions()) == 4, lambda: f"one of each is left: {self.versions()}")
        self.assert_clean(*self.stored("cold"))

    def test_what_is_refused_is_not_put(self):
        self.start()
        content = pictures.noise(100, 100)
        for status, answer in ((415, self.upload(content, "a.jpg")), (415, self.upload(content[:20_000], "a.png")),
                               (413, self.upload(content, "a.png", self.token(1000))),
                               (400, self.send_form(uploads.form(uploads.file(content, "a.png"), ended=False),
                                                    self.token(MIB)))):
            self.assertEqual(answer.status, status, answer)
        self.assert_clean()

    def test_a_large_one(self):
        self.start()
        content = pictures.noise(2200, 1900)  # 12 MB
        token = self.session(len(content), processing={"profile": "original_only"})["token"]
        before = cold.anonymous_bytes(self.server.pid)
        stored = self.accepted(self.upload(content, "a.png", token))
        grown = cold.anonymous_bytes(self.server.pid) - before
        self.assertLess(grown, 24 * MIB, "it is not held in memory with its copies")
        path = uploads.path_of(stored["url"])
        self.assertTrue(self.server.get(path).body == content)
        self.assert_clean(path[1:])


class OnB2(Semantics, LoneBucketCase):
    """Also what goes wrong with the store."""

    def setUp(self):
        super().setUp()
        self.content = picture("png", 300, 200)

    def test_cold_pools_may_be_left_out(self):
        self.start({"fallback": False})
        self.assert_error(self.ask_session(1000, self.key()), 500, "no_storage_pool")

    def test_the_spools_disk_keeps_some_free(self):
        self.start({"spool_min_free": "1024TiB"})
        content = picture("png", 70, 70)
        self.assert_come_later(self.upload(content, "a.png"), 503, "service_unavailable")
        self.assert_clean()

    def test_a_store_that_fails_for_a_moment(self):
        self.start(extra=ONE_PROFILE)
        fault = self.b2.fault("error", status=503, code="ServiceUnavailable", method="PUT", count=1)
        stored = self.accepted(self.upload(self.content, "a.png"))
        self.assertEqual(fault.hits, 1)
        self.assertTrue(self.stored("cold")[uploads.path_of(stored["url"])[1:]] == self.content)

    def test_a_store_that_answers_wrongly_has_it_once(self):
        self.start(extra=ONE_PROFILE)
        key = self.key()
        self.b2.fault("error_after_store", method="PUT", count=1)
        uuid = self.accepted(self.upload(self.content, "a.png"))["image_uuid"]
        self.wait_processed(uuid, key)
        tidepool.eventually(lambda: len(self.versions()) == 2, lambda: f"no second version stays: {self.versions()}")
        self.assert_clean(*self.stored("cold"))

    def test_a_store_that_is_down(self):
        self.start(extra=ONE_PROFILE)
        self.b2.fault("error", status=503, code="ServiceUnavailable", count=None)
        answer = self.upload(self.content, "a.png")
        self.assertIn(answer.status, (500, 502, 503, 504), answer)
        self.assertEqual(answer["cache-control"], "no-store")
        self.assertIn("error", answer.json)
        self.assertEqual(self.versions(), [])
        self.b2.clear_faults()

        def taken():
            answer = self.upload(self.content, "a.png")
            return answer.status == 200 and answer
        stored = self.accepted(tidepool.eventually(taken, "it takes uploads again", 240, every_s=0.2))
        self.wait_processed(stored["image_uuid"], self.key())
        self.assert_clean(*self.stored("cold"))
        self.assertEqual(len(self.stored("cold")), 2)

    def test_who_tries_again_has_his_session(self):
        """The reservation of a try that the store did not take counts once, and is what the session said."""
        self.start(extra=ONE_PROFILE)
        key = self.key(OWNER, "--quota", f"{len(self.content) * 3 // 2}B")
        session = self.session(len(self.content), key, is_nsfw=True, processing={"profile": "original_only"})
        self.b2.fault("error", status=503, code="ServiceUnavailable", method="PUT", count=None)
        self.assert_come_later(self.upload(self.content, "a.png", session["token"]), 503, "service_unavailable")
        self.b2.clear_faults()
        stored = self.accepted(tidepool.eventually(
            lambda: (got := self.upload(self.content, "a.png", session["token"])).status != 503 and got,
            "the store takes it", 240, every_s=0.2))
        self.assertEqual(self.image(stored["image_uuid"], key)["app"], {"is_nsfw": True})
        self.assertTrue(self.api("GET", f"{IMAGES}/{stored['image_uuid']}/status", key).json["complete"])
        self.assert_clean(*self.stored("cold"))
        self.assertEqual(len(self.stored("cold")), 1)

    def test_a_try_that_failed_takes_no_quota_without_a_session(self):
        self.start(extra=ONE_PROFILE)
        self.key(OWNER, "--quota", f"{len(self.content) * 3 // 2}B")
        token = self.token(len(self.content))
        self.b2.fault("error", status=503, code="ServiceUnavailable", method="PUT", count=None)
        self.assert_come_later(self.upload(self.content, "a.png", token), 503, "service_unavailable")
        self.b2.clear_faults()
        self.accepted(tidepool.eventually(
            lambda: (got := self.upload(self.content, "a.png", token)).status != 503 and got,
            "the store takes it", 240, every_s=0.2))

    def test_a_replica_is_put_once(self):
        self.start({"replicate_secret": "env:TIDEPOOL_TEST_REPLICATE"})
        path = f"original/2026/02/25/{uploads.NO_UUID}.png"

        def replicate(content):
            form = uploads.form(uploads.field("pool_id", self.pool_id("cold")), uploads.field("stored_path", path),
                                uploads.field("size", len(content)), uploads.file(content, "a.png"),
                                uploads.field("sha256", uploads.sha256(content)))
            answer = self.send_form(form, uploads.REPLICATE_SECRET, uploads.REPLICATE, method="PUT")
            self.assertEqual((answer.status, answer.json["status"]), (200, "ok"), answer)
            return answer.json.get("reason")
        other = pictures.noise(100, 100, 2)
        for content, reason in ((self.content, None), (self.content, "exists"), (other, None), (other, "exists")):
            self.assertEqual(replicate(content), reason)
            self.assertEqual(self.stored("cold"), {f"uploads/{path}": content})
            self.assertEqual(self.versions(), [f"uploads/{path}"], "what was replaced would be billed")
        # What is gone there without our knowing is put again.
        self.b2.delete(cold.BUCKET, f"uploads/{path}")
        self.assertEqual(replicate(other), None)
        self.assertEqual(self.stored("cold"), {f"uploads/{path}": other})
        self.assert_clean(f"uploads/{path}")
        self.assert_balanced()

    def test_a_cap_on_what_is_stored(self):
        self.start()
        self.b2.fault("error", status=403, code="AccessDenied", message="Cannot upload files, storage cap exceeded.",
                      method="PUT", count=None)
        answer = self.upload(self.content, "a.png")
        self.assertIn(answer.status, (500, 503, 507), answer)
        self.assertNotIn(self.b2.key.id, answer.body.decode())
        self.assert_clean()

    def test_a_client_that_leaves_leaves_nothing(self):
        self.start()
        content = pictures.noise(400, 300)
        body = uploads.form(uploads.file(content, "a.png"))
        for how in ("fin", "rst"):
            wire = self.wire()
            wire.send(self.head_of(self.token(len(content)), len(body)) + body[:len(body) // 2])
            if how == "rst":
                wire.reset()
            else:
                wire.finish_sending()
                wire.read_to_end()
        self.assert_clean()

    def test_who_does_not_wait_for_the_answer_costs_no_copy(self):
        """The upload is done while the bucket is slow, and its client has gone."""
        self.start(extra=ONE_PROFILE)
        fault = self.b2.fault("slow_first_byte", seconds=2, method="PUT")
        body = uploads.form(uploads.file(self.content, "a.png"))
        wire = self.wire()
        wire.send(self.head_of(self.token(len(self.content)), len(body)) + body)
        fault.wait_hits(1)
        wire.reset()
        # Whatever became of it: who comes again gets the one image.
        stored = self.accepted(self.upload(self.content, "a.png"))
        self.wait_processed(stored["image_uuid"], self.key())
        tidepool.eventually(lambda: len(self.versions()) == 2, lambda: f"there is one original: {self.versions()}")
        self.assert_clean(*self.stored("cold"))

    def test_variants_wait_for_a_store_that_is_down(self):
        self.start(config={"jobs": {"threads": 0}}, extra=ONE_PROFILE)
        key = self.key()
        uuid = self.accepted(self.upload(self.content, "a.png"))["image_uuid"]
        self.server.stop_process()
        fault = self.b2.fault("error", status=503, code="ServiceUnavailable", method="PUT", count=3)
        self.start(extra=ONE_PROFILE)
        fault.wait_hits(1)
        self.wait_processed(uuid, key, patience_s=240)
        self.assert_clean(*self.assert_all_served(self.image(uuid, key)))

    def test_many_at_once(self):
        self.start({"parallel": 128}, extra='[[profile]]\nname = "small"\nwidth = 50\nat_upload = []\n\n')
        contents = [pictures.noise(120, 100, seed) for seed in range(40)]
        tokens = [self.token(len(content)) for content in contents]
        got = [self.accepted(answer) for answer in uploads.at_once(
            len(contents), lambda number: self.upload(contents[number], "a.png", tokens[number]))]
        held = self.stored("cold")
        for image, content in zip(got, contents):
            self.assertTrue(held[uploads.path_of(image["url"])[1:]] == content)
        self.assert_clean(*held)
        self.assertEqual(len(held), len(contents))
        self.assert_balanced()


class AfterAMove(LoneBucketCase):
    """The URLs that answers name are those of where the image is."""

    OTHER_BUCKET, OTHER_BASE, SITE = "tidepool-other", "https://other.example", "https://site.example"

    def setUp(self):
        super().setUp()
        self.b2.bucket(self.OTHER_BUCKET)

    def pools(self, **options):
        return [*super().pools(priority=1, **options),
                self.bucket_pool(self.OTHER_BUCKET, "other", priority=500, public_base_url=self.OTHER_BASE),
                {"name": "attic", "storage_tier": "archive", "base_path": self.trees["warm"].path, "priority": 900,
                 "upload_api_url": NODE + INTERNAL_UPLOAD}]

    def test_urls_follow_the_image(self):
        self.start({"public_base_url": self.SITE}, extra=ONE_PROFILE)
        key = self.key()
        content = picture("png", 300, 200)
        stored = self.accepted(self.upload(content, "a.png"))
        uuid = stored["image_uuid"]
        self.assertEqual(uploads.base_of(stored["url"]), BASE)
        self.wait_processed(uuid, key)
        paths = {uploads.path_of(leaf["url"]) for _, _, leaf in uploads.leaves(self.image(uuid, key))}
        for pool, base in (("other", self.OTHER_BASE), ("attic", self.SITE), ("cold", BASE)):
            with self.subTest(pool):
                self.tool("mv", uuid, "--to", pool)
                self.wait_for_jobs()
                image = self.image(uuid, key)
                self.assertEqual({leaf["url"] for _, _, leaf in uploads.leaves(image)}, {base + path for path in paths})
                self.assert_all_served(image)
                again = self.accepted(self.upload(content, "a.png"))
                self.assertEqual((again["image_uuid"], again["duplicate"]), (uuid, True))
                self.assertEqual(again["url"], base + uploads.path_of(stored["url"]))
                self.assertTrue(self.api("GET", f"{IMAGES}/{uuid}/status", key).json["complete"])
        self.assert_balanced()

    def test_an_image_that_moves_while_it_is_processed(self):
        self.start()
        key = self.key()
        uuid = self.accepted(self.upload(picture("jpg"), "a.jpg"))["image_uuid"]
        self.tool("mv", uuid, "--to", "other")
        self.wait_processed(uuid, key)
        self.wait_for_jobs()
        image = self.image(uuid, key)
        self.assert_all_served(image)
        rows = {row["key"]: row["pool"] for row in self.json("ls", "--limit", "0")}
        self.assertEqual(rows, {uploads.path_of(leaf["url"])[1:]: "other" for _, _, leaf in uploads.leaves(image)})
        self.assertEqual(self.b2.keys(cold.BUCKET), [])
        self.assertEqual(sorted(self.b2.keys(self.OTHER_BUCKET)), sorted(rows))


class OnRadosgw(Semantics, LoneBucketCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = radosgw.Radosgw()
        cls.client = s3_client.S3Client(cls.s3.url, cls.s3.key, cls.s3.region)
        cls.buckets = 0

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.s3.stop()

    def setUp(self):
        super().setUp()
        self.environment["TIDEPOOL_TEST_S3_SECRET"] = self.s3.key.secret
        type(self).buckets += 1
        self.bucket = f"uploads-{self.buckets}"
        self.client.create_bucket(self.bucket, versioned=True)

    def pools(self, **options):
        return [self.bucket_pool(self.bucket, "cold", **{**self.POOL, **options})]

    def store(self):
        return cold.Store(self.s3.url, self.s3.region, self.s3.key)

    def stored(self, pool):
        if pool != "cold":
            return super().stored(pool)
        return {key: self.client.get(self.bucket, key).expect(200).body for key in self.client.keys(self.bucket)}

    def versions(self):
        return [key for key, *_ in self.client.versions(self.bucket)]


if __name__ == "__main__":
    tidepool.main()
