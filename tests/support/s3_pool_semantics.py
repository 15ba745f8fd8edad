"""What the driver must do on any S3 with versioning, run against the B2 simulator and against a real server."""

import hashlib
import itertools
import os
import pathlib
import tempfile

import s3_pool

MIB = 1024 * 1024
AWKWARD = ["with blank.jpg", "plus+and@=()*!'.jpg", "per%cent%2F.jpg", "ümläut/日本.jpg", "a&b=c;d,e:f$g.jpg",
           "til~de-_..jpg"]


class PoolSemantics:
    """A mixin; the class sets url, region, key, client (tests/support/s3_client.py), part_size and checks_region."""

    _numbers = itertools.count(1)

    def setUp(self):
        held = tempfile.TemporaryDirectory(prefix="tidepool.")
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)
        self.bucket = f"pool-{next(self._numbers)}"
        self.create(self.bucket)
        self.pool = s3_pool.S3Pool(self.folder, self.url, self.region, self.bucket, self.key)

    def refused(self, kind, call, *arguments):
        with self.assertRaises(s3_pool.PoolError) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.kind, kind, caught.exception)
        self.assertTrue(caught.exception.pool)
        return caught.exception

    def test_what_was_put_comes_back_with_all_that_was_said(self):
        data = os.urandom(3 * MIB + 17)
        digest = hashlib.sha256(data).hexdigest()
        stored = self.pool.put("uploads/a.jpg", data)
        self.assertEqual((stored["size"], stored["sha256"]), (len(data), digest))
        self.assertEqual(stored["etag"], hashlib.md5(data).hexdigest())
        self.assertTrue(stored["version"])
        for said in (self.pool.run("head", "uploads/a.jpg"), self.pool.get("uploads/a.jpg")[1]):
            self.assertEqual(said, stored)
        self.assertEqual(self.pool.get("uploads/a.jpg")[0], data)
        answer = self.client.head(self.bucket, "uploads/a.jpg").expect(200)
        self.assertEqual(answer["content-type"], "image/jpeg")
        self.assertEqual(answer["cache-control"], "public, max-age=31536000, immutable")
        self.assertEqual(answer["x-amz-meta-sha256"], digest)

    def test_empty_objects(self):
        self.pool.put("empty", b"")
        data, said = self.pool.get("empty")
        self.assertEqual((data, said["size"]), (b"", 0))

    def test_ranges(self):
        data = bytes(range(256)) * 16
        self.pool.put("a", data)
        for offset, length in ((0, 1), (1, 10), (4095, 1), (4000, 1000), (100, 0)):
            self.assertEqual(self.pool.get("a", offset, length)[0], data[offset:offset + length])
        self.assertEqual(self.pool.get("a", 4000)[0], data[4000:])
        self.assertEqual(self.pool.get("a", 5, 7)[1]["size"], 4096)
        self.refused("invalid", self.pool.get, "a", 4096)

    def test_absent_objects_and_buckets(self):
        self.refused("not_found", self.pool.get, "none")
        error = self.refused("not_found", self.pool.run, "head", "none")
        self.assertEqual((error.status, error.key), (404, "none"))
        self.refused("misconfigured", self.pool.having(bucket="nobodys-bucket").run, "check")

    def test_a_source_that_is_not_what_was_said_is_not_stored(self):
        self.refused("corrupt", self.pool.put, "a", b"some bytes", hashlib.sha256(b"others").hexdigest())
        self.refused("corrupt", self.pool.having(multipart_above=1, part_bytes=self.part_size).put, "a",
                     os.urandom(self.part_size + 1), "0" * 64)
        self.assertEqual(self.pool.keys(), [])
        self.assertEqual(self.client.versions(self.bucket), [])

    def test_awkward_names(self):
        for number, key in enumerate(AWKWARD):
            self.pool.put(key, b"%d" % number)
        for number, key in enumerate(AWKWARD):
            self.assertEqual(self.pool.get(key)[0], b"%d" % number)
            copied = self.pool.run("copy", key, "copy of " + key, 1)
            self.assertEqual(copied["key"], "copy of " + key)
        listed = self.pool.keys()
        self.assertEqual(listed, sorted(AWKWARD + ["copy of " + key for key in AWKWARD], key=str.encode))
        for key in AWKWARD:
            self.assertEqual(self.pool.keys(key), [key])
            self.pool.run("remove", key)
        self.assertEqual(len(self.pool.keys()), len(AWKWARD))

    def test_lists_are_whole_and_in_order_however_they_are_cut(self):
        keys = sorted(f"{folder}/{number}.jpg" for folder in ("a", "a-b", "b") for number in range(5))
        for key in keys:
            self.client.put(self.bucket, key, b"x").expect(200)
        self.client.delete(self.bucket, "b/0.jpg")
        keys.remove("b/0.jpg")
        for limit in (1, 2, 7, 14, 1000):
            self.assertEqual(self.pool.keys("", limit), keys)
            self.assertEqual(self.pool.keys("a/", limit), [key for key in keys if key.startswith("a/")])
        self.assertEqual(self.pool.keys("nothing/"), [])

    def test_a_prefix_is_put_before_every_key(self):
        inner = self.pool.having(prefix="site one/")
        inner.put("a.jpg", b"inner")
        self.pool.put("a.jpg", b"outer")
        self.assertEqual(inner.keys(), ["a.jpg"])
        self.assertEqual(self.pool.keys(), ["a.jpg", "site one/a.jpg"])
        self.assertEqual(inner.get("a.jpg")[0], b"inner")
        inner.run("remove", "a.jpg")
        self.assertEqual(self.pool.keys(), ["a.jpg"])

    def test_removing_leaves_no_version_and_no_marker(self):
        for number in range(4):
            self.client.put(self.bucket, "a", b"%d" % number).expect(200)
            self.client.delete(self.bucket, "a")
        self.client.put(self.bucket, "a", b"last").expect(200)
        for other in ("a.bak", "a/b", "A"):
            self.pool.put(other, b"other")
        self.pool.run("remove", "a")
        self.assertEqual({version[0] for version in self.client.versions(self.bucket)}, {"a.bak", "a/b", "A"})
        self.pool.run("remove", "a")
        self.pool.run("remove", "never there")
        # One that is hidden already.
        self.pool.put("b", b"1")
        self.client.delete(self.bucket, "b")
        self.pool.run("remove", "b")
        self.assertEqual(len(self.client.versions(self.bucket)), 3)

    def test_large_objects_go_in_parts(self):
        data = os.urandom(2 * self.part_size + 12345)
        parts = self.pool.having(multipart_above=1, part_bytes=self.part_size)
        stored = parts.put("large", data)
        self.assertEqual((stored["size"], stored["sha256"]), (len(data), hashlib.sha256(data).hexdigest()))
        self.assertTrue(stored["etag"].endswith("-3"), stored)
        self.assertEqual(self.pool.get("large")[0], data)
        self.assertEqual(self.pool.run("head", "large"), stored)
        self.assertEqual(self.pool.get("large", self.part_size - 5, 10)[0],
                         data[self.part_size - 5:self.part_size + 5])

    def test_uploads_that_nobody_continues_are_aborted(self):
        self.client.start_upload(self.bucket, "stray")
        self.assertEqual(self.pool.run("strays", 3600), 0)
        self.assertEqual(self.pool.run("strays", 0), 1)
        self.assertEqual(self.pool.run("strays", 0), 0)

    def test_copies_stay_within_the_store(self):
        data = os.urandom(MIB)
        digest = hashlib.sha256(data).hexdigest()
        other = self.bucket + "-other"
        self.create(other)
        self.pool.put("a", data)
        copied = self.pool.having(to_bucket=other).run("copy", "a", "x/b", len(data), digest)
        self.assertEqual((copied["size"], copied["sha256"]), (len(data), digest))
        self.assertEqual(self.pool.having(bucket=other).get("x/b")[0], data)
        answer = self.client.head(other, "x/b")
        self.assertEqual(answer["content-type"], "image/jpeg")
        self.refused("corrupt", self.pool.run, "copy", "a", "c", len(data) + 1)
        self.refused("corrupt", self.pool.run, "copy", "a", "c", len(data), "0" * 64)
        self.refused("not_found", self.pool.run, "copy", "none", "c", 1)

    def test_objects_move_to_a_folder_through_this_machine(self):
        data = os.urandom(3 * MIB)
        self.pool.put("a/b.jpg", data)
        (self.folder / "out").mkdir()
        stored = self.pool.run("copy_out", "a/b.jpg", "c/d.jpg", len(data), self.folder / "out")
        self.assertEqual((self.folder / "out/c/d.jpg").read_bytes(), data)
        self.assertEqual(stored["sha256"], hashlib.sha256(data).hexdigest())
        self.refused("corrupt", self.pool.run, "copy_out", "a/b.jpg", "c/e.jpg", len(data) - 1, self.folder / "out")
        self.refused("not_found", self.pool.run, "copy_out", "none", "c/e.jpg", 1, self.folder / "out")
        self.assertEqual([path.name for path in (self.folder / "out/c").iterdir()], ["d.jpg"])

    def test_a_check_finds_out_and_cleans_up(self):
        self.assertIn("the bucket can be listed", self.pool.run("check"))
        found = self.pool.run("check_write")
        self.assertIn("its SHA-256 is kept with it", found)
        self.assertEqual(self.client.versions(self.bucket), [])

    def test_what_is_set_up_wrongly_is_told_in_words_of_the_settings(self):
        wrongs = [({"key": "nobody"}, "access_key_id"), ({"bucket": "nobodys-bucket"}, "bucket"),
                  ({"endpoint": "http://127.0.0.1:1", "tries": 1}, "endpoint_url")]
        if self.checks_region:
            wrongs.append(({"region": "us-wrong-9"}, "region"))
        for values, words in wrongs:
            with self.subTest(values):
                with self.assertRaises(s3_pool.PoolError) as caught:
                    self.pool.having(**values).run("check")
                self.assertIn(words, caught.exception.text)
        wrong = self.pool.having()
        wrong.secret = "not the secret"
        self.assertIn("secret_access_key", self.refused("misconfigured", wrong.run, "check").text)
