"""tidepool reconcile, with the real binary, folders and a B2: what it finds, what it mends, and what it never does."""

import json
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import cold  # noqa: E402
import s3_client  # noqa: E402
import tidepool  # noqa: E402
import b2  # noqa: E402

BUCKET = "images-test"
UUID = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab"
ORIGINAL = f"uploads/original/2026/02/25/{UUID}.jpg"
SMALL = f"uploads/variants/2026/02/25/{UUID}_small.webp"
NOW = ("--older-than", "0s")  # what a test has just written counts


class ReconcileCase(unittest.TestCase):
    """The folder "hot" and the bucket "cold"."""

    maxDiff = 3000
    PAGE = 1000  # entries of a listing
    POOL = ""  # more settings of the bucket's pool

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.hot = tidepool.Tree(self.folder / "hot")
        self.b2 = b2.B2(page_size=self.PAGE)
        self.addCleanup(self.b2.stop)
        self.b2.bucket(BUCKET)
        secret = self.folder / "secret"
        secret.write_text(self.b2.key.secret)
        self.config = self.folder / "tidepool.toml"
        self.config.write_text(f'''[[pool]]
name = "hot"
base_path = "{self.hot.path}"
[[pool]]
name = "cold"
storage_type = "s3"
storage_tier = "cold"
bucket = "{BUCKET}"
region = "{self.b2.region}"
endpoint_url = "{self.b2.s3_url}"
access_key_id = "{self.b2.key.id}"
secret_access_key = "file:{secret}"
{self.POOL}
''')

    def run_tool(self, command, *arguments, **options):
        return tidepool.run_tool(*command.split(), "-c", str(self.config), "--state-dir", str(self.folder / "state"), *arguments,
                                 **options)

    def json(self, command, *arguments, status=0):
        got, out, error = self.run_tool(command, "--json", *arguments)
        self.assertEqual(got, status, out + error)
        return json.loads(out)

    def put(self, key, pool, seed=0, size=1_000):
        content = tidepool.make_image(size=size, seed=seed)
        path = self.folder / "file"
        path.write_bytes(content)
        self.json("put", str(path), key, "--pool", pool)
        return content

    def reconcile(self, pool, *arguments, status=0):
        one, = self.json("reconcile", pool, *arguments, status=status)
        return one

    def found(self, pool, *arguments, status=1):
        """What was found of each kind that there is."""
        findings = self.reconcile(pool, *arguments, status=status)["findings"]
        return {kind: counts["found"] for kind, counts in findings.items() if counts["found"]}

    def assert_mends(self, pool, expected):
        """A dry run finds it and changes nothing, a repair mends it, and then all is well."""
        before = self.state()
        self.assertEqual(self.found(pool, *NOW), expected)
        self.assertEqual(self.state(), before)
        result = self.reconcile(pool, "--repair", *NOW)
        self.assertEqual((result["found"], result["repaired"]), (sum(expected.values()),) * 2, result)
        self.assert_well(pool)

    def assert_well(self, *pools):
        for one in self.json("reconcile", *pools, *NOW):
            self.assertEqual((one["all_well"], one["found"]), (True, 0), one)
        self.assertTrue(self.json("stats", "--recount")["balanced"])

    def state(self):
        """All that is stored, and the rows."""
        bucket = {key: [(version.id, version.data) for version in self.b2.versions(BUCKET, key)]
                  for key in self.b2.keys(BUCKET)}
        files = {str(path): path.read_bytes() for path in self.hot.path.rglob("*") if path.is_file()}
        return bucket, files, self.json("ls")

    def row(self, key):
        return next((row for row in self.json("ls") if row["key"] == key), None)

    def quarantined(self):
        """The keys that were set aside in the bucket, and in the folder."""
        return ([key.split("/", 2)[2] for key in self.b2.keys(BUCKET) if key.startswith("quarantine/")],
                ["uploads/" + str(path.relative_to(self.hot.path / ".quarantine")).split("/", 1)[1]
                 for path in (self.hot.path / ".quarantine").rglob("*") if path.is_file()])

    def client(self):
        client = s3_client.S3Client(self.b2.s3_url, self.b2.key, self.b2.region)
        self.addCleanup(client.close)
        return client


