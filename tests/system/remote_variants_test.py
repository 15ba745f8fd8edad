"""Variants of originals in a bucket: made when they are first asked for, and put beside the original.

Also who makes one where several processes share a catalog, and what is shown while a variant is made.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402
from pictures import picture, png, png_size  # noqa: E402

import json  # noqa: E402
import threading  # noqa: E402

DAY = "2026/02/25"
FOREVER = "public, max-age=31536000, immutable"
ON = {"on_demand": True, "first_hit_wait": "30s"}
LEASE_S = 15  # of a claim, see VariantClaims


class RemoteCase(cold.ColdCase):
    def setUp(self):
        super().setUp()
        self.numbers = iter(range(1, 1_000_000))

    def original(self, content=None, **options):
        """Stores an original in the bucket and returns what the paths of its variants begin with."""
        name = f"0f8fad5b-d9cb-469f-a165-{next(self.numbers):012x}"
        self.key = f"uploads/original/{DAY}/{name}.png"
        self.b2.put(cold.BUCKET, self.key, content or png(600, 400), "image/png", **options)
        return f"/uploads/variants/{DAY}/{name}"

    def start(self, variants=None, **options):
        config = {"variants": {**ON, **(variants or {})}, "server": {"threads": 2}, "origin": cold.IMPATIENT}
        config.update(options.pop("config", {}))
        self.server = self.serve_cold(config, **options)
        return self.server

    def metric(self, name, server=None, **labels):
        return (server or self.server).metrics().sum(f"tidepool_variants_{name}", **labels)

    def puts(self):
        return [entry for entry in self.b2.requests if entry.method == "PUT"]

    def assert_served(self, path, server=None):
        answer = (server or self.server).get(path)
        self.assertEqual((answer.status, answer["cache-control"]), (200, FOREVER), answer)
        return answer

    def jobs(self, type_):
        """(state, payload) of the catalog's jobs of a type."""
        import sqlite3
        with sqlite3.connect(f"file:{self.server.folder}/catalog.db?mode=ro", uri=True) as catalog:
            return catalog.execute("SELECT state, payload FROM jobs WHERE type = ?", (type_,)).fetchall()


