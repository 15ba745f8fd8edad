"""HTTP/2 over TLS: real clients (curl, h2load) get what HTTP/1.1 gives; floods, slow peers and drains end as they should. That
frames are read as the RFC says is http2_frames_test's matter."""

import json
import pathlib
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import http2 as h2  # noqa: E402
import tidepool  # noqa: E402
import tls  # noqa: E402
import uploads  # noqa: E402
from cold import anonymous_bytes  # noqa: E402
from http2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY,  # noqa: E402
                   RST_STREAM, SETTINGS, frame)
from pictures import picture  # noqa: E402
from tidepool import eventually  # noqa: E402

HOST = "images.example"
LARGE = 3_000_000


def setUpModule():
    global authority
    authority = tls.Authority()
    unittest.addModuleCleanup(authority.close)


def certificate_section():
    return tidepool.toml_section("[[certificate]]", authority.certificate(HOST))


def with_tls(config=None, **tls_settings):
    return {"tls": {"listen": ["127.0.0.1:0"], **tls_settings}, **(config or {})}


def curl_line(address, path, *arguments):
    port = address[1]
    return ["curl", "--silent", "--show-error", "--http2", "--max-time", str(tidepool.PATIENCE_S), "--cacert",
            str(authority.root), "--resolve", f"{HOST}:{port}:127.0.0.1", *map(str, arguments), f"https://{HOST}:{port}{path}"]


def curl(address, path, *arguments):
    """(version, status, content) of what curl got."""
    line = curl_line(address, path, "--write-out", "\n%{http_version} %{http_code}", *arguments)
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    body, _, told = done.stdout.rpartition(b"\n")
    assert done.returncode == 0, done.stderr.decode()
    version, status = told.decode().split()
    return version, int(status), body


class Http2Case(tidepool.OwnServerCase):
    def start(self, config=None, **tls_settings):
        self.server = self.serve(with_tls(config, **tls_settings), extra=certificate_section())
        return self.server

    def wire(self, **options):
        wire = h2.Http2Wire(self.server.tls[0], authority.client(), host=HOST, **options)
        self.addCleanup(wire.close)
        return wire

    def metric(self, name, **labels):
        return self.server.metrics().sum(f"tidepool_{name}", **labels)

    def assert_alive(self, path="/uploads/a.jpg"):
        with self.wire() as wire:
            self.assertEqual(wire.get(path).status, 200)

    def gone(self):
        eventually(lambda: self.metric("connections") == 0, "no connection is left")