class Bucket(ReconcileCase):
    def test_what_agrees_is_well(self):
        self.put(ORIGINAL, "cold")
        self.put(SMALL, "hot")
        status, out, error = self.run_tool("reconcile", *NOW)
        self.assertEqual((status, error), (1, ""))  # the variant is not where its image is
        self.json("rm", SMALL)
        status, out, error = self.run_tool("reconcile", "--deep", *NOW)
        self.assertEqual((status, error), (0, ""), out)
        self.assertIn("pool cold: 1 objects and rows", out)
        self.assertIn("nothing found", out)

    def test_a_deleted_variant_loses_its_row_and_a_deleted_original_is_lost(self):
        self.put(ORIGINAL, "cold")
        self.put(SMALL, "cold", seed=1)
        for key in (ORIGINAL, SMALL):
            version, = self.b2.versions(BUCKET, key)
            self.b2.delete(BUCKET, key, version.id)
        self.assertEqual(self.found("cold"), {"missing_object": 2})
        result = self.reconcile("cold", "--repair", status=1)
        self.assertEqual(result["repaired"], 1)
        lost, = (line for line in result["keys"] if not line["repaired"])
        self.assertEqual(lost["key"], ORIGINAL)
        self.assertIn("LOST", lost["end"])
        self.assertEqual([row["key"] for row in self.json("ls")], [ORIGINAL])

    def test_what_somebody_only_hid_comes_back(self):
        content = self.put(ORIGINAL, "cold")
        self.b2.delete(BUCKET, ORIGINAL)
        self.assertIsNone(self.b2.get(BUCKET, ORIGINAL))
        self.assertEqual(self.found("cold", *NOW), {"missing_object": 1, "hidden_version": 1})
        self.reconcile("cold", "--repair", *NOW)
        self.assertEqual(self.b2.get(BUCKET, ORIGINAL), content)
        self.assert_well("cold")

    def test_hidden_versions_go_where_the_newest_is_the_right_one(self):
        content = tidepool.make_image(size=2_000, seed=2)
        self.b2.put(BUCKET, ORIGINAL, b"before")
        self.b2.delete(BUCKET, ORIGINAL)
        self.b2.put(BUCKET, ORIGINAL, content)
        self.b2.put(BUCKET, "uploads/other.jpg", b"one")
        self.b2.put(BUCKET, "uploads/other.jpg", b"two")
        self.json("scan", "cold")
        self.assert_mends("cold", {"hidden_version": 2})
        self.assertEqual([version.data for version in self.b2.versions(BUCKET, ORIGINAL)], [content])
        self.assertEqual([version.data for version in self.b2.versions(BUCKET, "uploads/other.jpg")], [b"two"])

    def test_versions_stay_where_the_newest_is_not_what_the_row_says(self):
        self.put(ORIGINAL, "cold")
        self.b2.put(BUCKET, ORIGINAL, b"somebody's")
        self.assertEqual(self.found("cold", *NOW), {"wrong_size": 1, "hidden_version": 1})
        before = self.state()
        self.assertEqual(self.reconcile("cold", "--repair", *NOW, status=1)["repaired"], 0)
        self.assertEqual(self.state(), before)

    def test_hidden_content_that_no_row_names_is_told_and_kept(self):
        self.b2.put(BUCKET, "uploads/a.jpg", b"content")
        self.b2.delete(BUCKET, "uploads/a.jpg")
        before = self.state()
        self.assertEqual(self.found("cold", *NOW), {"hidden_version": 1})
        self.assertEqual(self.reconcile("cold", "--repair", *NOW, status=1)["repaired"], 0)
        self.assertEqual(self.state(), before)

    def test_unfinished_uploads_are_aborted(self):
        client = self.client()
        for i in range(25):
            client.start_upload(BUCKET, f"uploads/{i}.jpg")
        self.assertEqual(self.found("cold", status=0), {})  # too young
        self.assert_mends("cold", {"stray_upload": 25})

    def test_an_object_without_a_row_is_taken_in(self):
        self.b2.put(BUCKET, ORIGINAL, tidepool.make_image())
        self.assert_mends("cold", {"unknown_object": 1})
        self.assertEqual(self.row(ORIGINAL)["pool"], "cold")

    def test_a_leftover_is_set_aside_and_not_found_again_by_scan_either(self):
        content = self.put(ORIGINAL, "hot")
        self.b2.put(BUCKET, ORIGINAL, content)
        self.assert_mends("cold", {"elsewhere": 1})
        self.assertEqual(self.quarantined()[0], [ORIGINAL])
        self.assertEqual(self.b2.versions(BUCKET, ORIGINAL), [])
        scanned, = self.json("scan", "cold")
        self.assertEqual((scanned["seen"], scanned["added"]), (0, 0))
        self.assertEqual(self.row(ORIGINAL)["pool"], "hot")

    def test_the_row_follows_the_only_good_copy(self):
        content = self.put(ORIGINAL, "hot")
        self.b2.put(BUCKET, ORIGINAL, content)
        (self.hot.path / ORIGINAL.removeprefix("uploads/")).unlink()
        self.assert_mends("cold", {"elsewhere": 1})
        self.assertEqual(self.row(ORIGINAL)["pool"], "cold")
        self.assertEqual(self.b2.get(BUCKET, ORIGINAL), content)
        self.assert_well()

    def test_a_wrong_variant_is_set_aside(self):
        self.put(ORIGINAL, "cold")
        self.put(SMALL, "cold", seed=1)
        self.b2.put(BUCKET, SMALL, b"cut short")
        self.assertEqual(self.found("cold", *NOW), {"wrong_size": 1, "hidden_version": 1})
        self.reconcile("cold", "--repair", *NOW)
        self.assertEqual(self.quarantined()[0], [SMALL])
        self.assertIsNone(self.row(SMALL))
        self.assert_well("cold")

    def test_deep_finds_another_content_of_the_same_size(self):
        self.put(ORIGINAL, "cold")
        self.put(SMALL, "hot", seed=1)
        path = self.hot.path / SMALL.removeprefix("uploads/")
        path.write_bytes(path.read_bytes()[::-1])
        self.json("rm", ORIGINAL)
        self.assertEqual(self.found("hot", *NOW, status=0), {})
        self.assertEqual(self.found("hot", "--deep", *NOW), {"wrong_hash": 1})
        self.reconcile("hot", "--deep", "--repair", *NOW)
        self.assertEqual(self.quarantined()[1], [SMALL])
        self.assertIsNone(self.row(SMALL))

    def test_a_bucket_that_cannot_be_had_is_a_failure_and_not_empty(self):
        self.put(ORIGINAL, "cold")
        self.put("uploads/a.jpg", "hot")
        self.b2.revoke(self.b2.key)
        status, out, _ = self.run_tool("reconcile", "--json", "--repair", *NOW)
        self.assertEqual(status, 1)
        hot, gone = json.loads(out)
        self.assertTrue(hot["all_well"])
        self.assertIn("error", gone)
        self.assertIsNotNone(self.row(ORIGINAL))


