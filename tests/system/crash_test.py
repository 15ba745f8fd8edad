"""The server killed again and again while images are moved, deleted and read, and while moves are paused, resumed, retried
and cancelled: nothing is lost, doubled or wrong.

Every kill is by SIGKILL, at a step of the work (see conf/fault_point.h) or at any moment. TIDEPOOL_KILLS says how many;
TIDEPOOL_SEED repeats what was drawn.
"""

import os
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import image_host  # noqa: E402
import tidepool  # noqa: E402

KILLS = int(os.environ.get("TIDEPOOL_KILLS", "12" if tidepool.SANITIZED else "30"))
SEED = int(os.environ.get("TIDEPOOL_SEED", "0")) or random.randrange(1, 1 << 32)
ACTIONS = ("pause", "resume", "resume", "retry", "cancel")
STEPS = ("move.begun", "move.copied", "move.proved", "move.switched", "clean.removed", "delete.begun", "delete.bytes",
         "delete.row", "delete.removed", "store.written", "store.named", "store.uploaded")


class Crashes(image_host.ImageHostCase):
    GRACE = "0s"
    POOLS = ("hot", "warm", "cold")
    STEPS = STEPS
    ROUNDS = KILLS

    def setUp(self):
        super().setUp()
        self.chance = random.Random(SEED)
        self.undecided, self.at_a_step, self.moves = [], 0, []

    def begin(self, fault=None):
        """A new server, which may be told where to die."""
        self.start(scanned=False, environment={"TIDEPOOL_FAULT_POINT": fault} if fault else None)

    def ask(self, method, path, body=None):
        """(status, JSON) of a call of the admin API; nothing of both where the server dies of it."""
        try:
            return self.call(method, path, body)
        except (OSError, EOFError, tidepool.NotHttp, AssertionError):
            return None, None

    def make_work(self):
        for image in self.chance.sample(self.images, 3):
            target = self.chance.choice(self.POOLS)
            _, answer = self.ask("POST", f"/api/admin/v1/images/{image.uuid}/move", {"to": target})
            if answer and "job" in answer:
                self.moves.append(answer["job"])
        for job in self.chance.sample(self.moves[-8:], min(len(self.moves), self.chance.randrange(4))):
            self.ask("POST", f"/api/admin/v1/jobs/{job}/{self.chance.choice(ACTIONS)}")
        if self.chance.random() < 0.3:
            image = self.images.pop(self.chance.randrange(len(self.images)))
            if not self.delete(image):
                self.undecided.append(image)
            self.new_image(bytes_each=5_000)

    def delete(self, image):
        """False where it is not known what came of it. One that nobody has asked for yet is not known, and stays."""
        status, _ = self.ask("DELETE", f"/api/admin/v1/images/{image.uuid}")
        if status == 404:
            self.images.append(image)
        return status is not None

    def die(self, fault):
        """Waits until the server has killed itself, or kills it."""
        until = time.monotonic() + (1.0 if fault else self.chance.random() * 0.4)
        while time.monotonic() < until and self.server.child.poll() is None:
            time.sleep(0.005)  # tidy: allow sleep, the moment of a kill is drawn
        self.at_a_step += self.server.child.poll() is not None
        if self.server.child.poll() is None:
            self.server.crash()
        self.server.stopped = True
        self.server.child.wait()

    def test_nothing_is_lost_doubled_or_wrong(self):
        for _ in range(10):
            self.new_image(bytes_each=5_000)
        self.begin()
        self.tool("scan", "--hash")
        reader = self.read_all(allowed=(410,))
        for _ in range(self.ROUNDS):
            self.make_work()
            fault = None
            if self.chance.random() < 0.7:
                fault = f"{self.chance.choice(self.STEPS)}:{self.chance.randrange(1, 4)}"
            self.server.crash()
            self.begin(fault)
            self.make_work()
            self.die(fault)
            self.begin()
        # All that was decided is done, and nothing else.
        self.run_tool("jobs", "resume", "--state", "paused", "--type", "move")
        for image in self.undecided:
            self.assertTrue(self.delete(image))
        tidepool.eventually(self.all_ended, "all jobs end", patience_s=240, every_s=0.2)
        self.assertEqual(reader.stop(), [], f"seed {SEED}")
        self.assertGreater(reader.answers, self.ROUNDS * 5)
        self.assertGreaterEqual(self.at_a_step, self.ROUNDS // 8, f"seed {SEED}")
        self.check_ends()

    def all_ended(self):
        states = {job["state"] for job in self.json("jobs", "list", "--limit", "0")}
        return not states & {"queued", "running"}

    def check_ends(self):
        failed = self.json("jobs", "list", "--state", "failed", "--limit", "0")
        self.assertEqual(failed, [], f"seed {SEED}")
        self.run_tool("reconcile", "--repair", "--older-than", "0s", "--max-change", "100")
        out = self.tool("reconcile", "--older-than", "0s")
        self.assertIn("hot", out)
        self.check_homes()
        self.check_versions(cold.BUCKET)
        self.assert_balanced()

    def check_homes(self):
        homes = self.homes()
        for image in self.images:
            holders = [pool for pool, home in homes.items() if image.original in home]
            self.assertEqual(len(holders), 1, f"{image.uuid} is in {holders}; seed {SEED}")
            self.assert_at(holders[0], image)
        wanted = {key for image in self.images for key in image.keys}
        for pool, home in homes.items():
            self.assertEqual(set(home) - wanted, set(), f"in {pool}; seed {SEED}")

    def check_versions(self, bucket):
        for key in self.b2.keys(bucket):
            self.assertEqual(len(self.b2.versions(bucket, key)), 1, f"{key}; seed {SEED}")


class MirroredCrashes(Crashes):
    """The pools "cold" and "new" mirror one another, and images move between them too."""

    POOLS = ("hot", "cold", "new")
    STEPS = (*STEPS, "backup.copied", "backup.noted", "delete.mirror")
    ROUNDS = max(1, KILLS // 3)
    MIRROR = "tidepool-new"

    def setUp(self):
        super().setUp()
        self.b2.bucket(self.MIRROR)

    def pools(self, **options):
        store = cold.Store(self.b2.s3_url, self.b2.region, self.b2.key)
        return [*super().pools(mirror="new", **options),
                tidepool.bucket_pool(store, self.MIRROR, "new", mirror="cold")]

    def check_homes(self):
        self.tool("mirror", "run")
        self.tool("mirror", "status")
        homes = {**self.homes(), "new": {key: self.b2.get(self.MIRROR, key) for key in self.b2.keys(self.MIRROR)}}
        rows = {row["key"]: row["pool"] for row in self.json("ls", "--limit", "0")}
        self.assertEqual(set(rows), {key for image in self.images for key in image.keys}, f"seed {SEED}")
        expected = {pool: {} for pool in homes}
        for image in self.images:
            [home] = {rows[key] for key in image.keys}
            for pool in {"cold": ("cold", "new"), "new": ("cold", "new")}.get(home, (home,)):
                expected[pool].update(image.contents)
        for pool, home in homes.items():
            self.assertEqual(set(home), set(expected[pool]), f"in {pool}; seed {SEED}")
            self.assertTrue(home == expected[pool], f"contents in {pool}; seed {SEED}")
        self.check_versions(self.MIRROR)


if __name__ == "__main__":
    tidepool.main()
