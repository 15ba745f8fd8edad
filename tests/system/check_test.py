"""tidepool check: what it says before a start, of catalog, access log and pools, and that nothing holds it up."""

import pathlib
import shutil
import socket
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

UPLOADS = {"replicate_secret": "env:TIDEPOOL_TEST_SECRET"}
ENVIRONMENT = {"TIDEPOOL_TEST_SECRET": "a secret of more than sixteen bytes"}


class Check(tidepool.OwnServerCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "uploads").mkdir()
        self.config = self.folder / "tidepool.toml"

    def write(self, sections=None, *pools):
        sections = {"server": {"listen": ["127.0.0.1:0"]}, "admin": {"listen": []}, "catalog": {"url": ""},
                    "shelf": {"path": ""}, "variants": {"on_demand": False}, **(sections or {})}
        sections["upload"] = {"spool_path": self.folder / "spool", **sections.get("upload", {})}
        pools = [*pools, {"name": "hot", "base_path": self.folder / "uploads"}]
        self.config.write_text("".join(tidepool.toml_section(f"[{name}]", each) for name, each in sections.items())
                               + "".join(tidepool.toml_section("[[pool]]", pool) for pool in pools))

    def check(self, *arguments):
        """(status, standard output, standard error)"""
        return tidepool.run_tool("check", "-c", str(self.config), *arguments, environment=ENVIRONMENT)

    def serve_fails(self):
        """What a server says that does not start."""
        status, _, error = tidepool.run_tool("serve", "-c", str(self.config), environment=ENVIRONMENT)
        self.assertEqual(status, 1, error)
        return error

    def serve_starts(self):
        """What a server says that does."""
        process = tidepool.Process(["serve", "-c", str(self.config)], environment=ENVIRONMENT)
        try:
            _, end = process.wait_log("serving version=")
        finally:
            process.child.terminate()
            process.child.wait()
            process.child.stderr.close()
        return process.log()[:end]

    def test_a_pool_that_never_answers_is_named_and_the_others_are_asked(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.write({"catalog": {"url": f"sqlite:{self.folder}/catalog.db"}},
                       {"name": "cold", "storage_type": "s3", "storage_tier": "cold", "bucket": "images",
                        "region": "us-west-001", "endpoint_url": "http://127.0.0.1:%d" % silent.getsockname()[1],
                        "access_key_id": "id", "secret_access_key": "env:TIDEPOOL_TEST_SECRET"})
            status, out, error = self.check("--timeout", "2s")
        self.assertEqual(status, 1)
        self.assertIn("pool cold: no answer within 2s\n", error)
        self.assertIn(f"pool hot: {self.folder}/uploads is readable\n", out)
        for wrong in ("", "0s", "2h", "soon"):
            self.assertEqual(self.check("--timeout", wrong)[0], 2)

    def test_a_catalog_is_opened_and_needed_by_uploads_mirrors_and_tiering(self):
        broken, deep = self.folder / "broken.db", self.folder / "absent" / "deeper" / "catalog.db"
        broken.write_text("no database" * 100)
        second = {"name": "second", "base_path": self.folder / "second"}
        (self.folder / "second").mkdir()
        for path, why in ((broken, "no SQLite database"), (deep, "absent/deeper")):
            url = {"catalog": {"url": f"sqlite:{path}"}}
            with self.subTest(path=path.name):
                self.write(url)
                status, _, error = self.check()
                self.assertEqual(status, 0)
                self.assertRegex(error, f"warning: catalog.url: .*{why}.*; the server would go on without a catalog\n")
                self.assertTrue([line for line in self.serve_starts() if "going on without a catalog" in line])
            for need, sections, pools in (("uploads", {"upload": UPLOADS}, []),
                                          ("tiering", {"tiering": {"enabled": True}}, []),
                                          ("a mirror", {}, [{**second, "mirror": "hot"}])):
                with self.subTest(path=path.name, need=need):
                    self.write({**url, **sections}, *pools)
                    status, _, error = self.check()
                    self.assertEqual(status, 1)
                    self.assertRegex(error, f"catalog.url: .*{why}.*; {need} cannot be without a catalog\n")
                    self.assertRegex(self.serve_fails(), f"cannot serve: .*{path}.*{need}")

    def test_a_check_makes_no_catalog(self):
        catalog = self.folder / "state" / "catalog.db"
        self.write({"catalog": {"url": f"sqlite:{catalog}"}, "upload": UPLOADS})
        status, out, error = self.check()
        self.assertEqual((status, error), (0, ""), out)
        self.assertFalse(catalog.parent.exists())
        self.serve_starts()
        self.assertTrue(catalog.exists())
        before = sorted(catalog.parent.iterdir())
        self.assertEqual(self.check()[::2], (0, ""))
        self.assertEqual(sorted(catalog.parent.iterdir()), before)

    def test_an_access_log_that_cannot_be_opened_is_named(self):
        log = self.folder / "absent" / "deeper" / "access.log"
        self.write({"access_log": {"path": log}})
        status, _, error = self.check()
        self.assertEqual(status, 1)
        self.assertRegex(error, f"access_log.path: .*{log}")
        self.assertRegex(self.serve_fails(), f"cannot log: .*{log}")
        log.parent.parent.mkdir()
        status, _, error = self.check()
        self.assertEqual((status, error), (0, ""))
        self.assertFalse(log.parent.exists())
        self.serve_starts()
        self.assertTrue(log.exists())


if __name__ == "__main__":
    tidepool.main()
