"""A disk that takes long for every call: whoever needs it waits, nobody else does, and a full queue says so.

Only order and answers are tested here; bench/slow_disk measures the latencies.
"""

import pathlib
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402


class SlowDisk(tidepool.OwnServerCase):
    def two_pools(self, delay="400ms", **config):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.slow = tidepool.Tree(folder / "slow")
        self.fast = tidepool.Tree(folder / "fast")
        server = tidepool.Server({"server": {"threads": 1}, "cache": {"freshness": "1h"}, **config}, folder=folder,
                                 pools=[{"name": "fast", "base_path": self.fast.path, "priority": 1},
                                        {"name": "slow", "base_path": self.slow.path, "priority": 2,
                                         "debug_disk_delay": delay}])
        self.addCleanup(server.stop)
        return server

    def test_hot_files_are_served_while_many_wait_for_the_slow_disk(self):
        server = self.two_pools()
        small = self.fast.image("small.jpg", size=5_000)
        large = self.fast.image("large.jpg", size=500_000)
        contents = {f"/uploads/{i}.jpg": self.slow.image(f"{i}.jpg", size=200_000) for i in range(12)}
        with server.connect() as hot:
            self.assertEqual(hot.get("/uploads/small.jpg").body, small)
            self.assertEqual(hot.get("/uploads/large.jpg").body, large)
            waiting = {}
            for path in contents:
                waiting[path] = server.connect()
                self.addCleanup(waiting[path].close)
                waiting[path].send(tidepool.request(path))
            # Not one slow answer can come before its calls have each taken their time; all these come at once.
            answered_before = 0
            for _ in range(200):
                self.assertEqual(hot.get("/uploads/small.jpg").body, small)
                self.assertEqual(hot.get("/uploads/large.jpg", "Range: bytes=10-20").body, large[10:21])
                if not any(tidepool.readable(wire.socket, 0) for wire in waiting.values()):
                    answered_before += 1
            self.assertGreater(answered_before, 20)
            for path, wire in waiting.items():
                answer = wire.response()
                self.assertEqual((answer.status, answer.body), (200, contents[path]))

    def test_one_look_at_the_disk_serves_all_who_wait_for_the_same_file(self):
        server = self.two_pools()
        content = self.slow.image("a.jpg", size=5_000)
        wires = [server.connect() for _ in range(30)]
        for wire in wires:
            self.addCleanup(wire.close)
            wire.send(tidepool.request("/uploads/a.jpg"))
        for wire in wires:
            self.assertEqual(wire.response().body, content)
        self.assertEqual(server.metrics().sum("tidepool_worker_rejected_total"), 0)

    def test_a_full_queue_is_a_503_that_nobody_keeps(self):
        server = self.two_pools(delay="300ms", workers={"threads_per_pool": 1, "queue": 2})
        hot = self.fast.image("hot.jpg")
        self.assertEqual(server.get("/uploads/hot.jpg").status, 200)
        wires = []
        for i in range(12):
            self.slow.image(f"{i}.jpg")
            wire = server.connect()
            self.addCleanup(wire.close)
            wire.send(tidepool.request(f"/uploads/{i}.jpg"))
            wires.append(wire)
        answers = [wire.response() for wire in wires]
        refused = [answer for answer in answers if answer.status == 503]
        self.assertGreater(len(refused), 0)
        self.assertGreater(len([answer for answer in answers if answer.status == 200]), 0)
        for answer in refused:
            self.assertEqual(answer["cache-control"], "no-store")
            self.assertTrue(answer["retry-after"].isdigit())
        self.assertGreater(server.metrics().sum("tidepool_worker_rejected_total", pool="slow"), 0)
        self.assertEqual(server.get("/uploads/hot.jpg").body, hot)

    def test_clients_that_leave_while_the_disk_works_cost_nothing(self):
        server = self.two_pools(delay="200ms")
        content = self.slow.image("a.jpg", size=2_000_000)
        for _ in range(20):
            wire = server.connect()
            wire.send(tidepool.request("/uploads/a.jpg"))
            wire.reset()
        self.assertEqual(server.get("/uploads/a.jpg").body, content)
        tidepool.eventually(lambda: server.metrics().sum("tidepool_connections") == 0, "all are gone")

    def test_a_drain_waits_for_the_disk(self):
        server = self.two_pools()
        content = self.slow.image("a.jpg", size=5_000)
        with server.connect() as wire:
            wire.send(tidepool.request("/uploads/a.jpg"))
            tidepool.eventually(lambda: server.metrics().sum("tidepool_connections") == 1, "it is accepted")
            server.signal(signal.SIGTERM)
            self.assertEqual(wire.response().body, content)
        server.stop()


if __name__ == "__main__":
    tidepool.main()
