"""Tiering: what goes to the bucket, what comes back, and what the plan says of it."""

import contextlib
import json
import pathlib
import signal
import sqlite3
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402

DAY = 86_400
# Every image that nobody has viewed since yesterday is idle, and may go at once.
EAGER = {"hot_keep_days_after_upload": 0, "demote_if_no_views_days": 1, "min_dwell_days_per_tier": 0,
         "views_flush": "100ms"}


def uuid(number):
    return f"0b1f6c2e-9a7d-4c55-8a3e-{number:012x}"


def original(number):
    return f"original/2026/02/25/{uuid(number)}.jpg"


def small(number):
    return f"variants/2026/02/25/{uuid(number)}_small.webp"


class TieringCase(cold.ColdCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.hot = tidepool.Tree(self.folder / "uploads")

    def add(self, number, size=9_000, age_days=40):
        """An original and a variant on the disk, uploaded so many days ago."""
        then = time.time() - age_days * DAY
        self.contents[original(number)] = self.hot.image(original(number), size=size, mtime=then)
        self.contents[small(number)] = self.hot.image(small(number), "image/webp", size=1_000, mtime=then)

    def start(self, tiering=None, hot=None, scanned=True):
        """A server over the disk and the bucket, by these settings of tiering."""
        bucket = tidepool.bucket_pool(cold.Store(self.b2.s3_url, self.b2.region, self.b2.key), cold.BUCKET)
        pools = [{"name": "hot", "base_path": self.hot.path, **(hot or {})}, bucket]
        config = {"tiering": {**EAGER, **(tiering or {})}, "move": {"grace": "0s"}}
        self.server = self.serve(config, pools=pools, folder=self.folder, environment=self.environment)
        if scanned:
            cold.scan(self.server, self.b2.key.secret)
        self.b2.clear_requests()
        return self.server

    @property
    def environment(self):
        return {"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret}

    def tool(self, *arguments, status=0):
        got, out, error = tidepool.run_tool(*arguments, "-c", str(self.server.config_file),
                                            environment=self.environment)
        self.assertEqual(got, status, out + error)
        return out

    def plan(self, *arguments):
        return json.loads(self.tool("tier", "plan", "--json", *arguments))

    def pool_of(self, name):
        return json.loads(self.tool("stat", "--offline", "--json", f"uploads/{name}"))["pool"]

    def moves(self, plan):
        return {each["image"]: each["reason"] for each in plan["moves"]}

    def view(self, name, times=1):
        for _ in range(times):
            self.assert_served(self.server, name)

    def change(self, *statements):
        """Changes the catalog of a server that is stopped."""
        with contextlib.closing(sqlite3.connect(self.folder / "catalog.db")) as catalog, catalog:
            for statement, values in statements:
                catalog.execute(statement, values)


class Demotion(TieringCase):
    def test_an_idle_image_goes_to_the_bucket_and_is_served_as_before(self):
        self.add(1)
        self.add(2, age_days=0.5)
        server = self.start({"enabled": True, "sweep_interval": "1s"})
        gone = [self.hot.path / original(1), self.hot.path / small(1)]
        tidepool.eventually(lambda: not any(path.exists() for path in gone), "it leaves the disk", every_s=0.05)
        self.assertEqual((self.pool_of(original(1)), self.pool_of(small(1))), ("cold", "cold"))
        self.assertEqual(self.pool_of(original(2)), "hot")
        for name in (original(1), small(1), original(2), small(2)):
            self.view(name)
        self.assertTrue(self.fetches(original(1)), "it came from the bucket")
        metrics = server.metrics()
        self.assertEqual(metrics.sum("tidepool_tier_queued_total", reason="idle"), 1)
        self.assertEqual(metrics.sum("tidepool_tier_queued_bytes_total"), 10_000)
        self.assertEqual(metrics.sum("tidepool_tier_stopped"), 0)
        self.assertGreaterEqual(metrics.sum("tidepool_tier_sweeps_total"), 1)

    def test_a_plan_says_why_and_what_it_costs_and_changes_nothing(self):
        for number in (1, 2, 3):
            self.add(number)
        self.start()
        plan = self.plan()
        self.assertEqual(self.moves(plan), {uuid(number): "idle" for number in (1, 2, 3)})
        first = plan["moves"][0]
        self.assertEqual((first["from"], first["to"], first["objects"], first["bytes"], first["last_view"]),
                         ("hot", "cold", 2, 10_000, None))
        self.assertEqual(first["why"], "uploaded 40 days ago, never viewed")
        self.assertEqual((plan["images"], plan["bytes"], plan["open"], plan["stopped"]), (3, 30_000, 0, None))
        self.assertEqual(plan["cost_dollars"]["calls"], 0)
        self.assertAlmostEqual(plan["cost_dollars"]["storage_a_month"], 30_000 * 0.006 / 1e9)
        self.assertTrue(any("tiering.enabled is false" in note for note in plan["notes"]))
        self.assertEqual(len(self.plan("--limit", "1")["moves"]), 1)
        text = self.tool("tier", "plan", "--limit", "2")
        self.assertIn("... and 1 more", text)
        self.assertIn("3 images, 29.3 KiB", text)
        self.assertIn("calls: 6 of class A, 12 of class B, 0 of class C", text)
        self.assertEqual(self.b2.requests, [], "it asks no bucket")
        self.assertEqual(json.loads(self.tool("jobs", "list", "--json")), [])
        # And so it comes.
        self.assertIn("3 done, 0 failed", self.tool("tier", "run"))
        tidepool.eventually(lambda: not (self.hot.path / original(3)).exists(), "it leaves the disk")
        # The plan counts a second look before the source's copy goes, which is this soon not needed.
        tidepool.eventually(lambda: self.b2.calls() == {"A": 6, "B": 6, "C": 0}, "it costs no more than the plan said")
        self.assertIn("nothing is to be moved", self.tool("tier", "run"))

    def test_a_run_can_leave_the_work_to_the_server(self):
        self.add(1)
        self.start()
        queued = json.loads(self.tool("tier", "run", "--detach", "--json"))
        self.assertEqual((queued["images"], queued["bytes"]), (1, 10_000))
        self.assertTrue(queued["batch"].startswith("tier 20"))
        tidepool.eventually(lambda: self.pool_of(original(1)) == "cold", "the server moves it")

    def test_a_full_disk_gets_emptier_by_the_coldest_though_none_is_idle(self):
        for number in range(1, 11):
            self.add(number)
        server = self.start(hot={"max_size": "100kB"})
        for number in (3, 1, 2, 10, 9, 8, 7, 6, 5, 4):
            self.view(small(number))
        tidepool.eventually(lambda: self.plan()["moves"] and
                            set(self.moves(self.plan()).values()) == {"watermark"}, "every view is written down")
        server.stop_process()
        order = [3, 1, 2, 10, 9, 8, 7, 6, 5, 4]
        now = int(time.time())
        self.change(*[("UPDATE views SET last_s = ? WHERE image = ?",
                       (now - 3600 + place, bytes.fromhex(uuid(number).replace("-", ""))))
                      for place, number in enumerate(order)])
        plan = self.plan()
        # 100 kB - 40 kB is the first below 70 %.
        self.assertEqual([each["image"] for each in plan["moves"]], [uuid(number) for number in order[:4]])
        self.assertEqual(set(self.moves(plan).values()), {"watermark"})
        self.assertEqual(plan["notes"][0], "pool hot is being emptied to its low watermark (70 percent of max_size)")
        self.assertEqual((plan["emptying"], plan["notes"][2:]), (["hot"], []))
        self.tool("tier", "run")
        self.assertEqual([number for number in range(1, 11) if self.pool_of(original(number)) == "hot"],
                         [4, 5, 6, 7, 8, 9])
        self.assertEqual(self.moves(self.plan()), {})

    def test_a_full_disk_gets_emptier_by_as_many_sweeps_as_it_takes(self):
        for number in range(1, 11):
            self.add(number)
        # None is idle.
        self.start({"demote_if_no_views_days": 50, "max_candidates_per_sweep": 1}, hot={"max_size": "100kB"})
        for left in (3, 2, 1):
            self.assertIn("1 done, 0 failed", self.tool("tier", "run"))
            self.assertEqual(sum(self.pool_of(original(number)) == "hot" for number in range(1, 11)), 6 + left)
            plan = self.plan()
            self.assertEqual((plan["emptying"], set(self.moves(plan).values())), (["hot"], {"watermark"}), left)
            self.assertIn("pool hot is being emptied to its low watermark", self.tool("tier", "plan"))
        self.assertIn("1 done, 0 failed", self.tool("tier", "run"))
        self.assertEqual((self.plan()["moves"], self.plan()["emptying"]), ([], []))
        self.assertIn("nothing is to be moved", self.tool("tier", "run"))

    def test_an_image_that_cannot_be_moved_is_left_out_and_looked_at(self):
        for number in (1, 2):
            self.add(number, age_days=40 + number)
        self.start({"max_candidates_per_sweep": 1})
        # The coldest one, by somebody else.
        (self.hot.path / original(2)).write_bytes(b"short")
        self.assertIn("0 done, 1 failed", self.tool("tier", "run", status=1))
        plan = self.plan()
        self.assertEqual(self.moves(plan), {uuid(1): "idle"})
        [left_out] = plan["left_out"]
        self.assertEqual((left_out["image"], left_out["pool"], left_out["error_class"]), (uuid(2), "hot", "corrupt"))
        self.assertIn("has 5 bytes in pool hot, and the catalog says 9000", left_out["error_text"])
        self.assertRegex(self.tool("tier", "plan"), rf"{uuid(2)}  left out   hot  job \d+ failed .*: corrupt: .* has 5 bytes")
        looks = json.loads(self.tool("jobs", "list", "--json", "--type", "reconcile"))
        self.assertIn(f"uploads/{original(2)}", {look["payload"]["key"] for look in looks})
        self.assertIn("1 done, 0 failed", self.tool("tier", "run"))
        self.assertEqual((self.pool_of(original(1)), self.pool_of(original(2))), ("cold", "hot"))

    def test_a_disk_that_the_dwell_time_keeps_full_is_told_of(self):
        for number in range(1, 11):
            self.add(number)
        self.start({"min_dwell_days_per_tier": 3}, hot={"max_size": "100kB"})
        plan = self.plan()
        self.assertEqual(plan["moves"], [])
        self.assertTrue(any("min_dwell_days_per_tier" in note for note in plan["notes"]), plan["notes"])

    def test_a_cohort_goes_first(self):
        for number in (1, 2, 3):
            self.add(number)
        listed = self.folder / "cohort"
        listed.write_text(f"# the first ones\n{uuid(2)}\n")
        self.start({"cohort_file": listed})
        self.assertEqual(list(self.moves(self.plan())), [uuid(2)])
        listed.write_text("no uuid\n")
        _, out, error = tidepool.run_tool("tier", "plan", "-c", str(self.server.config_file),
                                          environment=self.environment)
        self.assertIn("cohort:1: expected", error)
        self.assertEqual(out, "")


class SelfStop(TieringCase):
    def test_sweeps_stop_when_moves_fail_and_go_on_when_an_operator_has_seen_to_it(self):
        for number in range(1, 16):
            self.add(number)
        self.start({"max_candidates_per_sweep": 12})
        self.b2.fault("error", status=403, code="AccessDenied", message="not entitled", method="PUT", count=None)
        out = self.tool("tier", "run", status=1)
        self.assertIn("0 done, 12 failed", out)
        plan = self.plan()
        self.assertIn("12 of the last 12 moves that ended have failed", plan["stopped"])
        _, out, error = tidepool.run_tool("tier", "run", "-c", str(self.server.config_file),
                                          environment=self.environment)
        self.assertIn("tiering.max_error_percent", error)
        self.assertEqual(len(json.loads(self.tool("jobs", "list", "--json", "--type", "move"))), 12)
        # A server says so too.
        self.server.write_config({"tiering": {**EAGER, "enabled": True, "sweep_interval": "1s"}})
        self.server.signal(signal.SIGHUP)
        tidepool.eventually(lambda: self.server.metrics().sum("tidepool_tier_stopped") == 1, "it is stopped")
        self.server.wait_log(r"sweeps are stopped paused=0")
        self.b2.clear_faults()
        self.tool("jobs", "retry", "--state", "failed", "--type", "move")
        tidepool.eventually(lambda: all(self.pool_of(original(number)) == "cold" for number in range(1, 16)),
                            "the rest goes as well", every_s=0.1)
        tidepool.eventually(lambda: self.server.metrics().sum("tidepool_tier_stopped") == 0, "it goes on")
        for number in range(1, 16):
            self.view(original(number))


class Promotion(TieringCase):
    def start_cold(self, tiering):
        """A server whose only image is in the bucket."""
        for name in (original(1), small(1)):
            self.put(name, content_type="image/webp" if name.endswith("webp") else "image/jpeg", size=5_000)
        return self.start(tiering)

    def test_views_bring_an_image_back_and_it_stays(self):
        self.start_cold({"enabled": True, "sweep_interval": "1s", "promote_hits": 4})
        self.view(original(1), 3)
        self.view(small(1), 3)
        tidepool.eventually(lambda: self.pool_of(original(1)) == "hot", "it comes back", every_s=0.05)
        self.assertEqual(self.pool_of(small(1)), "hot")
        self.assertEqual((self.hot.path / original(1)).read_bytes(), self.contents[original(1)])
        tidepool.eventually(lambda: (cold.BUCKET, f"uploads/{original(1)}") not in self.left_in_bucket(),
                            "and leaves the bucket")
        self.view(original(1))
        self.assertEqual(self.server.metrics().sum("tidepool_tier_queued_total", reason="promotion"), 1)

    def left_in_bucket(self):
        return {(cold.BUCKET, key) for key in self.b2.keys(cold.BUCKET)}

    def test_what_has_just_come_does_not_go_again(self):
        server = self.start_cold({"promote_hits": 1, "min_dwell_days_per_tier": 0})
        self.view(original(1), 3)
        tidepool.eventually(lambda: self.moves(self.plan()) == {uuid(1): "promotion"}, "its views are written down")
        plan = self.plan()
        self.assertEqual(plan["calls"], {"class_a": 2, "class_b": 2, "class_c": 2, "egress_bytes": 10_000})
        self.b2.clear_requests()
        # By the server alone, and not stopped before: a job that is broken off, as by a command that
        # has done what it was to do, asks once more.
        self.tool("tier", "run", "--detach")
        tidepool.eventually(lambda: self.b2.calls() == {"A": 2, "B": 2, "C": 2},
                            lambda: f"it costs what the plan said: {self.b2.calls()}, {self.tool('jobs', 'list')}")
        tidepool.eventually(lambda: {job["state"] for job in json.loads(self.tool("jobs", "list", "--json"))} == {"done"},
                            "all is done")
        server.stop_process()
        self.assertEqual(self.b2.calls(), {"A": 2, "B": 2, "C": 2}, "and no more")
        # Long idle, and yet it stays until it has dwelt there.
        image = bytes.fromhex(uuid(1).replace("-", ""))
        long_ago = int(time.time()) - 90 * DAY
        self.change(("UPDATE images SET uploaded_s = ? WHERE uuid = ?", (long_ago, image)),
                    ("UPDATE views SET last_s = ? WHERE image = ?", (long_ago, image)))
        self.server.write_config({"tiering": {**EAGER, "min_dwell_days_per_tier": 7}})
        self.assertEqual(self.moves(self.plan()), {})
        self.change(("UPDATE images SET moved_s = ? WHERE uuid = ?", (int(time.time()) - 8 * DAY, image)))
        self.assertEqual(self.moves(self.plan()), {uuid(1): "idle"})


class Views(TieringCase):
    def test_answers_with_bytes_are_views_and_no_others(self):
        self.add(1)
        server = self.start({"views_flush": "50ms"})
        etag = self.assert_served(server, original(1))["etag"]
        self.assert_served(server, original(1))
        self.assert_served(server, small(1))
        path = f"/uploads/{original(1)}"
        self.assertEqual(server.get(path, "Range: bytes=0-9").status, 206)
        self.assertEqual(server.get(path, f"If-None-Match: {etag}").status, 304)
        self.assertEqual(server.get(path, method="HEAD").status, 200)
        self.assertEqual(server.get(path, "Range: bytes=100000-").status, 416)
        self.assertEqual(server.get(f"/uploads/{original(9)}").status, 404)
        self.assertEqual(server.metrics().sum("tidepool_views_total"), 4)
        self.assertEqual(server.metrics().sum("tidepool_views_dropped_total"), 0)
        server.stop_process()
        with contextlib.closing(sqlite3.connect(self.folder / "catalog.db")) as catalog:
            rows = catalog.execute("SELECT lower(hex(image)), score, last_s FROM views").fetchall()
        self.assertEqual([row[0] for row in rows], [uuid(1).replace("-", "")])
        self.assertAlmostEqual(rows[0][1], 4, delta=0.01)
        self.assertLess(abs(rows[0][2] - time.time()), 60)

    def test_they_can_be_left_uncounted(self):
        self.add(1)
        server = self.start({"views_flush": "0s"})
        self.view(original(1))
        self.assertEqual(server.metrics().sum("tidepool_views_total"), 0)


if __name__ == "__main__":
    tidepool.main()
