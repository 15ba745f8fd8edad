"""The commands on catalog and pools: scan, ls, stat, put, get, rm, stats."""

import contextlib
import hashlib
import json
import pathlib
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import b2  # noqa: E402
import tidepool  # noqa: E402

UUID = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab"
ORIGINAL = f"uploads/original/2026/02/25/{UUID}.jpg"
SMALL = f"uploads/variants/2026/02/25/{UUID}_small.webp"


class CommandCase(unittest.TestCase):
    """Two local pools, "hot" and "warm", and a state folder that the first command makes."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.hot = tidepool.Tree(self.folder / "hot")
        self.warm = tidepool.Tree(self.folder / "warm")
        self.write_config()

    def write_config(self, hot=""):
        self.config = self.folder / "tidepool.toml"
        self.config.write_text(f'[[pool]]\nname = "hot"\nbase_path = "{self.hot.path}"\n{hot}\n'
                               f'[[pool]]\nname = "warm"\nstorage_tier = "warm"\nbase_path = "{self.warm.path}"\n')

    def run_tool(self, command, *arguments):
        return tidepool.run_tool(command, "-c", str(self.config), "--state-dir", str(self.folder / "state"), *arguments)

    def good(self, command, *arguments):
        status, out, error = self.run_tool(command, *arguments)
        self.assertEqual((status, error), (0, ""), out)
        return out

    def json(self, command, *arguments):
        return json.loads(self.good(command, "--json", *arguments))

    def bad(self, status, command, *arguments):
        """A command that must end with this status; what it says on standard error."""
        got, out, error = self.run_tool(command, *arguments)
        self.assertEqual(got, status, out + error)
        self.assertTrue(error.strip(), "it says why")
        self.assertNotIn("terminate called", error)
        return error

    def file(self, content, name="file"):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def scan_counts(self, *arguments):
        return {counts["pool"]: counts for counts in self.json("scan", *arguments)}


class Scan(CommandCase):
    def test_a_tree_is_taken_in_and_found_unchanged_afterwards(self):
        content = self.hot.image(f"original/2026/02/25/{UUID}.jpg", mtime=1_700_000_000)
        self.hot.image(f"variants/2026/02/25/{UUID}_small.webp", "image/webp")
        self.warm.image("cat.png", "image/png")
        counts = self.scan_counts()
        self.assertEqual(counts["hot"]["added"], 2)
        self.assertEqual(counts["warm"]["added"], 1)
        self.assertEqual(self.scan_counts()["hot"]["unchanged"], 2)
        row = self.json("stat", ORIGINAL)
        self.assertEqual((row["pool"], row["role"], row["image"], row["size"], row["modified"], row["sha256"]),
                         ("hot", "original", UUID, len(content), 1_700_000_000, None))
        self.assertTrue(row["in_catalog"] and row["store"]["agrees"])
        self.assertEqual(self.json("stat", "/" + SMALL)["role"], "variant")

    def test_it_tells_what_changed_vanished_or_belongs_elsewhere(self):
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            self.hot.image(name)
        self.warm.image("w.jpg")
        self.scan_counts()
        self.hot.image("a.jpg", size=2_000)
        (self.hot.path / "b.jpg").unlink()
        self.hot.image("w.jpg")
        self.hot.put("notes.xyz", b"text")
        dry = self.scan_counts("hot", "--dry-run")["hot"]
        expected = dict(seen=4, added=1, changed=1, unchanged=1, foreign=1, vanished=1, unknown_type=1)
        self.assertEqual({name: dry[name] for name in expected}, expected)
        self.assertEqual(self.bad(1, "stat", "--offline", "uploads/notes.xyz").count("no pool"), 1)
        real = self.scan_counts("hot")
        self.assertEqual(real["hot"], dry)
        self.assertNotIn("warm", real)
        self.assertEqual(self.json("stat", "uploads/w.jpg")["pool"], "warm")
        self.assertEqual(self.json("stats", "--recount")["balanced"], True)

    def test_hash_reads_contents_once(self):
        content = self.hot.image("a.jpg")
        self.hot.image("wrong.jpg", "image/png")
        self.scan_counts("--hash")
        row = self.json("stat", "uploads/a.jpg")
        self.assertEqual((row["sha256"], row["content_type"]), (hashlib.sha256(content).hexdigest(), "image/jpeg"))
        self.assertEqual(self.json("stat", "uploads/wrong.jpg")["content_type"], "image/png")
        self.assertEqual(self.scan_counts("--hash")["hot"]["unchanged"], 2)
        self.assertEqual(self.scan_counts()["hot"]["unchanged"], 2)  # and what is known is kept
        self.assertEqual(self.json("stat", "uploads/a.jpg")["sha256"], hashlib.sha256(content).hexdigest())

    def test_a_missing_disk_fails_and_the_others_are_scanned(self):
        self.warm.image("w.jpg")
        shutil.rmtree(self.hot.path)
        status, out, error = self.run_tool("scan", "--json")
        self.assertEqual(status, 1)
        self.assertIn("hot", error)
        by_pool = {counts["pool"]: counts for counts in json.loads(out)}
        self.assertIn("message", by_pool["hot"])
        self.assertEqual(by_pool["warm"]["added"], 1)

    def test_one_that_was_killed_goes_on_and_the_accounts_are_right(self):
        for i in range(22):
            folder = self.hot.path / f"{i:02}"
            folder.mkdir()
            for k in range(250):
                (folder / f"{k:03}.jpg").touch()
        total = 22 * 250

        def originals():
            stats = {pool["pool"]: pool for pool in self.json("stats", "--recount")["pools"]}
            return stats["hot"]["original"]["count"]
        for wanted in (1, 5_001):
            child = subprocess.Popen([tidepool.BINARY, "scan", "-c", str(self.config), "--state-dir",
                                      str(self.folder / "state"), "hot"], stdout=subprocess.DEVNULL)
            tidepool.eventually(lambda: originals() >= wanted or child.poll() is not None, "the scan comes so far",
                                every_s=0.001)
            child.kill()
            child.wait()
            self.assertTrue(self.json("stats", "--recount")["balanced"])
        counts = self.scan_counts("hot")["hot"]
        self.assertEqual(counts["seen"], total)
        self.assertEqual(counts["vanished"], 0)
        self.assertEqual(originals(), total)

    def test_a_terminal_sees_progress_and_a_pipe_does_not(self):
        for i in range(200):
            (self.hot.path / f"{i:03}.jpg").touch()
        main, terminal = pty.openpty()
        child = subprocess.Popen([tidepool.BINARY, "scan", "-c", str(self.config), "--state-dir",
                                  str(self.folder / "state")], stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        out, _ = child.communicate(timeout=tidepool.PATIENCE_S)
        os.close(main)
        self.assertEqual(child.returncode, 0)
        self.assertIn(b"pool hot: 200 objects", out)
        self.assertNotIn(b"\x1b", out)
        self.assertNotIn("\x1b", self.good("scan"))


class Objects(CommandCase):
    def test_put_get_ls_rm_are_one_story(self):
        content = tidepool.make_image(size=300_000)
        put = self.json("put", self.file(content), ORIGINAL, "--pool", "hot")
        self.assertEqual((put["size"], put["content_type"], put["sha256"]),
                         (len(content), "image/jpeg", hashlib.sha256(content).hexdigest()))
        stored = self.hot.path / f"original/2026/02/25/{UUID}.jpg"
        self.assertEqual(stored.read_bytes(), content)
        target = self.folder / "got.jpg"
        self.good("get", ORIGINAL, str(target))
        self.assertEqual(target.read_bytes(), content)
        out = subprocess.run([tidepool.BINARY, "get", "-c", self.config, "--state-dir", self.folder / "state", ORIGINAL,
                              "-"], capture_output=True, check=True).stdout
        self.assertEqual(out, content)
        self.assertEqual([row["key"] for row in self.json("ls")], [ORIGINAL])
        self.assertIn(ORIGINAL, self.good("ls", "/uploads/original"))
        self.assertEqual(self.json("ls", "--pool", "warm"), [])
        self.assertEqual(self.json("ls", "uploads/variants"), [])
        removed = self.json("rm", ORIGINAL)
        self.assertEqual((removed["removed"], removed["pool"]), (True, "hot"))
        self.assertFalse(stored.exists())
        self.assertEqual(self.json("ls"), [])
        self.assertEqual(self.json("rm", ORIGINAL)["removed"], False)
        self.assertTrue(self.json("stats", "--recount")["balanced"])

    def test_put_replaces_in_its_pool_and_refuses_another(self):
        self.json("put", self.file(tidepool.make_image(seed=1)), ORIGINAL, "--pool", "hot")
        second = tidepool.make_image(size=5_000, seed=2)
        self.json("put", self.file(second), ORIGINAL, "--pool", "hot")
        self.assertEqual(self.json("stat", ORIGINAL)["size"], 5_000)
        self.assertIn("in pool hot already", self.bad(1, "put", self.file(b"x"), ORIGINAL, "--pool", "warm"))
        self.assertEqual(list(self.warm.path.rglob("*.jpg")), [])
        stats = {pool["pool"]: pool for pool in self.json("stats", "--recount")["pools"]}
        self.assertEqual(stats["hot"]["original"], {"count": 1, "bytes": 5_000})
        self.assertEqual(stats["hot"]["used_bytes"], 5_000)

    def test_a_put_that_fails_leaves_nothing(self):
        self.write_config(hot='max_size = "1KiB"')
        self.assertIn("full", self.bad(1, "put", self.file(b"x" * 2_000), ORIGINAL, "--pool", "hot"))
        self.assertIn("absent.jpg", self.bad(1, "put", str(self.folder / "absent.jpg"), ORIGINAL, "--pool", "hot"))
        self.assertIn("regular", self.bad(1, "put", str(self.folder), ORIGINAL, "--pool", "hot"))
        self.assertEqual(self.json("ls"), [])
        self.assertEqual([path for path in self.hot.path.rglob("*") if path.is_file()], [])

    def test_a_put_without_a_row_stays_unless_that_was_refused(self):
        """Invariant 1: after other failures the row may be there, or be somebody else's who stored the same."""
        content = tidepool.make_image(seed=1)
        path = self.hot.path / ORIGINAL.removeprefix("uploads/")
        self.json("ls")
        for statement, stays in (("SELECT a_function_that_there_is_not()", True), ("SELECT RAISE(ABORT, 'told to')", False)):
            with contextlib.closing(sqlite3.connect(self.folder / "state" / "catalog.db", isolation_level=None)) as catalog:
                catalog.execute(f"CREATE TRIGGER refused BEFORE INSERT ON objects BEGIN {statement}; END")
                error = self.bad(1, "put", self.file(content), ORIGINAL, "--pool", "hot")
                catalog.execute("DROP TRIGGER refused")
            self.assertEqual(path.exists(), stays, error)
            self.assertEqual("tidepool scan hot" in error, stays, error)
        self.json("put", self.file(content), ORIGINAL, "--pool", "hot")
        self.assertEqual(path.read_bytes(), content)

    def test_wrong_usage_is_told_with_the_nearest_name(self):
        file = self.file(b"x")
        self.assertIn('did you mean "warm"?', self.bad(2, "put", file, ORIGINAL, "--pool", "warn"))
        self.assertIn("hot, warm", self.bad(2, "ls", "--pool", "zzzzzzzz"))
        for key in ("", "uploads/../a.jpg", "uploads//a.jpg", "uploads/.hidden", "uploads/a.tmp", "a\\b", "uploads/"):
            self.assertIn("no key", self.bad(2, "put", file, key, "--pool", "hot"), key)
        self.bad(2, "put", file, ORIGINAL)
        self.bad(2, "ls", "--pools", "hot")
        self.assertEqual(tidepool.run_tool("ls")[0], 2)
        self.assertEqual(tidepool.run_tool("ls", "-c", str(self.folder / "absent.toml"))[0], 2)

    def test_each_command_has_help(self):
        for command in ("scan", "ls", "stat", "put", "get", "rm", "stats"):
            status, out, _ = tidepool.run_tool(command, "--help")
            self.assertEqual(status, 0)
            for option in ("--config", "--json", "--state-dir"):
                self.assertIn(option, out)

    def test_files_that_others_wrote_count_before_any_scan(self):
        """Invariant 11."""
        content = self.warm.image("cat.png", "image/png")
        row = self.json("stat", "uploads/cat.png")
        self.assertEqual((row["pool"], row["in_catalog"]), ("warm", False))
        self.good("get", "uploads/cat.png", str(self.folder / "cat.png"))
        self.assertEqual((self.folder / "cat.png").read_bytes(), content)
        self.assertEqual(self.json("rm", "uploads/cat.png")["pool"], "warm")
        self.bad(1, "get", "uploads/cat.png", str(self.folder / "again.png"))
        self.assertFalse((self.folder / "again.png").exists())

    def test_a_content_that_is_not_what_the_catalog_says_gets_no_name(self):
        """Invariant 3."""
        self.good("put", self.file(tidepool.make_image(seed=1)), ORIGINAL, "--pool", "hot")
        self.hot.image(f"original/2026/02/25/{UUID}.jpg", seed=2)
        target = self.folder / "got.jpg"
        self.assertIn("SHA-256", self.bad(1, "get", ORIGINAL, str(target)))
        self.assertFalse(target.exists())
        self.hot.image(f"original/2026/02/25/{UUID}.jpg", size=77)
        status, out, _ = self.run_tool("stat", "--json", ORIGINAL)
        self.assertEqual((status, json.loads(out)["store"]["agrees"]), (1, False))

    def test_ls_pages_through_more_than_one_page(self):
        for i in range(1_200):
            (self.hot.path / f"{i:04}.jpg").touch()
        self.scan_counts()
        keys = [row["key"] for row in self.json("ls")]
        self.assertEqual(keys, [f"uploads/{i:04}.jpg" for i in range(1_200)])
        self.assertEqual(len(self.json("ls", "--limit", "1001")), 1_001)
        self.assertEqual(len(self.good("ls", "uploads/00").splitlines()), 100)


