"""Private images: opened by a signed URL alone, kept out of shared caches, by prefix, by pool and one by one."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import signal
import socket
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import admin_api  # noqa: E402
import cold  # noqa: E402
import edge as edge_module  # noqa: E402
import http1  # noqa: E402
import image_host  # noqa: E402
import tidepool  # noqa: E402
from pictures import png, png_size  # noqa: E402

KEY, OLD_KEY = "a key of a private image host", "the key that was there before"
TTL_S = 10_800
DAY = "2026/02/25"
UUID = "0f8fad5b-d9cb-469f-a165-000000000001"
PREFIX = "uploads/private/"
PRIVATE = ("private, max-age=60", "no-store", "no-store")
FOREVER = "public, max-age=31536000, immutable"
REFUSED = "tidepool_private_refused_total"
VARIANT_KEY, VARIANT_SALT = b"a key of variants, 16 b", b"salt"


def mac_of(text, key=KEY):
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()


def timed(target, at=None, key=KEY, plain=False):
    """The URL with a timed signature, written as Cloudflare's contract has it."""
    at = f"{int(time.time() if at is None else at):010}"
    mac = mac_of(target + at, key)
    text = (urllib.parse.quote(base64.b64encode(mac), safe="") if plain
            else base64.urlsafe_b64encode(mac).decode().rstrip("="))
    return f"{target}{'&' if '?' in target else '?'}verify={at}-{text}"


def absolute(target, end=None, key=KEY):
    target = f"{target}{'&' if '?' in target else '?'}exp={int(time.time() + 600 if end is None else end)}"
    return f"{target}&sig={mac_of(target, key).hex()}"


def secret_file(case, secret):
    folder = tempfile.TemporaryDirectory(prefix="tidepool-secret-")
    case.addCleanup(folder.cleanup)
    path = pathlib.Path(folder.name) / "secret"
    path.write_text(secret + "\n")
    return f"file:{path}"


def lifetimes(answer):
    return tuple(answer.get(name) for name in ("cache-control", "cdn-cache-control", "cloudflare-cdn-cache-control"))


def original(uuid=UUID, extension="png"):
    return f"/uploads/original/{DAY}/{uuid}.{extension}"


def variant(name="_small.webp", uuid=UUID):
    return f"/uploads/variants/{DAY}/{uuid}{name}"


class PrivateCase(tidepool.OwnServerCase):
    """A server whose [private] has a key, and the prefix where a test does not say otherwise."""

    def start(self, config=None, pools=None, folder=None, environment=None, **private):
        self.config = config or {}
        self.private = {"prefixes": [PREFIX], "signing_key": "env:TIDEPOOL_TEST_PRIVATE", **private}
        self.environment = {"TIDEPOOL_TEST_PRIVATE": KEY, "TIDEPOOL_TEST_PRIVATE_BEFORE": OLD_KEY, **(environment or {})}
        self.server = self.serve(self.sections(), pools=pools, folder=folder, environment=self.environment)
        return self.server

    def sections(self):
        return {"variants": {"on_demand": True, "first_hit_wait": "30s"}, "private": self.private, **self.config}

    def reload(self, **private):
        self.private = {**self.private, **private}
        mark = len(self.server.log())
        self.server.write_config(self.sections())
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)

    def assert_refused(self, path, status, text, *fields, **options):
        answer = self.server.get(path, *fields, **options)
        self.assertEqual((answer.status, lifetimes(answer)), (status, ("no-store", None, None)), answer)
        if options.get("method") != "HEAD":
            self.assertEqual(answer.body, text)
        self.assertIsNone(answer.get("etag"))
        return answer

    def assert_missing(self, path, *fields, **options):
        return self.assert_refused(path, 403, b"a signature is missing\n", *fields, **options)

    def assert_bad(self, path):
        return self.assert_refused(path, 403, b"the signature is wrong\n")

    def assert_expired(self, path):
        return self.assert_refused(path, 410, b"the signature has expired\n")

    def assert_private(self, path, *fields, status=200, **options):
        answer = self.server.get(path, *fields, **options)
        self.assertEqual((answer.status, lifetimes(answer)), (status, PRIVATE), answer)
        return answer

    def counted(self):
        metrics = self.server.metrics()
        return tuple(int(metrics.sum(REFUSED, reason=reason)) for reason in ("missing", "bad", "expired"))

    def made(self):
        return self.server.metrics().sum("tidepool_variants_made_total")

    def sign(self, *arguments, status=0, environment=None):
        got, out, error = tidepool.run_tool("sign", "-c", str(self.server.config_file), *arguments,
                                            environment={**self.environment, **(environment or {})})
        self.assertEqual(got, status, (out, error))
        return out.strip() if status == 0 else error


