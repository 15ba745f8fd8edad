"""What was deleted, replaced or moved is taken out of the edge, whatever becomes of its API and of us."""

import json
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import image_host  # noqa: E402
import tidepool  # noqa: E402
from behind_edge import HOST, PAGE, BehindEdgeCase  # noqa: E402

STEPS = ("purge.begun", "purge.called", "purge.told", "purge.verified", "purge.ended")


class Deleted(BehindEdgeCase):
    def test_the_edge_forgets_all_variants_of_a_deleted_image(self):
        image, other = self.new_image(), self.new_image()
        self.start()
        self.hold(image)
        self.hold(other)
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.await_purges()
        self.assert_forgotten(image)
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual(self.visit(other.original).get("cf-cache-status"), "HIT")
        for purge in self.edge.purges:
            self.assertEqual((purge.call, purge.status), ("purge_cache", 200))
            self.assertLessEqual(len(purge.body["files"]), 30)
        self.assertEqual(self.metric("tidepool_purged_urls_total"), len(self.urls(image)))
        self.assertEqual(self.metric('tidepool_purge_calls_total{result="done"}'), len(self.edge.purges))
        self.assert_secret()

    def test_several_images_share_calls(self):
        images = [self.new_image() for _ in range(10)]
        self.start({"purge": {**self.zone(), "urls_per_call": 30, "verify": False}, "jobs": {"threads": 0}})
        for image in images:
            self.good("DELETE", f"/images/{image.uuid}", status=202)
        tidepool.eventually(lambda: all(job["next_run"] <= time.time() for job in self.purges()), "they are due",
                            every_s=0.1)
        self.tool("jobs", "run")
        self.await_purges(10)
        wanted = set().union(*(self.urls(image) for image in images))
        self.assertEqual(self.purged(), wanted)
        self.assertLessEqual(len(self.edge.purges), len(wanted) // 30 + 3)

    def test_nothing_is_queued_without_a_zone(self):
        image = self.new_image()
        self.start({"purge": {**self.zone(), "zone_id": ""}})
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.wait_for_jobs()
        self.assertEqual((self.purges(), self.edge.purges), ([], []))
        self.assertEqual(self.call("POST", "/purges", {"everything": True})[0], 409)
        status, _, error = self.run_tool("purge", image.uuid)
        self.assertEqual(status, 1)
        self.assertIn("purge.zone_id", error)
        self.assertEqual([line for line in self.server.log() if "purges wait" in line], [])

    def test_without_the_zone_a_purge_waits_for_who_knows_it(self):
        image = self.new_image()
        self.start({"jobs": {"threads": 0}})
        self.hold(image)
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.server.crash()
        self.start({"purge": {**self.zone(), "zone_id": ""}, "jobs": {}}, scanned=False)
        self.server.wait_log("purges wait")
        tidepool.eventually(lambda: not [job for job in self.json("jobs", "list") if job["type"] != "purge" and
                                         job["state"] != "done"], "it is deleted", every_s=0.1)
        self.assertIn("attempts failed", self.tool("jobs", "run"))
        job, = self.purges()
        self.assertEqual((job["state"], job["attempts"], self.edge.purges), ("queued", 0, []))
        self.server.crash()
        self.start({"jobs": {}}, scanned=False)
        self.await_purges()
        self.assert_forgotten(image)

    def test_by_tags(self):
        image = self.new_image()
        self.start({"purge": {**self.zone(), "by": "tags", "verify": False}})
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.await_purges()
        self.assertEqual([purge.body for purge in self.edge.purges], [{"tags": [f"img-{image.uuid}"]}])

    def test_by_default_what_only_a_tag_reaches_is_forgotten_too(self):
        image, other = self.new_image(), self.new_image()
        zone = {name: value for name, value in self.zone().items() if name != "by"}
        self.start({"purge": zone})
        self.hold(image)
        self.hold(other)
        visits = [(f"{image.original}?x=1",), (image.original, ("Origin", "https://unlisted.example")),
                  (f"/file/{cold.BUCKET}/{image.original}?x=1",)]
        for visit in visits:
            self.assertEqual([self.visit(*visit).get("cf-cache-status") for _ in range(2)], ["MISS", "HIT"], visit)
        self.edge.clock_offset_s += 10
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.await_purges()
        self.assert_forgotten(image)
        for visit in visits:
            self.assertEqual(self.visit(*visit).status, 410, visit)
        # By URLs as well: what another one answers, as a bucket, has no tag.
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual([purge.body for purge in self.edge.purges if "files" not in purge.body],
                         [{"tags": [f"img-{image.uuid}"]}])
        self.assertEqual(self.visit(other.original).get("cf-cache-status"), "HIT")

    def test_by_default_it_is_by_urls_where_answers_have_no_tag(self):
        image = self.new_image()
        zone = {name: value for name, value in self.zone().items() if name != "by"}
        self.start({"purge": zone, "edge": {"cache_tags": []}})
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.await_purges()
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual({kind for purge in self.edge.purges for kind in purge.body}, {"files"})

    def test_under_the_names_of_edge_hosts_it_is_forgotten_too(self):
        image = self.new_image()
        config = {"edge": {"hosts": [HOST, "alias.example", "127.0.0.1", "localhost"]}}
        self.start(config)
        hosts = [HOST, "alias.example"]
        for host in hosts:
            self.assertEqual([self.visit(image.original, host=host).status for _ in range(2)], [200, 200])
        self.edge.clock_offset_s += 10
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.await_purges()
        self.assertEqual([self.visit(image.original, host=host).status for host in hosts], [410, 410])
        self.assertEqual({url.split("/")[2] for url, _ in self.purged()}, set(hosts))

    def test_a_reload_adds_names_to_edge_hosts(self):
        image = self.new_image()
        config = {"purge": {**self.zone(), "verify": False}}
        self.start({**config, "edge": {"hosts": [HOST, "before.example"]}})
        mark = len(self.server.log())
        admin = {"listen": ["127.0.0.1:0"], "token": "env:TIDEPOOL_TEST_TOKEN"}
        self.server.write_config({**config, "admin": admin, "server": {"threads": 2}, "edge": {"hosts": [HOST, "after.example"]}})
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.await_purges()
        self.assertEqual({url.split("/")[2] for url, _ in self.purged()}, {HOST, "before.example", "after.example"})

    def test_a_reload_changes_the_tags(self):
        image = self.new_image()
        config = {"purge": {**self.zone(), "by": "tags", "verify": False}}
        self.start(config)
        mark = len(self.server.log())
        admin = {"listen": ["127.0.0.1:0"], "token": "env:TIDEPOOL_TEST_TOKEN"}
        self.server.write_config({**config, "admin": admin, "server": {"threads": 2}, "edge": {"cache_tag_prefix": "x-"}})
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)
        self.assertEqual(self.server.get(f"/{image.original}")["cache-tag"], f"x-img-{image.uuid}")
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.await_purges()
        purge, = self.edge.purges
        self.assertEqual(set(purge.body["tags"]), {f"img-{image.uuid}", f"x-img-{image.uuid}"})  # of before, too


