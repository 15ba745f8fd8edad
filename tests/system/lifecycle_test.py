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
import unittest

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
        mark = self.reload(server, {"workers": {"queue": 7}, "cache": {"memory": "1MiB"}})
        _, end = server.wait_log("configuration reloaded", after=mark)
        said = "\n".join(server.log()[mark:end])
        self.assertIn("[workers] has changed", said)
        self.assertIn("[cache] has changed", said)


class TakeOver(tidepool.OwnServerCase):
    ROUNDS = 1 if tidepool.SANITIZED else 3

    def test_no_request_fails_under_wrk_while_servers_follow_each_other(self):
        server = self.serve({"server": {"drain_idle": "500ms", "threads": 2},
                             "limits": {"connections_per_peer": 10000}})
        contents = {f"/uploads/{i}.jpg": server.tree.image(f"{i}.jpg", size=size)
                    for i, size in enumerate((700, 20_000, 150_000, 2_000_000))}
        wrk = subprocess.Popen(
            ["wrk", "-t2", "-c24", "-d", f"{4 + 3 * self.ROUNDS}s", "--timeout", "30s",
             "http://%s:%d/uploads/1.jpg" % server.address], stdout=subprocess.PIPE, text=True)
        self.addCleanup(wrk.wait)
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
            report = wrk.communicate()[0]
            done.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
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
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        binary = folder / "tidepool"
        shutil.copy2(tidepool.BINARY, binary)
        server = self.serve({"server": {"url_prefix": "/old/"}}, binary=str(binary))
        server.tree.image("a.jpg")
        self.assertEqual(server.get("/old/a.jpg").status, 200)
        fresh = folder / "fresh"
        shutil.copy2(tidepool.BINARY, fresh)
        os.replace(fresh, binary)
        server.write_config({"server": {"url_prefix": "/new/"}})
        old = server.take_over()
        self.assertEqual(server.exit_of(old), 0)
        self.assertEqual(os.stat(f"/proc/{server.pid}/exe").st_ino, os.stat(binary).st_ino)
        self.assertEqual(server.get("/new/a.jpg").status, 200)
        self.assertEqual(server.get("/old/a.jpg").status, 404)

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
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        binary = folder / "tidepool"
        shutil.copy2(tidepool.BINARY, binary)
        server = self.serve(binary=str(binary))
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


class Start(tidepool.OwnServerCase):
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


if __name__ == "__main__":
    tidepool.main()