class Buckets(CommandCase):
    """The same commands on a bucket of B2's kind."""

    def setUp(self):
        super().setUp()
        self.b2 = b2.B2()
        self.addCleanup(self.b2.stop)
        self.b2.bucket("images-test")
        self.write_config()

    def write_config(self, hot="", cold=""):
        super().write_config(hot)
        if not hasattr(self, "b2"):
            return
        secret = self.folder / "secret"
        secret.write_text(self.b2.key.secret)
        self.config.write_text(self.config.read_text() + f"""
[[pool]]
name = "cold"
storage_type = "s3"
storage_tier = "cold"
bucket = "images-test"
region = "{self.b2.region}"
endpoint_url = "{self.b2.s3_url}"
access_key_id = "{self.b2.key.id}"
secret_access_key = "file:{secret}"
{cold}
""")

    def test_put_stat_get_rm(self):
        content = tidepool.make_image(size=200_000)
        put = self.json("put", self.file(content), ORIGINAL, "--pool", "cold")
        self.assertEqual((put["pool"], put["size"], put["sha256"]),
                         ("cold", len(content), hashlib.sha256(content).hexdigest()))
        self.assertEqual(self.b2.get("images-test", ORIGINAL), content)
        self.assertEqual(self.json("stat", ORIGINAL)["store"]["agrees"], True)
        target = self.folder / "got.jpg"
        self.good("get", ORIGINAL, str(target))
        self.assertEqual(target.read_bytes(), content)
        self.b2.fault("error", count=100, method="DELETE")
        self.b2.fault("error", count=100, method="POST")
        self.bad(1, "rm", ORIGINAL)
        self.assertEqual(self.json("stat", "--offline", ORIGINAL)["pool"], "cold")  # the row says where the rest is
        self.b2.clear_faults()
        self.assertEqual(self.json("rm", ORIGINAL)["pool"], "cold")
        self.assertEqual(self.b2.versions("images-test", ORIGINAL), [])
        self.assertEqual(self.json("ls"), [])

    def test_put_tells_the_bucket_what_visitors_are_told(self):
        with self.config.open("a") as config:
            config.write('''
[[cache_control]]
prefix = "uploads/private/"
status = ["200"]
cache_control = "private, max-age=7"
cdn_cache_control = "no-store"
[[cache_control]]
status = ["200"]
content_type = "image/png"
cache_control = "public, max-age=8"
cloudflare_cdn_cache_control = "max-age=9"
''')
        for key, kind, expected in ((ORIGINAL, "image/jpeg", "public, max-age=31536000, immutable"),
                                    ("uploads/a.jpg", "image/jpeg", "public, max-age=300"),
                                    ("uploads/private/a.png", "image/png", "private, max-age=7"),
                                    ("uploads/a.png", "image/png", "public, max-age=8")):
            with self.subTest(key=key):
                self.good("put", self.file(tidepool.make_image(kind)), key, "--pool", "cold")
                version, = self.b2.versions("images-test", key)
                self.assertEqual((version.content_type, version.headers), (kind, {"cache-control": expected}))

    def test_scan_takes_a_bucket_in(self):
        for i in range(1_203):
            self.b2.put("images-test", f"uploads/original/2026/01/{i % 28 + 1:02}/{i:05}.jpg", b"x" * i)
        counts = self.scan_counts("cold")["cold"]
        self.assertEqual((counts["added"], counts["bytes"]), (1_203, sum(range(1_203))))
        self.b2.put("images-test", "uploads/original/2026/01/01/00000.jpg", b"changed")
        again = self.scan_counts("cold")["cold"]
        self.assertEqual((again["changed"], again["unchanged"]), (1, 1_202))
        self.assertTrue(self.json("stats", "--recount")["balanced"])

    def test_the_days_budget_holds_over_commands(self):
        self.write_config(cold="daily_class_a_calls = 2\nbudget_warning_percent = 100")
        file = self.file(tidepool.make_image())
        self.assertEqual(self.run_tool("put", file, "uploads/a.jpg", "--pool", "cold")[0], 0)
        self.run_tool("put", file, "uploads/b.jpg", "--pool", "cold")
        self.bad(1, "put", file, "uploads/c.jpg", "--pool", "cold")
        self.assertIsNone(self.b2.get("images-test", "uploads/c.jpg"))

    def test_no_secret_is_kept_or_shown(self):
        """Invariant 10."""
        self.good("put", self.file(tidepool.make_image()), ORIGINAL, "--pool", "cold")
        kept = b"".join(path.read_bytes() for path in (self.folder / "state").iterdir())
        self.assertIn(b"images-test", kept)
        self.assertNotIn(self.b2.key.secret.encode(), kept)


