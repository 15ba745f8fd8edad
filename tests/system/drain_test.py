"""A pool is emptied by one command, while it is read and written to."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import image_host  # noqa: E402
import tidepool  # noqa: E402


class Drain(image_host.ImageHostCase):
    def state(self, pool="hot"):
        return self.call("GET", f"/api/admin/v1/pools/{pool}")[1]["state"]

    def test_all_of_it_moves_also_what_no_scan_has_seen(self):
        images = [self.new_image() for _ in range(5)]
        self.start()
        images.append(self.new_image())  # no row yet
        self.trees["uploads"].put("plain.jpg", tidepool.make_image("image/jpeg", 3000, "plain"))
        plan = self.json("drain", "hot", "--to", "warm", "--dry-run")
        self.assertEqual((plan["images"], plan["objects"]), (5, 20))
        self.assertEqual((self.state(), len(self.stored("warm"))), ("active", 0))
        reader = self.read_all()
        done = self.json("drain", "hot", "--to", "warm")
        self.assertEqual(done, {"pool": "hot", "to": "warm", "moved": 7, "failed": 0, "left": 0, "copies": 0})
        self.wait_for_jobs()
        self.assertEqual(reader.stop(), [])
        self.assert_at("warm", *images)
        self.assertEqual(self.stored("hot"), {})
        self.assertEqual(self.server.get("/uploads/plain.jpg").status, 200)
        self.assert_balanced()
        # It takes nothing new until that is undone.
        tidepool.eventually(lambda: self.state() == "draining", "the server knows of it")
        path = self.folder / "new.jpg"
        path.write_bytes(tidepool.make_image("image/jpeg", 100, "new"))
        status, _, error = self.run_tool("put", path, "uploads/new.jpg", "--pool", "hot")
        self.assertEqual((status, "is being drained" in error), (1, True), error)
        self.assertEqual(self.run_tool("mv", images[0].uuid, "--to", "hot")[0], 1)
        self.tool("drain", "hot", "--undo")
        self.tool("put", path, "uploads/new.jpg", "--pool", "hot")
        self.tool("mv", images[0].uuid, "--to", "hot")
        self.wait_for_jobs()
        self.assert_at("hot", images[0])

    def test_moves_that_are_open_already_are_waited_for(self):
        images = [self.new_image() for _ in range(4)]
        self.start({"jobs": {"threads": 0}})
        self.tool("mv", images[0].uuid, "--to", "warm", "--detach")
        self.assertIn("4 images", self.tool("drain", "hot", "--to", "warm", "--detach"))
        self.assertEqual(len(self.stored("warm")), 0)
        done = self.json("drain", "hot", "--to", "warm")
        self.assertEqual((done["moved"], done["left"]), (4, 0))

    def test_what_cannot_be_moved_stays_and_is_told(self):
        good, bad = self.new_image(), self.new_image()
        self.start()
        path = self.trees["uploads"].path / bad.original.removeprefix("uploads/")
        content = path.read_bytes()
        path.write_bytes(content[:-1])  # not what the catalog says, and no scan takes it for better
        status, out, error = self.run_tool("mv", bad.uuid, "--to", "cold")
        self.assertEqual(status, 1)
        self.assertIn("and the catalog says", error)
        # It is to be looked at closely, which waits, as it has just been written.
        self.tool("jobs", "cancel", "--type", "reconcile")
        path.write_bytes(content)
        self.b2.fault("error", status=403, code="AccessDenied", count=None, method="PUT",
                      key=lambda key: key is not None and bad.uuid in key)
        status, out, error = self.run_tool("drain", "hot", "--to", "cold")
        self.assertEqual(status, 1, out)
        self.assertIn("4 objects are left in pool hot", out)
        self.assertIn("denied", error)
        self.wait_for_jobs()
        self.assert_at("cold", good)
        self.assertEqual(self.server.get(f"/{bad.original}").status, 200)
        self.b2.clear_faults()
        self.tool("drain", "hot", "--to", "cold")
        self.wait_for_jobs()
        self.assert_at("cold", good, bad)

    def test_what_is_wrongly_asked_for_changes_nothing(self):
        self.new_image()
        self.start()
        for arguments, text in ((["hot"], "--to"), (["hot", "--to", "hot"], "the pool itself"),
                                (["hot", "--to", "wram"], 'did you mean "warm"?'),
                                (["hto", "--to", "warm"], 'did you mean "hot"?')):
            with self.subTest(arguments=arguments):
                status, _, error = self.run_tool("drain", *arguments)
                self.assertEqual((status, text in error), (2, True), error)
        self.tool("drain", "warm", "--to", "cold")
        status, _, error = self.run_tool("drain", "hot", "--to", "warm")
        self.assertEqual((status, "takes no images" in error), (2, True), error)
        self.assertEqual(self.state(), "active")


if __name__ == "__main__":
    tidepool.main()
