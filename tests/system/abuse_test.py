"""Hotlinks and clients that ask too often are turned away, and the edge keeps none of it; what it is told to forget."""

import json
import pathlib
import signal
import socket
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / name) for name in ("sim", "support")]
import edge as edge_module  # noqa: E402
import http1  # noqa: E402
import image_host  # noqa: E402
import tidepool  # noqa: E402

INSIDE, ALSO_INSIDE, OUTSIDE = "127.0.0.2", "127.0.0.3", "127.0.0.1"  # of the trusted ranges
IMAGE, UUID = "/uploads/a.jpg", "0e5a4b6c-1d2e-4f3a-8b7c-9d0e1f2a3b4c"
ORIGINAL = f"/uploads/original/2026/02/25/{UUID}.jpg"
NO_STORE = ("cache-control", "cdn-cache-control", "cloudflare-cdn-cache-control")
HOTLINK = {"allowed_hosts": ["good.example", "*.good.example"]}
EVIL, GOOD = "Referer: https://evil.example/page", "Referer: https://www.good.example/"


def client(address):
    return f"CF-Connecting-IP: {address}"


def rule(requests, per="1h", **values):
    """A rate limit whose tokens do not come back during a test."""
    return tidepool.toml_section("[[rate_limit]]", {"requests": requests, "per": per, **values})


class AbuseCase(tidepool.OwnServerCase):
    def start(self, *rules, **sections):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.server = self.serve(self.sections(sections), extra="".join(rules), folder=self.folder)
        self.server.tree.image("a.jpg")
        self.server.tree.image(ORIGINAL.removeprefix("/uploads/"))
        return self.server

    def sections(self, sections):
        return {"server": {"threads": 2}, "edge": {"trusted_ranges": [INSIDE, ALSO_INSIDE]}, **sections}

    def reload(self, *rules, **sections):
        mark = len(self.server.log())
        self.server.write_config(self.sections(sections), extra="".join(rules))
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)

    def ask(self, *fields, source=INSIDE, path=IMAGE, method="GET"):
        with self.server.connect(source=(source, 0)) as wire:
            return wire.get(path, *fields, method=method)

    def let_in(self, *fields, tries=12, **options):
        """How many of so many requests are not told that they are too many; those come first."""
        statuses = [self.ask(*fields, **options).status for _ in range(tries)]
        self.assertEqual(statuses, sorted(statuses))
        self.assertLessEqual(set(statuses), {200, 429})
        return statuses.count(200)

    def assert_refused(self, answer, status):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual([answer[name] for name in NO_STORE], ["no-store"] * 3)
        self.assertEqual(answer.all("cache-tag"), [])

    def through(self, edge, path, *fields):
        """(status, CF-Cache-Status) of a visitor's request at the edge."""
        with socket.create_connection(edge.address) as sock:
            sock.settimeout(tidepool.PATIENCE_S)
            sock.sendall(tidepool.request(path, *fields, "Connection: close"))
            answer = http1.read_answer_head(http1.Reader(sock))
            return answer.status, answer.get("cf-cache-status")

    def edge(self, **options):
        edge = edge_module.Edge(self.server.address, source=INSIDE, **options)
        self.addCleanup(edge.stop)
        return edge


