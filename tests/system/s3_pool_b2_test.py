"""The driver of s3 pools against the B2 simulator: the same as against a real server, and what goes wrong at B2."""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import b2 as b2_module  # noqa: E402
import s3_client  # noqa: E402
import s3_pool  # noqa: E402
import s3_pool_semantics  # noqa: E402

TIDEPOOL = os.environ.get("TIDEPOOL") or str(s3_pool.REPOSITORY / "build" / "dev" / "tidepool")
REGION = "us-west-004"
PART = 256 * 1024
MIB = 1024 * 1024


class Simulated(s3_pool_semantics.PoolSemantics, unittest.TestCase):
    part_size = PART
    checks_region = True
    region = REGION

    @classmethod
    def setUpClass(cls):
        cls.b2 = b2_module.B2(min_part_size=PART, page_size=3)  # every list and removal is one of pages
        cls.url, cls.key = cls.b2.s3_url, cls.b2.key
        cls.client = s3_client.S3Client(cls.url, cls.key, REGION)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.b2.stop()

    def create(self, bucket):
        self.client.create_bucket(bucket)


class Faults(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory(prefix="tidepool.")
        self.addCleanup(held.cleanup)
        self.b2 = b2_module.B2(min_part_size=PART)
        self.addCleanup(self.b2.stop)
        self.b2.bucket("images")
        self.pool = s3_pool.S3Pool(held.name, self.b2.s3_url, REGION, "images", self.b2.key)
        self.parts = self.pool.having(multipart_above=1, part_bytes=PART)
        self.data = os.urandom(MIB + 7)

    def refused(self, kind, call, *arguments):
        with self.assertRaises(s3_pool.PoolError) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.kind, kind, caught.exception)
        return caught.exception

    def stored_once(self, key="a.jpg", data=None):
        self.assertEqual([version.data for version in self.b2.versions("images", key)],
                         [self.data if data is None else data])

    # --- reading ---

    def test_a_body_that_breaks_goes_on_where_it_broke(self):
        self.b2.put("images", "a.jpg", self.data)
        for how in ("fin", "rst"):
            with self.subTest(how):
                self.b2.clear_requests()
                self.b2.fault("cut", operation="GetObject", after=300_000, how=how)
                self.b2.fault("cut", operation="GetObject", after=200_000, how=how, skip=1)
                self.assertEqual(self.pool.get("a.jpg")[0], self.data)
                first, second, third = self.b2.select(operation="GetObject")
                self.assertIsNone(first.range)
                self.assertRegex(second.range, r"^bytes=\d+-$")
                self.assertGreater(int(third.range[6:-1]), int(second.range[6:-1]))
                self.assertTrue(second.query["versionId"])
                self.b2.clear_faults()

    def test_a_range_that_breaks_ends_where_it_should(self):
        self.b2.put("images", "a.jpg", self.data)
        self.b2.fault("cut", operation="GetObject", after=1000, how="fin")
        self.assertEqual(self.pool.get("a.jpg", 5000, 3000)[0], self.data[5000:8000])

    def test_versions_are_never_mixed(self):
        self.b2.put("images", "a.jpg", self.data)
        self.b2.fault("cut", operation="GetObject", after=300_000, how="fin")
        self.b2.fault("other_version", operation="GetObject", skip=1)
        try:
            got = self.pool.get("a.jpg")[0]
        except s3_pool.PoolError:
            got = self.pool.got_so_far()
        self.assertEqual(got, self.data[:len(got)])

    def test_what_cannot_be_whole_is_an_error(self):
        self.b2.put("images", "a.jpg", self.data)
        faults = [("wrong_length", {"by": 5}), ("wrong_length", {"by": -5}), ("wrong_body", {})]
        for kind, options in faults:
            with self.subTest(kind=kind, **options):
                self.b2.fault(kind, operation="GetObject", count=None, **options)
                self.refused("corrupt", self.pool.get, "a.jpg")
                self.b2.clear_faults()

    def test_a_range_that_is_ignored_is_asked_for_again(self):
        self.b2.put("images", "a.jpg", self.data)
        self.b2.fault("ignore_range", operation="GetObject")
        self.assertEqual(self.pool.get("a.jpg", 10, 20)[0], self.data[10:30])
        self.b2.fault("ignore_range", operation="GetObject", count=None)
        self.refused("io", self.pool.having(tries=2).get, "a.jpg", 10, 20)
        self.assertEqual(self.pool.got_so_far(), b"")

    def test_a_store_that_stalls_is_left(self):
        self.b2.put("images", "a.jpg", self.data)
        self.b2.fault("stall", operation="GetObject", after=300_000)
        self.b2.fault("half_open", operation="GetObject", skip=1)
        self.assertEqual(self.pool.having(stall_s=1).get("a.jpg")[0], self.data)
        self.b2.fault("half_open", operation="GetObject", count=None)
        self.refused("timed_out", self.pool.having(stall_s=1, tries=2).get, "a.jpg")

    def test_after_no_tomes_another_connection_is_tried(self):
        self.b2.put("images", "a.jpg", self.data)
        self.b2.fault("no_tomes", operation="HeadObject")
        accepted = self.b2.connections("s3")[0]
        self.pool.run("head", "a.jpg")
        self.assertEqual(self.b2.connections("s3")[0], accepted + 2)

    def test_the_store_says_when_to_come_again(self):
        self.b2.put("images", "a.jpg", self.data)
        self.b2.fault("slow_down", operation="HeadObject", retry_after=1)
        self.pool.run("head", "a.jpg")
        self.b2.fault("slow_down", operation="HeadObject", count=None, retry_after=77)
        error = self.refused("overloaded", self.pool.having(tries=2, most_ms=10).run, "head", "a.jpg")
        self.assertEqual(error.status, 503)

    # --- money ---

    def test_a_cap_is_no_denial_and_is_not_asked_again(self):
        self.b2.put("images", "a.jpg", self.data)
        self.b2.fault("cap_exceeded", operation="GetObject", count=None)
        answers = self.pool.run("many", 5, "a.jpg", self.pool.folder / "target")
        self.assertEqual([answer["error"] for answer in answers], ["capped"] * 5)
        self.assertEqual(self.b2.count(operation="GetObject"), 1)

    def test_a_budget_ends_before_the_store_does(self):
        self.b2.put("images", "a.jpg", self.data)
        answers = self.pool.having(calls_b=3).run("many", 5, "a.jpg", self.pool.folder / "target")
        self.assertEqual([answer.get("error") for answer in answers], [None] * 3 + ["capped"] * 2)
        self.assertGreater(answers[4]["retry_after"], 0)
        self.assertEqual(self.b2.calls()["B"], 3)

    def test_a_failing_store_is_left_alone(self):
        self.b2.put("images", "a.jpg", self.data)
        self.b2.fault("error", operation="GetObject", count=None)
        answers = self.pool.having(tries=1).run("many", 100, "a.jpg", self.pool.folder / "target")
        self.assertEqual(self.b2.count(operation="GetObject"), 20)
        self.assertEqual({answer["error"] for answer in answers[20:]}, {"overloaded"})

    # --- writing ---

    def test_a_store_that_stores_and_answers_500_keeps_one_version(self):
        self.b2.fault("error_after_store", operation="PutObject", count=2)
        stored = self.pool.put("a.jpg", self.data)
        self.stored_once()
        self.assertEqual(stored["version"], self.b2.versions("images", "a.jpg")[0].id)

    def test_a_copy_whose_answers_are_lost_is_there_once(self):
        self.b2.put("images", "from.jpg", self.data)
        self.b2.fault("error_after_store", operation="CopyObject", count=2)
        stored = self.pool.run("copy", "from.jpg", "a.jpg", len(self.data))
        self.stored_once()
        self.assertEqual(stored["version"], self.b2.versions("images", "a.jpg")[0].id)

    def test_an_object_whose_every_answer_is_lost_is_there_all_the_same(self):
        self.b2.fault("error_after_store", operation="PutObject", count=None)
        stored = self.pool.having(tries=3).put("a.jpg", self.data)
        self.assertEqual(stored["size"], len(self.data))
        self.stored_once()

    def test_many_at_once(self):
        self.b2.fault("no_tomes", skip=20)
        self.b2.fault("cut", operation="GetObject", skip=15, after=100_000, how="rst")
        self.assertEqual(self.pool.run("storm", 8, 10, "storm/", 200_000), 80)
        self.assertEqual(self.b2.keys("images"), [])
        self.assertLess(self.b2.connections("s3")[0], 20)

    def test_an_upload_is_tried_again_whole(self):
        for kind, options in (("error", {"status": 500}), ("no_tomes", {}), ("slow_down", {}),
                              ("error", {"status": 400, "code": "IncompleteBody"})):
            with self.subTest(kind, **options):
                self.b2.fault(kind, operation="PutObject", **options)
                self.pool.put("a.jpg", self.data)
                self.assertEqual(self.b2.get("images", "a.jpg"), self.data)
                self.b2.clear_faults()

    def test_a_part_that_fails_is_sent_again_or_found(self):
        for kind in ("error", "error_after_store", "no_tomes"):
            with self.subTest(kind):
                self.b2.fault(kind, operation="UploadPart", skip=1)
                stored = self.parts.put("a.jpg", self.data)
                self.assertEqual(self.b2.get("images", "a.jpg"), self.data)
                self.assertEqual(stored["sha256"], hashlib.sha256(self.data).hexdigest())
                self.pool.run("remove", "a.jpg")
                self.b2.clear_faults()
        # Stored each time and never said so: the list of parts knows.
        self.b2.fault("error_after_store", operation="UploadPart", skip=1, count=2)
        self.parts.having(tries=2).put("a.jpg", self.data)
        self.assertEqual(self.b2.count(operation="ListParts"), 1)
        self.stored_once()

    def test_a_completion_whose_answer_is_lost_is_found_out(self):
        self.b2.fault("error_after_store", operation="CompleteMultipartUpload")
        stored = self.parts.put("a.jpg", self.data)
        self.assertEqual(stored["size"], len(self.data))
        self.stored_once()

    def test_an_upload_that_fails_is_aborted(self):
        self.b2.fault("error", operation="UploadPart", skip=2, count=None)
        self.refused("io", self.parts.having(tries=2).put, "a.jpg", self.data)
        self.assertEqual(self.b2.count(operation="AbortMultipartUpload"), 1)
        self.assertEqual(self.pool.run("strays", 0), 0)
        self.assertEqual(self.b2.keys("images"), [])

    def test_a_clock_that_is_off_is_corrected(self):
        self.b2.put("images", "a.jpg", self.data)
        for offset in (3600, -3600, 86400 * 3):
            with self.subTest(offset):
                self.b2.account.clock_offset_s = offset
                self.assertEqual(self.pool.get("a.jpg")[0], self.data)
                self.pool.run("head", "a.jpg")
                self.pool.put("b.jpg", b"x")
                self.pool.run("check")

    def test_nothing_is_sent_that_b2_refuses(self):
        self.pool.put("a.jpg", self.data)
        self.parts.put("b.jpg", self.data)
        self.pool.run("copy", "a.jpg", "c.jpg", len(self.data))
        self.pool.run("check_write")
        self.pool.run("remove", "b.jpg")
        for entry in self.b2.requests:
            self.assertLess(entry.status, 300, entry)
            for name in entry.headers:
                self.assertFalse(name.lower().startswith(("x-amz-checksum", "x-amz-sdk", "if-")), entry)

    # --- removing ---

    def test_nothing_old_can_be_read_while_versions_go(self):
        for number in range(5):
            self.b2.put("images", "a.jpg", b"%d" % number)
        self.b2.fault("error", operation="DeleteObject", skip=3, count=None)
        self.refused("io", self.pool.having(tries=2).run, "remove", "a.jpg")
        self.assertIsNone(self.b2.get("images", "a.jpg"))
        self.b2.clear_faults()
        self.pool.run("remove", "a.jpg")
        self.assertEqual(self.b2.keys("images"), [])

    def test_a_single_version_costs_one_list_and_one_delete(self):
        self.b2.put("images", "a.jpg", self.data)
        self.b2.clear_requests()
        self.pool.run("remove", "a.jpg")
        self.assertEqual(self.b2.count(operation="DeleteObject"), 1)
        self.assertEqual(self.b2.keys("images"), [])

    # --- rights ---

    def test_a_key_that_may_not_is_denied(self):
        self.b2.put("images", "a.jpg", self.data)
        key = self.b2.new_key(capabilities=("readFiles", "listFiles"))
        reader = self.pool.having(key=key.id)
        reader.secret = key.secret
        self.assertEqual(reader.get("a.jpg")[0], self.data)
        self.refused("denied", reader.put, "b.jpg", b"x")
        self.refused("denied", reader.run, "check_write")
        self.assertIn("its objects can be read", reader.run("check"))
        key = self.b2.new_key(capabilities=("readFiles",))
        reader = self.pool.having(key=key.id)
        reader.secret = key.secret
        self.assertRegex(reader.run("check")[0], "not listed")
        self.refused("denied", reader.run, "check_write")
        key = self.b2.new_key(capabilities=("writeFiles",))
        writer = self.pool.having(key=key.id)
        writer.secret = key.secret
        self.refused("denied", writer.run, "check")

    # --- the command ---

    def check_command(self, bucket, *arguments):
        (self.pool.folder / "uploads").mkdir(exist_ok=True)
        config = self.pool.folder / "tidepool.toml"
        config.write_text(f"""
[catalog]
url = "sqlite:{self.pool.folder}/catalog.db"
[[pool]]
name = "hot"
base_path = "{self.pool.folder}/uploads"
[[pool]]
name = "cold"
storage_type = "s3"
storage_tier = "cold"
bucket = "{bucket}"
region = "{REGION}"
endpoint_url = "{self.b2.s3_url}"
access_key_id = "{self.b2.key.id}"
secret_access_key = "env:COLD_SECRET"
""")
        done = subprocess.run([TIDEPOOL, "check", "-c", config, *arguments], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "COLD_SECRET": self.b2.key.secret}, check=False)
        self.assertNotIn(self.b2.key.secret, done.stdout + done.stderr)
        return done.returncode, done.stdout, done.stderr

    def test_check_asks_every_pool(self):
        self.b2.put("images", "uploads/a.jpg", self.data)
        status, told, wrong = self.check_command("images")
        self.assertEqual((status, wrong), (0, ""))
        for line in ("uploads is readable", "pool cold: the bucket can be listed", "pool cold: versions are kept"):
            self.assertIn(line, told)
        self.assertEqual(self.b2.count(operation="PutObject"), 0)
        status, told, wrong = self.check_command("images", "--write")
        self.assertEqual((status, wrong), (0, ""))
        self.assertIn("pool hot: a file was written and removed", told)
        self.assertIn("pool cold: it was removed with all its versions", told)
        self.assertEqual(self.b2.keys("images"), ["uploads/a.jpg"])
        self.assertEqual(list((self.pool.folder / "uploads").iterdir()), [])
        status, told, wrong = self.check_command("somewhere")
        self.assertEqual(status, 1)
        self.assertIn("pool hot: ", told)
        self.assertIn("there is no such bucket", wrong)


if __name__ == "__main__":
    unittest.main()
