"""A pool whose objects have copies in another provider's bucket: made, kept, used, and made its home."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import image_host  # noqa: E402
import tidepool  # noqa: E402
from b2 import B2  # noqa: E402

BUCKET = "another-provider"


class MirrorCase(image_host.ImageHostCase):
    def setUp(self):
        super().setUp()
        self.other = B2()
        self.addCleanup(self.other.stop)
        self.other.bucket(BUCKET)
        self.environment["TIDEPOOL_TEST_OTHER_SECRET"] = self.other.key.secret

    def pools(self, mirror="new", back="", **options):
        store = cold.Store(self.other.s3_url, self.other.region, self.other.key)
        new = tidepool.bucket_pool(store, BUCKET, "new", secret_access_key="env:TIDEPOOL_TEST_OTHER_SECRET",
                                   **({"mirror": back} if back else {}))
        return [*super().pools(**options, **({"mirror": mirror} if mirror else {})), new]

    def start_with(self, *images, config=None, scanned=True, environment=None, **options):
        """A server whose images are in the pool "cold"."""
        server = self.start({"backup": {"interval": "1h"}, **(config or {})}, pools=self.pools(**options),
                            scanned=scanned, environment=environment)
        if images:
            self.tool("mv", *(image.uuid for image in images), "--to", "cold")
        return server

    def copies(self):
        return {key: self.other.get(BUCKET, key) for key in self.other.keys(BUCKET)}

    def all_of(self, *images):
        return {key: content for image in images for key, content in image.contents.items()}

    def wait_for_copies(self, *images):
        tidepool.eventually(lambda: self.copies() == self.all_of(*images), "all have a copy", every_s=0.1)
        tidepool.eventually(lambda: self.run_tool("mirror", "status")[0] == 0, "and it is known", every_s=0.1)

    def counted(self, pool):
        stats = {each["pool"]: each for each in self.json("stats", "--recount")["pools"]}
        return stats[pool]["original"]["count"] + stats[pool]["variant"]["count"], stats[pool]["backup"]["count"]

    def puts(self, store):
        return len([entry for entry in store.requests if entry.method == "PUT"])

    def no_hidden_versions(self):
        for store, bucket in ((self.b2, cold.BUCKET), (self.other, BUCKET)):
            for key in store.keys(bucket):
                self.assertEqual(len(store.versions(bucket, key)), 1, key)


class Copies(MirrorCase):
    def test_what_comes_to_the_pool_is_copied_and_counted_apart(self):
        image = self.new_image()
        self.start_with(image)
        self.wait_for_copies(image)
        self.assertEqual(self.counted("cold"), (4, 0))
        self.assertEqual(self.counted("new"), (0, 4))
        self.assertIn("new: 4 of 4 objects have a copy", self.tool("mirror", "status"))
        self.wait_for_jobs()
        self.assert_at("cold", image)
        path = self.folder / "more.jpg"
        path.write_bytes(tidepool.make_image("image/jpeg", 5000, "more"))
        self.tool("put", path, "uploads/more.jpg", "--pool", "cold")
        tidepool.eventually(lambda: self.copies().get("uploads/more.jpg") == path.read_bytes(), "so is what is put")
        path.write_bytes(tidepool.make_image("image/jpeg", 6000, "anew"))
        self.tool("put", path, "uploads/more.jpg", "--pool", "cold")
        tidepool.eventually(lambda: self.copies().get("uploads/more.jpg") == path.read_bytes(), "and what replaces it")
        self.wait_for_jobs()
        self.assert_balanced()
        self.no_hidden_versions()

    def test_what_was_there_before_is_copied_by_command_and_by_the_server(self):
        image, later = self.new_image(), self.new_image()
        server = self.start_with(image, mirror="")
        self.assertEqual(self.run_tool("mirror", "status")[0], 2)
        server.stop_process()
        self.start_with(scanned=False)
        status, out, _ = self.run_tool("mirror", "status")
        self.assertEqual((status, "0 of 4 objects have a copy; 4 are missing" in out), (1, True), out)
        self.tool("mirror", "run")
        self.assertEqual(self.copies(), image.contents)
        self.assertEqual(self.json("mirror", "run")["done"], 0)
        self.server.stop_process()
        self.start_with(later, mirror="", scanned=False)
        self.server.stop_process()
        self.start_with(scanned=False, config={"backup": {"interval": "1s", "delay": "0s"}})
        self.wait_for_copies(image, later)
        self.assert_balanced()

    def test_a_copy_goes_with_its_object(self):
        image, other = self.new_image(), self.new_image()
        self.start_with(image, other)
        self.wait_for_copies(image, other)
        variant = image.keys[1]
        self.tool("rm", variant)
        self.assertEqual(set(self.copies()), set(self.all_of(image, other)) - {variant})
        self.tool("rm", image.uuid, "--yes")
        self.wait_for_jobs()
        self.assertEqual(self.copies(), other.contents)
        self.assertEqual(self.counted("new"), (0, 4))
        # Where its home is not mirrored it has no copy either.
        self.tool("mv", other.uuid, "--to", "hot")
        tidepool.eventually(lambda: self.copies() == {}, "its copies are removed after the grace time", every_s=0.1)
        self.wait_for_jobs()
        self.assertEqual(self.counted("new"), (0, 0))
        self.assert_at("hot", other)
        self.assert_balanced()

    def test_copies_of_what_is_no_longer_mirrored_are_pruned(self):
        image = self.new_image()
        self.start_with(image)
        self.wait_for_copies(image)
        self.assertEqual(self.json("mirror", "prune", "new", "--dry-run")["stale"], 0)
        self.server.stop_process()
        self.start_with(mirror="", scanned=False)
        self.assertEqual(self.json("mirror", "prune", "new", "--dry-run")["stale"], 4)
        self.assertEqual(self.copies(), image.contents)
        self.tool("mirror", "prune", "new")
        self.assertEqual((self.copies(), self.counted("new")), ({}, (0, 0)))
        self.wait_for_jobs()
        self.assert_at("cold", image)

    def test_a_kill_between_a_copy_and_its_record_costs_nothing(self):
        image = self.new_image()
        idle = {"jobs": {"threads": 0}}
        self.start_with(image, mirror="", config=idle)
        self.server.stop_process()
        self.start_with(scanned=False, config=idle)
        for point in ("backup.copied", "backup.noted"):
            with self.subTest(point=point):
                status, out, _ = self.run_tool("mirror", "run", environment={"TIDEPOOL_FAULT_POINT": f"{point}:2"})
                self.assertEqual(status, -9, out)
        self.tool("mirror", "run")
        self.assertEqual((self.copies(), self.counted("new")), (image.contents, (0, 4)))
        self.no_hidden_versions()
        self.assert_balanced()


class ChangeOfProvider(MirrorCase):
    def test_the_mirror_becomes_the_home_and_back_without_a_byte_sent(self):
        images = [self.new_image() for _ in range(4)]
        self.start_with(*images, back="cold")
        self.wait_for_copies(*images)
        self.wait_for_jobs()
        reader = self.read_all()
        for source, target in (("cold", "new"), ("new", "cold")):
            with self.subTest(to=target):
                before = self.puts(self.b2) + self.puts(self.other)
                self.tool("mv", "--pool", source, "--to", target)
                self.wait_for_jobs()
                self.assertEqual(self.puts(self.b2) + self.puts(self.other), before)
                self.assertEqual(self.counted(target), (16, 0))
                self.assertEqual(self.counted(source), (0, 16))
                self.assertEqual(self.copies(), self.all_of(*images))
                self.assertEqual(self.stored("cold"), self.all_of(*images))
                self.tool("mirror", "status")
        self.assertEqual(reader.stop(), [])
        self.assertGreater(reader.answers, 0)
        self.no_hidden_versions()
        self.assert_balanced()

    def test_moves_and_copies_of_the_same_objects_do_not_meet(self):
        images = [self.new_image() for _ in range(6)]
        self.start_with(*images)  # their copies are being made
        self.tool("mv", "--pool", "cold", "--to", "new")
        self.wait_for_jobs()
        self.assertEqual(self.counted("new"), (24, 0))
        self.assertEqual(self.copies(), self.all_of(*images))
        self.assertEqual(self.stored("cold"), {})
        self.no_hidden_versions()
        self.assert_balanced()
        self.assertEqual([pool for pool in self.json("reconcile") if pool["found"]], [])

    def test_while_the_provider_is_down_its_mirror_answers(self):
        image, never_read = self.new_image(), self.new_image()
        self.start_with(image, never_read, config={"origin": {"tries": 1}, "cache": {"memory": "0B"}})
        self.wait_for_copies(image, never_read)
        self.wait_for_jobs()  # so that nothing is left where they were
        healthy = self.server.get(f"/{image.original}")
        self.b2.fault("error", status=503, code="ServiceUnavailable", count=None)
        for _ in range(3):
            for key, content in image.contents.items():
                answer = self.server.get(f"/{key}")
                self.assertEqual((answer.status, answer.body == content), (200, True), key)
        answer = self.server.get(f"/{image.original}", "Range: bytes=100-199")
        self.assertEqual((answer.status, answer.body), (206, image.contents[image.original][100:200]))
        self.assertEqual(answer["etag"], healthy["etag"])
        self.assertGreaterEqual(self.server.metrics().sum("tidepool_origin_mirrored_total", pool="cold"), 4)
        # Where it has lost it, or is down too, it is the home's trouble that is told, once.
        self.other.delete(BUCKET, never_read.keys[1], self.other.versions(BUCKET, never_read.keys[1])[0].id)
        asked = len(self.other.requests)
        self.assertIn(self.server.get(f"/{never_read.keys[1]}").status, (502, 503, 504))
        self.assertLess(len(self.other.requests), asked + 3)
        self.other.fault("error", status=503, code="ServiceUnavailable", count=None)
        answer = self.server.get(f"/{never_read.original}")
        self.assertIn(answer.status, (502, 503, 504))
        self.assertEqual(answer["cache-control"], "no-store")

    def test_what_its_bucket_has_lost_the_mirror_has(self):
        image = self.new_image()
        self.start_with(image, config={"cache": {"memory": "0B"}})
        self.wait_for_copies(image)
        self.b2.delete(cold.BUCKET, image.original)
        answer = self.server.get(f"/{image.original}")
        self.assertEqual((answer.status, answer.body), (200, image.contents[image.original]))


class Reconciled(MirrorCase):
    def reconcile(self, *arguments):
        status, out, error = self.run_tool("reconcile", "new", "--older-than", "0s", *arguments)
        return status, out + error

    def test_copies_are_compared_and_made_again(self):
        image = self.new_image()
        self.start_with(image)
        self.wait_for_copies(image)
        self.assertEqual(self.reconcile()[0], 0)
        self.assertEqual(self.reconcile("--deep")[0], 0)
        self.other.delete(BUCKET, image.keys[1], self.other.versions(BUCKET, image.keys[1])[0].id)
        # Of the same size, and the store says of it what was said when it was stored.
        self.other.versions(BUCKET, image.keys[2])[0].data = bytes(len(image.contents[image.keys[2]]))
        status, out = self.reconcile()
        self.assertEqual((status, "missing_object" in out), (1, True), out)
        status, out = self.reconcile("--deep", "--repair")
        self.assertEqual((status, "wrong_hash" in out), (0, True), out)
        tidepool.eventually(lambda: self.copies() == image.contents, "they are copied again", every_s=0.1)
        self.wait_for_jobs()
        self.assertEqual(self.reconcile("--deep")[0], 0)
        self.assert_at("cold", image)
        self.assert_balanced()


if __name__ == "__main__":
    tidepool.main()