class RateLimits(AbuseCase):
    def test_none_unless_configured(self):
        self.start()
        self.assertEqual(self.let_in(client("203.0.113.7"), tries=50), 50)
        metrics = self.server.metrics()
        self.assertFalse(metrics.sum("tidepool_rate_limited_total"))
        self.assertEqual(metrics.sum("tidepool_rate_limit_buckets"), 0)

    def test_the_answer(self):
        self.start(rule(60, per="1m", burst=2))
        who = client("203.0.113.7")
        for path in (IMAGE, "/uploads/none.jpg"):  # what is absent counts as well
            self.assertIn(self.ask(who, path=path).status, (200, 404))
        answer = self.ask(who)
        self.assert_refused(answer, 429)
        self.assertIn(int(answer["retry-after"]), (1, 2))
        self.assertEqual((answer.body, answer["content-type"]), (b"too many requests\n", "text/plain; charset=utf-8"))
        as_json = self.ask(who, "Accept: application/json")
        self.assert_refused(as_json, 429)
        self.assertEqual(json.loads(as_json.body), {"error": "too_many_requests", "message": "too many requests"})
        self.assert_refused(self.ask(who, method="HEAD"), 429)
        self.assertEqual(self.ask(who, method="OPTIONS").status, 204)
        tidepool.eventually(lambda: self.ask(who).status == 200, "a token comes back")
        self.assertGreaterEqual(self.server.metrics().sum("tidepool_rate_limited_total", prefix=""), 3)

    def test_by_client_and_not_by_who_brings_him(self):
        self.start(rule(3))
        self.assertEqual(self.let_in(client("203.0.113.7")), 3)
        self.assertEqual(self.let_in(client("203.0.113.7"), source=ALSO_INSIDE), 0)
        self.assertEqual(self.let_in(client("203.0.113.8")), 3)
        self.assertEqual(self.let_in("X-Forwarded-For: 1.2.3.4, 203.0.113.8"), 0)
        self.assertEqual(self.let_in(), 12, "the edge by itself is not limited")
        self.assertEqual(self.server.metrics().sum("tidepool_rate_limit_buckets"), 2)

    def test_a_stranger_cannot_pass_for_others(self):
        self.start(rule(5))
        statuses = [self.ask(client(f"203.0.113.{i}"), f"X-Forwarded-For: 203.0.113.{i}", source=OUTSIDE).status
                    for i in range(10)]
        self.assertEqual(statuses, [200] * 5 + [429] * 5)
        self.assertEqual(self.let_in(client("203.0.113.1")), 5, "whom he named has lost nothing")

    def test_a_network_of_ipv6_is_one_client(self):
        self.start(rule(4))
        self.assertEqual(self.let_in(client("2001:db8:1:2::1")), 4)
        self.assertEqual(self.let_in(client("2001:db8:1:2:ffff::9")), 0)
        self.assertEqual(self.let_in(client("2001:db8:1:3::1")), 4)

    def test_the_longest_prefix_decides(self):
        self.start(rule(6), rule(2, prefix="uploads/original/"))
        who = client("203.0.113.7")
        self.assertEqual(self.let_in(who, path=ORIGINAL), 2)
        self.assertEqual(self.let_in(who), 6)
        metrics = self.server.metrics()
        self.assertEqual(metrics.sum("tidepool_rate_limited_total", prefix="uploads/original/"), 10)
        self.assertEqual(metrics.sum("tidepool_rate_limited_total", prefix=""), 6)
        self.assertEqual(metrics.sum("tidepool_rate_limit_buckets"), 2)
        self.assertEqual(metrics.sum("tidepool_rate_limit_evictions_total"), 0)

    def test_a_reload_keeps_what_is_known_of_clients(self):
        self.start(rule(3))
        who = client("203.0.113.7")
        self.assertEqual(self.let_in(who), 3)
        self.reload(rule(3), rule(2, prefix="uploads/original/"))
        tidepool.eventually(lambda: self.ask(who, path=ORIGINAL).status == 429, "the new rule holds")
        self.assertEqual(self.let_in(who), 0)
        self.reload()
        tidepool.eventually(lambda: self.ask(who).status == 200, "no rule is left")
        self.assertEqual(self.let_in(who), 12)

    def test_the_edge_keeps_no_refusal_and_serves_what_it_has(self):
        self.start(rule(2))
        edge = self.edge(visitor_ip="203.0.113.7")
        self.assertEqual(self.through(edge, IMAGE), (200, "MISS"))
        self.assertEqual(self.through(edge, ORIGINAL), (200, "MISS"))
        for _ in range(2):  # another URL of the same image, which the edge does not have
            self.assertEqual(self.through(edge, f"{IMAGE}?v=2"), (429, "BYPASS"))
        self.assertEqual(edge.stored, 2)
        self.assertEqual(self.through(edge, IMAGE), (200, "HIT"))
        edge.visitor_ip = "203.0.113.8"
        self.assertEqual(self.through(edge, f"{IMAGE}?v=2"), (200, "MISS"))


