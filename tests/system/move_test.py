"""Images moved between pools by jobs, while they are read: tidepool mv and tidepool jobs, with and without a server."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import failing_sync  # noqa: E402
import image_host  # noqa: E402
import tidepool  # noqa: E402

OUTAGE_S = float(os.environ.get("TIDEPOOL_OUTAGE_SECONDS", 3))  # by hand with some minutes


class Moves(image_host.ImageHostCase):
    def test_there_and_back_through_all_pools_while_it_is_read(self):
        images = [self.new_image() for _ in range(3)]
        self.start()
        reader = self.read_all()
        for pool in ("cold", "hot", "warm", "cold", "warm", "hot"):
            out = self.tool("mv", *(image.uuid for image in images), "--to", pool)
            self.assertIn("3 done, 0 failed", out)
            self.wait_for_jobs()
            self.assert_at(pool, *images)
            self.assert_balanced()
            used = {each["pool"]: each["used_bytes"] for each in self.json("stats")["pools"] if each["used_bytes"]}
            self.assertEqual(used, {pool: sum(len(content) for image in images for content in image.contents.values())})
        self.assertEqual(reader.stop(), [])
        self.assertGreater(reader.answers, 100)
        # No version stays behind that would have to be paid for.
        self.assertEqual(self.b2.keys(cold.BUCKET), [])
        for image in images:
            for key in image.keys:
                self.assertEqual(self.b2.versions(cold.BUCKET, key), [])

    def test_etag_and_last_modified_stay(self):
        image = self.new_image()
        server = self.start()
        before = [server.get(f"/{key}") for key in image.keys]
        for pool in ("warm", "cold", "hot"):
            self.tool("mv", image.uuid, "--to", pool)
            self.wait_for_jobs()
            for answer, key in zip(before, image.keys):
                def same():
                    now = server.get(f"/{key}")
                    return [now.status, now["etag"], now["last-modified"], now.body] == [
                        200, answer["etag"], answer["last-modified"], answer.body]
                tidepool.eventually(same, f"{key} in {pool} is as it was")

    def test_a_server_does_what_was_only_queued(self):
        images = [self.new_image() for _ in range(5)]
        self.start()
        queued = self.json("mv", "--pool", "hot", "--to", "cold", "--detach")
        self.assertEqual(queued["images"], 5)
        self.wait_for_jobs()
        self.assertGreater(self.server.metrics().sum("tidepool_jobs_done_total"), 4)
        self.assertEqual(self.server.metrics().sum("tidepool_accounts_drift_bytes"), 0)
        self.assertTrue(self.server.metrics().has("tidepool_accounts_drift_bytes"))
        self.assert_at("cold", *images)
        jobs = self.json("jobs", "list", "--batch", queued["batch"])
        self.assertEqual([(job["type"], job["state"], job["attempts"]) for job in jobs], [("move", "done", 1)] * 5)

    def begun_move(self):
        """A move to the bucket that has come as far as one of four objects, and will not go on by itself."""
        image = self.new_image()
        self.start({"jobs": {"threads": 0}, "move": {"grace": "0s"}, "origin": cold.IMPATIENT})
        self.b2.fault("error", status=503, method="PUT", key=lambda key: key != image.original, count=None)
        self.tool("mv", image.uuid, "--to", "cold", "--detach")
        self.tool("jobs", "run")
        [job] = self.json("jobs", "list", "--type", "move")
        self.assertEqual((job["state"], job["error_class"] != ""), ("queued", True), job)
        self.assertEqual(self.b2.keys(cold.BUCKET), [image.original])
        self.b2.clear_faults()
        return image, job["id"]

    def restart(self, job):
        self.tool("jobs", "pause", job)
        self.tool("jobs", "resume", job)

    def test_one_that_is_restarted_finds_what_it_has_copied(self):
        image, job = self.begun_move()
        self.restart(job)
        self.tool("jobs", "run")
        self.assert_at("cold", image)
        for key in image.keys:
            self.assertEqual(len(self.b2.versions(cold.BUCKET, key)), 1, key)

    def test_one_that_is_cancelled_leaves_nothing_whoever_restarted_it(self):
        image, job = self.begun_move()
        self.restart(job)
        self.tool("jobs", "cancel", job)
        self.tool("jobs", "run")
        self.assert_at("hot", image)

    def test_an_object_that_is_removed_meanwhile_does_not_come_back(self):
        image, _ = self.begun_move()
        variant = image.keys[1]
        self.b2.put(cold.BUCKET, variant, image.contents[variant])  # as if it had come so far
        self.tool("rm", variant)
        self.tool("jobs", "retry", "--state", "queued", "--type", "move")

        def ended():  # the clean may wait for the move
            self.tool("jobs", "run")
            return not [job for job in self.json("jobs", "list") if job["state"] == "queued"]
        tidepool.eventually(ended, "all jobs end", every_s=0.5)
        del image.contents[variant]
        self.assert_at("cold", image)
        self.tool("reconcile", "cold", "--older-than", "0s")

    def test_without_a_server(self):
        images = [self.new_image() for _ in range(3)]
        server = self.start({"move": {"grace": "0s"}})
        server.stop_process()
        plan = self.json("mv", "--pool", "hot", "--to", "warm", "--dry-run")
        self.assertEqual([plan["images"], plan["objects"]], [3, 12])
        self.assert_at("hot", *images)
        self.tool("mv", "--pool", "hot", "--to", "warm", "--limit", "2")
        self.tool("jobs", "run")
        self.assertEqual(len(self.stored("warm")), 8)
        self.tool("mv", "--pool", "hot", "--to", "warm")
        self.tool("jobs", "run")
        self.assert_at("warm", *images)
        self.assert_balanced()

    def test_what_stays_behind_is_kept_for_the_grace_time(self):
        image = self.new_image()
        self.start({"move": {"grace": "1h"}})
        self.tool("mv", image.uuid, "--to", "warm")
        self.assertEqual(self.stored("hot"), image.contents)
        self.assertEqual(self.stored("warm"), image.contents)
        [clean] = self.json("jobs", "list", "--type", "clean")
        self.assertEqual(clean["state"], "queued")
        left = {each["pool"]: each["leftovers"] for each in self.json("stats")["pools"] if each["leftovers"]["count"]}
        self.assertEqual(left, {"hot": {"count": 4, "bytes": sum(map(len, image.contents.values()))}})
        # Back again at once, without a copy, and nothing is cleaned away that is needed.
        self.tool("mv", image.uuid, "--to", "hot")
        self.assertEqual({job["state"] for job in self.json("jobs", "list", "--type", "clean")}, {"cancelled", "queued"})
        self.assertEqual(self.stored("hot"), image.contents)

    def test_objects_of_no_image_go_with_a_pool_but_not_by_age(self):
        self.trees["uploads"].put("logo.png", tidepool.make_image("image/png", 500))
        self.new_image()
        self.start({"move": {"grace": "0s"}})
        self.assertEqual(self.json("mv", "--pool", "hot", "--to", "warm", "--older-than", "1d", "--dry-run")["images"], 0)
        self.tool("mv", "--pool", "hot", "--to", "warm")
        self.wait_for_jobs()
        self.assertEqual(self.stored("hot"), {})
        self.assertIn("uploads/logo.png", self.stored("warm"))

    def test_variants_that_the_app_wrote_and_nobody_asked_for_go_along(self):
        image = image_host.Image()
        self.trees["uploads"].put(image.original.removeprefix("uploads/"), image.contents[image.original])
        self.start()
        for key in image.keys[1:]:
            self.trees["uploads"].put(key.removeprefix("uploads/"), image.contents[key])
        self.tool("mv", image.uuid, "--to", "cold")
        self.wait_for_jobs()
        self.assert_at("cold", image)


class OnePlace(image_host.ImageHostCase):
    """Pools that are one place under two names."""

    def assert_refused(self, image, pool, target):
        """No move and no cleaning loses anything of it."""
        self.tool("scan", "--hash")
        status, _, error = self.run_tool("mv", image.uuid, "--to", target)
        self.assertEqual(status, 1)
        self.assertIn("one place under two names", error)
        self.assertEqual(self.json("jobs", "list", "--type", "clean", "--state", "queued"), [])
        self.assertEqual(self.stored(pool), image.contents)
        self.assertEqual({row["pool"] for row in self.json("ls", f"uploads/original/{image_host.DAY}/{image.uuid}")}, {pool})

    def test_a_bucket_that_has_two_hosts(self):
        image = self.new_image()
        other = cold.Store(self.b2.s3_url.replace("127.0.0.1", "localhost"), self.b2.region, self.b2.key)
        self.start({"move": {"grace": "0s"}, "jobs": {"threads": 0}},
                   pools=[*self.pools(), tidepool.bucket_pool(other, cold.BUCKET, "alias")])
        self.assertEqual(self.run_tool("check")[0], 0)  # the bucket is empty, so that nothing shows
        self.tool("mv", image.uuid, "--to", "cold")
        self.tool("jobs", "run")
        status, _, error = self.run_tool("check")
        self.assertEqual(status, 1)
        self.assertIn("pools cold and alias are one place under two names", error)
        self.assert_refused(image, "cold", "alias")
        for key in image.keys:
            self.assertEqual(len(self.b2.versions(cold.BUCKET, key)), 1)

    def test_a_folder_that_becomes_another_name_of_one(self):
        image = self.new_image()
        linked = self.folder / "linked"
        linked.mkdir()
        pools = [*self.pools(), {"name": "linked", "base_path": linked, "storage_tier": "warm"}]
        server = self.start({"move": {"grace": "0s"}}, pools=pools)
        linked.rmdir()
        linked.symlink_to(self.trees["uploads"].path)
        status, job = self.call("POST", f"/api/admin/v1/images/{image.uuid}/move", {"to": "linked"})
        self.assertEqual(status, 202)
        def has_failed():
            shown = self.call("GET", f"/api/admin/v1/jobs/{job['job']}")[1]
            return "one place under two names" in (shown["error"] or "")
        tidepool.eventually(has_failed, "the move is refused")
        self.assertEqual(self.stored("hot"), image.contents)
        # From now on it is seen before anything begins.
        server.signal(signal.SIGHUP)
        server.wait_log("configuration not reloaded")
        status, _, error = self.run_tool("check")
        self.assertEqual(status, 2)
        self.assertIn("by another name the folder of pool \"hot\"", error)

    def test_a_folder_that_the_api_is_told_of(self):
        self.start()
        link = self.folder / "link"
        link.symlink_to(self.trees["uploads"].path)
        status, answer = self.call("POST", "/api/admin/v1/pools", {"name": "link", "base_path": str(link)})
        self.assertEqual(status, 422)
        self.assertIn("by another name the folder of pool \"hot\"", json.dumps(answer).replace("\\", ""))


class Trouble(image_host.ImageHostCase):
    def test_copies_of_what_has_no_digest_are_made_anew_and_hide_nothing(self):
        image = self.new_image()
        self.start(scanned=False)
        self.tool("scan")
        # What was copied before it cannot be told from something else by the next attempt.
        self.b2.fault("error", status=503, method="PUT", key=lambda key: key.endswith("_small.jpg"), count=4)
        self.tool("mv", image.uuid, "--to", "cold", "--detach")
        self.wait_for_jobs()
        self.assert_at("cold", image)
        for key in image.keys:
            self.assertEqual(len(self.b2.versions(cold.BUCKET, key)), 1, key)

    def test_a_bucket_that_fails_for_a_while_is_waited_for(self):
        image = self.new_image()
        self.start()
        self.b2.fault("error", status=503, method="PUT", count=6)
        self.tool("mv", image.uuid, "--to", "cold", "--detach")
        tidepool.eventually(lambda: self.json("jobs", "list", "--type", "move")[0]["state"] == "done", "it is moved")
        self.wait_for_jobs()
        self.assert_at("cold", image)

    def test_faults_of_the_store_on_the_way_there_and_back(self):
        """Whatever goes wrong for a while, the end is the same, and readers see nothing of it."""
        image = self.new_image()
        self.start({"origin": cold.IMPATIENT})
        reader = self.read_all()
        for kind, options in (("error_after_store", {}), ("slow_down", {}), ("no_tomes", {})):
            with self.subTest(kind=kind):
                fault = self.b2.fault(kind, method="PUT", count=2, **options)
                self.tool("mv", image.uuid, "--to", "cold", "--detach")
                fault.wait_hits(1)
                fault.release()
                self.wait_for_jobs()
                self.assert_at("cold", image)
                for key in image.keys:
                    self.assertEqual(len(self.b2.versions(cold.BUCKET, key)), 1, "no hidden version is paid for")
                cut = self.b2.fault("cut", method="GET", key=image.original, after=7_000, count=1)
                self.tool("mv", image.uuid, "--to", "hot")
                self.wait_for_jobs()
                self.assert_at("hot", image)
                cut.release()
                self.assert_balanced()
        self.assertEqual(reader.stop(), [])

    @unittest.skipIf(tidepool.SANITIZED, "it is about time, and its readers leave none to other tests")
    def test_an_outage_of_the_store_is_sat_out(self):
        """Readers of what is on a disk see nothing of it, those of the bucket only declared errors; then all goes on."""
        there, going = [self.new_image() for _ in range(2)], [self.new_image() for _ in range(8)]
        # As long as a bucket may be taken to be down after it is up again: what moves there is read where it was.
        grace_s = int(max(8, OUTAGE_S))
        self.start({"origin": {"tries": 1}, "move": {"grace": f"{grace_s}s"}})
        self.tool("mv", *(image.uuid for image in there), "--to", "cold")
        self.wait_for_jobs(patience_s=grace_s + 30)
        of_the_disk = image_host.Reader(lambda: self.server.address, going)
        of_the_bucket = image_host.Reader(lambda: self.server.address, there, allowed=(502, 503, 504))
        for reader in (of_the_disk, of_the_bucket):
            reader.start()
            self.addCleanup(reader.stop)
        fault = self.b2.fault("error", status=503, code="ServiceUnavailable", count=None)
        begun = time.monotonic()
        self.tool("mv", *(image.uuid for image in going), "--to", "cold", "--detach")
        fault.wait_hits(3)
        tidepool.eventually(lambda: time.monotonic() > begun + OUTAGE_S, "it lasts", patience_s=OUTAGE_S + 30)
        jobs = self.json("jobs", "list", "--type", "move")
        self.assertEqual([job["state"] for job in jobs[:2]], ["done", "done"])
        self.assertLessEqual({job["state"] for job in jobs[2:]}, {"queued", "running"})
        for image in going:
            self.assertEqual({key: self.stored("hot").get(key) for key in image.keys}, image.contents)
        self.b2.clear_faults()
        # As an operator would who knows that it is over; by themselves they come back at growing intervals.
        # One that is begun at this moment is no longer queued, which the tool tells.
        status, out, error = self.run_tool("jobs", "retry", "--state", "queued", "--type", "move")
        self.assertIn(status, (0, 1), out + error)
        # Of whoever asked the bucket last some wait two minutes, and jobs that then fail wait longer each time.
        self.wait_for_jobs(patience_s=grace_s + 900)
        self.assert_at("cold", *there, *going)
        self.assertEqual((of_the_disk.stop()[:3], of_the_bucket.stop()[:3]), ([], []))
        self.assertGreater(of_the_disk.answers, 10)
        for image in self.images:
            self.assertEqual({len(self.b2.versions(cold.BUCKET, key)) for key in image.keys}, {1})
        self.assert_balanced()

    def test_a_cap_is_waited_for_and_the_image_stays(self):
        image = self.new_image()
        self.start()
        self.b2.fault("error", status=403, code="AccessDenied", message="Cannot upload files, storage cap exceeded.",
                      method="PUT", count=None)
        self.tool("mv", image.uuid, "--to", "cold", "--detach")

        def waits():
            [job] = self.json("jobs", "list", "--type", "move")
            return job["state"] == "queued" and job["error_class"] == "capped" and job
        job = tidepool.eventually(waits, "it waits")
        self.assertEqual(job["next_run"] // 86_400, job["created"] // 86_400 + 1, "for midnight UTC")
        self.assertEqual(self.stored("hot"), image.contents)
        self.tool("jobs", "cancel", job["id"])
        self.wait_for_jobs()
        self.assert_at("hot", image)

    def test_a_folder_that_cannot_be_written_to_keeps_the_image_where_it_is(self):
        image = self.new_image()
        self.start()
        (self.trees["warm"].path / "original").write_text("a file where a folder is needed")
        status, _, error = self.run_tool("mv", image.uuid, "--to", "warm")
        self.assertEqual(status, 1)
        self.assertIn("conflict", error)
        (self.trees["warm"].path / "original").unlink()
        self.wait_for_jobs()
        self.assert_at("hot", image)
        self.tool("jobs", "retry", "--state", "failed")
        self.wait_for_jobs()
        self.assert_at("warm", image)

    def test_a_copy_that_was_not_synced_is_no_proof(self):
        """Invariant 1: an attempt that failed has left it, and the next one finds it."""
        sync = failing_sync.FailingSync(self.folder)
        self.environment.update(sync.environment)
        image = self.new_image()
        self.start({"jobs": {"threads": 0}, "move": {"grace": "0s"}})
        self.tool("mv", image.uuid, "--to", "warm", "--detach")
        for what in (f"/warm/original/{image_host.DAY}", "/warm/original", f"/warm/original/{image_host.DAY}"):
            with self.subTest(what=what), sync.of(what):
                self.tool("jobs", "run")
                [job] = self.json("jobs", "list", "--type", "move")
                self.assertEqual((job["state"], job["error_class"]), ("queued", "io"), job)
                self.assertEqual({key: self.stored("hot").get(key) for key in image.keys}, image.contents)
            self.tool("jobs", "pause", job["id"])
            self.tool("jobs", "resume", job["id"])
        self.assertIn(image.original, self.stored("warm"))
        self.tool("jobs", "run")
        self.assert_at("warm", image)

    def disk(self, size, *options):
        """Makes the warm pool's folder a disk of that size, or changes it; root alone may."""
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "none",
                               str(self.trees["warm"].path)], capture_output=True, text=True, check=False)
        if made.returncode != 0 and "remount" not in options:
            self.skipTest(f"a disk cannot be made here: {made.stderr.strip()}")
        self.assertEqual(made.returncode, 0, made.stderr)

    def assert_whole_somewhere(self, images):
        for image in images:
            rows = self.json("ls", f"uploads/original/{image_host.DAY}/{image.uuid}")
            self.assert_at(rows[0]["pool"], image)

    def test_a_disk_that_is_full_or_read_only_costs_nothing(self):
        self.disk("300k")
        self.addCleanup(lambda: subprocess.run(["umount", str(self.trees["warm"].path)], check=True))
        images = [self.new_image() for _ in range(12)]
        self.start()
        reader = self.read_all()
        self.tool("mv", "--pool", "hot", "--to", "warm", "--detach")
        def judged():
            jobs = self.json("jobs", "list", "--type", "move")
            return all(job["state"] == "done" or job["error_class"] for job in jobs) and jobs
        jobs = tidepool.eventually(judged, "the disk is full", every_s=0.1)
        full = [job for job in jobs if job["state"] != "done"]
        self.assertTrue(0 < len(full) < 12, jobs)
        self.assertEqual({job["error_class"] for job in full}, {"capped"})
        tidepool.eventually(lambda: not [job for job in self.json("jobs", "list", "--type", "clean", "--limit", "0")
                                         if job["state"] != "done"], "what moved is cleaned up", every_s=0.1)
        self.assert_whole_somewhere(images)
        self.assertEqual([name for name in self.trees["warm"].path.rglob("*") if name.name.startswith(".")], [])
        # With more room, but nothing may be written.
        self.disk("8m", "remount", "ro")
        self.tool("jobs", "retry", "--state", "queued", "--type", "move")
        tidepool.eventually(lambda: self.json("jobs", "show", full[0]["id"])["error_class"] not in ("capped", ""),
                            "it was tried", every_s=0.1)
        self.assert_whole_somewhere(images)
        self.disk("8m", "remount", "rw")
        for state in ("queued", "failed"):
            self.run_tool("jobs", "retry", "--state", state, "--type", "move")
        self.wait_for_jobs()
        self.assert_at("warm", *images)
        self.assertEqual(reader.stop(), [])
        self.assert_balanced()

    def test_wrong_credentials_stop_at_once_and_are_shown(self):
        image = self.new_image()
        self.start(environment={"TIDEPOOL_TEST_S3_SECRET": "wrong"})
        self.environment["TIDEPOOL_TEST_S3_SECRET"] = "wrong"
        status, out, error = self.run_tool("mv", image.uuid, "--to", "cold")
        self.assertEqual(status, 1, out)
        self.assertIn("SignatureDoesNotMatch", error)
        [job] = self.json("jobs", "list", "--type", "move")
        self.assertEqual([job["state"], job["attempts"]], ["failed", 1])
        self.assertEqual(self.stored("hot"), image.contents)

    def test_a_source_that_is_gone_is_named_and_nothing_changes(self):
        image = self.new_image()
        self.start()
        (self.trees["uploads"].path / image.original.removeprefix("uploads/")).unlink()
        status, _, error = self.run_tool("mv", image.uuid, "--to", "cold")
        self.assertEqual(status, 1)
        self.assertIn(image.uuid, error)
        self.assertIn("missing in pool hot", error)
        rows = self.json("ls", f"uploads/original/{image_host.DAY}/{image.uuid}")
        self.assertEqual([row["pool"] for row in rows], ["hot"])

    def test_wrong_use_is_told_apart(self):
        image = self.new_image()
        self.start()
        for arguments, words in (((image.uuid,), "--to"), (("--to", "cold"), "name images, or a pool"),
                                 ((image.uuid, "--to", "colt"), 'did you mean "cold"'),
                                 (("--pool", "hot", "--to", "hot"), "the same pool"),
                                 (("--pool", "hot", "--to", "cold", "--idle", "soon"), "--idle")):
            status, _, error = self.run_tool("mv", *arguments)
            self.assertEqual(status, 2, error)
            self.assertIn(words, error)
        status, _, error = self.run_tool("mv", "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab", "--to", "cold")
        self.assertEqual(status, 1)
        self.assertIn("knows no image", error)

    def test_jobs_are_paused_cancelled_and_retried(self):
        image = self.new_image()
        self.start({"jobs": {"threads": 0}})
        self.tool("mv", image.uuid, "--to", "cold", "--detach")
        [job] = self.json("jobs", "list")
        for action, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued")):
            self.assertEqual(self.json("jobs", action, job["id"]), {"changed": 1, "unchanged": 0})
            self.assertEqual(self.json("jobs", "show", job["id"])["state"], state)
        self.assertEqual(self.run_tool("jobs", "resume", job["id"])[0], 1)
        self.assertEqual(self.run_tool("jobs", "cancel")[0], 2)
        self.assertEqual(self.run_tool("jobs", "list", "--state", "stuck")[0], 2)
        self.assertEqual(self.run_tool("jobs", "show", "999")[0], 1)
        # Another target while one is open is refused, the same is the same.
        status, _, error = self.run_tool("mv", image.uuid, "--to", "warm")
        self.assertEqual(status, 1)
        self.assertIn(f"by job {job['id']}", error)
        self.tool("jobs", "run")
        self.assertEqual(self.json("jobs", "show", job["id"])["state"], "done")


if __name__ == "__main__":
    tidepool.main()