class Prefixes(PrivateCase):
    def test_both_forms_open_what_they_were_made_for_and_nothing_else(self):
        self.start()
        content = self.server.tree.image("private/a.jpg")
        self.server.tree.image("private/b.jpg")
        public = self.server.tree.image("a.jpg")
        path = "/uploads/private/a.jpg"
        for url in (timed(path), timed(path, plain=True), absolute(path), timed(path + "?w=1"), absolute(path + "?w=1"),
                    timed(path, time.time() + 200), timed(path, time.time() - TTL_S + 60)):
            with self.subTest(url):
                self.assertEqual(self.assert_private(url).body, content)
        self.assertEqual(self.counted(), (0, 0, 0))
        self.assert_missing(path)
        self.assert_missing(path + "?w=1")
        bad = [timed(path).replace("a.jpg", "b.jpg"), absolute(path).replace("a.jpg", "b.jpg"),
               timed(path, key="another key of sixteen"), absolute(path, key="another key of sixteen"),
               timed(path) + "&w=1", timed(path) + "A", timed(path)[:-1], absolute(path)[:-1], path + "?verify=", path + "?sig=1",
               timed(path, time.time() + 400), timed(path).replace("verify=1", "verify=2"),
               absolute(path).replace("exp=1", "exp=2")]
        for url in bad:
            with self.subTest(url):
                self.assert_bad(url)
        self.assert_expired(timed(path, time.time() - TTL_S))
        self.assert_expired(absolute(path, time.time() - 1))
        self.assertEqual(self.counted(), (2, len(bad), 2))
        answer = self.server.get("/uploads/a.jpg")
        self.assertEqual((answer.body, answer["cache-control"]), (public, "public, max-age=300"))
        self.assertEqual(self.server.get("/uploads/a.jpg?verify=1").status, 200, "of public ones nobody asks")

    def test_nobody_learns_what_is_there(self):
        self.start()
        self.server.tree.image("private/a.jpg")
        refused = [self.assert_missing(f"/uploads/private/{name}.jpg", method=method)
                   for name in ("a", "none") for method in ("GET", "HEAD")]
        heads = [[field for field in answer.fields if field[0] != "date"] for answer in refused]
        self.assertEqual(heads, [heads[0]] * 4)
        for condition in ('If-None-Match: *', 'If-Match: "x"', "Range: bytes=9999999-", "If-Modified-Since: " + http1.date(2e9)):
            self.assert_missing("/uploads/private/a.jpg", condition)
        self.assert_expired(timed("/uploads/private/none.jpg", 1_700_000_000))
        absent = self.server.get(timed("/uploads/private/none.jpg"))
        self.assertEqual((absent.status, lifetimes(absent)), (404, ("no-store", None, None)))
        answer = self.server.get("/uploads/private/a.jpg", "Accept: application/json")
        self.assertEqual((answer.status, json.loads(answer.body)["error"]), (403, "forbidden"))

    def test_every_answer_is_kept_out_of_shared_caches(self):
        self.start()
        small = self.server.tree.image("private/a.jpg")
        large = self.server.tree.image("private/b.jpg", size=300_000)
        for name, content in (("a.jpg", small), ("b.jpg", large)):
            for _ in range(2):  # from the disk, then as it is known
                url = timed(f"/uploads/private/{name}")
                whole = self.assert_private(url)
                self.assertTrue(whole.body == content)
                head = self.assert_private(url, method="HEAD")
                self.assertEqual((head["content-length"], head["etag"]), (str(len(content)), whole["etag"]))
                part = self.assert_private(url, "Range: bytes=10-19", status=206)
                self.assertEqual(part.body, content[10:20])
                parts = self.assert_private(url, "Range: bytes=0-1,5-6", status=206)
                self.assertIn(content[5:7], parts.body)
                self.assert_private(url, f"If-None-Match: {whole['etag']}", status=304)
                for condition, status in (('If-Match: "x"', 412), ("Range: bytes=9999999-", 416)):
                    self.assertEqual(lifetimes(self.server.get(url, condition))[0], "no-store", status)

    def test_spellings(self):
        self.start()
        content = self.server.tree.image("private/a ~é.jpg")
        normal, odd = "/uploads/private/a%20~%C3%A9.jpg", "/uploads/private/a%20%7e%c3%a9.jpg"
        for url in (timed(normal), timed(odd), timed(normal).replace(normal, odd), absolute(normal).replace(normal, odd)):
            with self.subTest(url):
                self.assertEqual(self.assert_private(url).body, content)
        self.assert_bad(timed(odd).replace(odd, normal))
        self.assert_missing("/uploads/%70rivate/a.jpg")
        self.assertEqual(self.sign("https://h.example/uploads/private/a%20%7E%c3%a9.jpg").partition("?")[0],
                         "https://h.example" + normal)

    def test_keys_are_brought_in_and_taken_out_while_it_runs(self):
        self.start(signing_key="env:TIDEPOOL_TEST_PRIVATE_BEFORE")
        self.server.tree.image("private/a.jpg")
        path = "/uploads/private/a.jpg"
        old, new = timed(path, key=OLD_KEY), absolute(path)
        self.assert_private(old)
        self.assert_bad(new)
        self.reload(signing_key="env:TIDEPOOL_TEST_PRIVATE", signing_key_previous="env:TIDEPOOL_TEST_PRIVATE_BEFORE")
        self.assert_private(old)
        self.assert_private(new)
        self.reload(signing_key_previous="")
        self.assert_bad(old)
        self.assert_private(new)
        self.reload(prefixes=[])
        answer = self.server.get(path)
        self.assertEqual((answer.status, answer["cache-control"]), (200, "public, max-age=300"), answer.body[:500])
        self.reload(prefixes=[PREFIX], edge_checks=True)
        self.assert_missing(path)
        self.assertEqual(self.server.get(new)["cache-control"], "public, max-age=300")

    def test_variants_follow_their_original(self):
        self.start(prefixes=[PREFIX, f"uploads/original/{DAY}/"])
        for folder in ("original", "private/original"):
            self.server.tree.put(f"{folder}/{DAY}/{UUID}.png", png(600, 400), mtime=1_700_000_000)
        paths = [variant(), variant().replace("/uploads/", "/uploads/private/")]
        for path in (*paths, original(), original().replace("/uploads/", "/uploads/private/")):
            with self.subTest(path):
                self.assert_missing(path)
        self.assertEqual(self.made(), 0)
        for path in paths:
            with self.subTest(path):
                self.assertEqual(self.assert_private(timed(path))["content-type"], "image/webp")
                self.assert_missing(path)
        self.assertEqual(self.made(), 2)

    def test_the_log_does_not_hold_signatures(self):
        folder = tempfile.TemporaryDirectory(prefix="tidepool-test-")
        self.addCleanup(folder.cleanup)
        for form in ("json", "combined"):
            with self.subTest(form):
                log = pathlib.Path(folder.name) / form
                server = self.start({"access_log": {"path": str(log), "format": form, "flush_interval": "10ms"}})
                server.tree.image("private/a.jpg")
                urls = [timed("/uploads/private/a.jpg"), absolute("/uploads/private/a.jpg")]
                for url in urls:
                    self.assertEqual(server.get(url, f"Referer: https://images.example{url}").status, 200)
                    self.assertEqual(server.get(url + "A").status, 403)
                lines = tidepool.eventually(lambda: log.exists() and log.read_text().count("\n") >= 4 and log.read_text(),
                                            "the lines are there")
                for url in urls:
                    self.assertNotIn(url.rpartition("=")[2], lines + "\n".join(server.log()))
                self.assertNotIn("verify=", lines)
                self.assertNotIn("sig=", lines)


