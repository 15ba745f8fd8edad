"""A server over a bucket of cold images, and crowds of clients for it.

    class Some(cold.ColdCase):
        def test_it(self):
            content = self.put("a.jpg", 5_000_000)
            server = self.serve_cold()
            answers = cold.crowd(server, [("/uploads/a.jpg", content)] * 500)
"""

import collections
import errno
import hashlib
import pathlib
import selectors
import socket
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import b2  # noqa: E402
import tcp_fault  # noqa: E402
import tidepool  # noqa: E402

BUCKET = "tidepool-cold"
# Impatient with the origin, for tests that make it fail: what a stall costs is short.
IMPATIENT = {"connect_timeout": "2s", "first_byte_timeout": "2s" if tidepool.SANITIZED else "1s",
             "stall_timeout": "2s" if tidepool.SANITIZED else "500ms", "tries": 4}

Store = collections.namedtuple("Store", "s3_url region key")


def pools_of(folder, *buckets):
    return [{"name": "hot", "base_path": pathlib.Path(folder) / "uploads"}, *buckets]


def scan(server, secret, *arguments):
    """Takes what is in the pools into the catalog."""
    status, out, error = tidepool.run_tool("scan", "-c", str(server.config_file), *arguments,
                                           environment={"TIDEPOOL_TEST_S3_SECRET": secret})
    if status != 0:
        raise AssertionError(f"scan ended with {status}: {out} {error}")


class ColdCase(tidepool.OwnServerCase):
    """Each test has a B2 of its own with the bucket BUCKET, and the servers that it starts over it."""

    PUBLIC = False

    def setUp(self):
        self.b2 = b2.B2()
        self.addCleanup(self.b2.stop)
        self.b2.bucket(BUCKET, public=self.PUBLIC)
        self.contents = {}

    def put(self, name, size=100_000, content_type="image/jpeg", **options):
        """An object uploads/NAME of that size, with bytes of its own; returns them."""
        content = tidepool.make_image(content_type, size, name)
        self.b2.put(BUCKET, f"uploads/{name}", content, content_type, **options)
        self.contents[name] = content
        return content

    def fault_proxy(self, face="s3"):
        """A TCP proxy in front of the bucket; serve_cold(url=proxy.url) goes through it."""
        proxy = tcp_fault.TcpFault(getattr(self.b2, f"{face}_address"))
        self.addCleanup(proxy.stop)
        return proxy

    def serve_cold(self, config=None, url=None, hashed=False, pool=None, scanned=True, folder=None,
                   environment=None):
        """A server with a local pool "hot" and the bucket as "cold", which knows of all objects.

        `hashed`: also of their SHA-256. What it took to learn that does not count as a request.
        """
        folder = folder or tempfile.mkdtemp(prefix="tidepool-test-")
        config = {name: dict(section) for name, section in (config or {}).items()}
        config.setdefault("limits", {}).setdefault("connections_per_peer", 5000)
        cold = tidepool.bucket_pool(Store(url or self.b2.s3_url, self.b2.region, self.b2.key), BUCKET, **(pool or {}))
        server = self.serve(config, pools=pools_of(folder, cold), folder=folder,
                            environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret, **(environment or {})})
        if scanned:
            scan(server, self.b2.key.secret, *(["--hash"] if hashed else []))
        self.b2.clear_requests()
        return server

    def fetches(self, name=None):
        """The requests for an object's bytes that the bucket got."""
        entries = [entry for entry in self.b2.requests if entry.method == "GET" and entry.price == "B"]
        return [entry for entry in entries if name is None or entry.key == f"uploads/{name}"]

    def assert_refusal(self, answer, *statuses):
        """An answer for now, which nobody may keep (invariant 8)."""
        self.assertIn(answer.status, statuses, answer)
        self.assertEqual(answer["cache-control"], "no-store")
        self.assertGreaterEqual(int(answer["retry-after"]), 1)

    def assert_served(self, server, name, status=200):
        answer = server.get(f"/uploads/{name}")
        self.assertEqual(answer.status, status, answer)
        self.assertTrue(answer.body == self.contents[name], f"{name} is not what it should be")
        return answer

    def shelf_files(self, server):
        return [path for path in (server.folder / "shelf").glob("??/*") if path.is_file()]

    def assert_shelf_is_right(self, server):
        """Each file on the shelf is an object of the bucket, or a stretch of one; nothing half made lies about."""
        for path in self.shelf_files(server):
            held = path.read_bytes()
            held, digest = held[:-32], held[-32:]
            self.assertEqual(hashlib.sha256(held).digest(), digest, path)
            self.assertTrue(any(held in content for content in self.contents.values()), f"{path} holds other bytes")
        tidepool.eventually(lambda: not list((server.folder / "shelf" / "partial").iterdir()), "no part is left")


