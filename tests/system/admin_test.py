"""The admin listener: metrics that add up to the traffic, health, readiness, and nothing else."""

import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402


class Metrics(tidepool.OwnServerCase):
    def test_counters_are_what_was_asked(self):
        server = self.serve()
        small = server.tree.image("small.jpg", size=1_000)
        large = server.tree.image("large.jpg", size=200_000)
        with server.connect() as wire:
            for _ in range(3):
                wire.get("/uploads/small.jpg")
            for _ in range(2):
                wire.get("/uploads/large.jpg")
            wire.get("/uploads/large.jpg", "Range: bytes=0-9")
            wire.get("/uploads/small.jpg", f"If-None-Match: {tidepool.etag_of(small)}")
            wire.get("/uploads/small.jpg", method="HEAD")
            wire.get("/uploads/none.jpg")
            wire.get("/uploads/none.jpg")
            wire.get("/uploads/small.jpg", method="PUT")
            wire.send("GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n")
            wire.response()
        with server.connect():
            def settled():  # a request is counted once its answer is out, so a scrape may overtake the last one
                got = server.metrics()
                is_settled = (got.sum("tidepool_connections") == 1 and got.sum("tidepool_http_requests_total") >= 12
                              and got.sum("tidepool_connections_accepted_total") == 2)
                return is_settled and got
            metrics = tidepool.eventually(settled, "one is open, all are counted")

        def requests(status, source):
            return metrics.sum("tidepool_http_requests_total", **{"class": status, "source": source})
        self.assertEqual(requests("2xx", "disk"), 2)
        self.assertEqual(requests("2xx", "memory"), 3)
        self.assertEqual(requests("2xx", "file"), 2)
        self.assertEqual(requests("3xx", "memory"), 1)
        self.assertEqual(requests("4xx", "absent"), 2)
        self.assertEqual(requests("4xx", "none"), 2)
        self.assertEqual(metrics.sum("tidepool_http_requests_total"), 12)
        self.assertEqual(metrics.sum("tidepool_http_refused_total"), 1)
        self.assertEqual(metrics.sum("tidepool_http_refused_total", reason="bad_field_name"), 1)
        texts = 2 * len(b"not found\n") + len(b"method not allowed\n") + len(b"bad_field_name\n")
        self.assertEqual(metrics.sum("tidepool_http_body_bytes_total"), 3 * len(small) + 2 * len(large) + 10 + texts)
        self.assertEqual(metrics.sum("tidepool_connections_accepted_total"), 2)
        self.assertEqual(metrics.sum("tidepool_connections"), 1)
        self.assertEqual(metrics.sum("tidepool_cache_entries", kind="memory"), 1)
        self.assertEqual(metrics.sum("tidepool_cache_entries", kind="file"), 1)
        self.assertEqual(metrics.sum("tidepool_cache_entries", kind="absent"), 1)
        self.assertGreater(metrics.sum("tidepool_cache_memory_bytes"), len(small))
        self.assertGreater(metrics.sum("process_resident_memory_bytes"), 1_000_000)
        self.assertEqual(metrics.sum("tidepool_build_info"), 1)
        self.assertTrue(metrics.has("tidepool_loop_lag_seconds"))

    def test_the_histogram_adds_up(self):
        server = self.serve()
        with server.connect() as wire:
            for _ in range(25):
                wire.get("/uploads/none.jpg")
        name = "tidepool_http_request_duration_seconds"
        # A request is counted once its answer is out, so the scrape may overtake the last one.
        metrics = tidepool.eventually(lambda: (got := server.metrics()).sum(f"{name}_count") == 25 and got, "25 counted")
        buckets = sorted((float(dict(labels)["le"]), value) for (family, labels), value in metrics.samples.items()
                         if family == f"{name}_bucket")
        self.assertEqual(metrics.types[name], "histogram")
        self.assertEqual(buckets[-1], (float("inf"), 25))
        self.assertEqual([value for _, value in buckets], sorted(value for _, value in buckets))
        self.assertEqual(metrics.sum(f"{name}_count"), 25)
        self.assertGreater(metrics.sum(f"{name}_sum"), 0)

    def test_the_caches_stay_within_their_limits(self):
        server = self.serve({"cache": {"memory": "256KiB", "memory_object_max": "64KiB", "files": 32, "absent": 64,
                                       "freshness": "1h"}})
        for i in range(60):
            server.tree.image(f"s{i}.jpg", size=20_000)
            server.tree.image(f"l{i}.jpg", size=100_000)
        with server.connect() as wire:
            for i in range(60):
                self.assertEqual(wire.get(f"/uploads/s{i}.jpg").status, 200)
                self.assertEqual(wire.get(f"/uploads/l{i}.jpg").status, 200)
            for i in range(500):
                self.assertEqual(wire.get(f"/uploads/none{i}.jpg").status, 404)
        metrics = server.metrics()
        # Each of the 16 shards may hold one entry even where that is more than its share.
        self.assertLessEqual(metrics.sum("tidepool_cache_memory_bytes"), 16 * 22_000)
        self.assertLessEqual(metrics.sum("tidepool_cache_entries", kind="file"), 32)
        self.assertLessEqual(metrics.sum("tidepool_cache_entries", kind="absent"), 64)
        self.assertGreater(metrics.sum("tidepool_cache_evictions_total"), 0)


class Health(tidepool.OwnServerCase):
    def test_health_is_readiness_is_not(self):
        server = self.serve()
        self.assertEqual((server.admin_get("/healthz").status, server.admin_get("/readyz").status), (200, 200))
        shutil.rmtree(server.tree.path)
        answer = tidepool.eventually(lambda: (got := server.admin_get("/readyz")).status == 503 and got, "it is noticed")
        self.assertEqual(answer.body, b"pool hot: not readable\n")
        self.assertEqual(server.admin_get("/healthz").status, 200)
        server.tree.path.mkdir()
        server.tree.image("a.jpg")
        tidepool.eventually(lambda: server.admin_get("/readyz").status == 200, "it is back")
        tidepool.eventually(lambda: server.get("/uploads/a.jpg").status == 200, "its files are served again")

    def test_a_missing_pool_is_no_404(self):
        server = self.serve()
        shutil.rmtree(server.tree.path)
        answer = server.get("/uploads/original/a.jpg")
        self.assertEqual((answer.status, answer["cache-control"]), (503, "no-store"))
        server.tree.path.mkdir()
        server.tree.image("original/a.jpg")
        tidepool.eventually(lambda: server.get("/uploads/original/a.jpg").status == 200, "it is served")

    def test_each_listener_has_its_own_paths(self):
        server = self.serve()
        server.tree.image("a.jpg")
        for path in ("/metrics", "/healthz", "/readyz"):
            self.assertEqual(server.get(path).status, 404)
            head = server.admin_get(path, method="HEAD")
            self.assertEqual((head.status, head["cache-control"]), (200, "no-store"))
            refused = server.admin_get(path, method="POST")
            self.assertEqual((refused.status, refused["allow"]), (405, "GET, HEAD"))
        self.assertEqual(server.admin_get("/uploads/a.jpg").status, 404)

    def test_without_an_admin_listener_images_are_served(self):
        server = tidepool.Server({"admin": {"listen": []}})
        self.addCleanup(server.stop)
        server.tree.image("a.jpg")
        self.assertEqual(server.get("/uploads/a.jpg").status, 200)
        self.assertEqual(server.admin, [])


if __name__ == "__main__":
    tidepool.main()
