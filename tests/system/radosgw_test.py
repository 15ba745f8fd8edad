"""A real S3, Ceph's gateway, put to the same tests as the B2 simulator (s3_semantics.py); and how it is started."""

import pathlib
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import radosgw  # noqa: E402
import s3_client  # noqa: E402
import s3_semantics  # noqa: E402


class Shared(s3_semantics.Semantics, unittest.TestCase):
    part_size = 5 * 1024 * 1024
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.s3 = radosgw.Radosgw()
        cls.url = cls.s3.url
        cls.client = s3_client.S3Client(cls.url, cls.s3.key, cls.s3.region)
        cls.other = s3_client.S3Client(cls.url, cls.s3.other_key, cls.s3.region)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.other.close()
        cls.s3.stop()
        assert not cls.s3.folder.exists()

    def create(self, bucket):
        self.client.create_bucket(bucket, versioned=True)

    def public_object(self, data):
        self.put("public", data)
        self.client.set_acl(self.bucket, "public").expect(200)
        return self.bucket, "public"

    def test_a_bucket_that_all_may_list(self):
        self.put("a")
        with s3_client.S3Client(self.url, None, self.s3.region) as anyone:
            self.assertEqual(anyone.send("GET", self.bucket).status, 403)
            self.client.set_acl(self.bucket).expect(200)
            self.assertEqual(anyone.keys(self.bucket), ["a"])

    def test_two_at_once_do_not_meet(self):
        with radosgw.Radosgw() as second:
            self.assertNotEqual(second.port, self.s3.port)
            with s3_client.S3Client(second.url, second.key, second.region) as client:
                self.assertEqual(client.send("GET").expect(200).xml.findall("Buckets/Bucket"), [])


class Missing(unittest.TestCase):
    def test_what_is_not_installed_is_said(self):
        with mock.patch("shutil.which", lambda program: None if program == "radosgw" else program):
            with self.assertRaisesRegex(radosgw.NotInstalled, r"^radosgw not found.*\./dev setup"):
                radosgw.Radosgw()


if __name__ == "__main__":
    unittest.main()