class Pages(ReconcileCase):
    """Listings of a few entries, of a part of a bucket."""

    PAGE = 3
    POOL = 'path_prefix = "site-a/"'

    def test_versions_of_one_object_are_spread_over_pages(self):
        for i in range(5):
            for k in range(i + 1):
                self.b2.put(BUCKET, f"site-a/uploads/{i}.jpg", b"version %d" % k)
        for k in range(4):
            self.b2.put(BUCKET, "site-b/uploads/0.jpg", b"another's %d" % k)
            self.client().start_upload(BUCKET, f"site-b/uploads/{k}.jpg")
        self.json("scan", "cold")
        self.assert_mends("cold", {"hidden_version": 4})
        for i in range(5):
            version, = self.b2.versions(BUCKET, f"site-a/uploads/{i}.jpg")
            self.assertEqual(version.data, b"version %d" % i)
        self.assertEqual(len(self.b2.versions(BUCKET, "site-b/uploads/0.jpg")), 4)

    def test_rows_and_objects_are_merged_over_pages(self):
        for i in range(20):
            self.b2.put(BUCKET, f"site-a/uploads/variants/{i:02}.webp", b"content")
        self.json("scan", "cold")
        for i in (0, 5, 6, 7, 19):
            version, = self.b2.versions(BUCKET, f"site-a/uploads/variants/{i:02}.webp")
            self.b2.delete(BUCKET, f"site-a/uploads/variants/{i:02}.webp", version.id)
        for name in ("00a", "19a", "20"):
            self.b2.put(BUCKET, f"site-a/uploads/variants/{name}.webp", b"new")
        self.assert_mends("cold", {"missing_object": 5, "unknown_object": 3})
        self.assertEqual(len(self.json("ls")), 18)


