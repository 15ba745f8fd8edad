"""Clients whose requests the kernel tells of at the same time: received, answered and sent together (server.io_uring)."""

import contextlib
import ctypes
import functools
import os
import pathlib
import re
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

CLIENTS = 150
RING = "anon_inode:[io_uring]"


def kernel_has_rings():
    """Whether this machine's kernel gives one to who asks."""
    io_uring_setup = 425
    ring = ctypes.CDLL(None, use_errno=True).syscall(io_uring_setup, 1, ctypes.create_string_buffer(120))
    if ring >= 0:
        os.close(ring)
    release = tuple(int(part) for part in re.match(r"(\d+)\.(\d+)", os.uname().release).groups())
    return ring >= 0 and release >= (6, 1)


def ring_calls(server):
    """How many calls its rings have taken."""
    taken = 0
    for link in pathlib.Path(f"/proc/{server.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(link) == RING:
                state = pathlib.Path(f"/proc/{server.pid}/fdinfo/{link.name}").read_text()
                taken += int(re.search(r"SqTail:\s*(\d+)", state)[1])
    return taken


def by_each_way(test):
    @functools.wraps(test)
    def run(self):
        for io_uring in (True, False):
            with self.subTest(io_uring=io_uring):
                test(self, self.start(io_uring))
    return run


class ManyAtOnce(tidepool.OwnServerCase):
    def start(self, io_uring):
        server = self.serve({"server": {"threads": 1, "io_uring": io_uring}})
        self.contents = {f"/uploads/{number}.jpg": server.tree.image(f"{number}.jpg", size=size)
                         for number, size in enumerate((500, 20_000, 90_000, 700_000))}
        wanted = 1 if io_uring and kernel_has_rings() else 0
        tidepool.eventually(lambda: tidepool.open_files(server.pid).count(RING) == wanted, f"{wanted} rings")
        self.has_ring = wanted == 1
        return server

    def at_once(self, server, do):
        """What happens while the server stands still comes to it in one go."""
        server.signal(signal.SIGSTOP)
        try:
            do()
        finally:
            server.signal(signal.SIGCONT)

    @by_each_way
    def test_each_gets_its_own_answer(self, server):
        wires = [server.connect() for _ in range(CLIENTS)]
        etags = {path: server.get(path)["etag"] for path in self.contents}
        paths = [list(self.contents)[number % len(self.contents)] for number in range(CLIENTS)]

        def ask(kind):
            for number, (wire, path) in enumerate(zip(wires, paths)):
                match (number + kind) % 5:
                    case 0: wire.send(tidepool.request(path))
                    case 1: wire.send(tidepool.request(path, method="HEAD"))
                    case 2: wire.send(tidepool.request(path, f"If-None-Match: {etags[path]}"))
                    case 3: wire.send(tidepool.request(path, "Range: bytes=100-399"))
                    case 4: wire.send(tidepool.request(path) + tidepool.request("/uploads/none.jpg"))

        for kind in range(5):
            self.at_once(server, lambda kind=kind: ask(kind))
            for number, (wire, path) in enumerate(zip(wires, paths)):
                which = (number + kind) % 5
                answer = wire.response(head_only=which == 1)
                self.assertEqual((answer.status, answer["etag"]), ((200, 200, 304, 206, 200)[which], etags[path]))
                if which in (0, 4):
                    self.assertTrue(answer.body == self.contents[path], path)
                if which == 3:
                    self.assertTrue(answer.body == self.contents[path][100:400], path)
                if which == 4:
                    self.assertEqual(wire.response().status, 404)
        # Neither what was received nor what was sent is as much: a ring was used for both.
        self.assertGreater(ring_calls(server), CLIENTS * 5 if self.has_ring else -1)
        for wire in wires:
            wire.close()

    @by_each_way
    def test_who_goes_meanwhile_costs_the_others_nothing(self, server):
        path = "/uploads/1.jpg"
        wires = [server.connect() for _ in range(CLIENTS)]
        for wire in wires:
            self.assertEqual(wire.get(path).status, 200)

        def ask():
            for number, wire in enumerate(wires):
                match number % 5:
                    case 0: wire.send(tidepool.request(path))
                    case 1: wire.send(tidepool.request(path)).reset()
                    case 2: wire.send(tidepool.request(path)).finish_sending()
                    case 3: wire.close()
                    case 4: wire.send(tidepool.request(path)[:20])

        self.at_once(server, ask)
        for number, wire in enumerate(wires):
            if number % 5 in (1, 3):
                continue
            if number % 5 == 4:
                wire.send(tidepool.request(path)[20:])
            self.assertTrue(wire.response().body == self.contents[path])
            if number % 5 == 2:
                self.assertEqual(wire.read_to_end(), (b"", "fin"))
            wire.close()
        tidepool.eventually(lambda: server.metrics().sum("tidepool_connections") <= 1, "only who asks is left")

    @by_each_way
    def test_they_read_slowly(self, server):
        """So that their sockets are full at once, and what is left is sent as they take it."""
        path = "/uploads/3.jpg"
        wires = [server.connect(receive_buffer=4096) for _ in range(30)]
        self.at_once(server, lambda: [wire.send(tidepool.request(path)) for wire in wires])
        for wire in wires:
            self.assertTrue(wire.response().body == self.contents[path])
            wire.close()


if __name__ == "__main__":
    tidepool.main()