class Sign(PrivateCase):
    def test_a_signed_url_opens_it(self):
        self.start()
        content = self.server.tree.image("private/a.jpg")
        before = int(time.time())
        url = self.sign("https://images.example/uploads/private/a.jpg")
        self.assertEqual(self.assert_private(url.removeprefix("https://images.example")).body, content)
        issued = int(url.partition("verify=")[2][:10])
        self.assertEqual((issued % 3600, issued > before - 3600), (0, True))
        for form in ("timed", "absolute"):
            made = json.loads(self.sign("/uploads/private/a.jpg", "--ttl", "5m", "--form", form, "--json"))
            self.assertEqual(made["form"], form)
            self.assertTrue(300 <= made["expires"] - before <= 330, made)
            self.assert_private(made["url"])
        longer = json.loads(self.sign("/uploads/private/a.jpg", "--ttl", "30d", "--form", "absolute", "--json"))
        self.assertTrue(longer["expires"] - before >= 30 * 86400)
        self.assert_private(longer["url"])

    def test_what_cannot_be_signed(self):
        self.start()
        for arguments, text in ((("/uploads/private/a.jpg", "--ttl", "4h"), "--form absolute"),
                                (("uploads/private/a.jpg",), "begins with"), (("/a.jpg?verify=1",), "signature already"),
                                (("/a.jpg", "--form", "both"), "timed and absolute"), (("/a.jpg", "--ttl", "soon"), "--ttl")):
            with self.subTest(arguments):
                error = self.sign(*arguments, status=2)
                self.assertIn(text, error)
                self.assertNotIn(KEY, error)
        self.private = {}
        self.server.write_config(self.sections())
        self.assertIn("private.signing_key", self.sign("/a.jpg", status=2))

    def test_check_says_what_is_missing(self):
        self.start()
        config = str(self.server.config_file)
        self.server.write_config({"private": {"prefixes": [PREFIX]}})
        status, _, error = tidepool.run_tool("check", "-c", config)
        self.assertEqual(status, 2)
        self.assertIn("private.signing_key", error)
        self.server.write_config(self.sections())
        status, out, error = tidepool.run_tool("check", "-c", config, environment=self.environment)
        self.assertEqual(status, 0, error)
        self.assertIn("answers stay out of shared caches", out)