class InABucket(RemoteCase):
    def test_it_is_made_put_beside_its_original_and_from_then_on_an_object(self):
        image = self.original()
        self.start()
        path = image + "_small.png"
        first = self.assert_served(path)
        self.assertEqual((first["content-type"], png_size(first.body)), ("image/png", (200, 133)))
        self.assertEqual([entry.key for entry in self.fetches()], [self.key])
        self.assertEqual([entry.key for entry in self.puts()], [path[1:]])
        versions = self.b2.versions(cold.BUCKET, path[1:])
        self.assertEqual([(version.data, version.content_type) for version in versions], [(first.body, "image/png")])
        for _ in range(2):
            again = self.assert_served(path)
            self.assertEqual((again.body, again["etag"]), (first.body, first["etag"]))
        # From the shelf, also after a restart; nothing is made again.
        self.server.stop_process()
        self.start(folder=self.server.folder, scanned=False)
        again = self.assert_served(path)
        self.assertEqual((again.body, again["etag"]), (first.body, first["etag"]))
        self.assertEqual(self.fetches(), [])
        self.assertEqual(self.metric("made_total"), 0)

    def test_an_original_on_the_shelf_is_not_fetched_again(self):
        for side in (600, 2000):  # served from memory, and from its file
            with self.subTest(side=side):
                image = self.original(png(side, side))
                self.start()
                self.assertEqual(self.server.get("/" + self.key).status, 200)
                tidepool.eventually(lambda: self.shelf_files(self.server), "it is on the shelf")
                self.assertEqual(self.server.get("/" + self.key).status, 200)
                for name in ("_small.webp", "_medium.png"):
                    self.assert_served(image + name)
                self.assertEqual([entry.key for entry in self.fetches()], [self.key])

    def test_without_a_shelf(self):
        image = self.original(png(1500, 1500))
        self.start(config={"shelf": {"path": ""}})
        first = self.assert_served(image + "_small.webp")
        self.assertTrue(self.assert_served(image + "_small.webp").body == first.body)
        self.assertEqual(self.metric("made_total"), 1)

    def test_many_who_ask_at_once_cost_one_fetch_and_one_put(self):
        image = self.original(png(1500, 1000))
        self.start()
        path = image + "_medium.webp"
        with cold.Crowd(self.server, [cold.Client(path, b"") for _ in range(60)]) as crowd:
            clients = crowd.run().clients
        self.assertEqual({(client.status, client.whole) for client in clients}, {(200, True)})
        self.assertEqual([entry.key for entry in self.fetches()], [self.key])
        self.assertEqual([entry.key for entry in self.puts()], [path[1:]])
        self.assertEqual(self.metric("made_total"), 1)

    def test_many_images_at_once_wait_for_their_turn(self):
        images = [self.original(png(700, 500, seed=number)) for number in range(12)]
        self.start({"fetches": 2})
        with cold.Crowd(self.server, [cold.Client(image + "_small.webp", b"") for image in images]) as crowd:
            self.assertEqual({client.status for client in crowd.run().clients}, {200})
        self.assertEqual(len(self.fetches()), len(images))

    def test_a_pool_that_redirects_does_so_for_what_was_just_made(self):
        image = self.original()
        self.start(pool={"serve": "redirect", "public_base_url": "https://images.example"})
        answer = self.server.get(image + "_small.webp")
        self.assertEqual((answer.status, answer["location"]), (302, "https://images.example" + image + "_small.webp"))
        self.assertEqual(self.b2.versions(cold.BUCKET, image[1:] + "_small.webp")[0].content_type, "image/webp")

    def test_where_there_is_no_original_it_is_absent(self):
        self.start()
        answer = self.server.get(f"/uploads/variants/{DAY}/0f8fad5b-d9cb-469f-a165-000000000999_small.webp")
        self.assertEqual(answer.status, 404, answer)

    def test_an_original_that_is_gone_from_the_bucket_is_reported(self):
        image = self.original()
        self.start()
        self.b2.delete(cold.BUCKET, self.key)
        self.assertEqual(self.server.get(image + "_small.webp").status, 404)
        tidepool.eventually(lambda: self.jobs("reconcile"), "somebody is to look at it")

    def test_a_variant_that_is_gone_from_the_bucket_is_made_anew(self):
        image = self.original()
        without_shelf = {"shelf": {"path": ""}}
        self.start(config=without_shelf)
        path = image + "_small.png"
        first = self.assert_served(path)
        self.server.stop_process()
        self.b2.delete(cold.BUCKET, path[1:], self.b2.versions(cold.BUCKET, path[1:])[0].id)
        self.start(config=without_shelf, folder=self.server.folder, scanned=False)
        answer = tidepool.eventually(lambda: (got := self.server.get(path)).status == 200 and got, "it is there again")
        self.assertEqual(answer.body, first.body)
        # By which it is found gone (who asks again before the catalog knows it finds so too), and the new one.
        self.assertGreaterEqual(sum(entry.key == path[1:] for entry in self.fetches()), 2)
        self.assertEqual(self.metric("made_total"), 1)

    def test_a_pool_that_is_not_active_is_no_reason_to_say_absent(self):
        image = self.original()
        self.start()
        self.server.stop_process()
        self.start(folder=self.server.folder, scanned=False, pool={"is_active": False})
        answer = self.server.get(image + "_small.webp")
        self.assertEqual((answer.status, answer["cache-control"]), (503, "no-store"), answer)

    def test_what_would_not_be_served_is_not_made(self):
        image = self.original()
        self.start(config={"types": {"allowed": ["image/png"]}})
        for _ in range(3):
            self.assertEqual(self.server.get(image + "_small.webp").status, 404)
        self.assertEqual(self.puts(), [])
        self.assert_served(image + "_small.png")

    def test_what_was_put_before_its_row_was_written_is_not_put_again(self):
        image = self.original()
        self.start()
        path = image + "_small.png"
        first = self.assert_served(path)
        self.server.stop_process()
        import sqlite3
        with sqlite3.connect(f"{self.server.folder}/catalog.db") as catalog:
            catalog.execute("DELETE FROM objects WHERE key = ?", (path[1:],))
            catalog.execute("DELETE FROM accounts")
        self.start(folder=self.server.folder, scanned=False)
        self.assertEqual(self.assert_served(path).body, first.body)
        self.assertEqual(len(self.b2.versions(cold.BUCKET, path[1:])), 1)
        self.assertEqual(self.puts(), [])

    def test_an_image_that_is_removed_meanwhile_leaves_no_variant(self):
        image = self.original()
        self.start()
        path = image + "_small.png"
        fault = self.b2.fault("slow_first_byte", seconds=3, method="PUT")
        with self.server.connect() as wire:
            wire.send(tidepool.request(path))
            fault.wait_hits()
            status, out, error = tidepool.run_tool("rm", "-c", str(self.server.config_file), self.key,
                                                   environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
            self.assertEqual(status, 0, out + error)
            self.assertEqual(wire.response().status, 404)
        self.assertEqual(self.b2.keys(cold.BUCKET), [])
        self.assertEqual(self.server.get(path).status, 404)

    def test_what_waits_for_a_worker_is_bounded_in_memory(self):
        images = [self.original(png(300, 200, seed=number)) for number in range(12)]
        hanging = self.original(b"TEST:doze" + bytes(100))
        self.start({"fetches": 3}, environment={"TIDEPOOL_TEST_DECODER": "1"})
        wires = [self.server.connect() for _ in (hanging, *images)]
        for wire, image in zip(wires, (hanging, *images)):
            self.addCleanup(wire.close)
            wire.send(tidepool.request(image + "_small.webp"))
            if image == hanging:
                tidepool.eventually(lambda: self.metric("running", lane="cheap") == 1, "it hangs")
        tidepool.eventually(lambda: self.metric("waiting", lane="cheap") == 2, "as many wait as may be in memory")
        self.assertEqual(self.server.get(images[-1] + "_small.avif").status, 200, "the other lane has turns of its own")
        sources = [target for target in tidepool.open_files(self.server.pid) if "memfd:source" in target]
        self.assertEqual(len(sources), 3)
        self.assertLessEqual(len(self.fetches()), 4)
        self.server.signal(tidepool.signal.SIGTERM)
        self.server.wait_log(r"draining")
        self.server.signal(tidepool.signal.SIGTERM)  # nobody waits for what hangs

    def test_what_is_dear_takes_no_place_of_what_is_cheap(self):
        """Nor do those that wait for their bytes' turn, although none of them is in a worker's queue."""
        images = [self.original(b"TEST:doze" + bytes([number]) * 100) for number in range(8)]
        other = self.original()
        self.start({"fetches": 1, "cheap_queue": 1, "dear_queue": 3}, environment={"TIDEPOOL_TEST_DECODER": "1"})
        for image in images:
            wire = self.server.connect()
            self.addCleanup(wire.close)
            wire.send(tidepool.request(image + "_small.avif"))
        # One is at a worker, three wait.
        tidepool.eventually(lambda: self.metric("failed_total", reason="queue_full", lane="dear") == 4, "the lane is full")
        self.assert_served(other + "_small.webp")
        self.assertEqual(self.metric("failed_total", reason="queue_full", lane="cheap"), 0)
        self.end_at_once()

    def test_an_animation_keeps_no_turn_of_the_cheap_lane(self):
        """That a WebP is one is only known by its bytes."""
        moving = [self.original(picture("webp", 60, 40, frames=3 + number)) for number in range(2)]
        hanging = self.original(b"TEST:doze" + bytes(100))
        still = self.original()
        self.start({"fetches": 1}, environment={"TIDEPOOL_TEST_DECODER": "1"})
        for path in (hanging + "_small.avif", *(image + "_small.webp" for image in moving)):
            wire = self.server.connect()
            self.addCleanup(wire.close)
            wire.send(tidepool.request(path))
            if path.startswith(hanging):
                tidepool.eventually(lambda: self.metric("running", lane="dear") == 1, "it hangs")
        tidepool.eventually(lambda: len(self.fetches()) == 1 + len(moving), "they were looked at")
        self.assert_served(still + "_small.webp")
        self.end_at_once()

    def end_at_once(self):
        self.server.signal(tidepool.signal.SIGTERM)
        self.server.wait_log(r"draining")
        self.server.signal(tidepool.signal.SIGTERM)  # nobody waits for what hangs

    def test_an_original_beyond_the_limit_is_not_fetched(self):
        image = self.original(png(2000, 2000))
        self.start({"source": "1KiB"})
        answer = self.server.get(image + "_small.webp")
        self.assertEqual((answer.status, answer["cache-control"]), (422, "no-store"))
        self.assertEqual(self.fetches(), [])

    def test_an_original_that_cannot_be_decoded_is_422_and_fetched_once(self):
        image = self.original(b"this is no image at all" * 100)
        self.start()
        for _ in range(3):
            self.assertEqual(self.server.get(image + "_small.webp").status, 422)
        self.assertEqual(len(self.fetches()), 1)

    def test_an_original_that_is_not_what_the_catalog_says_is_the_buckets_fault(self):
        image = self.original(png(700, 500))
        self.start(hashed=True)
        # The store still gives the old version's ETag for other bytes.
        version = self.b2.versions(cold.BUCKET, self.key)[0]
        version.data = version.data[:-100] + bytes(100)
        answer = self.server.get(image + "_small.webp")
        self.assert_refusal(answer, 502)
        self.assertEqual(self.metric("made_total"), 0)

    def test_while_the_bucket_is_down_nobody_keeps_the_answer(self):
        image = self.original()
        self.start()
        self.b2.fault("error", status=503, code="ServiceUnavailable", count=None, method="GET")
        self.assert_refusal(self.server.get(image + "_small.webp"), 502, 503, 504)
        self.b2.clear_faults()
        tidepool.eventually(lambda: self.server.get(image + "_small.webp").status == 200, "it is made after all")


class WhereItCannotBeStored(RemoteCase):
    def test_it_is_answered_kept_and_stored_by_a_job(self):
        image = self.original()
        self.start()
        path = image + "_small.png"
        self.b2.fault("error", status=503, code="ServiceUnavailable", count=None, method="PUT")
        for _ in range(3):
            answer = self.server.get(path)
            self.assertEqual((answer.status, answer["cache-control"]), (200, "no-store"), answer)
            self.assertEqual(png_size(answer.body), (200, 133))
        self.assertEqual((self.metric("made_total"), self.metric("store_failures_total")), (1, 1))
        tidepool.eventually(lambda: self.jobs("variant"), "a job is queued")
        self.assertEqual([json.loads(payload) for _, payload in self.jobs("variant")], [{"key": path[1:]}])
        self.b2.clear_faults()
        tidepool.eventually(lambda: self.b2.versions(cold.BUCKET, path[1:]), "the job stores it", patience_s=60)
        tidepool.eventually(lambda: self.jobs("variant")[0][0] == 2, "and is done")
        self.assertEqual(self.assert_served(path).body, answer.body)
        self.assertEqual(len(self.b2.versions(cold.BUCKET, path[1:])), 1)

    def test_a_job_outlives_the_process(self):
        image = self.original()
        self.start()
        path = image + "_small.png"
        self.b2.fault("error", status=503, code="ServiceUnavailable", count=None, method="PUT")
        self.assertEqual(self.server.get(path)["cache-control"], "no-store")
        tidepool.eventually(lambda: self.jobs("variant"), "a job is queued")
        self.server.crash()
        self.b2.clear_faults()
        self.start(folder=self.server.folder, scanned=False)
        tidepool.eventually(lambda: self.b2.versions(cold.BUCKET, path[1:]), "the job stores it", patience_s=60)

    def test_a_bucket_that_is_slow_to_store_holds_up_nobody_else(self):
        images = [self.original(png(30 + number, 20)) for number in range(4)]
        self.start({"cheap_queue": 1, "dear_queue": 1, "first_hit_wait": "100ms"})
        local = f"original/{DAY}/0f8fad5b-d9cb-469f-a165-0000000000aa.png"
        self.server.tree.put(local, png(300, 200))
        self.b2.fault("slow_first_byte", seconds=600, count=None, method="PUT")
        for image in images:
            answer = self.server.get(image + "_small.webp")
            self.assertEqual((answer.status, answer["cache-control"]), (200, "no-store"), answer)
        path = local.replace("original", "/uploads/variants", 1).replace(".png", "_small.webp")
        self.assertEqual(self.server.get(path).status, 200)
        tidepool.eventually(lambda: self.server.get(path)["cache-control"] == FOREVER, "it is stored")
        self.assertEqual(self.metric("failed_total", reason="queue_full"), 0)
        self.server.crash()  # which does not wait for the bucket

    def test_what_is_on_its_way_into_a_bucket_is_bounded(self):
        images = [self.original(png(30 + number, 20)) for number in range(65)]
        self.start({"first_hit_wait": "1s"})
        self.b2.fault("slow_first_byte", seconds=600, count=None, method="PUT")
        with cold.Crowd(self.server, [cold.Client(image + "_small.webp", b"") for image in images]) as crowd:
            self.assertEqual({client.status for client in crowd.run().clients}, {200})
        # One is too much, and made again by a job.
        tidepool.eventually(lambda: len(self.jobs("variant")) == 1, "it is a job's to store it")
        self.assertEqual(self.metric("store_failures_total"), 1)
        self.server.crash()  # which does not wait for the bucket

    def test_a_full_pool_takes_no_variants(self):
        image = self.original(png(600, 400))
        self.start(pool={"max_size": "1KiB"})
        answer = self.server.get(image + "_small.png")
        self.assertEqual((answer.status, answer["cache-control"]), (200, "no-store"), answer)
        self.assertEqual(self.puts(), [])


class SeveralProcesses(RemoteCase):
    def second(self, environment=None):
        """Another server with the same catalog and bucket."""
        server = self.server
        config = {"variants": ON, "server": {"threads": 2}, "origin": cold.IMPATIENT,
                  "catalog": {"url": f"sqlite:{server.folder}/catalog.db"}}
        return self.serve(config, pools=server.pools,
                          environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret, **(environment or {})})

    def test_one_of_them_makes_it(self):
        images = [self.original(png(300, 200, seed=number)) for number in range(4)]
        self.start()
        servers = [self.server, self.second()]
        answers = []

        def ask(server, image):
            answers.append(server.get(image + "_medium.webp"))

        threads = [threading.Thread(target=ask, args=(server, image)) for image in images for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([answer.status for answer in answers], [200] * len(threads))
        self.assertEqual(sum(self.metric("made_total", server) for server in servers), len(images))
        self.assertEqual(len(self.puts()), len(images))

    def test_who_died_with_one_holds_it_up_for_some_seconds(self):
        image = self.original(b"TEST:doze")
        self.start()
        dying = self.second(environment={"TIDEPOOL_TEST_DECODER": "1"})
        wire = dying.connect()
        self.addCleanup(wire.close)
        wire.send(tidepool.request(image + "_small.webp"))
        tidepool.eventually(lambda: self.metric("running", dying) == 1, "it is at it")
        dying.crash()
        answer = self.server.get(image + "_small.webp")
        self.assertEqual(answer.status, 422, "the other one has tried: it is no image")


class StandIn(RemoteCase):
    def test_another_variant_is_shown_until_it_is_ready(self):
        hanging = self.original(b"TEST:doze")
        image = self.original(png(900, 600))
        # Until the dear lane's only worker is ended, the AVIF is not made, however quick that would be. What hangs there
        # has one of the other lane hang as well, for its own stand-in.
        self.start({"first_hit_wait": "0ms", "cheap_workers": 2, "dear_workers": 1, "job_timeout": "10s"},
                   environment={"TIDEPOOL_TEST_DECODER": "1"})
        wire = self.server.connect()
        self.addCleanup(wire.close)
        wire.send(tidepool.request(hanging + "_medium.avif"))
        tidepool.eventually(lambda: self.metric("running", lane="dear") == 1, "it hangs")
        path = image + "_medium.avif"

        def stands_in():
            answer = self.server.get(path)
            self.assertEqual(answer.status, 200, answer)
            return answer if answer["content-type"] != "image/avif" else None

        answer = tidepool.eventually(stands_in, "something stands in for it")
        self.assertEqual(answer["content-type"], "image/webp")
        self.assertEqual(answer["content-location"], image + "_medium.webp")
        self.assertEqual(answer["cache-control"], "private, max-age=5")
        self.assertEqual((answer["cdn-cache-control"], answer["cloudflare-cdn-cache-control"]), ("no-store", "no-store"))
        self.assertIsNone(answer.get("etag"))

        def is_ready():
            got = self.server.get(path)
            if got["content-type"] != "image/avif":
                return False
            self.assertIn(got["cache-control"], (FOREVER, "no-store"), "the latter while it is being stored")
            return got["cache-control"] == FOREVER

        tidepool.eventually(is_ready, "the real one comes")
        self.assertTrue(self.assert_served(image + "_medium.webp").body == answer.body)

    def test_a_profile_may_want_its_clients_to_wait(self):
        image = self.original(png(900, 600))
        self.server = self.serve_cold({"variants": {**ON, "first_hit_wait": "0ms"}})
        self.server.stop_process()
        profile = '[[profile]]\nname = "medium"\nwidth = 500\nstand_in = false\n\n'
        folder = self.server.folder
        bucket = tidepool.bucket_pool(cold.Store(self.b2.s3_url, self.b2.region, self.b2.key), cold.BUCKET)
        self.server = self.serve({"variants": {**ON, "first_hit_wait": "0ms"}}, folder=folder, extra=profile,
                                 pools=cold.pools_of(folder, bucket),
                                 environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
        self.assertEqual(self.assert_served(image + "_medium.avif")["content-type"], "image/avif")


class Together(RemoteCase):
    def test_the_others_of_its_lane_are_made_from_the_same_decoding(self):
        image = self.original(png(900, 600))
        server = self.serve_cold({"variants": ON})
        server.stop_process()
        folder = server.folder
        profiles = "".join(f'[[profile]]\nname = "{name}"\nwidth = {width}\ntogether = true\n'
                           f'formats = ["webp", "original", "avif"]\nat_upload = []\n\n'
                           for name, width in (("small", 200), ("medium", 500)))
        bucket = tidepool.bucket_pool(cold.Store(self.b2.s3_url, self.b2.region, self.b2.key), cold.BUCKET)
        self.server = self.serve({"variants": ON}, folder=folder, extra=profiles, pools=cold.pools_of(folder, bucket),
                                 environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
        self.assert_served(image + "_small.webp")
        names = {"_small.webp", "_small.png", "_medium.webp", "_medium.png"}
        keys = {image[1:] + name for name in names}
        tidepool.eventually(lambda: {entry.key for entry in self.puts()} == keys, "all of the lane are stored")
        self.assertEqual([entry.key for entry in self.fetches()], [self.key])
        for name in names:
            self.assert_served(image + name)
        self.assertEqual(self.metric("made_total"), len(names))


class Json(RemoteCase):
    def test_who_asks_for_json_gets_it(self):
        broken = self.original(b"no image")
        self.start()
        absent = f"/uploads/variants/{DAY}/0f8fad5b-d9cb-469f-a165-000000000999_small.webp"
        for path, status, code in ((absent, 404, "not_found"), (broken + "_small.webp", 422, "unprocessable_image")):
            with self.subTest(path):
                answer = self.server.get(path, "Accept: text/html, application/json")
                self.assertEqual((answer.status, answer["content-type"]), (status, "application/json"))
                self.assertEqual(answer["cache-control"], "no-store")
                self.assertEqual(json.loads(answer.body)["error"], code)
                for accept in ("Accept: */*", "Accept: image/*", "X-Accept: application/json"):
                    answer = self.server.get(path, accept)
                    self.assertEqual((answer.status, answer["content-type"]), (status, "text/plain; charset=utf-8"))


if __name__ == "__main__":
    tidepool.main()
