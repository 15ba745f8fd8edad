"""The life of an image on a real S3: stored, variants made, tiered to the bucket and back, deleted, with the accounts right."""

import json
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import radosgw  # noqa: E402
import s3_client  # noqa: E402
import tidepool  # noqa: E402
from pictures import png, png_size  # noqa: E402

BUCKET = "checklist"
UUID = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab"
ORIGINAL = f"uploads/original/2026/02/25/{UUID}.png"
VARIANTS = [f"uploads/variants/2026/02/25/{UUID}{ending}" for ending in ("_medium.webp", "_small.png", "_small.webp")]
OLD_S = 40 * 86_400


class Checklist(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        self.s3 = radosgw.Radosgw()
        self.addCleanup(self.s3.stop)
        self.client = s3_client.S3Client(self.s3.url, self.s3.key, self.s3.region)
        self.addCleanup(self.client.close)
        self.client.create_bucket(BUCKET, versioned=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = {"TIDEPOOL_TEST_S3_SECRET": self.s3.key.secret}
        pools = cold.pools_of(self.folder, tidepool.bucket_pool(cold.Store(self.s3.url, self.s3.region, self.s3.key), BUCKET))
        self.server = tidepool.Server(
            {"variants": {"on_demand": True, "first_hit_wait": "30s"}, "move": {"grace": "0s"},
             "tiering": {"hot_keep_days_after_upload": 30, "min_dwell_days_per_tier": 0, "views_flush": "0s"}},
            pools=pools, folder=self.folder, environment=self.environment)
        self.addCleanup(self.server.stop)

    def tool(self, *arguments):
        status, out, error = tidepool.run_tool(*arguments, "-c", str(self.server.config_file), environment=self.environment)
        self.assertEqual(status, 0, f"{arguments}: {out} {error}")
        return out

    def assert_used(self, pool, contents):
        """All of these are in this pool and nothing is in another, by its accounts, which are what the rows say."""
        stats = json.loads(self.tool("stats", "--recount", "--json"))
        self.assertTrue(stats["balanced"])
        self.assertEqual({each["pool"]: each["used_bytes"] for each in stats["pools"] if each["used_bytes"]},
                         {pool: sum(map(len, contents.values()))} if contents else {})

    def assert_served(self, contents):
        for key, content in contents.items():
            def right():
                answer = self.server.get(f"/{key}")
                return answer.status == 200 and answer.body == content
            tidepool.eventually(right, f"{key} is served as it was")

    def assert_on_disk(self, contents):
        root = self.folder / "uploads"
        there = {"uploads/" + str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        self.assertEqual(there, contents)

    def assert_in_bucket(self, contents):
        """One version of each, and nothing else that would have to be paid for."""
        versions = self.client.versions(BUCKET)
        self.assertEqual(sorted(str(key) for key in contents), sorted(self.client.keys(BUCKET)))
        self.assertEqual(len(versions), len(contents), versions)

    def test_the_whole_list(self):
        content = png(900, 600)
        source = self.folder / "upload.png"
        source.write_bytes(content)
        self.tool("put", str(source), ORIGINAL, "--pool", "hot")
        path = self.folder / "uploads" / ORIGINAL.removeprefix("uploads/")
        self.assertEqual(path.read_bytes(), content)
        contents = {ORIGINAL: content}
        self.assert_used("hot", contents)
        for key in VARIANTS:
            answer = self.server.get(f"/{key}")
            self.assertEqual(answer.status, 200)
            contents[key] = answer.body
        self.assertEqual(png_size(contents[VARIANTS[1]]), (200, 133))
        tidepool.eventually(lambda: len(json.loads(self.tool("ls", "--json"))) == 4, "all have rows")
        self.assert_used("hot", contents)

        # Nobody has looked at it for long.
        self.age()
        self.assertIn("1 done, 0 failed", self.tool("tier", "run"))
        self.tool("jobs", "run")
        self.assert_used("cold", contents)
        self.assert_in_bucket(contents)
        self.assert_on_disk({})
        self.assert_served(contents)

        self.assertIn("1 done, 0 failed", self.tool("mv", UUID, "--to", "hot"))
        self.tool("jobs", "run")
        self.assert_used("hot", contents)
        self.assert_in_bucket({})
        self.assert_on_disk(contents)
        self.assert_served(contents)

        self.tool("mv", UUID, "--to", "cold")
        self.tool("jobs", "run")
        self.assert_served(contents)
        self.assertIn("1 done, 0 failed", self.tool("rm", UUID, "--yes"))
        self.assert_used("cold", {})
        self.assert_in_bucket({})
        self.assert_on_disk({})
        for key in contents:
            tidepool.eventually(lambda: self.server.get(f"/{key}").status == 410, f"{key} is gone")
        self.assertIn("hot", self.tool("reconcile", "--older-than", "0s"))

    def age(self):
        """Has the catalog say that it was uploaded long ago, which nothing on the outside can."""
        import sqlite3
        with sqlite3.connect(self.folder / "catalog.db") as catalog:
            catalog.execute("UPDATE images SET uploaded_s = ?, moved_s = ?", [int(time.time()) - OLD_S] * 2)


if __name__ == "__main__":
    tidepool.main()
