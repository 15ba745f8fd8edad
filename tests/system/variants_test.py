"""Variants of local originals, made when they are first asked for: once for all, stored, and then files like any other.

What goes wrong with one (a broken or huge original, a decoder that crashes, hangs or eats memory: see
transform/test_hooks.h) costs that one request.
"""

import pathlib, sys; sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool
from pictures import picture, png, png_size

import os
import signal
import threading
import time

DAY = "2026/02/25"
FOREVER = "public, max-age=31536000, immutable"
CLIENTS = 40 if tidepool.SANITIZED else 200
HOOKS = {"TIDEPOOL_TEST_DECODER": "1"}
LONG_AGO = 1_700_000_000  # so that no original is taken for one that is still on its way


def uuid(number):
    return f"0f8fad5b-d9cb-469f-a165-{number:012x}"


class VariantsCase(tidepool.OwnServerCase):
    def start(self, environment=None, extra="", **variants):
        self.server = self.serve({"variants": {"on_demand": True, "first_hit_wait": "30s", **variants}, "server": {"threads": 2}}, extra=extra,
                                 environment=environment)
        self.numbers = iter(range(1, 1_000_000))
        return self.server

    def original(self, content=None, extension="png", mtime=LONG_AGO):
        """Stores an original and returns what the paths of its variants begin with."""
        name = uuid(next(self.numbers))
        self.server.tree.put(f"original/{DAY}/{name}.{extension}", content or png(600, 400), mtime=mtime)
        return f"/uploads/variants/{DAY}/{name}"

    def stored(self, path):
        return self.server.tree.path / path.removeprefix("/uploads/")

    def metric(self, name, **labels):
        return self.server.metrics().sum(f"tidepool_variants_{name}", **labels)

    def assert_refused(self, answer, status, retry=False):
        self.assertEqual((answer.status, answer["cache-control"]), (status, "no-store"), answer)
        self.assertEqual(answer.get("retry-after") is not None, retry, answer)

    def assert_served(self, path):
        answer = self.server.get(path)
        self.assertEqual(answer.status, 200, answer)
        return answer


