"""Crowds of slow clients: memory stays flat, others are served at once, and who leaves stops nothing."""

import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402

MIB = 1024 * 1024
# The full crowd is 1,000; what the test shows does not depend on it.
CLIENTS = int(os.environ.get("TIDEPOOL_TEST_SLOW_CLIENTS", 50 if tidepool.SANITIZED else 200))
SIZE = 20 * MIB
OBJECTS = 4
TASTE = 64 * 1024  # what each takes before it stops reading


class SlowClients(cold.ColdCase):
    def begin(self, **config):
        for number in range(OBJECTS):
            self.put(f"{number}.jpg", SIZE)
        self.put("other.jpg", 300_000)
        self.server = self.serve_cold({"server": {"threads": 2}, "timeouts": {"min_send_rate": "0B"}, **config})
        self.assert_served(self.server, "other.jpg")
        self.before = cold.anonymous_bytes(self.server.pid)

    def slow_crowd(self):
        names = [f"{number % OBJECTS}.jpg" for number in range(CLIENTS)]
        crowd = cold.Crowd(self.server, [cold.Client(f"/uploads/{name}", self.contents[name]) for name in names],
                           receive_buffer=64 * 1024)
        self.addCleanup(crowd.leave)
        for client in crowd.clients:
            client.limit = TASTE
        return crowd.run(until=lambda client: client.received >= TASTE or client.end != "open")

    def assert_flat(self, most):
        grown = cold.anonymous_bytes(self.server.pid) - self.before
        most *= 4 if tidepool.SANITIZED else 1
        self.assertLess(grown, most, f"{CLIENTS} clients cost {grown / MIB:.1f} MiB")

    def assert_others_are_quick(self):
        for _ in range(5):
            begun = time.monotonic()
            self.assert_served(self.server, "other.jpg")
            self.assertLess(time.monotonic() - begun, 10 if tidepool.SANITIZED else 2)

    def finish(self, clients):
        for client in clients:
            client.limit = None
        return clients

    def test_with_a_shelf_the_origin_is_read_once_and_memory_stays_flat(self):
        self.begin()
        crowd = self.slow_crowd()
        tidepool.eventually(lambda: len(self.shelf_files(self.server)) == OBJECTS + 1, "all is on the shelf")
        self.assert_flat(24 * MIB)
        self.assert_others_are_quick()
        for client in crowd.clients[::2]:
            client.leave()
        stayed = self.finish(crowd.clients[1::2])
        crowd.run(clients=stayed)
        self.assertEqual([client for client in stayed if not client.served], [])
        self.assert_flat(24 * MIB)
        self.assertEqual(len(self.fetches()), OBJECTS + 1)
        self.assert_shelf_is_right(self.server)

    def test_without_a_shelf_the_origin_is_held_back_and_memory_bounded(self):
        self.begin(shelf={"path": ""}, origin={"buffer": "256KiB"})
        self.b2.clear_requests()
        crowd = self.slow_crowd()
        sums = []

        def nothing_moves():
            sums.append(sum(entry.sent for entry in self.fetches()))
            return len(sums) > 20 and len(set(sums[-20:])) == 1
        tidepool.eventually(nothing_moves, "the origin is held back", every_s=0.02)
        waiting = [entry for entry in self.fetches() if entry.key != "uploads/other.jpg"]
        # What was sent is in buffers: the kernel's of both ends, which differ, and ours.
        self.assertLess(sum(entry.sent for entry in waiting), 0.75 * SIZE * len(waiting))
        # A fetch holds origin.buffer twice, on its way in and for its readers; there is at most one a client.
        self.assert_flat(CLIENTS * 2 * 256 * 1024 + 24 * MIB)
        self.assert_others_are_quick()
        for client in crowd.clients[20:]:
            client.leave()
        stayed = self.finish(crowd.clients[:20])
        crowd.run(clients=stayed)
        self.assertEqual([client for client in stayed if not client.served], [])


if __name__ == "__main__":
    tidepool.main()
