"""Images deleted for good: tidepool rm and the admin API, wherever their objects are."""

import contextlib
import json
import pathlib
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import image_host  # noqa: E402
import tidepool  # noqa: E402

IMAGES = "/api/admin/v1/images"
JOBS = "/api/admin/v1/jobs"


class DeleteCase(image_host.ImageHostCase):
    def assert_gone(self, image):
        for key in image.keys:
            def gone():
                answer = self.server.get(f"/{key}")
                return answer.status == 410 and "max-age=60" in answer["cache-control"]
            tidepool.eventually(gone, f"{key} is 410")
        for pool, home in self.homes().items():
            self.assertEqual([key for key in home if image.uuid in key], [], pool)
        for key in image.keys:
            self.assertEqual(self.b2.versions(cold.BUCKET, key), [])
        for folder in ("original", "variants"):
            self.assertEqual(self.json("ls", f"uploads/{folder}/{image_host.DAY}/{image.uuid}"), [])


class Deletion(DeleteCase):
    def test_by_the_command_from_each_pool(self):
        images = [self.new_image() for _ in range(4)]
        self.start()
        for image, pool in zip(images, ("hot", "warm", "cold")):
            if pool != "hot":
                self.tool("mv", image.uuid, "--to", pool)
            for key in image.keys:
                self.assertEqual(self.server.get(f"/{key}").status, 200)
            shown = self.json("rm", image.uuid)
            self.assertEqual([shown["removed"], len(shown["objects"])], [False, 4])
            self.assertEqual(self.server.get(f"/{image.original}").status, 200)
            self.assertIn("1 done", self.tool("rm", image.uuid, "--yes"))
            self.assert_gone(image)
            self.assertEqual(self.shelf_of(image), [])
            self.tool("rm", image.uuid, "--yes")  # once more is no error
        self.assertEqual(self.stored("hot"), images[3].contents)
        self.assert_balanced()
        self.assertNotIn("purge", {job["type"] for job in self.json("jobs", "list")})  # there is no edge to purge
        status, _, error = self.run_tool("rm", "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab", "--yes")
        self.assertEqual(status, 1)
        self.assertIn("knows no image", error)

    def test_what_a_move_had_copied_goes_too_whoever_restarted_it(self):
        image = self.new_image()
        self.start({"jobs": {"threads": 0}, "origin": cold.IMPATIENT})
        self.b2.fault("error", status=503, method="PUT", key=lambda key: key != image.original, count=None)
        self.tool("mv", image.uuid, "--to", "cold", "--detach")
        self.tool("jobs", "run")
        self.assertEqual(self.b2.keys(cold.BUCKET), [image.original])
        [job] = self.json("jobs", "list", "--type", "move")
        self.tool("jobs", "pause", job["id"])
        self.tool("jobs", "resume", job["id"])
        self.tool("rm", image.uuid, "--yes")
        self.assert_gone(image)

    def shelf_of(self, image):
        contents = set(image.contents.values())
        return [path for path in self.shelf_files(self.server) if path.read_bytes()[:-32] in contents]

    def test_by_the_api_at_once(self):
        image = self.new_image()
        self.start({"jobs": {"threads": 0}})
        status, shown = self.call("GET", f"{IMAGES}/{image.uuid}")
        self.assertEqual([status, shown["pool"], shown["state"], len(shown["objects"])], [200, "hot", "complete", 4])
        for key in image.keys:
            self.assertEqual(self.server.get(f"/{key}").status, 200)
        status, answer = self.call("DELETE", f"{IMAGES}/{image.uuid}")
        self.assertEqual(status, 202)
        # Nothing is removed yet, and nobody sees it any more.
        self.assertEqual(self.stored("hot"), image.contents)
        for key in image.keys:
            self.assertEqual(self.server.get(f"/{key}").status, 410)
        self.assertEqual(self.server.get(f"/uploads/variants/{image_host.DAY}/{image.uuid}.avif").status, 410)
        status, job = self.call("GET", f"{JOBS}/{answer['job']}")
        self.assertEqual([status, job["type"], job["state"]], [200, "delete", "queued"])
        self.assertEqual(self.call("DELETE", f"{IMAGES}/{image.uuid}"), (202, answer))
        self.tool("jobs", "run")
        self.assertEqual(self.call("GET", f"{JOBS}/{answer['job']}")[1]["state"], "done")
        self.assert_gone(image)
        self.assertEqual(self.call("GET", f"{IMAGES}/{image.uuid}")[0], 404)

    def test_what_comes_back_stays_gone_until_it_is_forgotten(self):
        image = self.new_image()
        self.start({"delete": {"remember": "1m"}})
        self.tool("rm", image.uuid, "--yes")
        self.trees["uploads"].put(image.original.removeprefix("uploads/"), image.contents[image.original])
        self.assertEqual(json.loads(self.tool("scan", "--json"))[0]["deleted"], 1)
        self.assertEqual(self.server.get(f"/{image.original}").status, 410)
        self.tool("rm", image.uuid, "--yes")
        # The same content as another image is another image.
        again = image_host.Image()
        again.contents = {again.original: image.contents[image.original]}
        self.trees["uploads"].put(again.original.removeprefix("uploads/"), again.contents[again.original])
        tidepool.eventually(lambda: self.server.get(f"/{again.original}").status == 200, "it is served")

    def test_of_an_image_that_is_being_moved(self):
        image = self.new_image()
        self.start({"move": {"grace": "1h"}})
        self.tool("mv", image.uuid, "--to", "cold")
        self.assertEqual(self.stored("hot"), image.contents)  # kept for the grace time
        self.tool("mv", image.uuid, "--to", "warm", "--detach")
        self.tool("rm", image.uuid, "--yes")
        self.wait_for_jobs()
        self.assert_gone(image)
        self.assert_balanced()

    def test_a_bucket_that_refuses_keeps_the_job_and_readers_see_nothing(self):
        image = self.new_image()
        self.start()
        self.tool("mv", image.uuid, "--to", "cold")
        self.b2.fault("error", status=503, method="DELETE", count=4)
        self.tool("rm", image.uuid, "--yes")
        self.assert_gone(image)

    def test_what_no_profile_names_goes_too_and_does_not_come_back(self):
        image = self.new_image()
        self.start({"delete": {"remember": "1m"}})
        large = f"uploads/variants/{image_host.DAY}/{image.uuid}_large.jpg"  # nobody has asked for it
        self.trees["uploads"].put(large.removeprefix("uploads/"), b"of an old profile")
        self.tool("rm", image.uuid, "--yes")
        self.assertEqual(self.stored("hot"), {})

    def test_a_deletion_is_not_called_off(self):
        image = self.new_image()
        self.start({"jobs": {"threads": 0}})
        job = self.call("DELETE", f"{IMAGES}/{image.uuid}")[1]["job"]
        self.assertEqual(self.call("POST", f"{JOBS}/{job}/cancel")[0], 409)
        self.assertEqual(self.run_tool("jobs", "cancel", job)[0], 1)
        # What is paused is not done, and who waits for it is told so.
        self.tool("jobs", "pause", job)
        status, out, _ = self.run_tool("rm", image.uuid, "--yes")
        self.assertEqual([status, out.splitlines()[-1]], [1, "0 done, 0 failed, 0 cancelled, 1 paused"])
        self.tool("jobs", "resume", job)
        self.tool("jobs", "run")
        self.assert_gone(image)

    def test_a_deletion_that_lost_its_job_is_taken_up_again(self):
        """Also by a server that does no jobs: that sees to what is to be done beside them."""
        image = self.new_image()
        server = self.start({"jobs": {"threads": 0}})
        self.assertEqual(self.call("DELETE", f"{IMAGES}/{image.uuid}")[0], 202)
        server.stop_process()
        with contextlib.closing(sqlite3.connect(self.folder / "catalog.db")) as catalog, catalog:
            catalog.execute("DELETE FROM jobs")
        self.start({"jobs": {"threads": 0}}, scanned=False)
        tidepool.eventually(lambda: self.json("jobs", "list", "--type", "delete"), "it is queued again")
        self.tool("jobs", "run")
        self.assert_gone(image)

    def test_jobs_and_images_of_the_api(self):
        image = self.new_image()
        self.start({"jobs": {"threads": 0}})
        status, answer = self.call("POST", f"{IMAGES}/{image.uuid}/move", {"to": "cold"})
        self.assertEqual(status, 202)
        for body, expected in (({"to": "warm"}, 409), ({"to": "colt"}, 404), ({"to": 3}, 400), ({}, 400),
                               ({"to": "cold", "more": 1}, 400)):
            self.assertEqual(self.call("POST", f"{IMAGES}/{image.uuid}/move", body)[0], expected, body)
        path = f"{JOBS}/{answer['job']}"
        for action, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued")):
            status, job = self.call("POST", f"{path}/{action}")
            self.assertEqual([status, job["state"]], [200, state])
        self.assertEqual(self.call("POST", f"{path}/resume")[0], 409)
        self.assertEqual(self.call("POST", path)[0], 405)
        self.assertEqual(self.call("POST", f"{path}/kill")[0], 404)
        self.assertEqual(self.call("GET", f"{JOBS}/999")[0], 404)
        self.assertEqual(self.call("GET", f"{JOBS}?state=stuck")[0], 400)
        self.assertEqual(self.call("GET", f"{JOBS}?cursor=x")[0], 400)
        self.assertEqual(self.call("GET", f"{JOBS}?after=1")[0], 400)
        status, page = self.call("GET", f"{JOBS}?state=queued&type=move&limit=1")
        self.assertEqual([status, [job["id"] for job in page["jobs"]], page["next"]], [200, [answer["job"]], None])
        self.assertEqual(self.call("GET", f"{IMAGES}/nonsense")[0], 404)
        self.assertEqual(self.call("PUT", f"{IMAGES}/{image.uuid}")[0], 405)
        self.tool("jobs", "run")
        self.assertEqual(self.call("GET", f"{IMAGES}/{image.uuid}")[1]["pool"], "cold")


if __name__ == "__main__":
    tidepool.main()