# --- many clients at once ----------------------------------------------------------------------------------------------


class Client:
    """One of a crowd: a request on a connection of its own, and what became of it.

    `whole`: it got as many bytes as the head promised. `right`: none that it took differs from what is expected.
    `end`: "open", or how the server ended the connection, "fin" or "rst".
    """

    def __init__(self, path, expected, *fields):
        self.expected = expected
        self.left_to_send = tidepool.request(path, *fields)
        self.socket = None
        self.head, self.response = bytearray(), None
        self.received, self.right, self.end = 0, True, "open"
        self.error_body = b""
        self.done_s = None
        self.limit = None  # stops reading after so many bytes of the body

    @property
    def status(self):
        return None if self.response is None else self.response.status

    @property
    def whole(self):
        return self.response is not None and self.received == int(self.response["content-length"])

    @property
    def served(self):
        """It has all of the right bytes."""
        return self.whole and self.right and self.status in (200, 206) and self.received == len(self.expected)

    @property
    def finished(self):
        return self.end != "open" or self.whole

    def connect(self, address, receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setblocking(False)
        code = self.socket.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")

    def on_writable(self):
        sent = self.socket.send(self.left_to_send)
        self.left_to_send = self.left_to_send[sent:]

    def on_readable(self):
        """Takes what has come; True where something has."""
        size = 262_144 if self.limit is None else max(1, min(262_144, self.limit - self.received))
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self.end = "rst"
            return True
        if not data:
            self.end = "fin"
        elif self.response is None:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end >= 0:
                self.response = tidepool.parse_head(bytes(self.head[:end]))
                self._take(bytes(self.head[end + 4:]))
        else:
            self._take(data)
        return True

    def _take(self, data):
        if self.status in (200, 206):
            self.right = self.right and data == self.expected[self.received:self.received + len(data)]
        else:
            self.error_body += data
        self.received += len(data)

    def leave(self):
        if self.socket is not None:
            self.socket.close()

    def __repr__(self):
        size = None if self.response is None else self.response["content-length"]
        return f"<{self.status} {self.received}/{size} right={self.right} {self.end}>"


class Crowd:
    """Clients that a loop in this thread serves. All are connected before the first one asks."""

    def __init__(self, server, clients, receive_buffer=None):
        self.clients = clients
        self.begun_s = time.monotonic()
        for client in clients:
            client.connect(server.address, receive_buffer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def leave(self):
        for client in self.clients:
            client.leave()

    def run(self, until=lambda client: client.finished, patience_s=tidepool.PATIENCE_S, clients=None):
        """Serves the clients, each until this is true of it."""
        deadline = time.monotonic() + patience_s
        with selectors.DefaultSelector() as selector:
            waiting = 0
            for client in clients or self.clients:
                if not until(client):
                    events = selectors.EVENT_WRITE if client.left_to_send else selectors.EVENT_READ
                    selector.register(client.socket, events, client)
                    waiting += 1
            while waiting:
                if time.monotonic() > deadline:
                    left = [key.data for key in selector.get_map().values()]
                    raise AssertionError(f"{len(left)} clients are not done: {left[:5]}")
                for key, events in selector.select(1):
                    client = key.data
                    if client.left_to_send:
                        client.on_writable()
                        if not client.left_to_send:
                            selector.modify(client.socket, selectors.EVENT_READ, client)
                        continue
                    client.on_readable()
                    if until(client):
                        client.done_s = time.monotonic()
                        selector.unregister(client.socket)
                        waiting -= 1
        return self

    @property
    def took_s(self):
        return max(client.done_s for client in self.clients) - self.begun_s


def crowd(server, wanted, meanwhile=None):
    """Asks for all of [(path, expected bytes, header lines...)] at once; the clients when all are done."""
    with Crowd(server, [Client(*each) for each in wanted]) as all_of_them:
        if meanwhile is not None:
            meanwhile(all_of_them)
        return all_of_them.run().clients


def anonymous_bytes(pid):
    """What a process holds in memory of its own."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no RssAnon of {pid}")