class FirstHit(VariantsCase):
    def test_it_is_made_stored_and_from_then_on_a_file(self):
        self.start()
        image = self.original()
        types = {"_small.webp": "webp", "_small.png": "png", "_medium.avif": "avif", ".webp": "webp"}
        for name, kind in types.items():
            with self.subTest(name):
                self.assertFalse(self.stored(image + name).exists())
                first = self.assert_served(image + name)
                self.assertEqual((first["content-type"], first["cache-control"]), (f"image/{kind}", FOREVER))
                self.assertEqual(self.stored(image + name).read_bytes(), first.body)
                again = self.assert_served(image + name)
                self.assertEqual((again.body, again["etag"]), (first.body, first["etag"]))
                self.assertEqual(self.server.get(image + name, "If-None-Match: " + first["etag"]).status, 304)
        self.assertEqual(png_size(self.assert_served(image + "_small.png").body), (200, 133))
        self.assertEqual(self.metric("made_total"), len(types))
        self.assertEqual(self.metric("made_total", lane="dear"), 1)
        self.assertEqual(self.metric("stored_total"), len(types))
        by_profile = {profile: self.server.metrics().sum("tidepool_variant_profiles_made_total", profile=profile)
                      for profile in ("small", "medium", "")}
        self.assertEqual(by_profile, {"small": 2, "medium": 1, "": 1})
        self.assertGreater(self.server.metrics().sum("tidepool_variant_profiles_seconds_total", format="avif"), 0)
        self.assertEqual(sorted(path.name for path in self.stored(image + "_small.webp").parent.iterdir()),
                         sorted(pathlib.Path(image + name).name for name in types), "and nothing beside them")

    def test_a_head_or_a_range_makes_it_too(self):
        self.start()
        image = self.original()
        head = self.server.get(image + "_small.webp", method="HEAD")
        self.assertEqual(head.status, 200)
        self.assertEqual(int(head["content-length"]), self.stored(image + "_small.webp").stat().st_size)
        part = self.server.get(image + "_medium.webp", "Range: bytes=0-3")
        self.assertEqual((part.status, part.body), (206, b"RIFF"))

    def test_what_is_not_configured_or_has_no_original_is_absent(self):
        self.start()
        image = self.original()
        gone = f"/uploads/variants/{DAY}/{uuid(999_999)}"
        for path in (image + "_large.webp", image + "_small.jxl", image + "_small.jpg", image + "_.webp", image + ".png",
                     image + "_small", gone + "_small.webp", "/uploads/variants/" + uuid(1) + "_small.webp",
                     image.replace("/variants/", "/original/") + "_small.webp"):
            with self.subTest(path):
                self.assertEqual(self.server.get(path).status, 404)
        self.assertEqual(self.metric("made_total"), 0)

    def test_an_original_that_comes_later_is_found(self):
        self.start()
        path = f"/uploads/variants/{DAY}/{uuid(77)}_small.webp"
        self.assertEqual(self.server.get(path).status, 404)
        self.server.tree.put(f"original/{DAY}/{uuid(77)}.png", png(300, 300))
        tidepool.eventually(lambda: self.server.get(path).status == 200, "it is made")

    def test_profiles_of_the_file(self):
        self.start(extra='[[profile]]\nname = "square"\nwidth = 64\nheight = 64\nfit = "cover"\nformats = ["png"]\n'
                         'at_upload = []\n\n')
        image = self.original()
        self.assertEqual(png_size(self.assert_served(image + "_square.png").body), (64, 64))
        self.assertEqual(self.server.get(image + "_small.webp").status, 404)

    def test_it_can_be_switched_off(self):
        self.start(on_demand=False)
        self.assertEqual(self.server.get(self.original() + "_small.webp").status, 404)

    def test_where_it_cannot_be_stored_it_is_answered_all_the_same(self):
        self.start()
        self.server.tree.put("variants", b"no folder")
        image = self.original()
        answer = self.server.get(image + "_small.png")
        self.assertEqual((answer.status, answer["cache-control"]), (200, "no-store"))
        self.assertEqual((answer["content-type"], png_size(answer.body)), ("image/png", (200, 133)))
        head = self.server.get(image + "_small.png", method="HEAD")
        self.assertEqual(int(head["content-length"]), len(answer.body))
        self.assertEqual(self.metric("store_failures_total"), 1)
        self.assertEqual(self.metric("made_total"), 1, "it is kept for who asks meanwhile")


