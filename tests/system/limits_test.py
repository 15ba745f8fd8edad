"""Timeouts and connection limits: what a slow, stuck or greedy client gets, and that nobody else feels it."""

import os
import pathlib
import resource
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

LARGE = 24 * 1024 * 1024  # more than the socket buffers of both ends hold


class Timeouts(tidepool.OwnServerCase):
    def test_a_head_that_takes_too_long_is_408(self):
        server = self.serve({"timeouts": {"header": "300ms"}})
        with server.connect() as wire:
            wire.send("GET /uploads/a.jpg HTTP/1.1\r\nHost:")
            answer = wire.response()
            self.assertEqual((answer.status, answer["connection"]), (408, "close"))
            self.assertEqual(answer["cache-control"], "no-store")
            self.assertEqual(wire.read_to_end(), (b"", "fin"))
        self.assertEqual(server.refused("header_timeout"), 1)

    def test_dripping_bytes_do_not_move_the_deadline(self):
        server = self.serve({"timeouts": {"header": "300ms"}})
        with server.connect() as wire:
            wire.send("GET /uploads/a.jpg HTTP/1.1\r\nHost: a\r\n")
            sent = 0
            while not tidepool.readable(wire.socket, 0.02):
                wire.send("X")
                sent += 1
                self.assertLess(sent, 5000)
            self.assertEqual(wire.response().status, 408)

    def test_a_second_head_has_the_same_time(self):
        server = self.serve({"timeouts": {"header": "300ms"}})
        server.tree.image("a.jpg")
        with server.connect() as wire:
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
            wire.send("GET /uploads/a.jpg HTT")
            self.assertEqual(wire.response().status, 408)

    def test_a_connection_that_says_nothing_is_noticed_too(self):
        for defer in (True, False):  # deferred: a second later
            with self.subTest(defer_accept=defer):
                server = self.serve({"server": {"defer_accept": defer}})
                with server.connect() as wire:
                    accepted = "tidepool_connections_accepted_total"
                    tidepool.eventually(lambda server=server: server.metrics().sum(accepted) == 1, "it is accepted")
                    self.assertEqual(wire.get("/uploads/none.jpg").status, 404)

    def test_a_connection_without_a_request_is_closed_without_a_word(self):
        server = self.serve({"timeouts": {"header": "200ms", "idle": "200ms"}})
        server.tree.image("a.jpg")
        with server.connect() as fresh, server.connect() as used:
            self.assertEqual(used.get("/uploads/a.jpg").status, 200)
            self.assertEqual(fresh.read_to_end(), (b"", "fin"))
            self.assertEqual(used.read_to_end(), (b"", "fin"))

    def test_the_edge_may_stay_idle_for_longer(self):
        settings = {"timeouts": {"header": "200ms", "idle": "200ms", "idle_edge": "10m"},
                    "edge": {"trusted_ranges": ["127.0.0.2"]}}
        server = self.serve(settings)
        server.tree.image("a.jpg")
        with server.connect(source=("127.0.0.2", 0)) as edge, server.connect(source=("127.0.0.3", 0)) as stranger:
            self.assertEqual(edge.get("/uploads/a.jpg").status, 200)
            self.assertEqual(stranger.get("/uploads/a.jpg").status, 200)
            self.assertEqual(stranger.read_to_end(), (b"", "fin"))
            self.assertEqual(edge.get("/uploads/a.jpg").status, 200)

    def test_a_body_that_stalls_is_408(self):
        server = self.serve({"timeouts": {"header": "300ms"}})
        with server.connect() as wire:
            wire.send("POST /uploads/a.jpg HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
            answer = wire.response()
            self.assertEqual((answer.status, answer["connection"]), (408, "close"))
        self.assertEqual(server.refused("body_timeout"), 1)

    def test_a_reader_below_the_least_rate_is_cut(self):
        server = self.serve({"timeouts": {"min_send_rate": "1MiB", "send_window": "1s"}})
        server.tree.image("large.jpg", size=LARGE)
        with server.connect(receive_buffer=4096) as wire:
            wire.send(tidepool.request("/uploads/large.jpg"))
            wire.read_head()
            tidepool.eventually(lambda: server.metrics().sum("tidepool_http_slow_readers_total") == 1, "it is cut")
            self.assertEqual(wire.read_to_end()[1], "rst")
        tidepool.eventually(lambda: server.metrics().sum("tidepool_http_broken_answers_total") == 1, "it is counted")

    def test_a_reader_that_is_just_slow_gets_everything(self):
        server = self.serve({"timeouts": {"min_send_rate": "1KiB", "send_window": "1s"}})
        content = server.tree.image("large.jpg", size=LARGE)
        with server.connect(receive_buffer=4096) as wire:
            wire.send(tidepool.request("/uploads/large.jpg"))
            wire.read_head()
            taken = b""
            pace = threading.Event()
            for _ in range(8):  # some bytes in each of several windows
                pace.wait(0.3)
                taken += wire.read_exactly(100_000)
            taken += wire.read_exactly(LARGE - len(taken))
        self.assertEqual(taken, content)
        self.assertEqual(server.metrics().sum("tidepool_http_slow_readers_total"), 0)

    def test_what_comes_after_the_last_answer_does_not_reset_it(self):
        server = self.serve()
        content = server.tree.image("a.jpg", size=40_000)
        with server.connect() as wire:
            wire.send(tidepool.request("/uploads/a.jpg", "Connection: close") + b"x" * 100_000)
            answer = wire.response()
            self.assertEqual((answer.status, answer.body), (200, content))
            self.assertEqual(wire.read_to_end(), (b"", "fin"))


class Connections(tidepool.OwnServerCase):
    def hold(self, server, count, path="/uploads/a.jpg", **options):
        """Connections that have each had an answer, so that they count."""
        wires = []
        for _ in range(count):
            wire = server.connect(**options)
            self.addCleanup(wire.close)
            self.assertEqual(wire.get(path).status, 200)
            wires.append(wire)
        return wires

    def test_more_than_the_limit_of_one_address_is_429(self):
        server = self.serve({"limits": {"connections_per_peer": 3}})
        server.tree.image("a.jpg")
        held = self.hold(server, 3)
        answer = server.get("/uploads/a.jpg")
        self.assertEqual((answer.status, answer["connection"], answer["cache-control"]), (429, "close", "no-store"))
        self.assertTrue(answer["retry-after"].isdigit())
        self.assertEqual(server.get_from("127.0.0.9", "/uploads/a.jpg").status, 200)  # others are not concerned
        self.assertEqual(held[0].get("/uploads/a.jpg").status, 200)
        held[0].close()
        tidepool.eventually(lambda: server.get("/uploads/a.jpg").status == 200, "there is room again")
        self.assertGreaterEqual(server.refused("too_many_connections_of_peer"), 1)

    def test_the_edge_has_a_limit_of_its_own(self):
        server = self.serve({"limits": {"connections_per_peer": 1, "connections_per_edge_peer": 3},
                             "edge": {"trusted_ranges": ["127.0.0.2"]}})
        server.tree.image("a.jpg")
        self.hold(server, 3, source=("127.0.0.2", 0))
        self.assertEqual(server.get_from("127.0.0.2", "/uploads/a.jpg").status, 429)

    def test_more_than_the_limit_in_all_is_503(self):
        server = self.serve({"limits": {"connections": 4, "connections_per_peer": 4},
                             "edge": {"trusted_ranges": ["127.0.0.1"]}})
        server.tree.image("a.jpg")
        held = self.hold(server, 4)
        answer = server.get("/uploads/a.jpg")
        self.assertEqual((answer.status, answer["connection"], answer["cache-control"]), (503, "close", "no-store"))
        self.assertTrue(answer["retry-after"].isdigit())
        self.assertEqual(held[3].get("/uploads/a.jpg").status, 200)
        held[0].close()
        tidepool.eventually(lambda: server.get("/uploads/a.jpg").status == 200, "there is room again")
        self.assertGreaterEqual(server.refused("too_many_connections"), 1)

    def test_far_above_the_limit_connections_are_closed_without_an_answer(self):
        server = self.serve({"limits": {"connections": 2, "connections_per_peer": 2}})
        server.tree.image("a.jpg")
        wires = []
        for _ in range(300):  # the limit and the margin of those who are told
            wire = server.connect()
            self.addCleanup(wire.close)
            wires.append(wire)
        tidepool.eventually(lambda: server.metrics().sum("tidepool_connections_dropped_total") > 0, "some are dropped")
        self.assertLessEqual(server.metrics().sum("tidepool_connections"), 2 + 16)
        for wire in wires:
            wire.reset()

        def is_served():
            try:
                return server.get("/uploads/a.jpg").status == 200
            except (tidepool.NotHttp, ConnectionError):
                return False  # not all of them are gone yet
        tidepool.eventually(is_served, "there is room again")

    def test_without_descriptors_those_who_are_connected_are_served_and_the_others_wait(self):
        server = self.serve({"server": {"threads": 1}, "cache": {"freshness": "1h"}})
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (48, 48))  # fewer than it has counted on
        content = server.tree.image("a.jpg")
        with server.connect() as first, tidepool.Wire(server.admin[0]) as admin:
            self.assertEqual(first.get("/uploads/a.jpg").body, content)
            # Asked for once before descriptors run out: UndefinedBehaviorSanitizer needs one when it meets a type first,
            # and without it calls the type wrong.
            self.assertEqual(admin.get("/metrics").status, 200)
            waiting = []
            for _ in range(60):
                wire = server.connect()
                self.addCleanup(wire.close)
                wire.send(tidepool.request("/uploads/a.jpg"))
                waiting.append(wire)

            def errors():
                return tidepool.Metrics(admin.get("/metrics").body.decode()).sum("tidepool_accept_errors_total")
            tidepool.eventually(lambda: errors() >= 2, "accepting has failed twice")
            self.assertEqual(first.get("/uploads/a.jpg").body, content)
            self.assertEqual(len([line for line in server.log() if "no connections are accepted" in line]), 1)
            self.assertLess(errors(), 1000)  # it does not spin
            for wire in waiting:  # each that ends makes room for one that waits
                self.assertEqual(wire.response().status, 200)
                wire.close()

    def test_connections_leave_the_descriptors_that_files_need(self):
        server = self.serve({"limits": {"connections_per_peer": 10_000}, "edge": {"trusted_ranges": ["127.0.0.1"]}},
                            preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400)))
        server.wait_log("only 400 descriptors, so cache.files is 100, limits.http2_answers is 50 and limits.connections is 75; "
                        "raise LimitNOFILE")
        names = [f"{i}.jpg" for i in range(150)]  # more than there are descriptors for
        contents = {name: server.tree.image(name, size=100_000) for name in names}
        held = self.hold(server, 75, path="/uploads/0.jpg")
        for name in names:
            answer = held[0].get(f"/uploads/{name}")
            self.assertEqual((answer.status, answer.body), (200, contents[name]))

    def test_files_whose_readers_have_stopped_leave_descriptors_too(self):
        server = self.serve({"limits": {"connections_per_peer": 10_000}},
                            preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300)))
        server.tree.image("large.jpg", size=LARGE)
        wires = []
        for i in range(200):
            os.link(server.tree.path / "large.jpg", server.tree.path / f"{i}.jpg")
            wire = server.connect(receive_buffer=4096)
            self.addCleanup(wire.close)
            wire.send(tidepool.request(f"/uploads/{i}.jpg"))
            wires.append(wire)
        content = server.tree.image("a.jpg", size=100_000)

        def is_served():
            wires.pop(0).reset()
            try:
                return server.get("/uploads/a.jpg").body == content
            except (tidepool.NotHttp, ConnectionError):
                return False  # far above the limit
        tidepool.eventually(is_served, "there is room for one more")
        self.assertEqual(server.metrics().sum("tidepool_accept_errors_total"), 0)

    def test_strangers_leave_room_for_the_edge(self):
        server = self.serve({"limits": {"connections": 80, "connections_per_peer": 80},
                             "server": {"defer_accept": False, "threads": 1}, "edge": {"trusted_ranges": ["127.0.0.2"]}})
        server.tree.image("a.jpg")
        silent = []
        for _ in range(100):
            wire = server.connect()
            self.addCleanup(wire.close)
            silent.append(wire)
        tidepool.eventually(lambda: server.metrics().sum("tidepool_connections_accepted_total") == 100, "all have come")
        self.assertEqual(server.metrics().sum("tidepool_connections"), 70)  # 60, and half of what is kept for who is told
        held = self.hold(server, 10, source=("127.0.0.2", 0))
        self.assertEqual(server.get_from("127.0.0.2", "/uploads/a.jpg").status, 503)  # now it is full
        for wire in silent:
            wire.reset()
        tidepool.eventually(lambda: server.metrics().sum("tidepool_connections") == 10, "they are gone")
        self.hold(server, 50)
        self.assertEqual(server.get("/uploads/a.jpg").status, 503)
        self.assertEqual(held[0].get("/uploads/a.jpg").status, 200)
        self.assertEqual(server.get_from("127.0.0.2", "/uploads/a.jpg").status, 200)

    def test_counts_come_back_to_nothing(self):
        server = self.serve()
        server.tree.image("large.jpg", size=LARGE)
        for end in ("close", "reset", "finish_sending"):
            wire = server.connect(receive_buffer=4096)
            wire.send(tidepool.request("/uploads/large.jpg"))
            wire.read_head()
            getattr(wire, end)()
            if end == "finish_sending":
                wire.read_exactly(LARGE)
                self.assertEqual(wire.read_to_end(), (b"", "fin"))
                wire.close()
        tidepool.eventually(lambda: server.metrics().sum("tidepool_connections") == 0, "all are gone")


if __name__ == "__main__":
    tidepool.main()