class Failing(BehindEdgeCase):
    def test_an_api_that_fails_is_asked_until_it_does(self):
        image = self.new_image()
        self.start()
        self.hold(image)
        self.edge.fail_purges(1, 500)
        self.edge.fail_purges(1, 429, retry_after=1)
        self.edge.fail_purges(1, "unsuccessful")
        self.edge.fail_purges(1, "silent")
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        job, = self.await_purges()
        self.assertEqual(job["attempts"], 5)
        self.assert_forgotten(image)
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual(self.metric('tidepool_purge_calls_total{result="limited"}'), 1)
        self.assert_secret()

    def test_a_wrong_token_holds_the_job_up_and_says_so(self):
        image, other = self.new_image(), self.new_image()
        wrong = {"TIDEPOOL_TEST_PURGE": "another-token-of-some-kind"}
        self.start(environment=wrong)
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        job = tidepool.eventually(lambda: next(iter(self.purges(error_class="denied")), None), "it is refused")
        self.assertEqual((job["state"], job["attempts"]), ("queued", 1))
        self.assertAlmostEqual(job["next_run"], time.time() + 3600, delta=60)  # however often it was
        self.assertIn("purge.api_token", job["error"])
        self.assertNotIn("another-token", json.dumps(job) + "\n".join(self.server.log()))
        self.assertEqual(self.metric('tidepool_purge_calls_total{result="denied"}'), 1)
        status, out, error = self.run_tool("purge", other.uuid, environment=wrong)  # does not wait for ever
        self.assertEqual((status, out.splitlines()[-1]), (1, "0 done, 1 failed, 0 cancelled, 0 paused"))
        self.assertIn("stays queued", error)
        self.tool("jobs", "cancel", *(each["id"] for each in self.purges() if each["id"] != job["id"]))
        self.server.crash()
        self.start(scanned=False)
        tidepool.eventually(lambda: self.metric("tidepool_purge_failing") == 1, "it is counted")
        self.tool("jobs", "retry", job["id"])
        tidepool.eventually(lambda: self.purges(id=job["id"], state="done"), "it is done", every_s=0.1)
        self.assertEqual(self.purged(), self.urls(image))

    def test_a_url_that_is_refused_is_named_and_the_others_are_purged(self):
        image = self.new_image()
        self.edge.foreign_hosts.add("other.example")
        self.start({"purge": {**self.zone(), "verify": False, "origins": []}})
        urls = [f"https://{HOST}/{key}" for key in image.keys] + ["https://other.example/a.jpg"]
        job, = self.good("POST", "/purges", {"urls": urls}, status=202)["jobs"]
        shown = self.job_of({"job": job})
        self.assertEqual((shown["state"], shown["error_class"]), ("failed", "invalid"))
        self.assertIn("https://other.example/a.jpg: ", shown["error"])
        self.assertEqual(self.purged(), {(url, None) for url in urls[:-1]})

    def test_a_purge_that_was_of_no_use_is_made_again(self):
        image = self.new_image()
        self.start()
        self.hold(image)
        calls = -(-len(self.urls(image)) // 30)
        self.edge.forget_nothing(2 * calls)
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        job, = self.await_purges()
        self.assertEqual(job["attempts"], 3)
        self.assert_forgotten(image)
        self.assertEqual(self.metric("tidepool_purge_remembered_total"), 2)

    def test_an_edge_that_cannot_be_asked_does_not_keep_a_job_for_ever(self):
        image = self.new_image()
        nobody = tidepool.refusing_address(self)
        self.start({"purge": {**self.zone(), "verify_url": f"http://127.0.0.1:{nobody[1]}"}})
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.await_purges()
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual(self.metric("tidepool_purge_unverified_total"), 1)

    def test_an_edge_that_blocks_us_has_not_said_that_it_forgot(self):
        image = self.new_image()
        self.start()
        self.hold(image)
        self.edge.zone.block = lambda request: request.get("referer") is None  # as hotlink.allow_empty = false
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        job, = self.await_purges(patience_s=180)  # each attempt waits twice as long as the one before
        self.assertEqual(job["attempts"], 5)
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual(self.metric("tidepool_purge_unverified_total"), 1)
        self.server.wait_log("nobody says whether it was of use")

    def test_what_was_blocked_is_asked_for_again(self):
        image = self.new_image()
        self.start()
        self.hold(image)
        self.edge.forget_nothing(-(-len(self.urls(image)) // 30))
        self.edge.zone.block = lambda request: True
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        job = tidepool.eventually(lambda: next(iter(self.purges(error_class="busy")), None), "it is blocked")
        self.edge.zone.block = None
        self.await_purges(patience_s=180)
        self.assert_forgotten(image)
        self.assertEqual(self.metric("tidepool_purge_unverified_total"), 0)
        self.assertGreaterEqual(self.metric("tidepool_purge_remembered_total"), 1)
        self.assertIn(image.uuid, job["error"])

    def test_killed_at_each_step_it_is_purged_in_the_end(self):
        self.start()
        for step in STEPS:
            with self.subTest(step):
                # So many that some are taken along by another one's attempt.
                images = [self.new_image(bytes_each=2_000) for _ in range(6)]
                self.tool("scan", "--hash")
                for image in images:
                    self.hold(image)
                self.server.crash()
                del self.edge.purges[:]
                self.start(scanned=False, environment={"TIDEPOOL_FAULT_POINT": f"{step}:1"})
                for image in images:
                    self.good("DELETE", f"/images/{image.uuid}", status=202)
                self.server.child.wait(tidepool.PATIENCE_S)
                self.server.stopped = True
                self.start(scanned=False)
                tidepool.eventually(lambda: not [job for job in self.purges() if job["state"] != "done"],
                                    "all are purged", every_s=0.1)
                for image in images:
                    self.assert_forgotten(image)
                self.assertEqual(self.purged(), set().union(*(self.urls(image) for image in images)))


class Paced(BehindEdgeCase):
    EDGE = {"url_items": 5, "url_limit": (2, 4)}
    ZONE = {"urls_per_call": 5, "calls_per_minute": 120}

    def test_the_limits_of_the_zone_are_kept(self):
        image = self.new_image()
        self.start()
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.await_purges()
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual({purge.status for purge in self.edge.purges}, {200})
        self.assertEqual(len(self.edge.purges), -(-len(self.urls(image)) // 5))


class Slow(BehindEdgeCase):
    ZONE = {"urls_per_call": 20, "calls_per_minute": 15, "verify": False}

    def test_what_waits_for_its_turn_goes_on_where_it_was(self):
        image = self.new_image()
        self.start()
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        job, = self.await_purges()
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual(len(self.edge.purges), 2)
        self.assertEqual(job["attempts"], 1)  # to wait is no attempt


class Many(BehindEdgeCase):
    ZONE = {"urls_per_call": 5, "calls_per_minute": 60, "verify": False, "origins": []}

    def test_a_takedown_does_not_wait_for_what_is_only_old(self):
        image = self.new_image()
        self.start()
        many = [f"https://{HOST}/uploads/{number}.jpg" for number in range(1000)]
        old, = self.good("POST", "/purges", {"urls": many}, status=202)["jobs"]
        tidepool.eventually(lambda: self.edge.purges, "it has begun")
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        tidepool.eventually(lambda: self.purges(state="done"), "the other one is done", every_s=0.1)
        self.assertNotEqual([job["id"] for job in self.purges(state="done")], [old])
        self.assertLessEqual({url for url, _ in self.urls(image)}, {url for url, _ in self.purged()})


class ManyTags(BehindEdgeCase):
    EDGE = {"other_limit": (25, 5 / 60)}
    ZONE = {"by": "both", "tags_per_call": 1, "verify": False, "origins": []}

    def test_a_takedown_has_its_call_for_a_tag_before_what_is_only_old(self):
        image = self.new_image()
        self.start()
        many = [f"old-{number}" for number in range(20)]
        self.good("POST", "/purges", {"tags": many}, status=202)
        tidepool.eventually(lambda: len(self.edge.purges) >= 3, "it has begun")
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        tidepool.eventually(lambda: self.purges(state="done"), "the other one is done", every_s=0.1)
        told = [tag for purge in self.edge.purges for tag in purge.body.get("tags", ())]
        self.assertIn(f"img-{image.uuid}", told[:5])
        self.assertEqual({purge.status for purge in self.edge.purges}, {200})


class Advice(BehindEdgeCase):
    def test_check_says_what_purges_by_url_leave(self):
        self.environment["TIDEPOOL_TEST_PRIVATE"] = "a key of a private image host"
        hidden = {"signing_key": "env:TIDEPOOL_TEST_PRIVATE", "prefixes": ["uploads/private/"], "edge_checks": True}
        hosts = {"hosts": [HOST, "*.alias.example"]}
        self.start({"private": hidden, "edge": hosts})
        warned = self.run_tool("check")[2]
        self.assertRegex(warned, r"warning: purge\.by: .*signed URLs")
        self.assertRegex(warned, r'warning: edge\.hosts\[2\]: .*"\*\.alias\.example"')
        self.server.write_config({"purge": {**self.zone(), "by": "auto"}, "private": hidden, "edge": hosts})
        self.assertNotIn("warning", self.run_tool("check")[2])
        self.server.write_config({"purge": {**self.zone(), "by": "both"}, "edge": {"cache_tags": ["pool"]}})
        status, _, error = self.run_tool("check")
        self.assertEqual(status, 2)
        self.assertIn('by = "both" names images by a tag that no answer has', error)


class ByHand(BehindEdgeCase):
    def test_by_the_command_and_the_api(self):
        image = self.new_image()
        self.start()
        self.hold(image)
        self.assertIn("1 done", self.tool("purge", image.uuid))
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual(self.visit(image.original).get("cf-cache-status"), "HIT")  # fetched anew by the look at it
        self.assertEqual(self.visit(image.original, ("Origin", PAGE)).status, 200)
        del self.edge.purges[:]
        url = f"https://{HOST}/uploads/{image.uuid}.jpg?w=1"
        queued = self.good("POST", "/purges", {"urls": [url], "tags": ["pool-1"], "prefixes": [f"{HOST}/uploads/x"]},
                           "Idempotency-Key: one", status=202)["jobs"]
        again = self.good("POST", "/purges", {"urls": [url], "tags": ["pool-1"], "prefixes": [f"{HOST}/uploads/x"]},
                          "Idempotency-Key: one", status=202)["jobs"]
        self.assertEqual((len(queued), again), (3, queued))
        for job in queued:
            self.assertEqual(self.job_of({"job": job})["state"], "done")
        self.assertEqual(self.purged(), {(url, None), (url, PAGE)})
        self.assertEqual(sorted(list(purge.body) for purge in self.edge.purges if "files" not in purge.body),
                         [["prefixes"], ["tags"]])
        shown = self.json("purge", "--everything", "--yes", "--detach")
        self.assertEqual(self.job_of({"job": shown["jobs"][0]})["state"], "done")
        self.assertEqual(self.edge.purges[-1].body, {"purge_everything": True})
        self.assertEqual(self.edge.stored, 0)

    def test_what_is_wrong_is_refused(self):
        self.start()
        for body in ({}, {"urls": ["images.example/a"]}, {"urls": ["https://u@h/a"]}, {"tags": ["a b"]},
                     {"prefixes": ["https://h/a"]}, {"images": ["x"]}, {"more": 1}, {"urls": "x"}):
            self.assertIn(self.call("POST", "/purges", body)[0], (400, 422), body)
        self.assertEqual(self.call("POST", "/purges", {"images": ["0b1f6c2e-9a7d-4c55-8a3e-1234567890ab"]})[0], 404)
        self.assertEqual(self.run_tool("purge", "--everything")[0], 2)
        self.assertEqual(self.run_tool("purge")[0], 2)
        self.assertEqual(self.run_tool("purge", "https://nothing")[0], 2)
        self.assertEqual(self.purges(), [])


class Changed(BehindEdgeCase):
    def test_a_file_that_was_rewritten(self):
        image = self.new_image()
        self.start()
        self.hold(image)
        content = tidepool.make_image("image/jpeg", 30_000, "another")
        self.trees["uploads"].put(image.original.removeprefix("uploads/"), content)
        tidepool.eventually(lambda: self.server.get(f"/{image.original}").body == content, "it is seen")
        self.await_purges()
        self.assertEqual(self.purged(), self.urls(image))
        self.assertEqual(self.visit(image.original).body, content)
        self.assertEqual(self.visit(image.original, ("Origin", PAGE)).body, content)

    def test_a_variant_that_was_rewritten_is_purged_alone(self):
        image = self.new_image()
        self.start()
        self.hold(image)
        key = f"uploads/variants/{image_host.DAY}/{image.uuid}_small.webp"
        content = tidepool.make_image("image/webp", 3_000, "another")
        self.trees["uploads"].put(key.removeprefix("uploads/"), content)
        tidepool.eventually(lambda: self.server.get(f"/{key}").body == content, "it is seen")
        self.await_purges()
        self.assertEqual({url for url, _ in self.purged()},
                         {f"https://{HOST}/{key}", f"https://{HOST}/file/{cold.BUCKET}/{key}"})
        self.assertEqual(self.visit(key).body, content)
        self.assertEqual(self.visit(image.original).get("cf-cache-status"), "HIT")

    def test_a_move_into_a_private_pool(self):
        self.environment["TIDEPOOL_TEST_PRIVATE"] = "a key of a private image host"
        image = self.new_image()
        pools = self.pools()
        pools[1]["visibility"] = "private"
        self.start({"private": {"signing_key": "env:TIDEPOOL_TEST_PRIVATE"}}, pools=pools)
        self.hold(image)
        self.tool("mv", image.uuid, "--to", "warm")
        self.await_purges()
        self.assert_forgotten(image, status=403)

    def hide_a_pool(self, *tags):
        """What the edge is told when the API makes a pool private, as {kind: named}."""
        old = self.new_image()
        self.environment["TIDEPOOL_TEST_PRIVATE"] = "a key of a private image host"
        self.start({"private": {"signing_key": "env:TIDEPOOL_TEST_PRIVATE"},
                    "edge": {"cache_tags": ["image", *tags], "hosts": [HOST, "alias.example"]}})
        tree = tidepool.Tree(self.folder / "closed")
        tree.image("closed.jpg")
        self.good("POST", "/pools", {"name": "closed", "base_path": str(tree.path)}, status=201)
        # One that the edge has since it was in another pool, under whose tag it stays there.
        visits = [(path, host) for host in (HOST, "alias.example") for key in ("uploads/closed.jpg", old.original)
                  for path in (f"/{key}", f"/file/{cold.BUCKET}/{key}")]
        for path, host in visits:
            self.assertEqual([self.visit(path, host=host).get("cf-cache-status") for _ in range(2)], ["MISS", "HIT"])
        self.tool("mv", old.uuid, "--to", "closed")
        self.assertEqual(self.purges(), [])
        self.good("PATCH", "/pools/closed", {"priority": 7})
        self.good("PATCH", "/pools/closed", {"visibility": "private"})
        self.await_purges()
        for path, host in visits:
            self.assertEqual(self.visit(path, host=host).status, 403, (path, host))
        return {kind: named for purge in self.edge.purges for kind, named in purge.body.items()}

    ALL_IMAGES = [f"{host}/{path}" for host in sorted((HOST, "alias.example"))
                  for path in (f"file/{cold.BUCKET}", "images", "uploads")]

    def test_a_pool_that_becomes_private_is_purged_with_all_images(self):
        told = self.hide_a_pool()
        self.assertEqual((list(told), sorted(told["prefixes"])), (["prefixes"], self.ALL_IMAGES))

    def test_a_pool_that_becomes_private_is_purged_by_its_tag_too(self):
        told = self.hide_a_pool("pool")
        self.assertEqual(told["tags"], ["pool-closed"])
        self.assertEqual(sorted(told["prefixes"]), self.ALL_IMAGES)

    def configure(self, config):
        """Reloads the configuration with these sections."""
        mark = len(self.server.log())
        admin = {"listen": ["127.0.0.1:0"], "token": "env:TIDEPOOL_TEST_TOKEN"}
        self.server.write_config({"purge": self.zone(), "cache": {"freshness": "100ms"}, "admin": admin,
                                  "move": {"grace": self.GRACE}, "server": {"threads": 2}, **config})
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)

    def start_with_a_key(self, **private):
        self.environment["TIDEPOOL_TEST_PRIVATE"] = "a key of a private image host"
        self.private = {"private": {"signing_key": "env:TIDEPOOL_TEST_PRIVATE"}}
        self.start(self.private, **private)

    def test_a_prefix_that_a_reload_makes_private(self):
        image = self.new_image()
        self.start_with_a_key()
        self.hold(image)
        for prefixes in ([f"uploads/original/{image_host.DAY}/"], [f"uploads/original/{image_host.DAY}/", "uploads/x/"],
                         ["uploads/x/"]):
            self.configure({"private": {**self.private["private"], "prefixes": prefixes}})
        self.await_purges(2)
        self.assertEqual([purge.body for purge in self.edge.purges if "original" in str(purge.body)],
                         [{"prefixes": [f"{HOST}{file}/uploads/{kind}/{image_host.DAY}" for file in
                                        (f"/file/{cold.BUCKET}", "") for kind in ("original", "variants")]}])
        # It is public again by now, but what the edge had of it is gone.
        self.assertEqual({self.visit(key).get("cf-cache-status") for key in image.keys}, {"MISS"})

    def test_a_pool_that_a_reload_makes_private(self):
        image = self.new_image()
        self.start_with_a_key()
        self.hold(image)
        pools = self.pools()
        pools[0]["visibility"] = "private"
        self.server.pools = pools
        self.configure(self.private)
        self.await_purges()
        self.assert_forgotten(image, status=403)
        self.configure(self.private)
        self.assertEqual(len(self.purges()), 1)

    def test_a_pool_that_a_restart_makes_private(self):
        image = self.new_image()
        self.start_with_a_key()
        self.hold(image)
        pools = self.pools()
        pools[0]["visibility"] = "private"
        self.server.pools = pools
        self.server.write_config({"purge": self.zone(), **self.private})
        self.assertEqual(self.purges(), [])  # a command is too early: the server shows it
        self.server.crash()
        self.start(self.private, scanned=False, pools=pools)
        self.await_purges()
        self.assert_forgotten(image, status=403)
        self.server.crash()
        self.start(self.private, scanned=False, pools=pools)
        self.assertEqual(len(self.purges()), 1)

    def test_what_counts_is_who_may_see_it_when_the_edge_is_asked(self):
        self.environment["TIDEPOOL_TEST_PRIVATE"] = "a key of a private image host"
        image = self.new_image()
        closed, opened = self.pools(), self.pools()
        closed[1]["visibility"] = "private"
        config = {"private": {"signing_key": "env:TIDEPOOL_TEST_PRIVATE"}, "jobs": {"threads": 0}}
        self.start(config, pools=closed)
        self.hold(image)
        self.tool("mv", image.uuid, "--to", "warm")
        self.server.crash()
        self.start({**config, "jobs": {}}, scanned=False, pools=opened)
        job, = self.await_purges()
        self.assertEqual(job["attempts"], 1)
        self.assert_forgotten(image, status=200)

    def test_it_waits_until_all_know_whoever_asks_again(self):
        image = self.new_image()
        self.start({"cache": {"freshness": "20s"}, "jobs": {"threads": 0}})
        before = time.time()
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        for _ in range(2):
            job, = self.purges()
            self.assertGreaterEqual(job["next_run"], before + 30)
            self.good("POST", "/purges", {"images": [image.uuid]}, status=202)

    def test_a_move_counts_where_visitors_find_it_elsewhere_then(self):
        image = self.new_image()
        self.start(pools=self.pools(serve="redirect", public_base_url="https://b2.example", download_url=""))
        self.tool("mv", image.uuid, "--to", "warm")
        self.assertEqual(self.purges(), [])
        self.tool("mv", image.uuid, "--to", "cold")
        self.assertEqual(len(self.purges()), 1)


if __name__ == "__main__":
    tidepool.main()