class Folder(ReconcileCase):
    def test_leftovers_late_variants_and_temporaries(self):
        content = self.put(ORIGINAL, "cold")
        self.hot.put(f"original/2026/02/25/{UUID}.jpg", content, mtime=1_700_000_000)
        self.hot.image(f"variants/2026/02/25/{UUID}_small.webp", "image/webp", mtime=1_700_000_000)
        self.hot.put(".tidepool-0123456789abcdef.tmp", b"half", mtime=1_700_000_000)
        self.hot.put(".tidepool-0123456789abcde0.tmp", b"young")
        self.hot.image("cat.png", "image/png", mtime=1_700_000_000)
        expected = {"elsewhere": 1, "late_variant": 1, "unknown_object": 1}
        self.assertEqual(self.found("hot"), expected)  # nobody knows how old a temporary is but by when it was last changed
        self.assertEqual(self.found("hot", *NOW), {**expected, "stray_temporary": 2})
        result = self.reconcile("hot", "--repair", *NOW)
        self.assertTrue(result["all_well"], result)
        self.assertEqual(self.quarantined()[1], [ORIGINAL])
        self.assertFalse((self.hot.path / ".tidepool-0123456789abcdef.tmp").exists())
        self.assertFalse((self.hot.path / ".tidepool-0123456789abcde0.tmp").exists())
        self.assertEqual(self.row("uploads/cat.png")["pool"], "hot")
        self.json("jobs run")
        self.assertEqual(self.row(SMALL)["pool"], "cold")
        self.assertEqual(self.reconcile("hot", status=0)["found"], 0)

    def test_what_was_set_aside_is_not_served(self):
        content = self.put(ORIGINAL, "cold")
        self.hot.put(f"original/2026/02/25/{UUID}.jpg", content, mtime=1_700_000_000)
        self.reconcile("hot", "--repair")
        kept, = (path for path in (self.hot.path / ".quarantine").rglob("*.jpg"))
        self.assertEqual(kept.read_bytes(), content)
        scanned, = self.json("scan", "hot")
        self.assertEqual(scanned["seen"], 0)

    def test_an_empty_disk_changes_nothing(self):
        for i in range(40):
            self.hot.image(f"variants/2026/02/25/{i:08}-9a7d-4c55-8a3e-1234567890ab.webp", "image/webp",
                           mtime=1_700_000_000)
        self.json("scan", "hot")
        self.hot.path.rename(self.folder / "away")
        self.hot.path.mkdir()
        result = self.reconcile("hot", "--repair", status=1)
        self.assertTrue(result["too_much"])
        self.assertEqual(len(self.json("ls")), 40)
        status, out, _ = self.run_tool("reconcile", "hot", "--repair")
        self.assertEqual(status, 1)
        self.assertIn("Nothing was changed", out)
        self.hot.path.rmdir()
        (self.folder / "away").rename(self.hot.path)
        self.assertTrue(self.reconcile("hot", "--repair")["all_well"])

    def test_the_young_are_left_alone(self):
        self.hot.image("new.jpg")
        result = self.reconcile("hot", "--repair")
        self.assertEqual((result["young"], result["found"]), (1, 0))
        self.assertEqual(self.json("ls"), [])

    def test_wrong_usage(self):
        for arguments in (("nopool",), ("--older-than", "soon"), ("--max-change", "200"), ("--fix",)):
            status, _, error = self.run_tool("reconcile", *arguments)
            self.assertEqual(status, 2, arguments)
            self.assertTrue(error)
        status, out, _ = tidepool.run_tool("reconcile", "--help")
        self.assertEqual(status, 0)
        for option in ("--deep", "--repair", "--json", "--older-than", "--max-change"):
            self.assertIn(option, out)