class ManyAtOnce(VariantsCase):
    def ask(self, paths):
        """All at once; the answers."""
        answers = [None] * len(paths)
        begin = threading.Barrier(len(paths))

        def ask_one(index):
            with self.server.connect() as wire:
                begin.wait()
                answers[index] = wire.get(paths[index])

        threads = [threading.Thread(target=ask_one, args=(index,)) for index in range(len(paths))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def test_one_encode_serves_all_who_ask(self):
        self.start()
        image = self.original(png(1200, 900))
        answers = self.ask([image + "_medium.webp"] * CLIENTS)
        self.assertEqual({(answer.status, answer["etag"]) for answer in answers},
                         {(200, tidepool.etag_of(self.stored(image + "_medium.webp").read_bytes()))})
        self.assertEqual(self.metric("made_total"), 1)
        self.assertEqual(self.metric("stored_total"), 1)

    def test_a_still_stands_in_for_what_moves(self):
        # The second cheap one, as the first will be held up by a stand-in for what holds up the dear one.
        self.start(HOOKS, first_hit_wait="100ms", cheap_workers=2)
        with self.server.connect() as wire:
            wire.send(tidepool.request(self.original(b"TEST:doze") + "_small.avif"))
            tidepool.eventually(lambda: self.metric("running", lane="dear") == 1, "the dear lane is held up")
            image = self.original(picture("gif", 300, 200, frames=3), "gif")
            answer = self.assert_served(image + "_small.webp")
            self.assertEqual((answer["content-type"], answer["content-location"]), ("image/gif", image + "_small.gif"))
        self.server.signal(tidepool.signal.SIGTERM)
        self.server.wait_log(r"draining")
        self.server.signal(tidepool.signal.SIGTERM)

    def test_a_full_queue_is_told_at_once(self):
        self.start(HOOKS, cheap_queue=1, job_timeout="60s")
        hanging = [self.original(b"TEST:hang") + "_small.webp" for _ in range(2)]
        wires = [self.server.connect() for _ in hanging]
        for wire, path, states in zip(wires, hanging, ((1, 0), (1, 1))):
            self.addCleanup(wire.close)
            wire.send(tidepool.request(path))
            tidepool.eventually(lambda: (self.metric("running", lane="cheap"), self.metric("waiting", lane="cheap"))
                                == states, "it is taken")
        self.assert_refused(self.server.get(self.original() + "_small.webp"), 503, retry=True)
        self.assertEqual(self.metric("failed_total", reason="queue_full"), 1)
        # The other lane is free.
        self.assert_served(self.original() + "_small.avif")
        for wire in wires:
            wire.close()
        self.server.signal(tidepool.signal.SIGTERM)
        self.server.wait_log(r"draining")
        self.server.signal(tidepool.signal.SIGTERM)  # nobody waits for what hangs


class WhatGoesWrong(VariantsCase):
    def assert_next_is_made(self):
        self.assert_served(self.original() + "_small.webp")

    def test_what_cannot_be_decoded_is_422_and_remembered(self):
        self.start(failed_for="1h")
        whole = png(300, 300)
        image = self.original(whole[:len(whole) // 2])
        for _ in range(3):
            self.assert_refused(self.server.get(image + "_small.webp"), 422)
        self.assertEqual(self.metric("failed_total", reason="undecodable"), 1)
        self.assertFalse(self.stored(image + "_small.webp").exists())
        self.assert_next_is_made()

    def test_what_is_too_large_is_422(self):
        self.start(pixels=10_000)
        self.assert_refused(self.server.get(self.original() + "_small.webp"), 422)
        self.assertEqual(self.metric("failed_total", reason="too_large"), 1)

    def test_an_original_that_is_still_being_written_is_asked_for_again(self):
        self.start()
        whole = png(300, 300)
        image = self.original(whole[:len(whole) // 2], mtime=time.time() + 3600)
        self.assert_refused(self.server.get(image + "_small.webp"), 503, retry=True)
        name = image.rpartition("/")[2]
        self.server.tree.put(f"original/{DAY}/{name}.png", whole)
        self.assert_served(image + "_small.webp")

    def test_a_decoder_that_crashes_costs_one_request(self):
        self.start(HOOKS)
        hot = self.original() + "_small.webp"
        self.assert_served(hot)
        for _ in range(3):
            self.assert_refused(self.server.get(self.original(b"TEST:crash") + "_small.webp"), 422)
            self.assert_served(hot)
            self.assert_next_is_made()
        self.assertEqual(self.server.metrics().sum("tidepool_variant_workers_ended_total", reason="crashed"), 3)

    def test_a_decoder_that_hangs_is_killed_while_others_are_served(self):
        self.start(HOOKS, job_timeout="20s" if tidepool.SANITIZED else "2s")
        hot = self.original() + "_small.webp"
        self.assert_served(hot)
        with self.server.connect() as wire:
            wire.send(tidepool.request(self.original(b"TEST:hang") + "_small.webp"))
            tidepool.eventually(lambda: self.metric("running", lane="cheap") == 1, "it hangs")
            self.assert_served(hot)
            self.assert_served(self.original() + "_small.avif")
            self.assert_refused(wire.response(), 422)
        self.assertEqual(self.server.metrics().sum("tidepool_variant_workers_ended_total", reason="killed"), 1)
        self.assert_next_is_made()

    def test_one_that_hangs_holds_up_no_other_cheap_one(self):
        """As there are two workers by default."""
        self.start(HOOKS, cheap_workers=2, cheap_job_timeout="20s" if tidepool.SANITIZED else "5s", job_timeout="1h")
        with self.server.connect() as wire:
            wire.send(tidepool.request(self.original(b"TEST:hang") + "_small.webp"))
            tidepool.eventually(lambda: self.metric("running", lane="cheap") == 1, "it hangs")
            self.assert_next_is_made()
            self.assertEqual(self.metric("running", lane="cheap"), 1)
            self.assert_refused(wire.response(), 422)

    def test_a_client_is_told_when_it_takes_too_long(self):
        self.start(HOOKS, wait_timeout="300ms", job_timeout="20s" if tidepool.SANITIZED else "2s")
        path = self.original(b"TEST:hang") + "_small.webp"
        self.assert_refused(self.server.get(path), 503, retry=True)
        tidepool.eventually(lambda: self.server.get(path).status == 422, "the work went on")

    def test_a_decoder_that_eats_memory_costs_one_request(self):
        if tidepool.SANITIZED:
            self.skipTest("shadow memory has no limit")
        self.start(HOOKS, worker_memory="200MiB")
        self.assert_refused(self.server.get(self.original(b"TEST:eat") + "_small.webp"), 422)
        self.assert_next_is_made()


def is_running(pid):
    """Whether it has not ended; one that has may wait for somebody to look."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class ItsProcesses(VariantsCase):
    def worker_of_each_lane(self):
        """Their ids, where each has one: the dear lane's starts at its first job."""
        self.assert_served(self.original() + "_small.webp")
        self.assertEqual(len(self.server.workers()), 1)
        self.assert_served(self.original() + "_small.avif")
        workers = self.server.workers()
        self.assertEqual(len(workers), 2)
        return workers

    def test_workers_end_with_the_server(self):
        self.start(cheap_workers=1, dear_workers=1)
        workers = self.worker_of_each_lane()
        self.server.stop_process()
        for pid in workers:
            self.assertFalse(os.path.exists(f"/proc/{pid}"), pid)

    def test_a_worker_does_not_outlive_a_killed_server_in_the_middle_of_a_job(self):
        self.start(HOOKS)
        wire = self.server.connect()
        self.addCleanup(wire.close)
        wire.send(tidepool.request(self.original(b"TEST:doze") + "_small.webp"))
        tidepool.eventually(lambda: self.metric("running") == 1, "it has begun")
        workers = self.server.workers()
        self.server.crash()
        tidepool.eventually(lambda: not any(map(is_running, workers)), "they have ended")

    def test_a_worker_that_somebody_kills_costs_nobody_their_image(self):
        self.start(cheap_workers=1, dear_workers=1)
        workers = self.worker_of_each_lane()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)  # so that it ends with the job
        image = self.original()
        with self.server.connect() as wire:
            wire.send(tidepool.request(image + "_small.webp"))
            tidepool.eventually(lambda: self.metric("running", lane="cheap") == 1, "it has begun")
            for pid in workers:
                os.kill(pid, signal.SIGKILL)  # as the kernel does where memory runs out
            self.assertEqual(wire.response().status, 200)
        self.assertEqual(self.metric("failed_total"), 0)

    def test_what_is_asked_for_is_answered_before_the_server_ends(self):
        self.start()
        image = self.original(png(1500, 1200))
        wire = self.server.connect()
        self.addCleanup(wire.close)
        wire.send(tidepool.request(image + "_medium.avif"))
        tidepool.eventually(lambda: self.metric("running") + self.metric("made_total") == 1, "it has begun")
        self.server.signal(tidepool.signal.SIGTERM)
        self.assertEqual(wire.response().status, 200)

    def test_a_successor_makes_them_too(self):
        self.start()
        self.assert_served(self.original() + "_small.webp")
        old = self.server.take_over()
        self.assertEqual(self.server.exit_of(old), 0)
        self.server.wait_log(r"listening address=", after=0)
        self.assert_served(self.original() + "_small.webp")


if __name__ == "__main__":
    tidepool.main()
