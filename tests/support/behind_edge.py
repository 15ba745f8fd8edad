"""An image host behind the simulator of the edge, which is told what to forget.

    class Some(behind_edge.BehindEdgeCase):
        def test_it(self):
            image = self.new_image()
            self.start()
            self.hold(image)
            self.good("DELETE", f"/images/{image.uuid}", status=202)
            self.await_purges()
            self.assert_forgotten(image)
"""

import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import admin_api  # noqa: E402
import cold  # noqa: E402
import edge as edge_module  # noqa: E402
import http1  # noqa: E402
import image_host  # noqa: E402
import tidepool  # noqa: E402

HOST = "images.example"
PAGE = "https://site.example"
PURGE_TOKEN = "a-purge-token-that-nobody-may-see"
VARIANTS = ("_small.webp", "_small.avif", "_small.jpg", "_medium.webp", "_medium.avif", "_medium.jpg", ".webp", ".avif")


class BehindEdgeCase(admin_api.ApiCase):
    """An image host behind the simulator of the edge."""

    ZONE = {}
    EDGE = {}

    def setUp(self):
        super().setUp()
        # The edge outlives servers that are killed, and is told where each listens.
        self.edge = edge_module.Edge(None, token=PURGE_TOKEN, **self.EDGE)
        self.addCleanup(self.edge.stop)
        self.environment["TIDEPOOL_TEST_PURGE"] = PURGE_TOKEN

    def zone(self):
        """By URLs alone, at a pace of their own, where a test says nothing else."""
        return {"zone_id": self.edge.zone_id, "api_token": "env:TIDEPOOL_TEST_PURGE", "api_url": self.edge.api_url, "by": "urls",
                "hosts": [f"https://{HOST}"], "origins": [PAGE], "verify_url": self.edge.url, "timeout": "2s",
                **self.ZONE}

    def start(self, config=None, **options):
        sections = {"purge": self.zone(), "cache": {"freshness": "100ms"}, **(config or {})}
        server = super().start(sections, **options)
        self.edge.origin = server.address
        return server

    def visit(self, key, *fields, method="GET", host=HOST):
        """What a visitor gets for a key, or a path."""
        path = key if key.startswith("/") else "/" + key
        with socket.create_connection(self.edge.address) as sock:
            sock.settimeout(tidepool.PATIENCE_S)
            lines = "".join(f"{name}: {value}\r\n" for name, value in (("Host", host), *fields))
            sock.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
            reader = http1.Reader(sock)
            answer = http1.read_answer_head(reader)
            answer.body = reader.exactly(answer.length()) if http1.has_body(method, answer.status) else b""
            return answer

    def hold(self, image):
        """Has the edge store all of the image, also for a page that loads it crossorigin."""
        for key in image.keys:
            for fields in ((), (("Origin", PAGE),)):
                self.assertEqual(self.visit(key, *fields).status, 200)
                answer = self.visit(key, *fields)
                self.assertEqual((answer.status, answer.get("cf-cache-status")), (200, "HIT"))
        self.edge.clock_offset_s += 10

    def assert_forgotten(self, image, status=410):
        for key in image.keys:
            for fields in ((), (("Origin", PAGE),)):
                self.assertEqual(self.visit(key, *fields).status, status, key)

    def urls(self, image, buckets=(cold.BUCKET,)):
        """All that visitors can have of an image, as (URL, Origin)."""
        keys = {image.original, *(f"uploads/variants/{image_host.DAY}/{image.uuid}{end}" for end in VARIANTS)}
        paths = {f"/{key}" for key in keys} | {f"/file/{bucket}/{key}" for key in keys for bucket in buckets}
        return {(f"https://{HOST}{path}", origin) for path in paths for origin in (None, PAGE)}

    def purged(self):
        """(URL, Origin) of all good calls."""
        found = set()
        for purge in self.edge.purges:
            if purge.status == 200:
                for item in purge.body.get("files", ()):
                    named = (item, None) if isinstance(item, str) else (item["url"], item["headers"]["Origin"])
                    found.add(named)
        return found

    def purges(self, **wanted):
        """The purge jobs."""
        return [job for job in self.json("jobs", "list", "--type", "purge", "--limit", "0")
                if all(job[name] == value for name, value in wanted.items())]

    def await_purges(self, count=1, state="done", patience_s=tidepool.PATIENCE_S):
        jobs = tidepool.eventually(lambda: len(self.purges(state=state)) >= count and self.purges(), "it is purged",
                                   every_s=0.1, patience_s=patience_s)
        self.assertEqual({job["state"] for job in jobs}, {state}, jobs)
        return jobs

    def metric(self, name):
        with tidepool.Wire(self.server.admin[0]) as wire:
            text = wire.get("/metrics").body.decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    def assert_secret(self):
        """The token is in nothing that anybody reads."""
        texts = ["\n".join(self.server.log()), self.tool("jobs", "list", "--json", "--limit", "0")]
        with tidepool.Wire(self.server.admin[0]) as wire:
            texts.append(wire.get("/metrics").body.decode())
        for text in texts:
            self.assertNotIn(PURGE_TOKEN, text)