class Killed(ReconcileCase):
    """Invariant 2: killed at any step, and begun again, it ends with all well and nothing lost."""

    POINTS = ("judged", "adopt", "set_aside", "copied_aside", "was_set_aside", "relocate", "remove_row", "queue_move",
              "unhidden", "remove_versions", "sweep", "aborted", "repaired")

    # What is begun under a hold is gone on with by a job, which knows no --older-than.
    POOL = '[reconcile]\ngrace = "0s"'

    def prepare(self):
        """One finding of nearly each kind; the contents by key that must be there in the end."""
        names = [f"{i:08x}-9a7d-4c55-8a3e-1234567890ab" for i in range(8)]
        key = "uploads/original/2026/02/25/{}.jpg".format
        contents = {key(names[3]): tidepool.make_image(size=1_000, seed=14)}  # with versions
        for content in (b"before", contents[key(names[3])]):
            self.b2.put(BUCKET, key(names[3]), content)
        self.json("scan", "cold")
        contents[key(names[0])] = self.put(key(names[0]), "hot", seed=10)  # with a leftover
        self.b2.put(BUCKET, key(names[0]), contents[key(names[0])])
        contents[key(names[1])] = self.put(key(names[1]), "hot", seed=11)  # only the bucket has it
        self.b2.put(BUCKET, key(names[1]), contents[key(names[1])])
        (self.hot.path / key(names[1]).removeprefix("uploads/")).unlink()
        contents[key(names[2])] = self.put(key(names[2]), "cold", seed=12)  # hidden
        self.b2.delete(BUCKET, key(names[2]))
        contents[key(names[4])] = tidepool.make_image(seed=15)  # unknown
        self.b2.put(BUCKET, key(names[4]), contents[key(names[4])])
        contents[key(names[5])] = self.put(key(names[5]), "hot", seed=16)  # with a late variant
        self.b2.put(BUCKET, f"uploads/variants/2026/02/25/{names[5]}_small.webp", tidepool.make_image("image/webp"))
        contents[key(names[6])] = self.put(key(names[6]), "cold", seed=17)  # with bad variants
        for i, suffix in enumerate(("_small.webp", ".webp")):
            variant = f"uploads/variants/2026/02/25/{names[6]}{suffix}"
            self.put(variant, "cold", seed=20 + i)
            version, = self.b2.versions(BUCKET, variant)
            self.b2.delete(BUCKET, variant, version.id)
        self.b2.put(BUCKET, f"uploads/variants/2026/02/25/{names[6]}.webp", b"cut short")
        self.client().start_upload(BUCKET, "uploads/half.jpg")
        return contents

    @unittest.skipIf(tidepool.SANITIZED, "what a kill leaves is the same with any build")
    def test_at_each_step(self):
        met = 0
        for point in self.POINTS:
            with self.subTest(point=point):
                self.tearDown()
                self.doCleanups()
                self.setUp()
                contents = self.prepare()
                environment = {"TIDEPOOL_FAULT_POINT": f"reconcile.{point}:1"}
                status, out, error = self.run_tool("reconcile", "--repair", *NOW, environment=environment)
                self.assertEqual(status, -9, out + error)
                met += 1
                self.run_tool("reconcile", "--repair", *NOW)
                # A hold of the one that was killed is taken over at once, as it has ended.
                self.json("jobs run")
                self.run_tool("reconcile", "--repair", *NOW)
                self.json("jobs run")
                self.assert_well()
                for key, content in contents.items():
                    target = self.folder / "got"
                    status, _, error = self.run_tool("get", key, str(target))
                    self.assertEqual(status, 0, error)
                    self.assertEqual(target.read_bytes(), content)
        self.assertEqual(met, len(self.POINTS))


class Job(cold.ColdCase):
    def test_the_server_mends_what_it_met(self):
        uuid = UUID
        self.put(f"original/2026/02/25/{uuid}.jpg")
        name = f"variants/2026/02/25/{uuid}_old.webp"  # of a profile that is not there, so that none is made
        self.put(name, content_type="image/webp")
        server = self.serve_cold()
        version, = self.b2.versions(cold.BUCKET, f"uploads/{name}")
        self.b2.delete(cold.BUCKET, f"uploads/{name}", version.id)
        self.assertEqual(server.get(f"/uploads/{name}").status, 404)

        def rows():
            status, out, error = tidepool.run_tool("ls", "-c", str(server.config_file), "--json",
                                                   environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
            self.assertEqual(status, 0, error)
            return [row["key"] for row in json.loads(out)]
        tidepool.eventually(lambda: rows() == [f"uploads/original/2026/02/25/{uuid}.jpg"], "the row is gone")


if __name__ == "__main__":
    tidepool.main()