class Pools(PrivateCase):
    def start_pools(self, **options):
        """A public and a private folder."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.trees = {name: tidepool.Tree(folder / name) for name in ("open", "closed")}
        pools = [{"name": "open", "base_path": self.trees["open"].path},
                 {"name": "closed", "base_path": self.trees["closed"].path, "visibility": "private"}]
        self.start(options.pop("config", None), pools=pools, folder=folder, prefixes=[], **options)

    def test_what_lives_in_a_private_folder_is_private(self):
        for config in ({}, {"catalog": {"url": f"sqlite:{tempfile.mkdtemp(prefix='tidepool-test-')}/catalog.db"}}):
            with self.subTest(config):
                self.start_pools(config=config)
                content = self.trees["closed"].image("a.jpg")
                self.trees["open"].image("b.jpg")
                self.assert_missing("/uploads/a.jpg")
                self.assertEqual(self.assert_private(timed("/uploads/a.jpg")).body, content)
                self.assert_missing("/uploads/a.jpg", method="HEAD")
                self.assert_missing("/uploads/a.jpg", "If-None-Match: *")
                self.assertEqual(self.server.get("/uploads/b.jpg")["cache-control"], "public, max-age=300")
                self.assertEqual(self.server.get("/uploads/none.jpg").status, 404)
                self.assert_variants()

    def assert_variants(self):
        """None is made for a stranger, though nobody has asked for its original before."""
        self.trees["closed"].put(f"original/{DAY}/{UUID}.png", png(600, 400), mtime=1_700_000_000)
        self.assert_missing(variant())
        self.assert_missing(variant(), method="HEAD")
        self.assertEqual(self.made(), 0)
        self.assertEqual(self.assert_private(timed(variant()))["content-type"], "image/webp")
        self.assertTrue((self.trees["closed"].path / variant().removeprefix("/uploads/")).exists())
        self.assert_missing(variant())
        self.trees["open"].put(f"original/{DAY}/{UUID[:-1]}2.png", png(600, 400), mtime=1_700_000_000)
        self.assertEqual(self.server.get(variant(uuid=UUID[:-1] + "2"))["cache-control"], FOREVER)

    def test_a_pool_needs_a_key(self):
        self.start_pools()
        self.private = {}
        self.server.write_config(self.sections())
        status, _, error = tidepool.run_tool("check", "-c", str(self.server.config_file))
        self.assertEqual(status, 2)
        self.assertIn("visibility", error)
        self.assertIn("private.signing_key", error)

    def test_signed_variants_need_both_signatures(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        (folder / "key").write_text(VARIANT_KEY.hex())
        (folder / "salt").write_text(VARIANT_SALT.hex())
        self.start_pools(config={"variants": {"on_demand": True, "first_hit_wait": "30s",
                                              "signing_keys": [f"file:{folder}/key"],
                                              "signing_salts": [f"file:{folder}/salt"]}})
        self.trees["closed"].put(f"original/{DAY}/{UUID}.png", png(600, 400), mtime=1_700_000_000)
        order = f"/w:90/{DAY}/{UUID}.png"
        mac = hmac.new(VARIANT_KEY, VARIANT_SALT + order.encode(), hashlib.sha256).digest()
        path = "/uploads/variants/" + base64.urlsafe_b64encode(mac).decode().rstrip("=") + order
        self.assert_missing(path)
        self.assertEqual(self.made(), 0)
        self.assertEqual(png_size(self.assert_private(timed(path)).body), (90, 60))
        self.assert_missing(path)
        self.assertEqual(self.server.get(timed(path.replace("w:90", "w:91"))).status, 403)


    def test_what_no_rule_of_the_edge_knows_it_may_not_keep(self):
        """With edge_checks the edge asks by prefixes of paths: not for signed variants, nor for other spellings."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        (folder / "key").write_text(VARIANT_KEY.hex())
        (folder / "salt").write_text(VARIANT_SALT.hex())
        self.start(prefixes=[PREFIX, f"uploads/original/{DAY}/"], edge_checks=True,
                   config={"variants": {"on_demand": True, "first_hit_wait": "30s", "signing_keys": [f"file:{folder}/key"],
                                        "signing_salts": [f"file:{folder}/salt"]}})
        self.server.tree.put(f"original/{DAY}/{UUID}.png", png(600, 400), mtime=1_700_000_000)
        order = f"/w:90/{DAY}/{UUID}.png"
        mac = hmac.new(VARIANT_KEY, VARIANT_SALT + order.encode(), hashlib.sha256).digest()
        signed = "/uploads/variants/" + base64.urlsafe_b64encode(mac).decode().rstrip("=") + order
        for _ in range(2):  # as it is made, and from the cache
            self.assertEqual(png_size(self.assert_private(timed(signed)).body), (90, 60))
            self.assertEqual(lifetimes(self.server.get(timed(variant())))[0], FOREVER)
        self.server.tree.image("private/a@b c.jpg")
        plain, spelt = (f"/uploads/private/a{mark}b%20c.jpg" for mark in ("@", "%40"))
        for _ in range(2):
            self.assertEqual(lifetimes(self.server.get(timed(plain)))[0], "public, max-age=300")
            self.assert_private(timed(spelt))
        self.assert_missing(spelt)
        part = self.server.get(timed(spelt), "Range: bytes=0-9")
        self.assertEqual((part.status, lifetimes(part)), (206, PRIVATE), part)
        same = self.server.get(timed(spelt), f"If-None-Match: {part['etag']}")
        self.assertEqual((same.status, lifetimes(same)), (304, PRIVATE), same)


