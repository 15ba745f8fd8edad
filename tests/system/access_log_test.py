"""The access log: every field right, nothing a client sends can break a line, and no disk can slow a request."""

import datetime
import errno
import fcntl
import json
import os
import pathlib
import re
import resource
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

LARGE = 24 * 1024 * 1024  # more than the socket buffers of both ends hold


class LogCase(tidepool.OwnServerCase):
    def logging(self, config=None, folder=None, path=None, preexec=None, **log):
        """A server with an access log that is written soon; self.log_file is where."""
        folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="tidepool-test-"))
        self.log_file = pathlib.Path(path or folder / "access.log")
        settings = {"server": {"threads": 1},  # lines of different loops come in any order
                    "access_log": {"path": str(self.log_file), "flush_interval": "10ms", **log}, **(config or {})}
        return self.serve(settings, folder=folder, preexec=preexec)

    def lines(self, count):
        def enough():
            text = self.log_file.read_bytes().decode()
            return text.count("\n") >= count and text.splitlines()
        return tidepool.eventually(enough, lambda: f"{count} lines: {self.log_file.read_text()}")

    def entries(self, count):
        entries = [json.loads(line) for line in self.lines(count)]
        self.assertEqual(len(entries), count)
        return entries


class Json(LogCase):
    def test_every_field_tells_what_happened(self):
        server = self.logging({"edge": {"trusted_ranges": ["127.0.0.1"]}})
        server.tree.image("a.jpg", size=1000)
        server.tree.image("large.jpg", size=300_000)
        with server.connect() as wire:
            wire.get("/uploads/a.jpg?token=secret", "CF-Connecting-IP: 203.0.113.7", "CF-Ray: 8f2-FRA",
                     "User-Agent: probe/1", "Referer: https://a.example/page?key=secret")
            wire.get("/uploads/a.jpg")
            wire.get("/uploads/large.jpg", "Range: bytes=0-99")
            wire.get("/uploads/large.jpg", method="HEAD")
            wire.get("/uploads/none.jpg")
            wire.get("/uploads/a.jpg", method="DELETE")
        entries = self.entries(6)
        first = entries[0]
        self.assertRegex(first["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual({name: first.get(name) for name in ("client", "peer", "ray", "method", "path", "status", "bytes",
                                                             "source", "host", "referer", "agent")},
                         {"client": "203.0.113.7", "peer": "127.0.0.1", "ray": "8f2-FRA", "method": "GET",
                          "path": "/uploads/a.jpg", "status": 200, "bytes": 1000, "source": "disk",
                          "host": "images.example", "referer": "https://a.example/page", "agent": "probe/1"})
        self.assertNotIn("secret", self.log_file.read_text())
        for entry in entries:
            self.assertLessEqual(0, entry["ttfb_us"])
            self.assertLessEqual(entry["ttfb_us"], entry["time_us"])
        self.assertEqual([(e["status"], e["bytes"], e["source"]) for e in entries[1:]],
                         [(200, 1000, "memory"), (206, 100, "disk"), (200, 0, "file"), (404, 10, "absent"),
                          (405, 19, "none")])
        self.assertEqual(entries[2]["range"], "bytes=0-99")
        self.assertEqual(entries[1]["client"], "127.0.0.1")
        self.assertNotIn("peer", entries[1])

    def test_only_a_trusted_peer_is_believed(self):
        server = self.logging({"edge": {"trusted_ranges": ["127.0.0.2"]}})
        spoofed = ("CF-Connecting-IP: 203.0.113.7", "X-Forwarded-For: 203.0.113.8")
        server.get_from("127.0.0.1", "/uploads/a.jpg", *spoofed)
        server.get_from("127.0.0.2", "/uploads/a.jpg", *spoofed)
        server.get_from("127.0.0.2", "/uploads/a.jpg", "CF-Connecting-IP: nonsense")
        server.get_from("127.0.0.2", "/uploads/a.jpg", "CF-Connecting-IP: 2001:db8::1")
        server.get_from("127.0.0.2", "/uploads/a.jpg", "X-Forwarded-For: 198.51.100.1, 203.0.113.8")
        self.assertEqual([entry["client"] for entry in self.entries(5)],
                         ["127.0.0.1", "203.0.113.7", "127.0.0.2", "2001:db8::1", "203.0.113.8"])

    def test_a_download_that_was_cut_is_marked_with_what_went_out(self):
        server = self.logging()
        server.tree.image("large.jpg", size=LARGE)
        with server.connect(receive_buffer=4096) as wire:
            wire.send(tidepool.request("/uploads/large.jpg"))
            wire.read_head()
            wire.reset()
        entry, = self.entries(1)
        self.assertEqual((entry["status"], entry.get("broken")), (200, True))
        self.assertLess(entry["bytes"], LARGE)

    def test_times_are_of_the_request_and_not_of_the_connection(self):
        server = self.logging()
        server.tree.image("large.jpg", size=LARGE)
        pace = threading.Event()
        with server.connect(receive_buffer=4096) as wire:
            pace.wait(0.3)  # neither of these counts
            wire.get("/uploads/none.jpg")
            pace.wait(0.3)
            begun_wall, begun = time.time(), time.monotonic()
            wire.send(tidepool.request("/uploads/large.jpg"))
            wire.read_head()
            seen_head = time.monotonic()
            pace.wait(0.3)
            wire.read_exactly(LARGE)
            _, entry = self.entries(2)
            ended = time.monotonic()
        self.assertGreaterEqual(entry["time_us"], 300_000)
        self.assertLessEqual(entry["time_us"], (ended - begun) * 1e6 + 1000)
        # The server looks at its clock once the head is sent, and on a busy machine not at once.
        self.assertLessEqual(entry["ttfb_us"], (seen_head - begun) * 1e6 + 200_000)
        at = datetime.datetime.fromisoformat(entry["time"]).timestamp()
        self.assertLess(abs(at - begun_wall - (ended - begun)), 2)

    def test_pipelined_requests_have_a_line_each_in_their_order(self):
        server = self.logging()
        content = server.tree.image("a.jpg", size=1000)
        with server.connect() as wire:
            wire.send(b"".join(tidepool.request(f"/uploads/{i}.jpg") for i in range(60)) +
                      tidepool.request("/uploads/a.jpg", f"If-None-Match: {tidepool.etag_of(content)}") +
                      tidepool.request("/uploads/a.jpg", "Range: bytes=0-9,20-29", method="GET"))
            for _ in range(60):
                self.assertEqual(wire.response().status, 404)
            self.assertEqual(wire.response().status, 304)
            multipart = wire.response()
        entries = self.entries(62)
        self.assertEqual([entry["path"] for entry in entries[:60]], [f"/uploads/{i}.jpg" for i in range(60)])
        self.assertEqual([(entry["status"], entry["bytes"]) for entry in entries[60:]],
                         [(304, 0), (206, len(multipart.body))])

    def test_a_client_of_a_unix_socket_has_no_address(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        server = self.logging(folder=folder, config={"server": {"threads": 1, "listen": [f"unix:{folder}/s"]}})
        server.get("/uploads/none.jpg", "CF-Connecting-IP: 203.0.113.7")
        entry, = self.entries(1)
        self.assertEqual(entry["client"], "unix")

    def test_refused_requests_are_logged_too(self):
        server = self.logging({"limits": {"request_line": "1KiB", "headers": "4KiB"}})
        for raw in (b"GET /a HTTP/1.1\r\nHost : x\r\n\r\n", b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02"):
            with server.connect() as wire:
                wire.send(raw)
                wire.response()
        self.assertEqual([entry["status"] for entry in self.entries(3)], [400, 414, 400])

    def test_hostile_bytes_stay_inside_their_field(self):
        server = self.logging()
        nasty = b'"\\},{"x":"\xff\xc3\xa4\t</script>' + b"a" * 3000
        with server.connect() as wire:
            wire.send(b"GET /uploads/\"\\\xff%22 HTTP/1.1\r\nHost: x\r\nUser-Agent: " + nasty + b"\r\nReferer: " + nasty +
                      b"\r\nCF-Ray: " + nasty + b"\r\n\r\n")
            wire.response()
        entry, = self.entries(1)
        self.assertTrue(entry["agent"].startswith('"\\},{"x":"\u00ff\u00c3\u00a4\t</script>aaa'))
        self.assertEqual(len(entry["agent"]), 1024)
        self.assertLess(len(self.lines(1)[0]), 10_000)


class Combined(LogCase):
    LINE = re.compile(r'(\S+) - - \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] '
                      r'"([A-Z]+) ([^" ]+) (HTTP/1\.[01])" (\d{3}) (\d+) "([^"]*)" "([^"]*)"')

    def test_the_lines_are_what_log_analysers_read(self):
        server = self.logging(format="combined")
        server.tree.image("a.jpg", size=1000)
        server.get("/uploads/a.jpg?x=1", "User-Agent: probe/1", "Referer: https://a.example/")
        with server.connect() as wire:
            wire.send(b'GET /uploads/\xff" HTTP/1.0\r\nUser-Agent: a"b\\c\r\n\r\n')
            wire.response()
        first, second = (self.LINE.fullmatch(line) for line in self.lines(2))
        self.assertEqual(first.groups()[0:1] + first.groups()[2:],
                         ("127.0.0.1", "GET", "/uploads/a.jpg", "HTTP/1.1", "200", "1000", "https://a.example/", "probe/1"))
        self.assertEqual(second.groups()[2:],
                         ("GET", r"/uploads/\xFF\x22", "HTTP/1.0", "400", second[7], "-", r"a\x22b\x5Cc"))


class Rotation(LogCase):
    def test_no_line_is_lost_or_doubled(self):
        server = self.logging()
        total = 0
        old_names = []
        with server.connect() as wire:
            for turn in range(5):
                for _ in range(200):
                    wire.get(f"/uploads/{total}.jpg")
                    total += 1
                old = self.log_file.with_suffix(f".{turn}")
                os.rename(self.log_file, old)
                old_names.append(old)
                server.signal(signal.SIGUSR1)
                tidepool.eventually(self.log_file.exists, "the log is reopened")
            for _ in range(50):
                wire.get(f"/uploads/{total}.jpg")
                total += 1
        server.stop_process()
        paths = [json.loads(line)["path"] for file in [*old_names, self.log_file]
                 for line in file.read_text().splitlines()]
        self.assertEqual(paths, [f"/uploads/{i}.jpg" for i in range(total)])

    def test_no_line_is_lost_or_doubled_while_servers_follow_each_other(self):
        server = self.logging({"server": {"threads": 2, "drain_idle": "200ms"}})
        done = threading.Event()
        asked, failures = [0, 0], []

        def ask(client):
            wire = None
            try:
                while not done.is_set():
                    wire = wire or server.connect()
                    answer = wire.get(f"/uploads/{client}-{asked[client]}.jpg")
                    asked[client] += 1
                    if answer.closes:
                        wire.close()
                        wire = None
            except (OSError, AssertionError) as error:
                failures.append(repr(error))
            finally:
                if wire:
                    wire.close()
        threads = [threading.Thread(target=ask, args=(client,)) for client in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                before = asked[:]
                tidepool.eventually(lambda before=before: failures or all(
                    now > then + 20 for now, then in zip(asked, before, strict=True)), "answers come")
                self.assertEqual(server.exit_of(server.take_over()), 0)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        server.stop_process()
        paths = [json.loads(line)["path"] for line in self.log_file.read_text().splitlines()]
        self.assertEqual(sorted(paths), sorted(f"/uploads/{client}-{i}.jpg" for client in (0, 1)
                                               for i in range(asked[client])))

    def test_where_reopening_fails_the_old_file_goes_on(self):
        server = self.logging()
        server.get("/uploads/1.jpg")
        self.lines(1)
        old = self.log_file.with_suffix(".old")
        os.rename(self.log_file, old)
        self.log_file.mkdir()
        server.signal(signal.SIGUSR1)
        server.wait_log("access log not reopened, the old file is kept")
        server.get("/uploads/2.jpg")
        self.log_file = old
        self.entries(2)


class NoDisk(LogCase):
    def test_a_full_disk_costs_lines_and_not_requests(self):
        server = self.logging(path="/dev/full")
        server.tree.image("a.jpg")
        with server.connect() as wire:
            for _ in range(500):
                self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        tidepool.eventually(lambda: server.metrics().sum("tidepool_access_log_dropped_total") == 500, "all are counted")
        self.assertEqual(server.metrics().sum("tidepool_access_log_lines_total"), 500)
        said = [line for line in server.log() if "access log loses lines" in line]
        self.assertEqual(len(said), 1)
        self.assertIn(os.strerror(errno.ENOSPC), said[0])

    def test_a_disk_that_takes_half_a_line_leaves_whole_lines(self):
        limit = 20_000  # bytes of a file: the disk takes what fits, then refuses
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        # Ten bytes are left for the first line, so that the limit cannot be where one ends.
        (folder / "access.log").write_bytes(b"-" * (limit - 11) + b"\n")
        server = self.logging(folder=folder,
                              preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        total = 0
        with server.connect() as wire:
            def is_full():
                nonlocal total
                for _ in range(20):
                    self.assertEqual(wire.get(f"/uploads/{total}.jpg").status, 404)
                    total += 1
                return server.metrics().sum("tidepool_access_log_dropped_total") > 0
            tidepool.eventually(is_full, "the file is full")
            old = self.log_file.with_suffix(".old")
            os.rename(self.log_file, old)
            server.signal(signal.SIGUSR1)
            tidepool.eventually(self.log_file.exists, "the log is reopened")
            self.assertEqual(wire.get("/uploads/last.jpg").status, 404)
            total += 1
        dropped = server.metrics().sum("tidepool_access_log_dropped_total")
        server.stop_process()
        _, cut = old.read_bytes().split(b"\n")
        self.assertEqual(len(cut), 10)
        lines = self.log_file.read_bytes().splitlines()
        paths = [json.loads(line)["path"] for line in lines]
        self.assertEqual(paths[-1], "/uploads/last.jpg")
        self.assertEqual(len(paths) + dropped, total)

    def test_a_pipe_without_a_reader_is_an_error_and_no_wait(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        os.mkfifo(folder / "pipe")
        server = tidepool.Server({"access_log": {"path": str(folder / "pipe")}}, folder=folder, expect_ready=False)
        self.addCleanup(server.kill)
        self.assertEqual(server.child.wait(tidepool.PATIENCE_S), 1)
        server.wait_log("cannot log: .*access_log.path .*pipe")

    def test_a_log_that_nobody_takes_does_not_hold_up_the_end(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        server = self.logging(folder=folder, path=pipe)
        self.addCleanup(server.kill)
        with server.connect() as wire:
            for _ in range(100):  # much more than the pipe holds
                self.assertEqual(wire.get("/uploads/none.jpg").status, 404)
        server.signal(signal.SIGTERM)
        server.wait_log("ending without the rest of the access log")
        self.assertEqual(server.child.wait(tidepool.PATIENCE_S), 1)

    def test_a_log_that_nobody_takes_stops_nobody(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        server = self.logging(folder=folder, path=pipe, buffer="16KiB")
        server.tree.image("a.jpg")
        with server.connect() as wire:
            def dropped():
                for _ in range(50):
                    self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
                return server.metrics().sum("tidepool_access_log_dropped_total") > 0
            tidepool.eventually(dropped, "the buffer is full")
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        # Once somebody reads, whole lines come.
        os.set_blocking(reader, False)
        text = bytearray()

        def read_some():
            try:
                text.extend(os.read(reader, 65536))
            except BlockingIOError:
                pass
            return text.count(b"\n") > 60
        tidepool.eventually(read_some, "lines come")
        for line in text.split(b"\n")[:-1]:
            self.assertEqual(json.loads(line)["status"], 200)
        with server.connect() as wire:  # nothing holds up the end
            wire.get("/uploads/a.jpg")

        def ended():
            read_some()
            return server.child.poll() is not None
        server.signal(signal.SIGTERM)
        tidepool.eventually(ended, "it ends")

    def test_a_path_that_cannot_be_opened_is_an_error_at_the_start(self):
        server = tidepool.Server({"access_log": {"path": "/dev/null/logs/access.log"}}, expect_ready=False)
        self.addCleanup(server.kill)
        self.assertEqual(server.child.wait(tidepool.PATIENCE_S), 1)
        server.wait_log("cannot log: .*access_log.path /dev/null/logs/access.log")

    def test_standard_output_is_a_log_too(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            server = self.serve({"access_log": {"path": "-", "flush_interval": "10ms"}}, stdout=theirs)
            server.get("/uploads/none.jpg")
            ours.settimeout(tidepool.PATIENCE_S)
            self.assertEqual(json.loads(ours.makefile().readline())["status"], 404)


if __name__ == "__main__":
    tidepool.main()