class Hotlinks(AbuseCase):
    def test_off_unless_configured(self):
        self.start()
        self.assertEqual(self.ask(EVIL).status, 200)

    def test_who_may_show_images(self):
        self.start(hotlink=HOTLINK)
        for fields in ((), (GOOD,), ("Referer: https://good.example",), ("Referer: http://images.example:81/x",),
                       ("Referer: https://www.google.com/",), ("Referer: about:client",), ("Referer:",)):
            self.assertEqual(self.ask(*fields).status, 200, fields)
        for fields in ((EVIL,), (GOOD, GOOD), ("Referer: https://good.example@evil.example/",),
                       ("Referer: https://good.example.evil.example/",), ("Referer: good.example",)):
            self.assert_refused(self.ask(*fields), 403)
        answer = self.ask(EVIL, "Accept: application/json")
        self.assert_refused(answer, 403)
        self.assertEqual(json.loads(answer.body)["error"], "forbidden")
        self.assert_refused(self.ask(EVIL, method="HEAD"), 403)
        self.assert_refused(self.ask(EVIL, "If-None-Match: *", path=ORIGINAL), 403)
        self.assert_refused(self.ask(EVIL, path="/uploads/none.jpg"), 403)
        self.assertEqual(self.server.metrics().sum("tidepool_hotlinks_refused_total"), 9)

    def test_reload(self):
        self.start()
        self.reload(hotlink={**HOTLINK, "allow_empty": False, "prefixes": ["uploads/original/"]})
        tidepool.eventually(lambda: self.ask(EVIL, path=ORIGINAL).status == 403, "hotlinks are refused")
        self.assertEqual(self.ask(path=ORIGINAL).status, 403)
        self.assertEqual(self.ask(GOOD, path=ORIGINAL).status, 200)
        self.assertEqual(self.ask(EVIL).status, 200)

    def test_the_edge_keeps_no_refusal_and_serves_what_it_has(self):
        self.start(hotlink=HOTLINK)
        edge = self.edge()
        for _ in range(2):
            self.assertEqual(self.through(edge, IMAGE, EVIL), (403, "BYPASS"))
        self.assertEqual(edge.stored, 0)
        self.assertEqual(self.through(edge, IMAGE, GOOD), (200, "MISS"))
        # Why the edge needs the rule, too.
        self.assertEqual(self.through(edge, IMAGE, EVIL), (200, "HIT"))


class Lifetimes(AbuseCase):
    def test_no_rule_makes_what_is_about_the_client_last(self):
        self.start(rule(1), '[[cache_control]]\nstatus = ["4xx"]\ncache_control = "public, max-age=99"\n', hotlink=HOTLINK)
        self.assert_refused(self.ask(EVIL), 403)
        self.assertEqual(self.ask(client("203.0.113.7"), path="/uploads/no.jpg")["cache-control"], "public, max-age=99")
        self.assert_refused(self.ask(client("203.0.113.7")), 429)
        self.assertEqual(self.ask('If-Match: "x"')["cache-control"], "no-store")  # 412
        self.assertEqual(self.ask("Range: bytes=5000-")["cache-control"], "no-store")  # 416

    def test_no_rule_makes_the_refusal_of_a_request_last(self):
        """What is wrong with a request beside its URL is not in the edge's key of it."""
        forever = "".join(f'{name} = "public, max-age=99"\n' for name in
                          ("cache_control", "cdn_cache_control", "cloudflare_cdn_cache_control"))
        self.start(f'[[cache_control]]\nstatus = ["4xx"]\n{forever}', limits={"request_line": "1KiB"})
        with_body = f"GET {IMAGE} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        broken = f"GET {IMAGE} HTTP/1.1\r\nHost : a\r\n\r\n"
        too_long = tidepool.request("/uploads/" + "a" * 2000)
        for status, data in ((400, with_body), (400, broken), (414, too_long)):
            with self.server.connect(source=(INSIDE, 0)) as wire:
                self.assert_refused(wire.send(data).response(), status)
        self.assertEqual(self.ask(method="DELETE")["cache-control"], "no-store")  # 405
        # What is wrong with the path is.
        malformed = self.ask(path="/uploads/%00.jpg")
        self.assertEqual((malformed.status, malformed["cache-control"]), (400, "public, max-age=99"))

    def test_check_warns_of_statuses_that_no_rule_makes_last(self):
        self.start()
        self.server.write_config(extra='[[cache_control]]\nstatus = ["405", "413", "414"]\n'
                                       'cache_control = "public, max-age=60"\n')
        status, _, error = tidepool.run_tool("check", "-c", str(self.server.config_file))
        self.assertEqual(status, 0)
        for number in (405, 413, 414):
            self.assertIn(f"cache_control[1].status: {number} is no-store whatever a rule says", error)

    def test_check_warns_of_what_switches_each_other_off(self):
        self.start()
        self.server.write_config(extra='[[cache_control]]\nstatus = ["200"]\n'
                                       'cache_control = "public, s-maxage=60, stale-while-revalidate=60"\n')
        status, _, error = tidepool.run_tool("check", "-c", str(self.server.config_file))
        self.assertEqual(status, 0)
        self.assertIn("warning: cache_control[1].cache_control: stale-while-revalidate does nothing", error)


