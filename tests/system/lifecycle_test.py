"""Starting, reloading, handing over and ending: signals, systemd's protocols and what an operator gets wrong.

The hand-over is tested under the load of wrk and of clients that look at every byte: no request may fail.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

LARGE = 24 * 1024 * 1024  # more than the socket buffers of both ends hold


class Drain(tidepool.OwnServerCase):
    def test_a_running_answer_is_finished_and_new_connections_are_refused(self):
        server = self.serve()
        content = server.tree.image("large.jpg", size=LARGE)
        with server.connect(receive_buffer=4096) as wire:
            wire.send(tidepool.request("/uploads/large.jpg"))
            head = wire.read_head()
            server.signal(signal.SIGTERM)
            server.wait_log("draining connections=1")
            tidepool.eventually(lambda: self.refuses(server.address), "the port is closed")
            self.assertEqual(wire.read_exactly(int(head["content-length"])), content)
            self.assertEqual(wire.read_to_end(), (b"", "fin"))
        server.stop()

    @staticmethod
    def refuses(address):
        try:
            tidepool.Wire(address).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_the_next_answer_of_a_connection_is_its_last(self):
        server = self.serve({"server": {"drain_idle": "20s"}})
        server.tree.image("a.jpg")
        with server.connect() as wire:
            self.assertIsNone(wire.get("/uploads/a.jpg").get("connection"))
            server.signal(signal.SIGTERM)
            server.wait_log("draining connections=1")
            answer = tidepool.eventually(lambda: (got := wire.get("/uploads/a.jpg")).closes and got, "the last answer")
            self.assertEqual(answer.status, 200)
            self.assertEqual(wire.read_to_end(), (b"", "fin"))
        server.stop()

    def test_idle_connections_end_after_drain_idle(self):
        server = self.serve({"server": {"drain_idle": "50ms", "drain_timeout": "10m"}})
        server.tree.image("a.jpg")
        with server.connect() as used, server.connect() as fresh:
            self.assertEqual(used.get("/uploads/a.jpg").status, 200)
            tidepool.eventually(lambda: server.metrics().sum("tidepool_connections") == 2, "both are there")
            server.signal(signal.SIGTERM)
            self.assertEqual(used.read_to_end(), (b"", "fin"))
            self.assertEqual(fresh.read_to_end(), (b"", "fin"))
        server.stop()

    def test_a_reader_that_has_stopped_is_cut_at_the_timeout(self):
        server = self.serve({"server": {"drain_timeout": "300ms"}})
        server.tree.image("large.jpg", size=LARGE)
        with server.connect(receive_buffer=4096) as wire:
            wire.send(tidepool.request("/uploads/large.jpg"))
            wire.read_head()
            server.signal(signal.SIGTERM)
            server.wait_log("drain timeout, cutting connections=1")
            self.assertEqual(wire.read_to_end()[1], "rst")
        server.stop()

    def test_a_second_signal_cuts_at_once(self):
        server = self.serve({"server": {"drain_timeout": "10m"}})
        server.tree.image("large.jpg", size=LARGE)
        with server.connect(receive_buffer=4096) as wire:
            wire.send(tidepool.request("/uploads/large.jpg"))
            wire.read_head()
            server.signal(signal.SIGINT)
            server.wait_log("draining connections=1")
            server.signal(signal.SIGTERM)
            server.wait_log("second signal, cutting connections=1")
            self.assertEqual(wire.read_to_end()[1], "rst")
        server.stop()

    def test_whoever_the_kernel_has_accepted_is_answered(self):
        server = self.serve({"server": {"threads": 1, "drain_idle": "20s"}, "limits": {"connections_per_peer": 10_000}})
        content = server.tree.image("a.jpg")
        self.assertEqual(server.get("/uploads/a.jpg").body, content)
        server.signal(signal.SIGSTOP)  # so that they pile up in the kernel's queue
        try:
            wires = []
            for _ in range(600):
                wire = server.connect()
                self.addCleanup(wire.close)
                wires.append(wire.send(tidepool.request("/uploads/a.jpg")))
            server.signal(signal.SIGTERM)
        finally:
            server.signal(signal.SIGCONT)
        for wire in wires:
            answer = wire.response()
            self.assertEqual((answer.status, answer.body), (200, content))
            wire.close()
        server.stop()

    def test_readiness_says_so_while_it_drains(self):
        server = self.serve({"server": {"drain_idle": "20s"}})
        server.tree.image("large.jpg", size=LARGE)
        with server.connect(receive_buffer=4096) as reader, tidepool.Wire(server.admin[0]) as admin:
            reader.send(tidepool.request("/uploads/large.jpg"))
            reader.read_head()
            self.assertEqual(admin.get("/readyz").status, 200)
            server.signal(signal.SIGTERM)
            server.wait_log("draining")
            answer = tidepool.eventually(lambda: (got := admin.get("/readyz")).status == 503 and got, "it is unready")
            self.assertEqual(answer.body, b"draining\n")
            reader.reset()
        server.stop()


class Reload(tidepool.OwnServerCase):
    def reload(self, server, *config, **options):
        mark = len(server.log())
        server.write_config(*config, **options)
        server.signal(signal.SIGHUP)
        return mark

    def test_lifetimes_types_and_limits_change_without_a_restart(self):
        server = self.serve()
        server.tree.image("a.jpg")
        server.tree.image("page.html", content_type="text/html")
        with server.connect() as kept:
            self.assertEqual(kept.get("/uploads/a.jpg")["cache-control"], "public, max-age=300")
            self.assertEqual(kept.get("/uploads/page.html").status, 404)
            self.assertEqual(kept.get("/uploads/a.jpg", "X-Long: " + "x" * 3000).status, 200)
            mark = self.reload(server, {"limits": {"headers": "2KiB", "request_line": "1KiB"},
                                        "types": {"allowed": ["image/*", "text/html"]}},
                               extra='[[cache_control]]\nprefix = "uploads/a"\ncache_control = "private"\nstatus = ["200"]\n')
            server.wait_log("configuration reloaded", after=mark)
            answer = tidepool.eventually(
                lambda: (got := kept.get("/uploads/a.jpg"))["cache-control"] == "private" and got, "the new rule holds")
            self.assertEqual(answer.status, 200)
            self.assertEqual(kept.get("/uploads/page.html").status, 200)
            self.assertEqual(kept.get("/uploads/a.jpg", "X-Long: " + "x" * 3000).status, 431)

    def test_a_broken_file_changes_nothing_and_every_problem_is_named(self):
        server = self.serve()
        server.tree.image("a.jpg")
        mark = self.reload(server, {"limits": {"headrs": "2KiB", "ranges": 0}})
        _, end = server.wait_log("configuration not reloaded, the old one is kept", after=mark)
        said = "\n".join(server.log()[mark:end])
        self.assertRegex(said, r"tidepool\.toml:\d+.*headrs.*headers")
        self.assertRegex(said, r"tidepool\.toml:\d+.*limits\.ranges")
        self.assertEqual(server.get("/uploads/a.jpg").status, 200)

    def test_what_needs_a_restart_is_said(self):
        server = self.serve()
        mark = self.reload(server, {"server": {"listen": ["127.0.0.1:0", "[::1]:0"]}, "workers": {"queue": 7},
                                    "cache": {"memory": "1MiB"}, "move": {"grace": "7s"}})
        _, end = server.wait_log("configuration reloaded", after=mark)
        said = [match[1] for line in server.log()[mark:end]
                if (match := re.search(r" (\S+) has changed and takes effect with a restart", line))]
        self.assertEqual(said, ["server.listen", "workers.queue", "cache.memory", "move.grace"])

    def test_whom_to_trust_and_how_long_to_wait_change_too(self):
        server = self.serve()
        with server.connect() as before:
            self.assertEqual(before.get("/uploads/a.jpg").status, 404)
            mark = self.reload(server, {"timeouts": {"header": "100ms", "idle": "100ms", "idle_edge": "10m"},
                                        "limits": {"connections_per_peer": 1, "connections_per_edge_peer": 2},
                                        "edge": {"trusted_ranges": ["127.0.0.2"]}})
            server.wait_log("configuration reloaded", after=mark)
            tidepool.eventually(lambda: server.get("/uploads/a.jpg").status == 429, "the new limit holds")
            with server.connect(source=("127.0.0.2", 0)) as edge:
                self.assertEqual(edge.get("/uploads/a.jpg").status, 404)
                self.assertEqual(before.get("/uploads/a.jpg").status, 404)
                self.assertEqual(before.read_to_end(), (b"", "fin"))
                self.assertEqual(edge.get("/uploads/a.jpg").status, 404)

    def test_no_request_fails_while_it_reloads_again_and_again(self):
        server = self.serve({"server": {"threads": 2}})
        content = server.tree.image("a.jpg", size=100_000)
        done = threading.Event()
        failures, counts = [], [0, 0]

        def look(number):
            try:
                with server.connect() as wire:
                    while not done.is_set():
                        answer = wire.get("/uploads/a.jpg")
                        if answer.status != 200 or answer.closes or answer.body != content:
                            failures.append(repr(answer))
                        counts[number] += 1
            except (OSError, AssertionError) as error:
                failures.append(repr(error))
        threads = [threading.Thread(target=look, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(10):
                before = counts[:]
                tidepool.eventually(lambda before=before: failures or all(
                    now > then for now, then in zip(counts, before, strict=True)), "the clients get answers")
                mark = self.reload(server, {"limits": {"ranges": 1 + turn}})
                server.wait_log("configuration reloaded", after=mark)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])

    def test_a_file_that_is_gone_changes_nothing(self):
        server = self.serve()
        mark = len(server.log())
        server.config_file.unlink()
        server.signal(signal.SIGHUP)
        _, end = server.wait_log("configuration not reloaded, the old one is kept", after=mark)
        self.assertIn(str(server.config_file), "\n".join(server.log()[mark:end]))
        self.assertEqual(server.get("/uploads/a.jpg").status, 404)


class TakeOver(tidepool.OwnServerCase):
    ROUNDS = 1 if tidepool.SANITIZED else 3

    def test_no_request_fails_under_wrk_while_servers_follow_each_other(self):
        server = self.serve({"server": {"drain_idle": "500ms", "threads": 2},
                             "limits": {"connections_per_peer": 10000}})
        contents = {f"/uploads/{i}.jpg": server.tree.image(f"{i}.jpg", size=size)
                    for i, size in enumerate((700, 20_000, 150_000, 2_000_000))}
        wrks = [subprocess.Popen(["wrk", *options, "-d", f"{4 + 3 * self.ROUNDS}s", "--timeout", "30s",
                                  "http://%s:%d/uploads/1.jpg" % server.address], stdout=subprocess.PIPE, text=True)
                for options in (("-t2", "-c24"), ("-t1", "-c4", "-H", "Connection: close"))]
        done = threading.Event()
        counts, failures = [0, 0], []

        def look(keep_alive):
            wire = None
            number = 0
            try:
                while not done.is_set():
                    number += 1
                    path = f"/uploads/{number % len(contents)}.jpg"
                    wire = wire or server.connect()
                    answer = wire.get(path, *([] if keep_alive else ["Connection: close"]))
                    if answer.status != 200 or answer.body != contents[path]:
                        failures.append(f"{path}: {answer}")
                    counts[keep_alive] += 1
                    if answer.closes:
                        if wire.read_to_end() != (b"", "fin"):
                            failures.append(f"{path}: no clean end")
                        wire.close()
                        wire = None
            except (OSError, AssertionError) as error:
                failures.append(repr(error))
            finally:
                if wire:
                    wire.close()

        threads = [threading.Thread(target=look, args=(keep_alive,)) for keep_alive in (True, True, False, False)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(self.ROUNDS):
                before = counts[:]
                tidepool.eventually(lambda: all(now > then + 20 for now, then in zip(counts, before, strict=True)),
                                    "the clients get answers", every_s=0.05)
                old = server.take_over()
                self.assertEqual(server.exit_of(old), 0)
                self.assertNotEqual(old, server.pid)
        finally:
            reports = [wrk.communicate()[0] for wrk in wrks]
            done.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        for report in reports:
            self.assertNotIn("Socket errors", report)
            self.assertNotIn("Non-2xx", report)
            self.assertGreater(int(re.search(r"(\d+) requests in", report)[1]), 100)

    def test_a_download_of_the_old_process_ends_well(self):
        server = self.serve()
        content = server.tree.image("large.jpg", size=LARGE)
        with server.connect(receive_buffer=4096) as wire:
            wire.send(tidepool.request("/uploads/large.jpg"))
            head = wire.read_head()
            old = server.take_over()
            self.assertEqual(server.get("/uploads/large.jpg", "Range: bytes=0-9").status, 206)
            self.assertEqual(wire.read_exactly(int(head["content-length"])), content)
        self.assertEqual(server.exit_of(old), 0)

    def test_a_new_binary_and_configuration_take_effect(self):
        server, binary = self.with_own_binary({"server": {"url_prefix": "/old/"}})
        server.tree.image("a.jpg")
        self.assertEqual(server.get("/old/a.jpg").status, 200)
        fresh = binary.with_suffix(".fresh")
        shutil.copy2(tidepool.BINARY, fresh)
        os.replace(fresh, binary)
        server.write_config({"server": {"url_prefix": "/new/"}})
        old = server.take_over()
        self.assertEqual(server.exit_of(old), 0)
        self.assertEqual(os.stat(f"/proc/{server.pid}/exe").st_ino, os.stat(binary).st_ino)
        self.assertEqual(server.get("/new/a.jpg").status, 200)
        self.assertEqual(server.get("/old/a.jpg").status, 404)

    def test_each_listener_keeps_its_address_and_its_part(self):
        server = self.serve()  # both listen on "127.0.0.1:0"
        server.tree.image("a.jpg")
        for _ in range(2):
            self.assertEqual(server.exit_of(server.take_over()), 0)
            self.assertEqual(server.get("/uploads/a.jpg").status, 200)
            self.assertEqual(server.get("/healthz").status, 404)
            self.assertEqual(server.admin_get("/healthz").status, 200)
            self.assertEqual(server.admin_get("/uploads/a.jpg").status, 404)

    def test_addresses_come_and_go_with_the_configuration(self):
        with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as other:
            addresses = [free.getsockname(), other.getsockname()]
        texts = ["%s:%d" % address for address in addresses]
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        server = self.serve({"server": {"listen": [texts[0], f"unix:{folder}/s"]}})
        server.tree.image("a.jpg")
        self.assertTrue((folder / "s").exists())
        server.write_config({"server": {"listen": [texts[1]]}})
        self.assertEqual(server.exit_of(server.take_over()), 0)
        with tidepool.Wire(addresses[1]) as wire:
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        self.assertTrue(Drain.refuses(addresses[0]))
        self.assertFalse((folder / "s").exists())

    def test_every_connection_is_accepted_where_the_number_of_loops_changes(self):
        server = self.serve({"server": {"threads": 3}})
        server.tree.image("a.jpg")
        for threads in (1, 4, 2):
            server.write_config({"server": {"threads": threads}})
            self.assertEqual(server.exit_of(server.take_over()), 0)
            for _ in range(60):  # the kernel deals them out to every socket that there is
                self.assertEqual(server.get("/uploads/a.jpg").status, 200)

    def test_descriptors_do_not_pile_up_over_generations(self):
        server = self.serve({"access_log": {"path": "-"}})

        def descriptors():
            return sorted(re.sub(r"\d+", "", target) for target in tidepool.open_files(server.pid))
        counts = []
        for _ in range(3):
            self.assertEqual(server.exit_of(server.take_over()), 0)
            counts.append(descriptors())
        self.assertEqual(counts[1], counts[0])
        self.assertEqual(counts[2], counts[0])

    def test_a_second_wish_for_a_successor_starts_no_second_one(self):
        server, binary = self.with_own_binary()
        self.stuck(binary)
        server.signal(signal.SIGUSR2)
        match, mark = server.wait_log(r"successor started pid=(\d+)")
        server.signal(signal.SIGUSR2)
        server.signal(signal.SIGHUP)  # signals are taken by their number, so this one before
        server.wait_log("configuration reloaded", after=mark)
        server.signal(signal.SIGHUP)
        server.wait_log("configuration reloaded", after=server.wait_log("configuration reloaded", after=mark)[1] + 1)
        os.kill(int(match[1]), signal.SIGTERM)
        server.wait_log("successor ended before it served, going on")
        self.assertEqual(len([line for line in server.log() if "successor started" in line]), 1)
        self.assertEqual(server.get("/uploads/none.jpg").status, 404)

    def test_whoever_ends_the_server_ends_the_successor_that_is_starting(self):
        server, binary = self.with_own_binary({"server": {"drain_timeout": "300ms"}})
        server.tree.image("large.jpg", size=LARGE)
        self.stuck(binary)
        with server.connect(receive_buffer=4096) as wire:
            wire.send(tidepool.request("/uploads/large.jpg"))
            wire.read_head()
            server.signal(signal.SIGUSR2)
            match, _ = server.wait_log(r"successor started pid=(\d+)")
            server.signal(signal.SIGTERM)
            server.wait_log("drain timeout, cutting connections=1")
            self.assertEqual(wire.read_to_end()[1], "rst")
        server.stop()
        successor = int(match[1])

        def gone():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(successor, os.WNOHANG)  # it may have become our child
            return not pathlib.Path(f"/proc/{successor}").exists()
        tidepool.eventually(gone, "the successor has ended")

    def with_own_binary(self, config=None):
        """A server whose binary may be changed."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        binary = folder / "tidepool"
        shutil.copy2(tidepool.BINARY, binary)
        return self.serve(config, binary=str(binary)), binary

    @staticmethod
    def stuck(binary):
        """Puts a program into its place that never begins to serve."""
        fresh = binary.with_suffix(".fresh")
        fresh.write_text("#!/bin/sh\nexec sleep 600\n")
        fresh.chmod(0o755)
        os.replace(fresh, binary)

    def test_a_successor_that_cannot_start_changes_nothing(self):
        server = self.serve()
        server.tree.image("a.jpg")
        server.write_config({"limits": {"ranges": 0}})
        mark = len(server.log())
        server.signal(signal.SIGUSR2)
        server.wait_log("successor ended before it served, going on", after=mark)
        self.assertEqual(server.get("/uploads/a.jpg").status, 200)
        server.write_config()
        old = server.take_over()  # a failed try is no hindrance to the next
        self.assertEqual(server.exit_of(old), 0)
        self.assertEqual(server.get("/uploads/a.jpg").status, 200)

    def test_a_binary_that_is_gone_changes_nothing(self):
        server, binary = self.with_own_binary()
        server.tree.image("a.jpg")
        binary.unlink()
        server.signal(signal.SIGUSR2)
        server.wait_log("no successor: start .*tidepool")
        self.assertEqual(server.get("/uploads/a.jpg").status, 200)

    def test_unix_sockets_are_handed_over_too(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        server = self.serve({"server": {"listen": [f"unix:{folder}/s", "127.0.0.1:0"]}})
        server.tree.image("a.jpg")
        old = server.take_over()
        self.assertEqual(server.exit_of(old), 0)
        with tidepool.Wire(f"{folder}/s") as wire:
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        server.stop()
        self.assertFalse((folder / "s").exists())


class Systemd(tidepool.OwnServerCase):
    def activated(self, names):
        """Listening sockets as systemd would pass them, from descriptor 3 on."""
        sockets = []
        for _ in names:
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            self.addCleanup(listener.close)
            sockets.append(listener)

        def place():  # in the child, before exec
            high = [os.dup2(listener.fileno(), 100 + i, inheritable=False) for i, listener in enumerate(sockets)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i, inheritable=True)
            os.environ["LISTEN_PID"] = str(os.getpid())
        # LISTEN_PID must be the server's own id, which only a program between fork and exec can know.
        return sockets, ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"], place

    def test_sockets_of_systemd_are_used(self):
        (public, admin), shell, place = self.activated(["http", "admin"])
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        tree = tidepool.Tree(folder / "uploads")
        tree.image("a.jpg")
        process = subprocess.Popen([*shell, tidepool.BINARY, "serve", "--root", str(tree.path)],
                                   env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:admin"},
                                   preexec_fn=place, close_fds=False, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True)
        pid = process.pid

        def said(pattern):
            for line in process.stderr:
                if match := re.search(pattern, line):
                    return match
            self.fail(f"the log never said {pattern}")

        def serves():
            with tidepool.Wire(public.getsockname()) as wire:
                self.assertEqual(wire.get("/uploads/a.jpg", "Connection: close").status, 200)
            with tidepool.Wire(admin.getsockname()) as wire:
                self.assertEqual(wire.get("/readyz", "Connection: close").status, 200)
        try:
            said("serving version=")
            serves()
            process.send_signal(signal.SIGUSR2)
            pid = int(said(r"successor serves pid=(\d+)")[1])
            self.assertEqual(process.wait(tidepool.PATIENCE_S), 0)
            serves()
            os.kill(pid, signal.SIGTERM)
            process.stderr.read()
            self.assertEqual(tidepool.wait_exit(pid), 0)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
            process.stderr.close()
        # The socket stays systemd's: whoever comes now waits for the next start.
        tidepool.Wire(public.getsockname()).close()

    def test_the_service_manager_is_told(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(folder / "notify"))
        manager.settimeout(tidepool.PATIENCE_S)
        server = self.serve(environment={"NOTIFY_SOCKET": str(folder / "notify")})
        self.assertEqual(manager.recv(4096), b"READY=1")
        server.signal(signal.SIGHUP)
        self.assertRegex(manager.recv(4096), rb"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertEqual(manager.recv(4096), b"READY=1")
        old = server.take_over()
        self.assertEqual(manager.recv(4096), b"READY=1")  # of the successor
        self.assertEqual(manager.recv(4096), b"MAINPID=%d" % server.pid)
        self.assertEqual(server.exit_of(old), 0)
        server.signal(signal.SIGTERM)
        self.assertEqual(manager.recv(4096), b"STOPPING=1")
        server.stop()


    def test_sockets_for_another_process_are_not_touched(self):
        server = self.serve(environment={"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"})
        self.assertEqual(server.get("/uploads/none.jpg").status, 404)

    def test_the_service_manager_is_told_of_a_failed_reload_s_end_too(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(folder / "notify"))
            manager.settimeout(tidepool.PATIENCE_S)
            server = self.serve(environment={"NOTIFY_SOCKET": str(folder / "notify")})
            self.assertEqual(manager.recv(4096), b"READY=1")
            server.write_config({"limits": {"ranges": 0}})
            server.signal(signal.SIGHUP)
            told = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", manager.recv(4096))
            self.assertLess(abs(int(told[1]) / 1e6 - time.monotonic()), tidepool.PATIENCE_S)
            self.assertEqual(manager.recv(4096), b"READY=1")


class Start(tidepool.OwnServerCase):
    def test_help_and_version_are_no_failures(self):
        for arguments in (("--help",), ("--version",), ("serve", "--help"), ("check", "--help")):
            with self.subTest(arguments=arguments):
                status, out, error = tidepool.run_tool(*arguments)
                self.assertEqual((status, error), (0, ""))
                self.assertTrue(out.strip())

    def test_a_folder_that_is_not_there_yet_is_said_and_waited_for(self):
        server = self.serve(pools=[{"name": "late", "base_path": "/nowhere-at-all/late"}])
        self.assertTrue([line for line in server.log() if "pool late: base path /nowhere-at-all/late" in line])
        self.assertEqual(server.admin_get("/readyz").status, 503)
        self.assertEqual(server.get("/uploads/a.jpg").status, 503)

    def test_a_dead_unix_socket_is_replaced_and_a_live_one_is_not(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(folder / "s"))
            dead.listen()
        first = self.serve({"server": {"listen": [f"unix:{folder}/s"], "socket_mode": "0600"}})
        self.assertEqual(os.stat(folder / "s").st_mode & 0o777, 0o600)
        status, _, error = tidepool.run_tool("serve", "--root", str(first.tree.path), "--listen", f"unix:{folder}/s")
        self.assertEqual(status, 1)
        self.assertRegex(error, rf"cannot listen: .*unix:{folder}/s.*in use")
        self.assertEqual(first.get("/uploads/none.jpg").status, 404)

    def test_an_admin_port_in_use_is_an_error_too(self):
        first = self.serve()
        status, _, error = tidepool.run_tool("serve", "--root", str(first.tree.path), "--listen", "127.0.0.1:0",
                                             "--admin-listen", "%s:%d" % first.admin[0])
        self.assertEqual(status, 1)
        self.assertRegex(error, r"cannot listen: .*%s:%d.*in use" % first.admin[0])

    def test_a_port_in_use_is_an_error_that_names_it(self):
        first = self.serve()
        address = "%s:%d" % first.address
        status, _, error = tidepool.run_tool("serve", "--root", str(first.tree.path), "--listen", address)
        self.assertEqual(status, 1)
        self.assertRegex(error, rf"cannot listen: .*{re.escape(address)}.*in use")
        self.assertEqual(first.get("/uploads/none.jpg").status, 404)

    def test_every_problem_of_a_file_is_reported_at_once(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        file = folder / "bad.toml"
        file.write_text('[server]\nlisten = "127.0.0.1:0"\nthreds = 2\n[limits]\nheaders = "64GiB"\nranges = "many"\n'
                        f'[[pool]]\nname = "Hot"\nbase_path = "{folder}"\n')
        for command in (("serve", "-c"), ("check", "-c")):
            with self.subTest(command=command[0]):
                status, out, error = tidepool.run_tool(*command, str(file))
                self.assertEqual(status, 2, out + error)
                said = out + error
                for wanted in (rf"{file}:2.*server\.listen", rf"{file}:3.*threds.*threads", rf"{file}:5.*limits\.headers",
                               rf"{file}:6.*limits\.ranges", rf"{file}:8.*name"):
                    self.assertRegex(said, wanted)

    def test_wrong_command_lines_are_explained(self):
        for arguments in ((), ("serve",), ("serve", "--root", "/nowhere-at-all"), ("serve", "-c", "/nowhere.toml"),
                          ("serve", "-c", "x", "--root", "/tmp"), ("swim",), ("check",),
                          ("serve", "--root", "/tmp", "--listen", "localhost:80")):
            with self.subTest(arguments=arguments):
                status, out, error = tidepool.run_tool(*arguments)
                self.assertEqual(status, 2)
                self.assertTrue((out + error).strip())

    def test_check_passes_a_good_file_and_names_a_missing_folder(self):
        server = self.serve()
        status, out, error = tidepool.run_tool("check", "-c", str(server.config_file))
        self.assertEqual(status, 0, out + error)
        server.write_config(extra='[[pool]]\nname = "gone"\nbase_path = "/nowhere-at-all"\n')
        status, out, error = tidepool.run_tool("check", "-c", str(server.config_file))
        self.assertNotEqual(status, 0)
        self.assertRegex(out + error, "/nowhere-at-all")

    def test_serve_root_needs_no_file(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        tidepool.Tree(folder).image("original/a.jpg")
        process = tidepool.Process(["serve", "--root", str(folder), "--listen", "127.0.0.1:0", "--listen", "[::1]:0",
                                    "--admin-listen", "127.0.0.1:0"])
        try:
            for host in ("127.0.0.1", r"\[::1\]"):
                match, _ = process.wait_log(rf"listening address=({host}:\d+) listener=public")
                with tidepool.Wire(tidepool.parse_address(match[1])) as wire:
                    self.assertEqual(wire.get("/uploads/original/a.jpg").status, 200)
            process.signal(signal.SIGTERM)
            self.assertEqual(tidepool.wait_exit(process.pid, process.child), 0)
        finally:
            process.child.kill()
            process.child.wait()
            process.child.stderr.close()


class ProgramLog(tidepool.OwnServerCase):
    def test_standard_error_that_nobody_reads_holds_nothing_up(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        tree = tidepool.Tree(folder / "uploads")
        content = tree.image("a.jpg")
        names = [f"{number}-{'x' * 180}.html" for number in range(600)]
        for name in names:
            tree.image(name, "text/html", size=100)
        config = folder / "tidepool.toml"
        config.write_text(
            '[server]\nlisten = ["127.0.0.1:0"]\n[admin]\nlisten = []\n[catalog]\nurl = ""\n[log]\nlevel = "debug"\n'
            + tidepool.toml_section("[[pool]]", {"name": "hot", "base_path": tree.path}))
        child = subprocess.Popen([tidepool.BINARY, "serve", "-c", str(config)], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(lambda: (child.kill(), child.wait(), child.stderr.close()))
        said = b""
        while b"serving version" not in said:
            said += os.read(child.stderr.fileno(), 65536)
        address = tidepool.parse_address(re.search(r"address=(\S+) listener=public", said.decode())[1])
        with tidepool.Wire(address) as wire:
            for name in names:  # each is worth a line
                self.assertEqual(wire.get(f"/uploads/{name}").status, 404)
            self.assertEqual(wire.get("/uploads/a.jpg").body, content)
        while b"is not in types.allowed" not in said or len(said) < 40_000:
            said += os.read(child.stderr.fileno(), 65536)
        child.terminate()
        said += child.stderr.read()
        self.assertEqual(child.wait(), 0)
        self.assertRegex(said.decode(), r"\n\d+ lines were not written: nobody reads standard error\n")


if __name__ == "__main__":
    tidepool.main()