class Images(admin_api.ApiCase):
    """Images that the admin API makes private."""

    CONFIG = {"private": {"signing_key": "env:TIDEPOOL_TEST_PRIVATE"},
              "variants": {"on_demand": True, "first_hit_wait": "30s"}}

    def begin(self, config=None, **options):
        self.environment["TIDEPOOL_TEST_PRIVATE"] = KEY
        return self.start({**self.CONFIG, **(config or {})}, **options)

    def set(self, image, visibility, *lines):
        shown = self.good("PATCH", f"/images/{image.uuid}", {"visibility": visibility}, *lines)
        self.assertEqual((shown["uuid"], shown["visibility"]), (image.uuid, visibility))
        return shown

    def status(self, path):
        return self.server.get(path).status

    def all_statuses(self, image):
        return {self.status(f"/{key}") for key in image.keys}

    def test_it_takes_effect_at_once_for_all_of_it(self):
        image, other = self.new_image(), self.new_image()
        self.begin()
        self.assertEqual(self.all_statuses(image), {200})
        absent = f"/uploads/variants/{image_host.DAY}/{image.uuid}_medium.avif"
        self.assertNotIn(self.status(absent), (200, 403), "what it holds is no picture")
        self.set(image, "private")
        self.assertEqual(self.all_statuses(image), {403})
        self.assertEqual(self.status(absent), 403)
        self.assertEqual(self.all_statuses(other), {200})
        for key in image.keys:
            answer = self.server.get(timed(f"/{key}"))
            self.assertEqual((answer.status, answer.body, lifetimes(answer)), (200, image.contents[key], PRIVATE))
        listed = {each["uuid"]: each["visibility"] for each in self.good("GET", "/images")["images"]}
        self.assertEqual(listed, {image.uuid: "private", other.uuid: "public"})
        self.set(image, "public")
        self.assertEqual(self.all_statuses(image), {200})

    def test_what_was_deleted_stays_gone_while_the_catalog_cannot_be_read(self):
        image = self.new_image()
        self.begin({"jobs": {"threads": 0}, "cache": {"freshness": "100ms"}})
        self.set(image, "private")
        self.good("DELETE", f"/images/{image.uuid}", status=202)
        self.assert_refused_as_deleted(image)
        mark = len(self.server.log())
        for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
            path = self.folder / name
            if path.exists():
                with open(path, "r+b") as file:
                    file.write(bytes(path.stat().st_size))
        tidepool.eventually(lambda: self.signed_statuses(image) and "catalog not asked" in "\n".join(self.server.log()[mark:]),
                            "it is asked in vain")
        for _ in range(5):
            self.assert_refused_as_deleted(image)

    def signed_statuses(self, image):
        return {self.status(timed(f"/{key}")) for key in image.keys}

    def assert_refused_as_deleted(self, image):
        """Who may not see it does not learn that it was there; who may does, and no cache does."""
        self.assertEqual((self.all_statuses(image), self.signed_statuses(image)), ({403}, {410}))
        self.assertEqual(self.server.get(timed(f"/{image.original}"))["cache-control"], "no-store")

    def test_what_was_deleted_is_refused_as_it_was_before(self):
        hidden, closed, under, public = (self.new_image() for _ in range(4))
        pools = self.pools()
        pools[1]["visibility"] = "private"
        prefix = {"private": {"signing_key": "env:TIDEPOOL_TEST_PRIVATE", "prefixes": [under.original]}}
        self.begin(prefix, pools=pools)
        self.set(hidden, "private")
        self.tool("mv", closed.uuid, "--to", "warm")
        for image in (hidden, closed, under, public):
            self.good("DELETE", f"/images/{image.uuid}", status=202)
        for _ in range(2):  # while it is being deleted, or once it is
            for image in (hidden, closed, under):
                self.assert_refused_as_deleted(image)
            self.assertEqual(self.all_statuses(public), {410})
            self.wait_for_jobs()

    def test_it_stays_private_wherever_it_goes(self):
        image = self.new_image()
        self.begin()
        self.set(image, "private")
        self.tool("mv", image.uuid, "--to", "cold")
        self.wait_for_jobs()
        self.assert_at("cold", image)
        self.assertEqual(self.all_statuses(image), {403})
        path = f"/file/{cold.BUCKET}/{image.original}"
        self.assertEqual((self.status(path), self.status(timed(f"/{image.original}"))), (403, 200))
        answer = self.server.get(timed(path))
        self.assertEqual((answer.body, lifetimes(answer)), (image.contents[image.original], PRIVATE))
        self.server.exit_of(self.server.take_over())
        self.assertEqual(self.all_statuses(image), {403})

    def test_a_file_that_is_gone_for_a_while_comes_back_as_private(self):
        image = self.new_image()
        self.begin()
        self.set(image, "private")
        tree, name = self.trees["uploads"], image.original.removeprefix("uploads/")
        (tree.path / name).unlink()
        self.tool("scan", "hot")
        tree.put(name, image.contents[image.original])
        self.tool("scan", "hot")
        tidepool.eventually(lambda: self.status(timed(f"/{image.original}")) == 200, "it is found again")
        self.assertEqual(self.all_statuses(image), {403})

    def test_another_process_sees_it(self):
        image = self.new_image()
        self.begin()
        first = self.server
        second = self.serve({"server": {"threads": 1}, "catalog": {"url": f"sqlite:{self.folder}/catalog.db"}, **self.CONFIG},
                            pools=self.pools(), environment=self.environment)
        path = f"/{image.original}"
        self.assertEqual((first.get(path).status, second.get(path).status), (200, 200))
        self.set(image, "private")
        self.assertEqual(first.get(path).status, 403)
        tidepool.eventually(lambda: second.get(path).status == 403, "the other process sees it")

    def test_what_is_wrong_is_told(self):
        image = self.new_image()
        self.begin()
        path = f"/images/{image.uuid}"
        for body in ({}, {"visibility": "secret"}, {"visibility": None}, {"visibility": 1}):
            self.assertIn("visibility", self.wrong_field("PATCH", path, body, 422))
        self.assertEqual(self.wrong_field("PATCH", path, {"visibility": "private", "owner": "7"}, 422), ["owner"])
        self.assertEqual(self.call("PATCH", path, b"[]")[0], 400)
        self.assertEqual(self.call("PATCH", "/images/" + UUID, {"visibility": "private"})[0], 404)
        self.assertEqual(self.call("PATCH", path, {"visibility": "private"}, "Authorization: Bearer x")[0], 401)
        self.assertEqual(self.good("GET", path)["visibility"], "public")
        once = "Idempotency-Key: make-it-private"
        first = self.set(image, "private", once)
        self.good("PATCH", path, {"visibility": "public"})
        self.assertEqual(self.good("PATCH", path, {"visibility": "private"}, once), first)
        self.assertEqual(self.good("GET", path)["visibility"], "public", "a call is not made twice")
        self.assertEqual(self.call("PATCH", path, {"visibility": "public"}, once)[0], 422)

    def test_without_a_key_none_is_made_private(self):
        image = self.new_image()
        self.begin({"private": {}})
        self.assertEqual(self.call("PATCH", f"/images/{image.uuid}", {"visibility": "private"})[0], 409)
        self.assertEqual(self.call("POST", "/sign", {"path": "/a.jpg"})[0], 409)
        self.assertEqual(self.status(f"/{image.original}"), 200)

    def test_no_variant_is_made_for_a_stranger(self):
        self.trees["uploads"].put(f"original/{DAY}/{UUID}.png", png(600, 400), mtime=1_700_000_000)
        self.begin()
        image = image_host.Image()
        image.uuid = UUID
        self.set(image, "private")
        made = "tidepool_variants_made_total"
        for path in (variant(), variant("_medium.webp"), variant(".webp")):
            self.assertEqual(self.status(path), 403)
        self.assertEqual(self.server.metrics().sum(made), 0)
        answer = self.server.get(timed(variant()))
        self.assertEqual((answer.status, lifetimes(answer), answer["content-type"]), (200, PRIVATE, "image/webp"))
        self.assertEqual(self.status(variant()), 403)
        self.set(image, "public")
        self.assertEqual(self.server.get(variant())["cache-control"], FOREVER)

    def ask_while_the_workers_stand_still(self, name):
        """A request for a variant that is being made, and what lets the workers go on."""
        workers = self.server.workers()
        self.assertTrue(workers)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)

        def go_on():
            while workers:
                os.kill(workers.pop(), signal.SIGCONT)

        self.addCleanup(go_on)
        wire = self.server.connect()
        self.addCleanup(wire.close)
        wire.send(tidepool.request(variant(name)))
        tidepool.eventually(lambda: self.server.metrics().sum("tidepool_variants_running") == 1, "it is being made")
        return wire, go_on

    def begin_with_a_picture(self, **variants):
        self.trees["uploads"].put(f"original/{DAY}/{UUID}.png", png(600, 400), mtime=1_700_000_000)
        self.begin({"variants": {"on_demand": True, **variants}})
        # One of each lane: a worker that is stopped before it is ready takes no job.
        for name, kind in (("_medium.webp", "image/webp"), ("_small.avif", "image/avif")):
            tidepool.eventually(lambda: self.server.get(variant(name)).get("content-type") == kind, f"{name} is made")
        image = image_host.Image()
        image.uuid = UUID
        return image

    def test_what_is_made_while_it_is_hidden_is_shown_to_nobody(self):
        self.trees["uploads"].put("variants", b"no folder, so that nothing is stored")
        image = self.begin_with_a_picture(first_hit_wait="30s")
        for name, begin, statuses in (("_small.webp", lambda: self.set(image, "private"), (403,)),
                                      ("_small.png", lambda: self.good("DELETE", f"/images/{UUID}", status=202), (404, 410))):
            with self.subTest(name):
                self.set(image, "public")
                wire, go_on = self.ask_while_the_workers_stand_still(name)
                begin()
                go_on()
                answer = wire.response()
                self.assertIn(answer.status, statuses, answer)

    def test_nothing_stands_in_for_what_was_hidden_meanwhile(self):
        image = self.begin_with_a_picture(first_hit_wait="3s")
        wire, go_on = self.ask_while_the_workers_stand_still("_medium.avif")
        self.set(image, "private")
        answer = wire.response()
        self.assertEqual((answer.status, answer.body), (403, b"a signature is missing\n"), answer)
        go_on()

    def test_the_api_signs(self):
        image = self.new_image()
        self.begin()
        self.set(image, "private")
        before = int(time.time())
        for body, form in (({"path": f"/{image.original}"}, "timed"), ({"url": f"https://h.example/{image.original}"}, "timed"),
                           ({"path": f"/{image.original}", "ttl": "10d", "form": "absolute"}, "absolute")):
            made = self.good("POST", "/sign", body)
            self.assertEqual(made["form"], form)
            self.assertGreater(made["expires"], before)
            self.assertEqual(self.status(made["url"].removeprefix("https://h.example")), 200)
        for body, field in (({}, "url"), ({"url": "/a", "path": "/a"}, "url"), ({"path": "a"}, "path"),
                            ({"path": "/a", "ttl": "x"}, "ttl"), ({"path": "/a", "form": "x"}, "form"),
                            ({"path": "/a", "more": 1}, "more")):
            with self.subTest(body):
                self.assertEqual(self.wrong_field("POST", "/sign", body, 422), [field])
        status, answer = self.call("POST", "/sign", {"path": "/a", "ttl": "10d"})
        self.assertEqual(status, 422)
        self.assertIn("absolute", answer["message"])
        self.assertEqual(self.call("POST", "/sign", {"path": "/a"}, "Authorization: Bearer x")[0], 401)

    def test_a_pool_of_the_catalog_is_private(self):
        self.begin()
        tree = tidepool.Tree(self.folder / "closed")
        content = tree.image("closed.jpg")
        self.good("POST", "/pools", {"name": "closed", "base_path": str(tree.path), "visibility": "private"}, status=201)
        self.assertEqual((self.good("GET", "/pools/closed")["visibility"], self.status("/uploads/closed.jpg")), ("private", 403))
        self.assertEqual(self.server.get(timed("/uploads/closed.jpg")).body, content)
        self.good("PATCH", "/pools/closed", {"visibility": "public"})
        self.assertEqual(self.status("/uploads/closed.jpg"), 200)
        self.good("PATCH", "/pools/closed", {"visibility": "private"})
        self.assertEqual(self.status("/uploads/closed.jpg"), 403)


