"""Images spread over a disk and a real S3: all URLs byte for byte, with the headers that are ours, across restarts.

What needs a B2, the friendly host and faults, is in remote_modes_test.py.
"""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import radosgw  # noqa: E402
import s3_client  # noqa: E402
import tcp_fault  # noqa: E402
import tidepool  # noqa: E402

MIB = 1024 * 1024
COLD = {"uploads/original/2026/02/25/0b1f6c2e-9a7d-4c55-8a3e-1234567890ab.jpg": ("image/jpeg", 5000),
        "uploads/variants/2026/02/25/0b1f6c2e-9a7d-4c55-8a3e-1234567890ab_small.webp": ("image/webp", 70_000),
        "uploads/big.png": ("image/png", 4 * MIB + 17), "images/other.gif": ("image/gif", 300_000)}
HOT = {"uploads/original/2026/02/26/1b1f6c2e-9a7d-4c55-8a3e-1234567890ab.jpg": ("image/jpeg", 9000),
       "uploads/large.avif": ("image/avif", 600_000)}


class RealStore(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.s3 = radosgw.Radosgw()
        cls.addClassCleanup(cls.s3.stop)
        cls.client = s3_client.S3Client(cls.s3.url, cls.s3.key, cls.s3.region)
        cls.addClassCleanup(cls.client.close)
        cls.contents = {}
        for bucket, public in (("private-cold", False), ("public-cold", True)):
            cls.client.create_bucket(bucket, versioned=True, public=public)
            for key, (kind, size) in COLD.items():
                cls.contents[key] = content = tidepool.make_image(kind, size, key)
                acl = [("x-amz-acl", "public-read")] if public else []
                cls.client.put(bucket, key, content, [("content-type", kind), *acl]).expect(200)

    def begin(self, bucket="private-cold"):
        self.proxy = tcp_fault.TcpFault(("127.0.0.1", self.s3.port))
        self.addCleanup(self.proxy.stop)
        self.bucket, self.folder = bucket, tempfile.mkdtemp(prefix="tidepool-test-")
        self.start()
        for key, (kind, size) in HOT.items():
            self.contents[key] = self.server.tree.image(key.removeprefix("uploads/"), kind, size)
        cold.scan(self.server, self.s3.key.secret)

    def start(self):
        store = cold.Store(self.proxy.url, self.s3.region, self.s3.key)
        pools = cold.pools_of(self.folder, tidepool.bucket_pool(store, self.bucket))
        self.server = tidepool.Server(pools=pools, folder=self.folder,
                                      environment={"TIDEPOOL_TEST_S3_SECRET": self.s3.key.secret})
        self.addCleanup(self.server.stop)

    def check_everything(self):
        for key, (kind, size) in {**COLD, **HOT}.items():
            with self.subTest(key=key):
                self.check(key, kind, self.contents[key])

    def check(self, key, kind, content):
        with self.server.connect() as wire:
            # The first answer of an object whose digest nobody knew may still have another tag.
            first = wire.get(f"/{key}", "Range: bytes=0-99")
            self.assertEqual((first.status, first.body), (206, content[:100]))
            self.assertEqual(wire.get(f"/{key}").status, 200)
            whole = wire.get(f"/{key}")
            self.assertEqual((whole.status, whole["content-type"]), (200, kind))
            self.assertTrue(whole.body == content)
            head = wire.get(f"/{key}", method="HEAD")
            own = ("date", "cache-status")
            self.assertEqual([field for field in head.fields if field[0] not in own],
                             [field for field in whole.fields if field[0] not in own])
            self.assertEqual(wire.get(f"/{key}", "If-None-Match: *").status, 304)
            self.assertEqual(wire.get(f"/{key}", f"If-Modified-Since: {whole['last-modified']}").status, 304)
            self.assertEqual(wire.get(f"/{key}", 'If-Match: "other"').status, 412)
            size = len(content)
            for wanted, part in ((f"{size // 2}-{size - 2}", content[size // 2:-1]), ("-7", content[-7:]),
                                 ("10-", content[10:])):
                answer = wire.get(f"/{key}", f"Range: bytes={wanted}")
                self.assertEqual(answer.status, 206)
                self.assertTrue(answer.body == part, wanted)
            several = wire.get(f"/{key}", f"Range: bytes=0-9,{size - 10}-{size - 1}")
            self.assertEqual(several.status, 206)
            self.assertIn(content[:10], several.body)
            self.assertIn(content[-10:], several.body)
            beyond = wire.get(f"/{key}", f"Range: bytes={size}-")
            self.assertEqual((beyond.status, beyond["content-range"]), (416, f"bytes */{size}"))
            for name, _ in whole.fields:
                self.assertFalse(name.startswith(("x-amz-", "x-rgw", "server")), name)

    def test_every_url_before_and_after_a_restart(self):
        self.begin()
        self.check_everything()
        self.assertEqual(self.server.exit_of(self.server.take_over()), 0)  # until then it may answer, and close
        self.check_everything()
        self.server.stop_process()
        self.start()
        self.proxy.refuse()  # all is on the shelf
        self.proxy.drop()
        self.check_everything()

    def test_a_public_bucket(self):
        self.begin("public-cold")
        self.check_everything()

    def test_a_large_object_by_slices_alone(self):
        self.begin()
        content = self.contents["uploads/big.png"]
        for first in range(0, len(content), 700_000):
            last = min(first + 700_000, len(content)) - 1
            answer = self.server.get("/uploads/big.png", f"Range: bytes={first}-{last}")
            self.assertEqual((answer.status, answer["content-range"]), (206, f"bytes {first}-{last}/{len(content)}"))
            self.assertTrue(answer.body == content[first:last + 1])

    def test_mode_b_names_the_same_objects(self):
        self.begin()
        for key in COLD:
            answer = self.server.get(f"/file/{self.bucket}/{key}")
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.body == self.contents[key])

    def test_what_is_not_there(self):
        self.begin()
        for path in ("/uploads/absent.jpg", "/file/private-cold/uploads/absent.jpg", "/file/public-cold/uploads/big.png",
                     "/file/private-cold/", "/file/private-cold", "/private-cold/uploads/big.png", "/big.png"):
            self.assertEqual(self.server.get(path).status, 404, path)
        for path in ("/uploads/../private-cold/uploads/big.png", "/file/private-cold/%2e%2e/public-cold/uploads/big.png",
                     "/file/private-cold/uploads%2fbig.png"):
            self.assertIn(self.server.get(path).status, (400, 404), path)


if __name__ == "__main__":
    tidepool.main()