class Place(CommandCase):
    def test_without_a_state_folder_serve_root_writes_nothing(self):
        self.hot.image("a.jpg")
        process = tidepool.Process(["serve", "--root", str(self.hot.path), "--listen", "127.0.0.1:0",
                                    "--admin-listen", "127.0.0.1:0"])
        try:
            process.wait_log(r"serving version=")
        finally:
            process.signal(signal.SIGTERM)
            process.child.wait(tidepool.PATIENCE_S)
            process.child.stderr.close()
        self.assertFalse((self.folder / "state").exists())
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["hot", "tidepool.toml", "warm"])

    def test_a_catalog_that_cannot_be_had_is_named(self):
        (self.folder / "state").write_text("a file")
        self.assertIn("catalog.db", self.bad(1, "ls"))
        (self.folder / "state").unlink()
        (self.folder / "state").mkdir()
        (self.folder / "state" / "catalog.db").write_text("x" * 5_000)
        self.assertIn("no SQLite database", self.bad(1, "ls"))
        self.config.write_text('[catalog]\nurl = ""\n' + self.config.read_text())
        status, _, error = tidepool.run_tool("ls", "-c", str(self.config))
        self.assertEqual(status, 2)
        self.assertIn("catalog.url", error)


if __name__ == "__main__":
    tidepool.main()