class Tags(image_host.ImageHostCase):
    ALL = {"edge": {"cache_tags": ["image", "pool", "day"]}}

    def tags(self, path, *fields, method="GET"):
        answer = self.server.get(path, *fields, method=method)
        return answer.status, answer.get("cache-tag")

    def test_by_default_the_image(self):
        image = self.new_image()
        self.start()
        self.trees["uploads"].image("a.jpg")
        tag = f"img-{image.uuid}"
        for key in image.keys:
            self.assertEqual(self.tags(f"/{key}"), (200, tag))
        path = f"/{image.original}"
        etag = self.server.get(path)["etag"]
        self.assertEqual(self.tags(path, method="HEAD"), (200, tag))
        self.assertEqual(self.tags(path, "Range: bytes=0-9"), (206, tag))
        self.assertEqual(self.tags(path, f"If-None-Match: {etag}"), (304, tag))
        self.assertEqual(self.tags(path, "Range: bytes=99999999-"), (416, None))
        self.assertEqual(self.tags(path, 'If-Match: "no"'), (412, None))
        self.assertEqual(self.tags("/uploads/a.jpg"), (200, None))
        self.assertEqual(self.tags("/uploads/none.jpg"), (404, None))
        absent = path.replace(image.uuid, UUID)
        self.assertEqual(self.tags(absent), (404, f"img-{UUID}"))
        self.assertEqual(self.tags(absent), (404, f"img-{UUID}"))  # remembered
        self.assertEqual(self.tags(absent, "Accept: application/json"), (404, None))
        self.tool("rm", image.uuid, "--yes")
        tidepool.eventually(lambda: self.tags(path) == (410, tag), "the image is gone")

    def test_they_follow_an_image_to_its_new_pool(self):
        image = self.new_image()
        self.start(self.ALL)
        path = f"/{image.original}"
        for pool in ("hot", "warm", "cold"):
            if pool != "hot":
                self.tool("mv", image.uuid, "--to", pool)
            wanted = (200, f"img-{image.uuid},pool-{pool},day-2026-02-25")
            tidepool.eventually(lambda: self.tags(path) == wanted, f"it is in {pool}")
        self.wait_for_jobs()

    def test_on_redirects_and_with_a_prefix(self):
        image = self.new_image()
        edge = {**self.ALL["edge"], "cache_tag_prefix": "TP-"}
        pools = self.pools(serve="redirect", public_base_url="https://images-b2.example")
        self.start({"edge": edge}, pools=pools)
        self.tool("mv", image.uuid, "--to", "cold")
        wanted = (302, f"tp-img-{image.uuid},tp-pool-cold,tp-day-2026-02-25")
        tidepool.eventually(lambda: self.tags(f"/{image.original}") == wanted, "visitors are sent to the bucket")

    def test_a_purge_by_tag_takes_absences_along(self):
        self.start()
        path = f"/uploads/original/{image_host.DAY}/{UUID}.jpg"
        with edge_module.Edge(self.server.address) as edge:
            def seen():
                with socket.create_connection(edge.address) as sock:
                    sock.settimeout(tidepool.PATIENCE_S)
                    sock.sendall(tidepool.request(path, "Connection: close"))
                    answer = http1.read_answer_head(http1.Reader(sock))
                    return answer.status, answer.get("cf-cache-status"), answer.get("cache-tag")
            self.assertEqual([seen(), seen()], [(404, "MISS", None), (404, "HIT", None)])
            self.trees["uploads"].image(path.removeprefix("/uploads/"))
            tidepool.eventually(lambda: self.server.get(path).status == 200, "it is there")
            self.assertEqual(seen(), (404, "HIT", None))
            body = json.dumps({"tags": [f"img-{UUID.upper()}"]})
            host, _, port = edge.api_url.removeprefix("http://").partition("/")[0].partition(":")
            with tidepool.Wire((host, int(port))) as wire:
                wire.send(tidepool.request(f"/client/v4/zones/{edge.zone_id}/purge_cache", f"Authorization: Bearer {edge.token}",
                                           "Content-Type: application/json", f"Content-Length: {len(body)}",
                                           "Connection: close", method="POST") + body.encode())
                self.assertIn(b" 200 ", wire.read_to_end()[0].split(b"\r\n")[0])
            self.assertEqual(seen(), (200, "MISS", None))


if __name__ == "__main__":
    tidepool.main()
