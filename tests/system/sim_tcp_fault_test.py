"""The TCP fault proxy: each fault over real sockets, exact to the byte, and each of them changed while it acts."""

import pathlib
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import sockets  # noqa: E402
import tcp_fault  # noqa: E402

DATA = bytes(range(256)) * 4000  # 1 MB


class TcpFaultCase(unittest.TestCase):
    """A target that answers a line "N\\n" by N bytes of DATA and ends in order when the client does."""

    def setUp(self):
        self.received = []
        self.ends = []  # how connections ended for the target
        self.news = threading.Condition()
        self.target = sockets.Listener(self.serve)
        self.addCleanup(self.target.stop)
        self.proxy = tcp_fault.TcpFault(self.target.address)
        self.addCleanup(self.proxy.stop)

    def serve(self, sock, _):
        line = b""
        try:
            while data := sock.recv(65536):
                line += data
                with self.news:
                    self.received.append(data)
                    self.news.notify_all()
                while b"\n" in line:
                    wanted, _, line = line.partition(b"\n")
                    if wanted.isdigit():
                        sock.sendall(DATA[:int(wanted)])
            end = "fin"
        except ConnectionResetError:
            end = "rst"
        except OSError:
            end = "error"
        with self.news:
            self.ends.append(end)
            self.news.notify_all()

    def wait_for(self, condition):
        with self.news:
            self.assertTrue(self.news.wait_for(condition, 45), (self.received[-3:], self.ends))

    def connect(self):
        sock = socket.create_connection(self.proxy.address)
        sock.settimeout(45)
        self.addCleanup(sock.close)
        return sock

    @staticmethod
    def read(sock, count=None):
        """(bytes, None or how the connection ended)."""
        taken = bytearray()
        try:
            while count is None or len(taken) < count:
                data = sock.recv(65536 if count is None else count - len(taken))
                if not data:
                    return bytes(taken), "fin"
                taken += data
        except ConnectionResetError:
            return bytes(taken), "rst"
        return bytes(taken), None

    def nothing_comes(self, sock):
        sock.settimeout(0.05)
        with self.assertRaises(TimeoutError):
            sock.recv(1)
        sock.settimeout(45)

    def test_it_passes_everything_on(self):
        with self.connect() as sock:
            for _ in range(3):
                sock.sendall(b"1000000\n")
                self.assertTrue(self.read(sock, 1_000_000) == (DATA[:1_000_000], None))
            sock.sendall(b"5\n")
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(self.read(sock), (DATA[:5], "fin"))
        self.wait_for(lambda: self.ends == ["fin"])
        self.assertEqual((self.proxy.accepted, self.proxy.bytes), (1, {"up": 26, "down": 3_000_005}))
        self.proxy.wait_connections(0)

    def test_cuts(self):
        number = 0
        for after in (0, 1, 1000, 700_000):
            for how in ("fin", "rst"):
                with self.subTest(after=after, how=how):
                    rule = self.proxy.cut(after, how, count=1)
                    with self.connect() as sock:
                        sock.sendall(b"900000\n")
                        data, end = self.read(sock)
                    self.assertEqual((len(data), end), (after, how))
                    self.assertTrue(data == DATA[:after])
                    number += 1
                    self.wait_for(lambda: len(self.ends) == number)
                    self.assertEqual(rule.hits, 1)
        with self.connect() as sock:
            sock.sendall(b"900000\n")
            self.assertEqual(len(self.read(sock, 900_000)[0]), 900_000)

    def test_a_cut_of_what_goes_up(self):
        self.proxy.cut(3, "rst", "up")
        sock = self.connect()
        sock.sendall(b"abcdef")
        self.wait_for(lambda: self.ends == ["rst"])
        self.assertEqual(b"".join(self.received), b"abc")
        self.assertEqual(self.read(sock)[1], "rst")

    def test_a_cut_counts_from_when_it_was_made(self):
        sock = self.connect()
        sock.sendall(b"100\n")
        self.read(sock, 100)
        self.proxy.cut(50)
        sock.sendall(b"100\n")
        self.assertEqual(self.read(sock), (DATA[:50], "fin"))

    def test_stalls(self):
        stalled = self.proxy.stall(after=1000)
        first, second = self.connect(), self.connect()
        for sock in (first, second):
            sock.sendall(b"200000\n")
            self.assertEqual(self.read(sock, 1000), (DATA[:1000], None))
        stalled.wait_hits(2)
        self.nothing_comes(first)
        stalled.release()
        for sock in (first, second):
            self.assertTrue(self.read(sock, 199_000) == (DATA[1000:200_000], None))

    def test_a_stall_of_what_goes_up(self):
        stalled = self.proxy.stall(after=2, direction="up", count=1)
        first, second = self.connect(), self.connect()
        first.sendall(b"10\n")
        stalled.wait_hits()
        second.sendall(b"10\n")
        self.assertEqual(self.read(second, 10), (DATA[:10], None))
        self.wait_for(lambda: b"10" in self.received)
        self.nothing_comes(first)
        self.proxy.heal()
        self.assertEqual(self.read(first, 10), (DATA[:10], None))

    def test_delays(self):
        sock = self.connect()
        for up, down in ((0.1, 0), (0, 0.1), (0.1, 0.1)):
            self.proxy.delay(up, down)
            begun = time.monotonic()
            sock.sendall(b"1000000\n")
            self.assertTrue(self.read(sock, 1_000_000) == (DATA[:1_000_000], None))
            self.assertGreaterEqual(time.monotonic() - begun, up + down)
        self.proxy.heal()

    def test_a_throttle(self):
        self.proxy.throttle(down=100_000)
        sock = self.connect()
        begun = time.monotonic()
        sock.sendall(b"50000\n")
        self.assertTrue(self.read(sock, 50_000) == (DATA[:50_000], None))
        self.assertGreater(time.monotonic() - begun, 0.3)
        sock.sendall(b"1000000\n")
        self.read(sock, 1000)
        self.proxy.throttle()
        self.assertTrue(self.read(sock, 999_000) == (DATA[1000:1_000_000], None))

    def test_refused(self):
        sock = self.connect()
        sock.sendall(b"1\n")
        self.read(sock, 1)
        self.proxy.refuse()
        for _ in range(3):
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(self.proxy.address)
        sock.sendall(b"10\n")
        self.assertEqual(self.read(sock, 10), (DATA[:10], None))
        self.proxy.heal()
        again = self.connect()
        again.sendall(b"10\n")
        self.assertEqual(self.read(again, 10), (DATA[:10], None))
        self.assertEqual(self.proxy.accepted, 2)

    def test_accepted_and_then_silence(self):
        self.proxy.silence()
        sock = self.connect()
        sock.sendall(b"10\n")
        self.proxy.wait_connections(1)
        self.nothing_comes(sock)
        self.assertEqual(self.target.accepted, 0)
        self.proxy.heal()
        self.assertEqual(self.read(sock, 10), (DATA[:10], None))

    def test_dropped(self):
        socks = [self.connect() for _ in range(3)]
        for sock in socks:
            sock.sendall(b"1\n")
            self.read(sock, 1)
        self.proxy.drop()
        for sock in socks:
            self.assertEqual(self.read(sock), (b"", "rst"))
        self.wait_for(lambda: self.ends == ["rst"] * 3)

    def test_a_target_that_is_not_there(self):
        self.target.close()
        self.assertEqual(self.read(self.connect()), (b"", "rst"))

    def test_a_reset_goes_through(self):
        sock = self.connect()
        sock.sendall(b"1\n")
        self.read(sock, 1)
        sockets.end_by_rst(sock)
        self.wait_for(lambda: self.ends == ["rst"])

    def test_the_end_takes_everybody_along(self):
        self.proxy.stall(after=1)
        sock = self.connect()
        sock.sendall(b"10\n")
        self.read(sock, 1)
        self.proxy.stop()
        self.assertEqual(self.read(sock), (b"", "rst"))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(self.proxy.address)


if __name__ == "__main__":
    unittest.main()
