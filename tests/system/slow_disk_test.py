"""A disk that takes long for every call, or hangs: whoever needs it waits, for so long, nobody else does, and a full queue
says so.

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


class ChangingFile(tidepool.OwnServerCase):
    def test_a_file_rewritten_while_its_last_bytes_are_read_is_not_mixed(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        tree = tidepool.Tree(folder / "uploads")
        server = self.serve({"cache": {"memory_object_max": "0B"}}, folder=folder,
                            pools=[{"name": "hot", "base_path": tree.path, "debug_disk_delay": "300ms"}])
        content = tree.image("a.jpg", size=250 * 1024)
        with server.connect() as wire:
            wire.send(tidepool.request("/uploads/a.jpg"))
            wire.read_head()
            begun = wire.read_exactly(128 * 1024)
            self.assertEqual(begun, content[:len(begun)])
            # A worker is about to read the rest.
            with open(tree.path / "a.jpg", "r+b") as file:
                file.seek(128 * 1024)
                file.write(b"B" * (122 * 1024))
            with self.assertRaises((ConnectionResetError, AssertionError)):
                wire.read_exactly(122 * 1024)


class HangingDisk(tidepool.OwnServerCase):
    """A pool that is asked first and says nothing."""

    def start(self, folder, delay, freshness="200ms", wait="2s"):
        self.dead, self.near = tidepool.Tree(folder / "dead"), tidepool.Tree(folder / "near")
        dead = {"name": "dead", "base_path": self.dead.path, "priority": 1}
        if delay:
            dead["debug_disk_delay"] = delay
        server = tidepool.Server({"server": {"drain_idle": "0s", "drain_timeout": "1s"}, "cache": {"freshness": freshness},
                                  "catalog": {"url": f"sqlite:{folder}/catalog.db"}, "workers": {"wait_timeout": wait}},
                                 folder=folder, pools=[dead, {"name": "near", "base_path": self.near.path, "priority": 2}])
        self.addCleanup(server.kill)
        return server

    def test_it_holds_up_nothing_that_is_known_of_another(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        server = self.start(folder, delay=None)
        self.near.image("hot.jpg")
        self.assertEqual(server.get("/uploads/hot.jpg").status, 200)
        server.stop_process()  # its row is written
        server = self.start(folder, delay="60s", wait="20s")
        self.assertEqual(server.admin_get("/healthz").status, 200)
        with server.connect() as stuck:
            stuck.send(tidepool.request("/uploads/none.jpg"))
            self.assertEqual(server.get("/uploads/hot.jpg").status, 200)
            changed = self.near.image("hot.jpg", size=7000, seed=5)
            tidepool.eventually(lambda: server.get("/uploads/hot.jpg").body == changed, "it is looked at again")
            self.assertFalse(tidepool.readable(stuck.socket, 0))

    def test_whoever_needs_it_is_told_in_time_and_then_at_once(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        server = self.start(folder, delay="60s", wait="1s")
        self.near.image("new.jpg")
        self.dead.image("a.jpg")
        for name in ("new.jpg", "a.jpg"):
            answer = server.get(f"/uploads/{name}")
            # What another pool has is found there; of what none has nobody knows.
            self.assertEqual(answer.status, 200 if name == "new.jpg" else 503)
        self.assertEqual(answer["cache-control"], "no-store")
        self.assertTrue(answer["retry-after"].isdigit())
        ready = server.admin_get("/readyz")
        self.assertEqual((ready.status, ready.body), (503, b"pool dead: does not answer\n"))
        # All its threads hang by then, which takes a request each.
        def is_told_at_once():
            server.get("/uploads/b.jpg")
            return server.metrics().sum("tidepool_worker_overdue", pool="dead") >= 4
        tidepool.eventually(is_told_at_once, "all threads hang")
        with server.connect() as wire:
            for number in range(200):  # a second each would take more than the patience of this test
                self.assertEqual(wire.get(f"/uploads/absent-{number}.jpg").status, 503)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.exit_of(server.pid), 1)
        self.assertIn("likely a disk that hangs", server.log()[-1])

    def test_what_is_in_memory_is_served_while_its_disk_says_nothing(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        tree = tidepool.Tree(folder / "uploads")
        # A look takes so long that nobody waits for a second one.
        server = tidepool.Server({"cache": {"freshness": "200ms"},
                                  "workers": {"wait_timeout": "1s", "threads_per_pool": 1}}, folder=folder,
                                 pools=[{"name": "hot", "base_path": tree.path, "debug_disk_delay": "900ms"}])
        self.addCleanup(server.kill)
        content = tree.image("a.jpg", size=500)
        tidepool.eventually(lambda: server.get("/uploads/a.jpg").body == content, "it is read in time")
        for number in range(40):
            wire = server.connect()
            self.addCleanup(wire.close)
            wire.send(tidepool.request(f"/uploads/absent-{number}.jpg"))
        for _ in range(6):  # more than once behind the look for one of those
            self.assertEqual(server.get("/uploads/a.jpg").body, content)

    def test_other_settings_of_a_pool_take_no_more_threads(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        tree = tidepool.Tree(folder / "uploads")
        server = self.serve(folder=folder, pools=[{"name": "hot", "base_path": tree.path, "max_size": "1GB"}])
        tree.image("a.jpg")
        self.assertEqual(server.get("/uploads/a.jpg").status, 200)
        def threads():
            tasks = pathlib.Path(f"/proc/{server.pid}/task").iterdir()
            return sum((task / "comm").read_text() == "w:hot\n" for task in tasks)
        before = threads()
        for size in range(2, 6):
            mark = len(server.log())
            server.pools[0]["max_size"] = f"{size}GB"
            server.write_config()
            server.signal(signal.SIGHUP)
            server.wait_log("configuration reloaded", after=mark)
            self.assertEqual(server.get("/uploads/a.jpg").status, 200)
        self.assertEqual(threads(), before)


if __name__ == "__main__":
    tidepool.main()