class Redirects(cold.ColdCase):
    """Visitors are sent to the bucket, which knows no strangers."""

    def start(self, **pool):
        self.server = self.serve_cold({"private": {"signing_key": secret_file(self, KEY)},
                                       "admin": {"listen": ["127.0.0.1:0"], "token": secret_file(self, image_host.TOKEN)}},
                                      pool={"serve": "redirect", **pool})
        return self.server

    def fetch(self, location, method="GET"):
        parts = urllib.parse.urlsplit(location)
        with tidepool.Wire((parts.hostname, parts.port)) as wire:
            wire.send(tidepool.request(f"{parts.path}?{parts.query}", method=method, host=parts.netloc))
            return wire.response(head_only=method == "HEAD")

    def assert_presigned(self, path, content):
        refused = self.server.get(path)
        self.assertEqual((refused.status, refused.get("location"), refused["cache-control"]), (403, None, "no-store"))
        answer = self.server.get(timed(path))
        self.assertEqual((answer.status, lifetimes(answer), answer.body), (302, ("no-store", None, None), b""))
        location = answer["location"]
        self.assertIn("X-Amz-Signature=", location)
        fetched = self.fetch(location)
        self.assertTrue(fetched.body == content)
        self.assertEqual(fetched["cache-control"], "private, max-age=60")
        self.assertEqual(self.fetch(location.partition("?")[0] + "?").status, 401, "nobody gets it without")
        self.assertEqual(self.server.get(timed(path))["location"], location, "it is given again")
        head = self.server.get(timed(path), method="HEAD")
        self.assertEqual(head.status, 302)
        self.assertEqual(self.fetch(head["location"], "HEAD")["content-length"], str(len(content)))

    def test_of_a_private_pool_by_presigned_urls(self):
        content = self.put(f"{UUID}.jpg")
        self.start(visibility="private")
        self.assert_presigned(f"/uploads/{UUID}.jpg", content)
        self.assert_presigned(f"/file/{cold.BUCKET}/uploads/{UUID}.jpg", content)
        self.assertEqual(self.server.get("/uploads/none.jpg").status, 404)

    def test_of_one_that_is_read_by_its_friendly_url_as_well(self):
        content = self.put(f"{UUID}.jpg")
        self.start(visibility="private", origin="friendly", download_authorization=True, download_url=self.b2.friendly_url,
                   native_url=self.b2.friendly_url)
        self.assert_presigned(f"/uploads/{UUID}.jpg", content)

    def test_of_a_private_image_in_a_public_pool(self):
        name = f"{UUID}.jpg"
        content = self.put(name)
        self.start(public_base_url="https://images-b2.example")
        public = self.server.get(f"/uploads/{name}")
        self.assertEqual(public["location"], f"https://images-b2.example/uploads/{name}")
        body = json.dumps({"visibility": "private"}).encode()
        with tidepool.Wire(self.server.admin[0]) as wire:
            wire.send(tidepool.request(f"{admin_api.ROOT}/images/{UUID}", f"Authorization: Bearer {image_host.TOKEN}",
                                       f"Content-Length: {len(body)}", method="PATCH") + body)
            self.assertEqual(wire.response().status, 200)
        self.assert_presigned(f"/uploads/{name}", content)


