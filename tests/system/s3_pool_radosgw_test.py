"""The driver of s3 pools against a real S3, Ceph's gateway."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import radosgw  # noqa: E402
import s3_client  # noqa: E402
import s3_pool_semantics  # noqa: E402


class RealStore(s3_pool_semantics.PoolSemantics, unittest.TestCase):
    part_size = 5 * 1024 * 1024
    checks_region = False  # it takes any

    @classmethod
    def setUpClass(cls):
        cls.s3 = radosgw.Radosgw()
        cls.url, cls.region, cls.key = cls.s3.url, cls.s3.region, cls.s3.key
        cls.client = s3_client.S3Client(cls.url, cls.key, cls.region)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.s3.stop()

    def create(self, bucket):
        self.client.create_bucket(bucket, versioned=True)

    def test_a_bucket_without_versions_works_too(self):
        self.client.create_bucket("plain")
        pool = self.pool.having(bucket="plain")
        self.assertEqual(pool.put("a", b"one")["version"], "")
        pool.put("a", b"two")
        self.assertEqual(pool.get("a")[0], b"two")
        self.assertEqual(pool.run("copy", "a", "b", 3)["size"], 3)
        pool.run("remove", "a")
        pool.run("remove", "a")
        self.assertEqual(pool.keys(), ["b"])
        self.assertIn("its SHA-256 is kept with it", pool.run("check_write"))

    def test_many_removals_from_a_bucket_without_versions(self):
        self.client.create_bucket("bare")
        pool = self.pool.having(bucket="bare")
        for key in ("a", "b", "c"):
            pool.put(key, key.encode())
        pool.run("remove", "a", "b", "absent", "b")  # the first one learns what kind of bucket it is
        self.assertEqual(pool.keys(), ["c"])
        self.assertEqual(pool.run("storm", 4, 5, "storm/", 1000), 20)
        self.assertEqual(pool.keys(), ["c"])

    def test_what_is_older_than_a_buckets_versions_is_removed_too(self):
        self.client.create_bucket("late")
        pool = self.pool.having(bucket="late")
        for key in ("alone", "covered", "kept"):
            pool.put(key, b"of before")
        self.client.create_bucket("late", versioned=True)
        pool.put("covered", b"of after")
        pool.run("remove", "alone", "covered")
        self.assertEqual([key for key, *_ in self.client.versions("late")], ["kept"])
        self.assertEqual(pool.keys(), ["kept"])

    def test_a_key_without_rights_is_denied(self):
        self.pool.put("a", b"x")
        stranger = self.pool.having(key=self.s3.other_key.id)
        stranger.secret = self.s3.other_key.secret
        self.refused("denied", stranger.run, "check")
        self.refused("denied", stranger.get, "a")
        self.refused("denied", stranger.put, "b", b"x")
        self.refused("denied", stranger.run, "remove", "a")
        self.assertEqual(self.pool.get("a")[0], b"x")


if __name__ == "__main__":
    unittest.main()
