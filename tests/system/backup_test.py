"""Copies of originals in a backup pool: made by themselves and by command, proved, and used."""

import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import image_host  # noqa: E402
import tidepool  # noqa: E402

BUCKET = "tidepool-backup"


class Backups(image_host.ImageHostCase):
    def setUp(self):
        super().setUp()
        self.b2.bucket(BUCKET)

    def pools(self, **options):
        store = cold.Store(self.b2.s3_url, self.b2.region, self.b2.key)
        return [*super().pools(**options), tidepool.bucket_pool(store, BUCKET, "safe", is_backup_target=True)]

    def backup_key(self, image):
        return image.original.replace("uploads/original/", "images/")

    def assert_backed_up(self, *images):
        self.assertEqual({key: self.b2.get(BUCKET, key) for key in self.b2.keys(BUCKET)},
                         {self.backup_key(image): image.contents[image.original] for image in images})

    def test_originals_are_copied_and_counted_apart(self):
        images = [self.new_image() for _ in range(3)]
        self.start({"backup": {"interval": "1h", "delay": "1h"}})
        self.assertEqual(self.run_tool("backup", "status")[0], 1)
        self.assertIn("3 done", self.tool("backup", "run"))
        self.assert_backed_up(*images)
        self.assertIn("3 of 3 originals have a copy", self.tool("backup", "status"))
        self.assertEqual(self.json("backup", "run")["done"], 0)
        stats = {each["pool"]: each for each in self.json("stats", "--recount")["pools"]}
        self.assertEqual([stats["safe"]["backup"]["count"], stats["safe"]["original"]["count"]], [3, 0])
        self.assertEqual(stats["hot"]["backup"]["count"], 0)
        self.assertEqual(self.json("backup", "verify", "--sample", 2)["verified"], 2)
        # A move does not concern them; nor are they served.
        self.tool("mv", images[0].uuid, "--to", "cold")
        self.assertIn("3 of 3", self.tool("backup", "status"))
        self.assertEqual(self.server.get(f"/{self.backup_key(images[0])}").status, 404)

    def test_a_server_does_it_by_itself(self):
        image = self.new_image()
        self.start({"backup": {"interval": "1s", "delay": "0s"}})
        tidepool.eventually(lambda: self.b2.keys(BUCKET) == [self.backup_key(image)], "it is copied")

    def test_a_lost_original_is_restored(self):
        image, other = self.new_image(), self.new_image()
        self.start({"backup": {"delay": "1h"}})
        self.tool("backup", "run")
        path = self.trees["uploads"].path / image.original.removeprefix("uploads/")
        path.unlink()
        tidepool.eventually(lambda: self.server.get(f"/{image.original}").status != 200, "it is gone")
        self.assertIn("restored from pool safe", self.tool("backup", "restore", image.uuid))
        self.assertEqual(path.read_bytes(), image.contents[image.original])
        tidepool.eventually(lambda: self.server.get(f"/{image.original}").status == 200, "it is served again")
        self.assert_at("hot", image, other)
        self.assert_balanced()
        # Nowhere else than where its variants are.
        status, _, error = self.run_tool("backup", "restore", image.uuid, "--to", "warm")
        self.assertEqual(status, 1)
        self.assertIn("is of pool hot", error)

    def test_what_is_restored_in_a_bucket_hides_nothing(self):
        image = self.new_image()
        self.start({"backup": {"delay": "1h"}, "move": {"grace": "0s"}})
        self.tool("backup", "run")
        self.tool("mv", image.uuid, "--to", "cold")
        self.b2.put(cold.BUCKET, image.original, b"bad")
        self.assertIn("restored from pool safe", self.tool("backup", "restore", image.uuid))
        self.assertEqual([version.data for version in self.b2.versions(cold.BUCKET, image.original)],
                         [image.contents[image.original]])

    def test_a_move_waits_for_what_is_being_restored(self):
        image = self.new_image()
        self.start({"backup": {"delay": "1h"}, "jobs": {"threads": 0}, "move": {"grace": "0s"}})
        self.tool("backup", "run")
        slow = self.b2.fault("slow_first_byte", seconds=2, operation="GetObject", key=lambda key: key.startswith("images/"),
                             count=None)
        ends = []
        restore = threading.Thread(target=lambda: ends.append(self.run_tool("backup", "restore", image.uuid)))
        restore.start()
        self.addCleanup(restore.join)
        slow.wait_hits(1)
        self.tool("mv", image.uuid, "--to", "warm")
        restore.join()
        self.assertEqual(ends[0][0], 0, ends)
        self.tool("jobs", "run")
        self.assert_at("warm", image)
        self.assert_balanced()

    def test_a_backup_that_is_not_good_is_found_and_not_used(self):
        image = self.new_image()
        self.start({"backup": {"delay": "1h"}})
        self.tool("backup", "run")
        self.b2.put(BUCKET, self.backup_key(image), b"x" * len(image.contents[image.original]))
        status, out, error = self.run_tool("backup", "verify")
        self.assertEqual(status, 1)
        self.assertIn("another SHA-256", error)
        status, _, error = self.run_tool("backup", "restore", image.uuid)
        self.assertEqual(status, 1)
        self.assertEqual(self.stored("hot"), image.contents)

    def test_with_the_image_its_backup_is_deleted_or_kept(self):
        first, second = self.new_image(), self.new_image()
        self.start({"backup": {"delay": "1h"}})
        self.tool("backup", "run")
        self.tool("rm", first.uuid, "--yes")
        self.assert_backed_up(second)
        self.assertEqual(self.b2.versions(BUCKET, self.backup_key(first)), [])
        self.server.stop_process()
        self.server.write_config({"delete": {"backups": False}})
        self.tool("rm", second.uuid, "--yes")
        self.assert_backed_up(second)
        self.assertEqual(self.stored("hot"), {})

    def test_without_a_backup_pool_it_says_so(self):
        self.new_image()
        self.start(pools=image_host.ImageHostCase.pools(self))
        for command in (("status",), ("run",), ("verify",)):
            status, _, error = self.run_tool("backup", *command)
            self.assertEqual(status, 2)
            self.assertIn("is_backup_target", error)


if __name__ == "__main__":
    tidepool.main()