class ProxiedBucket(cold.ColdCase):
    def test_what_passes_through_is_private(self):
        content = self.put(f"{UUID}.jpg", 300_000)
        server = self.serve_cold({"private": {"signing_key": secret_file(self, KEY)}}, pool={"visibility": "private"})
        path = f"/uploads/{UUID}.jpg"
        self.assertEqual(server.get(path).status, 403)
        self.assertEqual(server.get(path, "Range: bytes=0-9").status, 403)
        self.assertEqual(self.b2.requests, [])
        for fields, status, body in ((("Range: bytes=5-9",), 206, content[5:10]), ((), 200, content), ((), 200, content)):
            answer = server.get(timed(path), *fields)
            self.assertEqual((answer.status, lifetimes(answer)), (status, PRIVATE))
            self.assertTrue(answer.body == body)
        self.assertEqual(server.get(path).status, 403)


class Edge(PrivateCase):
    def through(self, url, edge):
        with socket.create_connection(edge.address) as sock:
            sock.settimeout(tidepool.PATIENCE_S)
            sock.sendall(tidepool.request(url))
            reader = http1.Reader(sock)
            answer = http1.read_answer_head(reader)
            body = reader.exactly(int(answer.get("content-length") or 0))
            return answer.status, answer.get("cf-cache-status"), body

    def start_edge(self, **private):
        self.start(**private)
        edge = edge_module.Edge(self.server.address)
        self.addCleanup(edge.stop)
        return edge, self.server.tree.image(f"private/{UUID}.jpg"), f"/uploads/private/{UUID}.jpg"

    def test_the_edge_keeps_no_private_image(self):
        edge, content, path = self.start_edge()
        for url in (timed(path), absolute(path)):
            for _ in range(3):
                self.assertEqual(self.through(url, edge), (200, "BYPASS", content))
        self.assertEqual(self.through(path, edge)[0], 403)
        self.assertEqual(self.through(timed("/uploads/private/none.jpg"), edge)[0], 404)
        self.assertEqual(self.through(timed(path, 1_700_000_000), edge)[0], 410)
        self.assertEqual((edge.stored, len(edge.fetches)), (0, 9))

    def test_an_edge_that_checks_keeps_it_by_its_token(self):
        edge, content, path = self.start_edge(edge_checks=True)
        first, second = timed(path), timed(path, time.time() - 60)
        self.assertEqual([self.through(url, edge) for url in (first, first, second, second)],
                         [(200, cache, content) for cache in ("MISS", "HIT", "MISS", "HIT")])
        self.assertEqual(self.through(path, edge)[0], 403)
        self.assertEqual(edge.stored, 2)


if __name__ == "__main__":
    tidepool.main()