class Clients(Http2Case):
    def test_curl_gets_what_http_1_1_gives(self):
        server = self.start()
        sizes = {"tiny": 1, "empty-ish": 20, "frame": 16_384, "medium": 100_000, "large": LARGE}
        contents = {name: server.tree.image(f"{name}.jpg", size=size) for name, size in sizes.items()}
        for name, content in contents.items():
            path = f"/uploads/{name}.jpg"
            for _ in range(2):
                version, status, body = curl(server.tls[0], path)
                self.assertEqual((version, status, body == content), ("2", 200, True), name)
            plain = server.get(path)
            head = curl(server.tls[0], path, "--head")[2].decode().splitlines()
            got = dict(line.split(": ", 1) for line in head if ": " in line)
            changing = ("date", "connection", "cache-status")
            self.assertEqual({key: value for key, value in got.items() if key not in changing},
                             {key: value for key, value in plain.fields if key not in changing})
            self.assertEqual(curl(server.tls[0], path, "--header", f"If-None-Match: {plain['etag']}")[:2], ("2", 304))
        path = "/uploads/large.jpg"
        self.assertEqual(curl(server.tls[0], path, "--range", "1000000-1999999"),
                         ("2", 206, contents["large"][1_000_000:2_000_000]))
        several = curl(server.tls[0], path, "--range", "1-2000000,2500000-2500009,-5")
        self.assertEqual(several[1], 206)
        for piece in (contents["large"][1:2_000_001], contents["large"][2_500_000:2_500_010], contents["large"][-5:]):
            self.assertIn(piece, several[2])
        self.assertEqual(curl(server.tls[0], path, "--range", f"{LARGE}-")[1], 416)
        self.assertEqual(curl(server.tls[0], "/uploads/none.jpg")[1], 404)
        self.assertEqual(curl(server.tls[0], path, "--request", "DELETE")[1], 405)
        self.assertEqual(curl(server.tls[0], path, "--data", "x" * 50_000)[1], 405)
        self.assertEqual(curl(server.tls[0], path, "--request", "GET", "--data", "x")[1], 400)

    def test_many_at_once(self):
        server = self.start({"limits": {"connections_per_peer": 1000}})
        paths = [f"/uploads/{number}.jpg" for number in range(40)]
        for number in range(40):
            server.tree.image(f"{number}.jpg", size=100 + 5_000 * number)
        list_file = server.folder / "urls"
        list_file.write_text("".join(f"https://127.0.0.1:{server.tls[0][1]}{path}\n" for path in paths))
        done = subprocess.run(["h2load", "-n", "20000", "-c", "10", "-m", "100", "-i", list_file], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=tidepool.PATIENCE_S * 4)
        print(done.stdout)
        self.assertIn("status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx", done.stdout)
        self.assertIn("20000 succeeded, 0 failed, 0 errored, 0 timeout", done.stdout)
        eventually(lambda: self.metric("http2_requests_total") == 20_000, "all are counted")
        self.gone()

    def test_it_can_be_switched_off(self):
        server = self.start(http2=False)
        server.tree.image("a.jpg")
        self.assertEqual(curl(server.tls[0], "/uploads/a.jpg")[:2], ("1.1", 200))
        server.write_config(with_tls(http2=True), extra=certificate_section())
        mark = len(server.log())
        server.signal(signal.SIGHUP)
        server.wait_log("configuration reloaded", after=mark)
        self.assertEqual(curl(server.tls[0], "/uploads/a.jpg")[:2], ("2", 200))

    def test_it_is_logged(self):
        for form, expected in {"json": '"protocol":"HTTP/2.0"', "combined": '"GET /uploads/a.jpg HTTP/2.0" 200 1000'}.items():
            with self.subTest(form):
                folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tidepool-test-")))
                server = self.start({"access_log": {"path": folder / "access.log", "format": form}})
                server.tree.image("a.jpg")
                self.assertEqual(curl(server.tls[0], "/uploads/a.jpg")[1], 200)
                server.stop()
                self.assertIn(expected, (folder / "access.log").read_text())

    def test_what_waits_holds_up_only_itself(self):
        """An answer whose reader's window is closed lets others pass, on the same connection."""
        server = self.start()
        content = server.tree.image("large.jpg", size=LARGE)
        small = server.tree.image("a.jpg", size=100)
        with self.wire(own=((h2.INITIAL_WINDOW_SIZE, 1000),)) as wire:
            wire.opens_windows = False
            stuck = wire.ask("/uploads/large.jpg")
            self.assertIsNotNone(wire.read_until(lambda _: len(wire.answers[stuck].body) == 1000))
            for _ in range(20):
                self.assertTrue(wire.get("/uploads/a.jpg").body == small)
            self.assertEqual(len(wire.answers[stuck].body), 1000)
            wire.send(h2.window_update(0, 2 * LARGE) + h2.window_update(stuck, LARGE))
            self.assertTrue(wire.answer(stuck).body == content)

    def test_a_file_that_is_rewritten_in_place_is_not_mixed(self):
        server = self.start()
        server.tree.image("large.jpg", size=LARGE)
        with self.wire(own=((h2.INITIAL_WINDOW_SIZE, 100_000),)) as wire:
            wire.opens_windows = False
            stream = wire.ask("/uploads/large.jpg")
            wire.send(h2.window_update(0, LARGE))
            self.assertIsNotNone(wire.read_until(lambda _: len(wire.answers[stream].body) == 100_000))
            with open(server.tree.path / "large.jpg", "r+b") as file:
                file.seek(LARGE - 10)
                file.write(b"rewritten!")
            wire.send(h2.window_update(stream, LARGE))
            answer = wire.answer(stream)
            self.assertEqual((answer.reset, answer.ended), (h2.INTERNAL_ERROR, False))
            self.assertEqual(wire.get("/uploads/large.jpg", method="HEAD").status, 200)  # others go on

    def test_a_file_that_is_rewritten_while_a_worker_reads_it_is_not_mixed(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        pool = {"name": "late", "base_path": folder / "uploads", "debug_disk_delay": "300ms"}
        server = self.server = self.serve(with_tls({"cache": {"memory_object_max": "0B"}}), extra=certificate_section(),
                                          folder=folder, pools=[pool])
        server.tree.image("a.jpg", size=100_000)
        with self.wire(own=((h2.INITIAL_WINDOW_SIZE, 1_000_000),)) as wire:
            wire.send(h2.window_update(0, 1_000_000))
            stream = wire.ask("/uploads/a.jpg")
            self.assertIsNotNone(wire.read_until(lambda _: len(wire.answers[stream].body) >= 65_536))
            with open(server.tree.path / "a.jpg", "r+b") as file:  # a worker is about to read the rest
                file.seek(65_536)
                file.write(b"B" * (100_000 - 65_536))
            answer = wire.answer(stream)
            self.assertEqual((answer.reset, answer.ended), (h2.INTERNAL_ERROR, False))

    def test_an_answer_that_waited_for_its_window_is_looked_at_again(self):
        server = self.start({"cache": {"memory_object_max": "0B"}})
        for size in (16_000, 65_000):
            name = f"{size}.jpg"
            content = server.tree.image(name, size=size)
            with self.wire(own=((h2.INITIAL_WINDOW_SIZE, 0),)) as wire:
                wire.opens_windows = False
                stream = wire.ask(f"/uploads/{name}")
                self.assertIsNotNone(wire.read_until(lambda got: got.type == HEADERS))
                with open(server.tree.path / name, "r+b") as file:
                    file.seek(size // 2)
                    file.write(bytes(size - size // 2))
                wire.send(h2.window_update(0, size) + h2.window_update(stream, size))
                answer = wire.answer(stream)
                self.assertEqual((answer.reset, answer.ended), (h2.INTERNAL_ERROR, False), answer.body == content)

    def test_slow_readers_get_what_is_theirs(self):
        """Many that read a little now and then, of one loop: each gets its own bytes, in its own connection."""
        server = self.start({"server": {"threads": 1}})
        contents = [server.tree.image(f"{number}.jpg", size=1_000_000 + number) for number in range(12)]
        wires = [self.wire(receive_buffer=4096, own=((h2.INITIAL_WINDOW_SIZE, (1 << 31) - 1),)) for _ in contents]
        streams = []
        for number, wire in enumerate(wires):
            wire.opens_windows = False
            wire.send(h2.window_update(0, 500_000 + 1000 * number))
            streams.append(wire.ask(f"/uploads/{number}.jpg"))
        left = dict(enumerate(wires))
        while left:
            for number, wire in list(left.items()):
                answer = wire.answers[streams[number]]
                for _ in range(1 + number % 3):
                    if not answer.ended and wire.read() is None:
                        self.fail(f"{number}: the connection ended, GOAWAY {wire.goaway}")
                wire.send(h2.window_update(0, 60_000) + frame(PING, payload=b"12345678") * (number % 4))
                if answer.ended:
                    self.assertTrue(answer.body == contents[number], number)
                    self.assertEqual({each.stream for each in wire.frames}, {0, streams[number]})
                    del left[number]

    def test_who_goes_away_leaves_nothing_behind(self):
        server = self.start()
        server.tree.image("large.jpg", size=LARGE)
        for _ in range(20):
            wire = self.wire()
            for _ in range(50):
                wire.ask("/uploads/large.jpg")
            wire.wire.reset()
        self.gone()

    def test_the_lock_holds_here_too(self):
        secret = {"edge": {"secret_header": "X-Edge", "secret": "env:TIDEPOOL_TEST_SECRET"}}
        for refusal in ("forbid", "close"):
            with self.subTest(refusal):
                config = {"edge": {**secret["edge"], "refusal": refusal}, "timeouts": {"idle": "5m"}}
                self.server = self.serve(with_tls(config), extra=certificate_section(),
                                         environment={"TIDEPOOL_TEST_SECRET": "0123456789abcdef"})
                self.server.tree.image("a.jpg")
                with self.wire() as wire:
                    self.assertEqual(wire.get("/uploads/a.jpg", ("x-edge", "0123456789abcdef")).status, 200)
                    stream = wire.ask("/uploads/a.jpg")
                    if refusal == "forbid":
                        self.assertEqual(wire.answer(stream).status, 403)
                        self.assertEqual(wire.read_to_end(), (stream, h2.NO_ERROR), "and the connection ends")
                    else:
                        wire.read_to_end()
                        self.assertIsNone(wire.answers[stream].fields)


class Limits(Http2Case):
    def start(self, config=None, **tls_settings):
        server = super().start(config, **tls_settings)
        self.content = server.tree.image("a.jpg", size=2000)
        return server

    def test_heads_that_are_too_large(self):
        self.start({"limits": {"headers": "8KiB", "request_line": "1KiB", "header_fields": 20}})
        cases = [(431, "/uploads/a.jpg", [("x-test", "x" * 9000)]), (414, "/uploads/" + "a" * 2000, []),
                 (431, "/uploads/a.jpg", [(f"x-{number}", "1") for number in range(30)])]
        with self.wire() as wire:
            for status, path, fields in cases:
                self.assertEqual(wire.get(path, *fields).status, status)
            self.assertEqual(wire.get("/uploads/a.jpg").body, self.content)

    def test_more_requests_than_allowed_at_a_time(self):
        self.start({"limits": {"http2_streams": 10}})
        with self.wire(own=((h2.INITIAL_WINDOW_SIZE, 0),)) as wire:
            wire.opens_windows = False
            self.assertTrue(wire.ping())  # our settings are known
            streams = [wire.ask("/uploads/a.jpg") for _ in range(10)]
            self.assertTrue(wire.ping())
            for stream in streams:
                wire.send(h2.window_update(stream, 10_000))
                self.assertTrue(wire.answer(stream).body == self.content)
            for _ in range(11):
                wire.ask("/uploads/a.jpg")
            self.assertEqual(wire.read_to_end()[1], h2.PROTOCOL_ERROR)

    def test_a_head_that_does_not_end(self):
        self.start({"timeouts": {"header": "300ms"}})
        with self.wire() as wire:
            self.assertTrue(wire.ping())  # so that there is nothing more to say of settings
            data, _ = wire.head("/uploads/a.jpg")
            wire.send(frame(HEADERS, END_STREAM, 1, data[9:]))
            self.assertEqual(wire.read_to_end()[1], h2.ENHANCE_YOUR_CALM)
        self.assertEqual(self.server.refused("header_timeout"), 1)

    def test_who_asks_nothing_is_told_to_go(self):
        self.start({"timeouts": {"header": "300ms", "idle": "300ms", "idle_edge": "300ms"}})
        with self.wire() as wire:
            self.assertEqual(wire.read_to_end(), (0, h2.NO_ERROR))
        with self.wire() as wire:
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
            self.assertEqual(wire.read_to_end(), (1, h2.NO_ERROR))
        with self.wire(begin=False) as wire:  # nor who says nothing at all
            wire.read_to_end()
        self.gone()

    def test_who_does_not_open_the_window_loses_the_answer(self):
        self.start({"timeouts": {"send_window": "1s"}})
        with self.wire(own=((h2.INITIAL_WINDOW_SIZE, 100),)) as wire:
            wire.opens_windows = False
            stream = wire.ask("/uploads/a.jpg")
            self.assertEqual(wire.answer(stream).reset, h2.CANCEL)
            wire.send(h2.settings((h2.INITIAL_WINDOW_SIZE, 10_000)))
            self.assertTrue(wire.get("/uploads/a.jpg").body == self.content)
        self.assertEqual(self.metric("http_slow_readers_total"), 1)

    def test_who_chats_meanwhile_is_judged_as_well(self):
        self.start({"timeouts": {"send_window": "1s"}})
        with self.wire(own=((h2.INITIAL_WINDOW_SIZE, 100),)) as wire:
            wire.opens_windows = False
            answer = wire.answers[wire.ask("/uploads/a.jpg")]
            wire.wire.socket.settimeout(0.005)

            def is_judged():
                wire.send(frame(PRIORITY, 0, 1, struct.pack(">IB", 3, 1)))
                try:
                    wire.read()
                except TimeoutError:
                    pass
                return answer.reset == h2.CANCEL
            eventually(is_judged, "it loses the answer", every_s=0)

    def test_who_reads_nothing_is_cut(self):
        self.start({"timeouts": {"send_window": "1s"}})
        self.server.tree.image("large.jpg", size=16_000_000)
        with self.wire(receive_buffer=4096, own=((h2.INITIAL_WINDOW_SIZE, (1 << 31) - 1),)) as wire:
            wire.send(h2.window_update(0, (1 << 31) - 65_536))
            wire.ask("/uploads/large.jpg")
            eventually(lambda: self.metric("http_slow_readers_total") == 1, "it is cut")
        self.gone()

    def held(self, source, paths):
        """A connection that asks for these and takes no byte of them; and the answers, by status."""
        wire = self.wire(source=(source, 0), own=((h2.INITIAL_WINDOW_SIZE, 0),))
        wire.opens_windows = False
        streams = [wire.ask(path) for path in paths]
        self.assertTrue(wire.ping())
        for stream in streams:
            self.assertTrue(wire.answers[stream].fields or wire.read_until(lambda _, s=stream: wire.answers[s].fields))
        return wire, sorted((wire.answers[stream] for stream in streams), key=lambda answer: answer.status)

    def test_answers_that_are_not_taken_leave_room_for_others(self):
        stranger, edge = "127.0.0.1", "127.0.0.2"
        self.start({"limits": {"http2_answers": 16}, "edge": {"trusted_ranges": [edge]}})
        paths = [f"/uploads/{number}.jpg" for number in range(12)]
        for number, path in enumerate(paths):  # held in memory, and in files
            self.server.tree.image(path.rpartition("/")[2], size=100_000 if number % 2 else 1000)
        first, answers = self.held(stranger, paths)
        # Its first, and of twelve that strangers may have so many that four times them are free.
        self.assertEqual([answer.status for answer in answers], [200] * 4 + [503] * 8)
        self.assertEqual((answers[4]["cache-control"], answers[4]["retry-after"]), ("no-store", "5"))
        # What has no body, or is there for all, holds nothing.
        self.assertEqual(first.get(paths[0], method="HEAD").status, 200)
        self.assertEqual(first.get("/uploads/none.jpg", method="HEAD").status, 404)
        others = [self.held(stranger, paths) for _ in range(10)]
        for _, answers in others:
            self.assertEqual(answers[0].status, 200)
        self.assertEqual(others[-1][1][1].status, 503)  # all is taken
        # The edge has what is kept for it, and everybody one answer.
        _, answers = self.held(edge, paths)
        self.assertEqual([answer.status for answer in answers], [200] * 2 + [503] * 10)
        with self.wire() as wire:
            self.assertEqual(wire.get(paths[1]).status, 200)
        self.assertGreaterEqual(self.server.refused("too_many_answers"), 28)
        # What is taken, or taken back, makes room.
        first.send(h2.window_update(0, 1_000_000) + h2.settings((h2.INITIAL_WINDOW_SIZE, 1_000_000)))
        for stream in range(1, 25, 2):
            self.assertTrue(first.answer(stream).ended)
        for wire, _ in others:
            wire.close()
        eventually(lambda: self.metric("connections") <= 3, "they are gone")
        self.assertEqual([first.get(path).status for path in paths], [200] * 12)
        _, answers = self.held(stranger, paths)
        self.assertGreaterEqual([answer.status for answer in answers].count(200), 3)

    def test_files_of_answers_that_are_not_taken_leave_descriptors(self):
        self.server = self.serve(with_tls(), extra=certificate_section(),
                                 preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400)))
        paths = [f"/uploads/{number}.jpg" for number in range(1000)]
        for path in paths:
            self.server.tree.image(path.rpartition("/")[2], size=70_000)
        for at in range(0, 1000, 100):
            self.held("127.0.0.1", paths[at:at + 100])
        self.server.tree.image("b.jpg", size=100_000)
        self.assert_alive("/uploads/b.jpg")
        self.assertEqual(self.metric("accept_errors_total"), 0)

    def test_what_a_disk_gives_late_comes_whole_through_small_windows(self):
        """What was read for a window that is closed meanwhile is dropped, and read again."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        pool = {"name": "late", "base_path": folder / "uploads", "debug_disk_delay": "1ms"}
        self.server = self.serve(with_tls(), extra=certificate_section(), folder=folder, pools=[pool])
        contents = [self.server.tree.image(f"{number}.jpg", size=150_000 + number) for number in range(4)]
        with self.wire() as wire:  # the window of all is 65,535
            wire.opens_windows = False
            streams = [wire.ask(f"/uploads/{number}.jpg") for number in range(4)]
            open_to = 65_535
            while not all(wire.answers[stream].ended for stream in streams):
                self.assertIsNotNone(wire.read())
                got = sum(len(wire.answers[stream].body) for stream in streams)
                if got < open_to - 5000:
                    continue
                # Of the streams they are taken back, and given again.
                wire.send(h2.settings((h2.INITIAL_WINDOW_SIZE, 0)))
                self.assertTrue(wire.ping())
                wire.send(h2.settings((h2.INITIAL_WINDOW_SIZE, 65_535)) + h2.window_update(0, 40_000))
                for stream in streams:
                    if not wire.answers[stream].ended:
                        wire.send(h2.window_update(stream, 40_000))
                open_to += 40_000
            for stream, content in zip(streams, contents, strict=True):
                self.assertTrue(wire.answers[stream].body == content)

    def test_a_body_nobody_asked_for(self):
        self.start({"timeouts": {"header": "1s"}})
        with self.wire() as wire:
            stream = wire.ask("/uploads/a.jpg", end=False)
            wire.send(frame(DATA, 0, stream, b"x"))
            answer = wire.answer(stream)
            self.assertEqual(answer.status, 400)
            stream = wire.ask("/uploads/a.jpg", end=False)  # of no bytes is none
            wire.send(frame(DATA, END_STREAM, stream))
            self.assertEqual(wire.answer(stream).body, self.content)
            stream = wire.ask("/uploads/a.jpg", end=False)  # and may not be waited for
            self.assertEqual(wire.answer(stream).status, 408)
            # Who goes on sending is told to stop, once there is an answer.
            stream = wire.ask("/uploads/a.jpg", method="POST", end=False)
            self.assertEqual(wire.answer(stream).status, 405)
            self.assertIsNotNone(wire.read_until(lambda got: got.type == RST_STREAM and got.stream == stream))
            self.assertEqual(wire.answers[stream].reset, h2.NO_ERROR)
            wire.send(frame(DATA, 0, stream, b"x" * 1000))
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)


class Floods(Http2Case):
    """What costs us more than who sends it, or asks for nothing: it ends the connection, and nobody else notices."""

    MOST = 8_000_000

    def setUp(self):
        super().setUp()
        server = self.start()
        self.content = server.tree.image("a.jpg", size=2000)
        self.busy = self.wire()
        self.assertEqual(self.busy.get("/uploads/a.jpg").status, 200)

    def pour(self, wire, piece, reads=True):
        """Sends it again and again until the other side has had enough; what it says then is read on the way."""
        sent = 0
        wire.wire.socket.settimeout(0.01 if reads else 1)
        while sent < self.MOST and not wire.ended and wire.goaway is None:
            try:
                wire.wire.socket.sendall(piece)
                sent += len(piece)
                while reads:
                    wire.read()
                    reads = not wire.ended
            except TimeoutError:
                if not reads:  # it does not read us either
                    break
            except OSError:
                wire.ended = True
        self.assertLess(sent, self.MOST, "it never had enough")

    def assert_ended(self, wire, *codes):
        if wire.goaway is None and not wire.ended:
            wire.read_to_end()
        if wire.goaway is not None:
            self.assertIn(wire.goaway[1], codes)
        self.assertEqual(self.busy.get("/uploads/a.jpg").body, self.content)
        wire.close()
        eventually(lambda: self.metric("connections") == 1, "it is gone")

    def test_requests_taken_back(self):
        with self.wire() as wire:
            piece = b""
            for _ in range(3000):
                data, stream = wire.head("/uploads/a.jpg")
                piece += data + h2.rst(stream)
            wire.send(piece)
            self.assert_ended(wire, h2.INTERNAL_ERROR, h2.ENHANCE_YOUR_CALM)
        self.assertGreater(self.metric("http2_resets_total"), 300)

    def test_requests_taken_back_by_what_is_wrong_with_them(self):
        """Streams that we end for a mistake in each are as many requests."""
        with self.wire() as wire:
            piece = b""
            for _ in range(20_000):
                data, stream = wire.head("/uploads/a.jpg", end=False)
                piece += data + h2.window_update(stream, (1 << 31) - 1)
            wire.send(piece)
            self.assert_ended(wire, h2.ENHANCE_YOUR_CALM)

    def test_continuations(self):
        with self.wire() as wire:
            wire.send(frame(HEADERS, END_STREAM, 1, b"") + frame(CONTINUATION, 0, 1, b"") * 10_000)
            self.assert_ended(wire, h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.INTERNAL_ERROR)

    def test_small_fields_that_unpack_to_large_ones(self):
        with self.wire() as wire:
            first = wire.encoder.encode(wire.fields("/uploads/a.jpg", ("x-bomb", "x" * 3900)))
            wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, first))
            self.assertEqual(wire.answer(1).status, 200)
            bomb = wire.encoder.encode(wire.fields("/uploads/a.jpg")) + b"\xbe" * 16_000
            wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, bomb))
            self.assert_ended(wire, h2.ENHANCE_YOUR_CALM)
        self.assertEqual(self.metric("http2_floods_total"), 1)

    def test_what_asks_for_nothing(self):
        kinds = {"ping": frame(PING, payload=b"8" * 8), "settings": frame(SETTINGS), "window": h2.window_update(0, 1),
                 "priority": frame(PRIORITY, 0, 1, struct.pack(">IB", 3, 1)), "unknown": frame(0xBE, 0, 0, b"")}
        for name, each in kinds.items():
            for reads in (True, False):
                with self.subTest(name, reads=reads), self.wire() as wire:
                    self.pour(wire, each * 1000, reads)
                    self.assert_ended(wire, h2.ENHANCE_YOUR_CALM, h2.FLOW_CONTROL_ERROR, h2.INTERNAL_ERROR)

    def test_a_body_of_nothing(self):
        with self.wire() as wire:
            stream = wire.ask("/uploads/a.jpg", end=False)
            self.pour(wire, frame(DATA, 0, stream) * 1000)
            self.assert_ended(wire, h2.ENHANCE_YOUR_CALM, h2.INTERNAL_ERROR)

    def test_answers_that_nobody_reads(self):
        """Requests whose answers are asked for and not read: what waits for them is bounded."""
        with self.wire(receive_buffer=4096, own=((h2.INITIAL_WINDOW_SIZE, (1 << 31) - 1),)) as wire:
            before = anonymous_bytes(self.server.pid)
            self.pour(wire, b"".join(wire.head("/uploads/none.jpg")[0] for _ in range(1000)), reads=False)
            # The address sanitizer keeps what was freed for a while.
            most = (64 if tidepool.SANITIZED else 8) * 1024 * 1024
            self.assertLess(anonymous_bytes(self.server.pid) - before, most)
            self.assertEqual(self.busy.get("/uploads/a.jpg").body, self.content)


class Drains(Http2Case):
    def test_what_was_asked_is_answered(self):
        server = self.start()
        content = server.tree.image("large.jpg", size=LARGE)
        small = server.tree.image("a.jpg")
        with self.wire(own=((h2.INITIAL_WINDOW_SIZE, 1000),)) as wire, self.wire() as idle:
            wire.opens_windows = False
            self.assertEqual(idle.get("/uploads/a.jpg").status, 200)
            stuck = wire.ask("/uploads/large.jpg")
            self.assertTrue(wire.ping())
            server.signal(signal.SIGTERM)
            first = wire.read_until(lambda got: got.type == GOAWAY)
            self.assertEqual(struct.unpack(">II", first.payload), ((1 << 31) - 1, h2.NO_ERROR))
            late = wire.ask("/uploads/a.jpg")  # was on its way when we said so
            self.assertEqual(wire.answer(late).body, small)
            self.assertEqual(idle.read_to_end(), (1, h2.NO_ERROR))
            second = wire.read_until(lambda got: got.type == GOAWAY)
            self.assertEqual(struct.unpack(">II", second.payload), (late, h2.NO_ERROR))
            wire.send(h2.window_update(0, 2 * LARGE) + h2.window_update(stuck, LARGE))
            self.assertTrue(wire.answer(stuck).body == content)
            self.assertIsNone(wire.read())
        self.assertEqual(server.exit_of(server.pid), 0)


    def test_the_end_of_an_answer_is_waited_for(self):
        for size in (3_980_000, 4_040_000, 4_200_000):
            with self.subTest(size):
                server = self.start()
                content = server.tree.image("large.jpg", size=size)
                with self.wire(receive_buffer=65_536, own=((h2.INITIAL_WINDOW_SIZE, 1),)) as wire:
                    wire.opens_windows = False
                    wire.send(h2.window_update(0, (1 << 31) - 65_536))
                    stream = wire.ask("/uploads/large.jpg")
                    self.assertIsNotNone(wire.read_until(lambda got: got.type == DATA))
                    server.signal(signal.SIGTERM)
                    for _ in range(2):  # we go, and now we are gone
                        self.assertIsNotNone(wire.read_until(lambda got: got.type == GOAWAY))
                    wire.send(h2.window_update(stream, size))
                    self.assertEqual(server.exit_of(server.pid) if wire.answer(stream).body == content else "cut", 0)


class Uploads(uploads.UploadCase):
    def start(self, **options):
        return super().start(config={"tls": {"listen": ["127.0.0.1:0"]}}, extra=certificate_section() + uploads.ONE_PROFILE,
                             **options)

    def wire(self):
        wire = h2.Http2Wire(self.server.tls[0], authority.client(), host=HOST)
        self.addCleanup(wire.close)
        return wire

    def send(self, wire, body, token, piece=10_000):
        stream = wire.ask(uploads.UPLOAD, ("content-type", uploads.form_type()), ("authorization", f"Bearer {token}"),
                          method="POST", end=False)
        for at in range(0, len(body), piece):
            end = at + piece >= len(body)
            wire.send(frame(DATA, END_STREAM if end else 0, stream, body[at:at + piece]))
        return stream

    def test_curl_uploads(self):
        self.start()
        content = picture("png", width=2000, height=1500)
        path = self.folder / "a.png"
        path.write_bytes(content)
        version, status, body = curl(self.server.tls[0], uploads.UPLOAD, "--form", f"file=@{path}", "--header",
                                     f"Authorization: Bearer {self.token(len(content))}")
        self.assertEqual((version, status), ("2", 200), body)
        stored = json.loads(body)
        self.assertEqual(self.originals(), {uploads.path_of(stored["url"])[1:]: content})
        self.assertTrue(curl(self.server.tls[0], uploads.path_of(stored["url"]))[2] == content)

    def test_several_at_once_on_one_connection(self):
        self.start()
        wire = self.wire()
        contents = [picture("png", seed=number) for number in range(5)]
        streams = [self.send(wire, uploads.form(uploads.file(each, "a.png")), self.token(len(each))) for each in contents]
        stored = [json.loads(wire.answer(stream).body) for stream in streams]
        self.assertEqual([wire.answers[stream].status for stream in streams], [200] * 5, stored)
        self.assertEqual(set(map(uploads.sha256, self.originals().values())), set(map(uploads.sha256, contents)))
        self.assertEqual(len({each["image_uuid"] for each in stored}), 5)

    def test_one_that_is_too_large_is_told_so_and_others_go_on(self):
        self.start()
        wire = self.wire()
        content = picture("png", width=1000, height=1000)
        body = uploads.form(uploads.file(content + bytes(1_000_000), "a.png"))
        stream = self.send(wire, body[:60_000], self.token(1000))
        self.assertEqual(wire.answer(stream).status, 413)
        good = picture("png")
        other = self.send(wire, uploads.form(uploads.file(good, "b.png")), self.token(len(good)))
        self.assertEqual(wire.answer(other).status, 200)
        stored = json.loads(wire.answers[other].body)
        self.assertEqual(self.originals(), {uploads.path_of(stored["url"])[1:]: good})

    def test_one_that_is_taken_back_leaves_nothing(self):
        self.start()
        wire = self.wire()
        content = picture("png", width=1000, height=1000)
        stream = wire.ask(uploads.UPLOAD, ("content-type", uploads.form_type()),
                          ("authorization", f"Bearer {self.token(len(content))}"), method="POST", end=False)
        wire.send(frame(DATA, 0, stream, uploads.form(uploads.file(content, "a.png"))[:16_000]))
        self.assertTrue(wire.ping())
        wire.send(h2.rst(stream))
        self.assertTrue(wire.ping())
        self.assert_nothing_left()


if __name__ == "__main__":
    tidepool.main()
