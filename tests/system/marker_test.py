"""A disk that is not mounted: with pool.marker the empty folder in its place is not taken for the pool."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402
import uploads  # noqa: E402
from pictures import picture  # noqa: E402

MARKER = ".mounted"
CONFIG = {"cache": {"freshness": "100ms"}}  # no answer from memory for longer


class Marker(uploads.UploadCase):
    POOL = {"marker": MARKER}

    def setUp(self):
        super().setUp()
        self.base = self.trees["uploads"].path
        self.disk = self.folder / "disk"
        (self.base / MARKER).touch()

    def unmount(self):
        self.base.rename(self.disk)
        self.base.mkdir()

    def mount(self):
        self.base.rmdir()  # fails where something was written there
        self.disk.rename(self.base)

    def why(self):
        return f"pool hot: {self.base} has no file {MARKER} (pool.marker): is its disk mounted?"

    def assert_away(self, key):
        """Read as of a disk that fails: at once, or once what is in memory is looked at anew."""
        def away():
            answer = self.server.get(f"/{key}")
            self.assertIn(answer.status, (200, 503), answer)
            return answer.status == 503 and answer
        answer = tidepool.eventually(away, f"{key} is not served")
        self.assertEqual(answer["cache-control"], "no-store")
        self.assertGreaterEqual(int(answer["retry-after"]), 1)

    def assert_served(self, image):
        for key, content in image.contents.items():
            answer = tidepool.eventually(lambda key=key: (got := self.server.get(f"/{key}")).status == 200 and got,
                                         f"{key} is served")
            self.assertEqual(answer.body, content)

    def rows(self):
        return {row["key"] for row in self.json("ls", "--limit", "0")}

    def waiting(self, job_id):
        """The job, once it was tried and is to be tried again."""
        def tried():
            job = self.json("jobs", "show", job_id)
            return job["state"] == "queued" and job["attempts"] >= 1 and job
        return tidepool.eventually(tried, "the job was tried", every_s=0.1)

    def test_nothing_is_absent_written_or_deleted_while_it_is_away(self):
        kept, deleted = self.new_image(), self.new_image()
        self.start(config=CONFIG, scanned=True)
        rows = self.rows()
        self.assertEqual(rows, {*kept.keys, *deleted.keys})
        self.assertEqual(self.server.get(f"/{kept.original}").status, 200)  # the others nobody has asked for
        self.assertEqual(self.server.get(f"/uploads/{MARKER}").status, 404)
        self.assertEqual(self.run_tool("check")[0], 0)

        self.unmount()
        for key in kept.keys:
            self.assert_away(key)
        self.assert_away(deleted.original)
        content = picture("png", 60, 60)
        self.assert_come_later(self.upload(content, "a.png"), 503, "service_unavailable")
        status, _, error = self.run_tool("check")
        self.assertEqual(status, 1)
        self.assertIn(self.why(), error)
        self.assertEqual(self.server.admin_get("/readyz").status, 503)
        for command in (("scan", "hot"), ("reconcile", "hot", "--repair", "--older-than", "0s")):
            status, _, error = self.run_tool(*command)
            self.assertEqual(status, 1)
            self.assertIn(self.why(), error)
        status, answer = self.call("DELETE", f"/api/admin/v1/images/{deleted.uuid}")
        self.assertEqual(status, 202)
        self.assertIn(self.why(), self.waiting(answer["job"])["error"])
        self.assertEqual(self.rows(), rows)

        self.mount()
        self.assert_served(kept)
        self.wait_for_jobs()
        self.assertEqual(self.json("jobs", "show", answer["job"])["state"], "done")
        self.assertEqual(self.rows(), set(kept.keys))
        self.assertEqual(set(self.stored("hot")), {*kept.keys, f"uploads/{MARKER}"})
        self.tool("scan", "hot")
        self.assertEqual(self.server.get(f"/{deleted.original}").status, 410)
        self.assertEqual(self.rows(), set(kept.keys))
        self.accepted(self.upload(content, "a.png"))

    def test_other_pools_give_and_take_meanwhile(self):
        here, there = self.new_image(), self.new_image()
        warm = {"name": "warm", "storage_tier": "warm", "base_path": self.trees["warm"].path,
                "upload_api_url": uploads.NODE + uploads.INTERNAL_UPLOAD}
        self.start(config=CONFIG, scanned=True, pools=[*self.pools(), warm])
        self.tool("mv", there.uuid, "--to", "warm")
        content = picture("png", 60, 60)
        self.assertEqual(self.session(len(content))["pool_id"], self.pool_id("hot"))

        self.unmount()
        self.assert_served(there)
        self.assert_away(here.original)
        self.server.wait_log(r"lookup failed .*has no file \.mounted")
        warm_id = self.pool_id("warm")
        taken = tidepool.eventually(lambda: (got := self.session(len(content)))["pool_id"] == warm_id and got,
                                    "uploads go elsewhere")
        self.accepted(self.upload(content, "a.png", taken["token"]))
        self.assertEqual(list(self.originals("warm").values()).count(content), 1)
        for image, pool in ((there, "hot"), (here, "warm")):
            self.tool("mv", image.uuid, "--to", pool, "--detach")
        moves = [job for job in self.json("jobs", "list", "--type", "move", "--limit", "0") if job["state"] != "done"]
        self.assertEqual(len(moves), 2)
        for move in moves:
            self.assertIn(self.why(), self.waiting(move["id"])["error"])
        self.assert_served(there)

        self.mount()
        self.wait_for_jobs()
        self.assert_at("hot", there)
        self.assert_at("warm", here)
        self.assert_balanced()


if __name__ == "__main__":
    tidepool.main()
