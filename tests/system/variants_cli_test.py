"""tidepool variants: making, listing and removing variants in bulk."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402
from pictures import png, png_size  # noqa: E402

import json  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402

DAY = "2026/02/25"
PROFILES = "".join(f'[[profile]]\nname = "{name}"\nwidth = {width}\nformats = ["webp", "original"]\nat_upload = []\n\n'
                   for name, width in (("small", 200), ("medium", 500)))
NAMES = ("_small.webp", "_small.png", "_medium.webp", "_medium.png")


class VariantsCliCase(cold.ColdCase):
    """A server that makes none, with originals on its disk and in its bucket; the command works beside it."""

    def setUp(self):
        super().setUp()
        self.server = self.serve_cold()

    def fill(self, local=2, remote=2):
        """Stores originals, scans, and gives what the keys of their variants begin with, by pool."""
        self.images = {"hot": [], "cold": []}
        for pool, count in (("hot", local), ("cold", remote)):
            for number in range(count):
                name = f"0f8fad5b-d9cb-469f-a165-{len(self.images['hot']) + 1000 * (pool == 'cold') + number:012x}"
                key = f"uploads/original/{DAY}/{name}.png"
                picture = png(600, 400, seed=number)
                if pool == "hot":
                    self.server.tree.put(key.removeprefix("uploads/"), picture, mtime=1_700_000_000)
                else:
                    self.b2.put(cold.BUCKET, key, picture, "image/png")
                self.images[pool].append(f"uploads/variants/{DAY}/{name}")
        cold.scan(self.server, self.b2.key.secret)
        with open(self.server.config_file, "a") as file:
            file.write("\n" + PROFILES)

    def arguments(self, *arguments):
        return ["variants", arguments[0], "-c", str(self.server.config_file), *arguments[1:]]

    def environment(self):
        return {"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret}

    def run_variants(self, *arguments, status=0):
        got, out, error = tidepool.run_tool(*self.arguments(*arguments), environment=self.environment())
        self.assertEqual(got, status, out + error)
        return out if status == 0 else error

    def json(self, *arguments):
        return json.loads(self.run_variants(*arguments, "--json"))

    def listed(self, *arguments):
        return {row["key"] for row in self.json("list", *arguments)}

    def all_keys(self, *pools, names=NAMES):
        return {image + name for pool in pools or ("hot", "cold") for image in self.images[pool] for name in names}


class Bulk(VariantsCliCase):
    def test_what_is_missing_is_made_listed_and_removed(self):
        self.fill()
        self.assertEqual(self.json("make", "--dry-run"), {"images": 4, "missing": 16, "made": 0, "without": 0, "failed": 0})
        self.assertEqual(self.json("make"), {"images": 4, "missing": 16, "made": 16, "without": 0, "failed": 0})
        self.assertEqual(self.listed(), self.all_keys())
        self.assertEqual({key for key in self.b2.keys(cold.BUCKET) if "/variants/" in key}, self.all_keys("cold"))
        self.assertEqual(self.json("make")["images"], 0, "nothing is missing any more")
        for key in sorted(self.all_keys()):
            answer = self.server.get("/" + key)
            self.assertEqual(answer.status, 200, answer)
        self.assertEqual(png_size(self.server.get(f"/{self.images['cold'][0]}_medium.png").body), (500, 333))
        originals = {key for key in self.b2.keys(cold.BUCKET) if "/original/" in key}

        counted = self.json("rm")
        self.assertEqual((counted["variants"], counted["removed"]), (16, False))
        self.assertEqual(self.listed(), self.all_keys(), "without --yes nothing is removed")
        removed = self.json("rm", "--yes", "--rate", "1000")
        self.assertEqual((removed["variants"], removed["bytes"], removed["failed"]), (16, counted["bytes"], 0))
        self.assertEqual(self.listed(), set())
        self.assertEqual(set(self.b2.keys(cold.BUCKET)), originals)
        self.assertEqual(len(list((self.server.tree.path / "original").rglob("*.png"))), 2)
        self.assertEqual(list((self.server.tree.path / "variants").rglob("*.*")), [])
        tidepool.eventually(lambda: self.server.get(f"/{self.images['cold'][0]}_medium.png").status == 404,
                            "the server has noticed", patience_s=30)

    def test_each_original_is_fetched_once(self):
        self.fill(local=0, remote=2)
        self.b2.clear_requests()
        self.run_variants("make")
        self.assertEqual(sorted(entry.key.count("/original/") for entry in self.fetches()), [1, 1])

    def test_a_part_of_them_can_be_chosen(self):
        self.fill()
        self.assertEqual(self.json("make", "--profile", "small", "--pool", "cold")["made"], 4)
        self.assertEqual(self.listed(), self.all_keys("cold", names=NAMES[:2]))
        self.assertEqual(self.json("make", "--limit", "1", "--pool", "hot")["images"], 1)
        self.assertEqual(self.listed("--pool", "hot"), {self.images["hot"][0] + name for name in NAMES})
        self.assertEqual(self.listed("--profile", "medium"), {self.images["hot"][0] + name for name in NAMES[2:]})
        self.assertEqual(self.json("make", "--since", "1h", "--pool", "hot")["images"], 0, "those are of 2023")
        self.assertEqual(self.json("make", "--since", "2023-11-14", "--pool", "hot")["images"], 1)
        self.assertEqual(self.json("rm", "--yes", "--profile", "medium")["variants"], 4)
        self.assertEqual(self.listed(), self.all_keys(names=NAMES[:2]))
        self.assertEqual(self.listed("--profile", "medium"), set())

    def test_what_cannot_be_made_is_said_and_the_rest_made(self):
        self.fill(local=1, remote=1)
        broken = self.server.tree.path / "original" / DAY / "0f8fad5b-d9cb-469f-a165-00000000ffff.png"
        broken.write_bytes(png(300, 300)[:500])
        os.utime(broken, (1_700_000_000, 1_700_000_000))
        cold.scan(self.server, self.b2.key.secret)
        error = self.run_variants("make", status=1)
        self.assertIn("variant not made", error)
        self.assertEqual(self.listed(), self.all_keys())

    def test_wrong_usage_is_said(self):
        self.fill(local=0, remote=0)
        for arguments, text in ((("make", "--profile", "huge"), '"small", "medium"'),
                                (("list", "--pool", "cald"), "cold"),
                                (("rm", "--since", "yesterday"), "--since")):
            with self.subTest(arguments):
                self.assertIn(text, self.run_variants(*arguments, status=2))

    def test_one_that_is_killed_is_begun_again(self):
        self.fill(local=12, remote=0)
        process = subprocess.Popen([tidepool.BINARY, *self.arguments("make", "--rate", "8")],
                                   env={**os.environ, **self.environment()}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            tidepool.eventually(lambda: len(self.listed()) >= 4, "some are made")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        done = len(self.listed())
        self.assertLess(done, 48)
        made = self.json("make")
        self.assertEqual(made["failed"], 0)
        self.assertLessEqual(made["missing"], 48 - done)
        self.assertEqual(self.listed(), self.all_keys())
        self.assertEqual(len(list((self.server.tree.path / "variants").rglob("*.tmp"))), 0)


if __name__ == "__main__":
    tidepool.main()
