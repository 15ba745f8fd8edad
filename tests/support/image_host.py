"""An image host with three pools: "hot" and "warm" on disks, "cold" in a bucket of the B2 simulator.

    class Some(image_host.ImageHostCase):
        def test_it(self):
            image = self.new_image()
            server = self.start()
            self.tool("mv", image.uuid, "--to", "cold")
            self.assert_at("cold", image)
"""

import json
import pathlib
import sys
import tempfile
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cold  # noqa: E402
import tidepool  # noqa: E402

DAY = "2026/02/25"
SIZES = ("_small.webp", "_small.jpg", "_medium.webp")


class Image:
    """An original and its variants: their keys and contents."""

    def __init__(self, bytes_each=20_000):
        self.uuid = str(uuid.uuid4())
        self.original = f"uploads/original/{DAY}/{self.uuid}.jpg"
        self.contents = {self.original: tidepool.make_image("image/jpeg", bytes_each, self.uuid)}
        for size in SIZES:
            kind = "image/webp" if size.endswith("webp") else "image/jpeg"
            self.contents[f"uploads/variants/{DAY}/{self.uuid}{size}"] = tidepool.make_image(
                kind, bytes_each // 10, self.uuid + size)

    @property
    def keys(self):
        return list(self.contents)


class Reader(threading.Thread):
    """Asks for all keys again and again until it is stopped, and keeps what was not as it should be.

    A server that is not there is asked again, as the edge does; what it answers must be right.
    """

    def __init__(self, address, images, allowed=()):
        super().__init__(daemon=True)
        self.address, self.images, self.allowed = address, images, allowed
        self.wrong, self.answers, self.stopping = [], 0, threading.Event()

    def run(self):
        while not self.stopping.is_set():
            for image in list(self.images):
                for key, content in image.contents.items():
                    if self.stopping.is_set():
                        return
                    self.ask(key, content)

    def ask(self, key, content):
        try:
            with tidepool.Wire(self.address()) as wire:
                answer = wire.get(f"/{key}")
        except (OSError, EOFError, tidepool.NotHttp, AssertionError):
            time.sleep(0.01)  # tidy: allow sleep, the server is not there and is asked again
            return
        self.answers += 1
        if answer.status in self.allowed:
            return
        if answer.status != 200 or answer.body != content:
            self.wrong.append(f"{key}: {answer.status}, {len(answer.body)} of {len(content)} bytes")

    def stop(self):
        self.stopping.set()
        self.join()
        return self.wrong


TOKEN = "a-token-of-some-length"


class ImageHostCase(cold.ColdCase):
    """The admin API is open, for call()."""

    GRACE = "1s"

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.trees = {name: tidepool.Tree(self.folder / name) for name in ("uploads", "warm")}
        self.images = []
        self.server = None
        self.environment = {"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret, "TIDEPOOL_TEST_TOKEN": TOKEN}

    def new_image(self, **options):
        """An image that the host's app has just written into the hot pool."""
        image = Image(**options)
        for key, content in image.contents.items():
            self.trees["uploads"].put(key.removeprefix("uploads/"), content)
        self.images.append(image)
        return image

    def pools(self, cold_url=None, **cold_settings):
        store = cold.Store(cold_url or self.b2.s3_url, self.b2.region, self.b2.key)
        return [{"name": "hot", "base_path": self.trees["uploads"].path},
                {"name": "warm", "storage_tier": "warm", "base_path": self.trees["warm"].path},
                tidepool.bucket_pool(store, cold.BUCKET, **cold_settings)]

    def start(self, config=None, scanned=True, environment=None, pools=None, **options):
        admin = {"listen": ["127.0.0.1:0"], "token": "env:TIDEPOOL_TEST_TOKEN"}
        sections = {"move": {"grace": self.GRACE}, "server": {"threads": 2}, "admin": admin, **(config or {})}
        self.server = self.serve(sections, pools=pools or self.pools(), folder=self.folder,
                                 environment={**self.environment, **(environment or {})}, **options)
        if scanned:
            self.tool("scan", "--hash")
        return self.server

    def run_tool(self, command, *arguments, environment=None):
        return tidepool.run_tool(command, *map(str, arguments), "-c", str(self.folder / "tidepool.toml"),
                                 environment={**self.environment, **(environment or {})})

    def tool(self, command, *arguments):
        """A command that must succeed; what it prints."""
        status, out, error = self.run_tool(command, *arguments)
        self.assertEqual(status, 0, f"{command} {arguments}: {out} {error}")
        return out

    def json(self, command, *arguments):
        return json.loads(self.tool(command, *arguments, "--json"))

    def call(self, method, path, body=None):
        """(status, JSON) of a call of the admin API."""
        text = "" if body is None else json.dumps(body)
        lines = [f"Authorization: Bearer {TOKEN}"] + ([f"Content-Length: {len(text)}"] if text else [])
        with tidepool.Wire(self.server.admin[0]) as wire:
            wire.send(tidepool.request(path, *lines, method=method) + text.encode())
            response = wire.response()
        return response.status, json.loads(response.body) if response.body else None

    def read_all(self, **options):
        """Starts a reader of all images."""
        reader = Reader(lambda: self.server.address, self.images, **options)
        reader.start()
        self.addCleanup(reader.stop)
        return reader

    def stored(self, pool):
        """{key: content} of what is really in a pool."""
        if pool == "cold":
            return {key: self.b2.get(cold.BUCKET, key) for key in self.b2.keys(cold.BUCKET)}
        root = self.trees["uploads" if pool == "hot" else pool].path
        return {"uploads/" + str(path.relative_to(root)): path.read_bytes()
                for path in root.rglob("*") if path.is_file()}

    def homes(self):
        """{pool: {key: content}}, of all pools."""
        return {pool: self.stored(pool) for pool in ("hot", "warm", "cold")}

    def assert_at(self, pool, *images):
        """The images are in this pool, whole, and in no other; their rows say so."""
        homes = self.homes()
        for image in images:
            rows = {row["key"]: row["pool"] for row in self.json("ls", f"uploads/original/{DAY}/{image.uuid}")
                    + self.json("ls", f"uploads/variants/{DAY}/{image.uuid}")}
            self.assertEqual(rows, {key: pool for key in image.keys})
            for name, home in homes.items():
                has = {key: content for key, content in home.items() if image.uuid in key}
                self.assertEqual(has, image.contents if name == pool else {}, f"in pool {name}")

    def wait_for_jobs(self, patience_s=tidepool.PATIENCE_S):
        """Until nothing is open any more but what waits for its time, and nothing of that either."""
        def ended():
            # In one look: between two a job could go from the one state to the other.
            return not {job["state"] for job in self.json("jobs", "list", "--limit", "0")} & {"queued", "running"}
        tidepool.eventually(ended, "all jobs end", patience_s, every_s=0.1)

    def assert_balanced(self):
        self.assertTrue(self.json("stats", "--recount")["balanced"])
