"""Pools made, changed, disabled, drained and removed while the server runs: by the admin API and by a reload."""

import json
import os
import pathlib
import signal
import sqlite3
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import cold  # noqa: E402
import tidepool  # noqa: E402

TOKEN = "a-token-of-some-length"
BUCKET = "tidepool-late"
PATH = "/api/admin/v1/pools"


class PoolsCase(cold.ColdCase):
    def setUp(self):
        super().setUp()
        self.b2.bucket(BUCKET)

    def serve_api(self, config=None, with_key=True, with_token=True, **options):
        config = {name: dict(section) for name, section in (config or {}).items()}
        environment = {"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret, "TIDEPOOL_TEST_TOKEN": TOKEN}
        folder = options.pop("folder", None) or self.folder_of_its_own()
        admin = config.setdefault("admin", {"listen": ["127.0.0.1:0"]})
        if with_token:
            admin["token"] = "env:TIDEPOOL_TEST_TOKEN"
        catalog = config.setdefault("catalog", {"url": f"sqlite:{folder}/catalog.db"})
        if with_key:
            key = folder / "secrets.key"
            if not key.exists():
                key.write_bytes(os.urandom(32))
                key.chmod(0o600)
            catalog["secrets_key_file"] = key
        config.setdefault("shelf", {"path": folder / "shelf", "min_free": "0B"})
        return self.serve(config, folder=folder, environment=environment, **options)

    def folder_of_its_own(self):
        return pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))

    def call(self, server, method, path=PATH, body=None, token=TOKEN, *fields):
        """(status, JSON or None, response) of one call of the API."""
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        lines = list(fields)
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        if body is not None:
            lines.append(f"Content-Length: {len(text.encode())}")
        with tidepool.Wire(server.admin[0]) as wire:
            wire.send(tidepool.request(path, *lines, method=method) + text.encode())
            response = wire.response(head_only=method == "HEAD")
        self.assertEqual(response["cache-control"], "no-store")
        if not response.body:
            return response.status, None, response
        return response.status, json.loads(response.body), response

    def bucket_fields(self, **changes):
        return {"name": "late", "storage_type": "s3", "storage_tier": "cold", "bucket": BUCKET, "region": self.b2.region,
                "endpoint_url": self.b2.s3_url, "access_key_id": self.b2.key.id,
                "secret_access_key": self.b2.key.secret, **changes}

    def create(self, server, **changes):
        status, pool, response = self.call(server, "POST", PATH, self.bucket_fields(**changes))
        self.assertEqual(status, 201, response.body)
        return pool

    def run_command(self, server, *arguments):
        status, out, error = tidepool.run_tool(
            arguments[0], "-c", str(server.config_file), *arguments[1:],
            environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret, "TIDEPOOL_TEST_TOKEN": TOKEN})
        return status, out + error

    def refused_fields(self, server, method, path, body, status=422):
        got, answer, response = self.call(server, method, path, body)
        self.assertEqual(got, status, response.body)
        return {each["field"]: each["message"] for each in answer.get("details", [])}


class Access(PoolsCase):
    def test_only_who_has_the_token_gets_in(self):
        server = self.serve_api()
        for token in (None, "", "wrong", TOKEN + "x", TOKEN[:-1]):
            with self.subTest(token=token):
                for method, body in (("GET", None), ("POST", self.bucket_fields())):
                    status, answer, response = self.call(server, method, PATH, body, token)
                    self.assertEqual((status, answer["error"]), (401, "unauthorized"))
                    self.assertEqual(response.all("www-authenticate"), ["Bearer"])
        status, answer, _ = self.call(server, "GET", PATH, None, None, "Authorization: Basic " + TOKEN)
        self.assertEqual(status, 401)
        status, answer, _ = self.call(server, "GET", PATH, None, None, f"authorization: bearer {TOKEN}")
        self.assertEqual((status, [pool["name"] for pool in answer["pools"]]), (200, ["hot"]))

    def test_without_a_token_the_api_is_closed(self):
        server = self.serve_api(with_token=False)
        status, answer, _ = self.call(server, "GET")
        self.assertEqual((status, answer["error"]), (403, "closed"))
        self.assertIn("admin.token", answer["message"])

    def test_it_is_not_on_the_public_listener(self):
        server = self.serve_api()
        self.assertEqual(server.get(PATH, f"Authorization: Bearer {TOKEN}").status, 404)

    def test_what_is_no_call(self):
        server = self.serve_api(config={"admin": {"listen": ["127.0.0.1:0"], "request_body": "4KiB"}})
        for method, path, body, wanted in (
                ("PUT", PATH, "{}", 405), ("DELETE", PATH, None, 405), ("POST", PATH + "/hot", "{}", 405),
                ("GET", "/api/admin/v1/none", None, 404), ("GET", PATH + "/none", None, 404),
                ("GET", PATH + "/hot/more", None, 404), ("GET", PATH + "x", None, 404), ("GET", PATH + "/", None, 404),
                ("POST", PATH, None, 400), ("POST", PATH, "{", 400), ("POST", PATH, "[]", 400), ("POST", PATH, "7", 400),
                ("PATCH", PATH + "/hot", "nonsense", 400), ("POST", PATH, "[" * 4000, 400),
                ("POST", PATH, '{"name": "' + "x" * 5000 + '"}', 413)):
            with self.subTest(method=method, path=path, body=body and body[:20]):
                text = body or ""
                lines = [f"Authorization: Bearer {TOKEN}"] + ([f"Content-Length: {len(text)}"] if body else [])
                with tidepool.Wire(server.admin[0]) as wire:
                    wire.send(tidepool.request(path, *lines, method=method) + text.encode())
                    self.assertEqual(wire.response().status, wanted)
        self.assertEqual(self.call(server, "GET", PATH + "/hott")[1]["message"],
                         'there is no pool "hott"; did you mean "hot"?')

    def test_a_body_comes_as_the_sender_likes(self):
        server = self.serve_api()
        text = json.dumps(self.bucket_fields(name="chunked")).encode()
        head = tidepool.request(PATH, f"Authorization: Bearer {TOKEN}", "Transfer-Encoding: chunked", method="POST")
        with tidepool.Wire(server.admin[0]) as wire:
            wire.send(head)
            for byte in range(0, len(text), 50):
                piece = text[byte:byte + 50]
                wire.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            wire.send(b"0\r\n\r\n")
            self.assertEqual(wire.response().status, 201)
        with tidepool.Wire(server.admin[0]) as wire:
            change = b'{"description": "changed"}'
            wire.send(tidepool.request(PATH + "/chunked", f"Authorization: Bearer {TOKEN}",
                                       f"Content-Length: {len(change)}", "Expect: 100-continue", method="PATCH"))
            self.assertEqual(wire.read_head().status, 100)
            wire.send_split(change)
            answer = wire.response()
            self.assertEqual((answer.status, json.loads(answer.body)["description"]), (200, "changed"))
            # The connection goes on behind a body.
            wire.send(tidepool.request(PATH + "/chunked", f"Authorization: Bearer {TOKEN}"))
            self.assertEqual(wire.response().status, 200)
        # One that ends early changes nothing.
        with tidepool.Wire(server.admin[0]) as wire:
            wire.send(tidepool.request(PATH + "/chunked", f"Authorization: Bearer {TOKEN}", "Content-Length: 100",
                                       method="DELETE") + b"{").finish_sending()
            self.assertEqual(wire.response().status, 400)
        self.assertEqual(self.call(server, "GET", PATH + "/chunked")[0], 200)


class Life(PoolsCase):
    def test_a_bucket_is_taken_into_service_and_out_again(self):
        server = self.serve_api()
        content = tidepool.make_image("image/jpeg", 50_000, "late")
        self.b2.put(BUCKET, "uploads/late.jpg", content, "image/jpeg")
        pool = self.create(server, priority=500, max_size="5GiB", description="the late one")
        self.assertEqual((pool["managed_by"], pool["state"], pool["used_bytes"], pool["has_credentials"]),
                         ("api", "active", 0, True))
        self.assertEqual((pool["max_size"], pool["priority"], pool["bucket"]), ("5GiB", 500, BUCKET))
        self.assertEqual(server.get("/uploads/late.jpg").status, 404)  # nobody said yet that it is there
        status, text = self.run_command(server, "scan", "late")
        self.assertEqual(status, 0, text)

        def served():
            return server.get("/uploads/late.jpg").body == content
        tidepool.eventually(served, "the object of the new pool is served")
        self.assertTrue(server.get(f"/file/{BUCKET}/uploads/late.jpg").body == content)
        self.assertEqual(self.call(server, "GET", PATH + "/late")[1]["used_bytes"], 50_000)
        self.assertEqual(server.metrics().sum("tidepool_origin_fetches_total", pool="late"), 1)

        # Not empty, so it can neither go nor be another bucket.
        status, answer, _ = self.call(server, "DELETE", PATH + "/late")
        self.assertEqual((status, answer["error"]), (409, "not_empty"))
        self.assertIn("bucket", self.refused_fields(server, "PATCH", PATH + "/late", {"bucket": "another-one"}, 409))

        # Disabled it is not served, and nobody is told that the object is not there; enabled it is back.
        status, pool, _ = self.call(server, "PATCH", PATH + "/late", {"is_active": False})
        self.assertEqual((status, pool["state"], pool["is_active"]), (200, "disabled", False))
        self.assert_refusal(server.get("/uploads/late.jpg"), 503)
        self.assertEqual(server.get(f"/file/{BUCKET}/uploads/late.jpg").status, 404)
        status, pool, _ = self.call(server, "PATCH", PATH + "/late", {"state": "active"})
        self.assertTrue(served())

        # Drained it serves and takes nothing.
        status, pool, _ = self.call(server, "PATCH", PATH + "/late", {"state": "draining"})
        self.assertEqual((status, pool["state"], pool["is_active"]), (200, "draining", True))
        self.assertTrue(served())
        server.tree.put("a.jpg", content)
        status, text = self.run_command(server, "put", str(server.tree.path / "a.jpg"), "uploads/n.jpg", "--pool", "late")
        self.assertEqual(status, 1)
        self.assertIn("is being drained", text)

        status, text = self.run_command(server, "rm", "uploads/late.jpg")
        self.assertEqual(status, 0, text)
        self.assertEqual(self.call(server, "DELETE", PATH + "/late")[0], 204)
        self.assertEqual(self.call(server, "GET", PATH + "/late")[0], 404)
        self.assertEqual(server.get(f"/file/{BUCKET}/uploads/late.jpg").status, 404)
        self.assertEqual(self.call(server, "DELETE", PATH + "/late")[0], 404)

    def test_a_folder_is_taken_into_service_and_out_again(self):
        server = self.serve_api()
        second = tidepool.Tree(server.folder / "second")
        content = second.image("b.jpg")
        self.assertEqual(server.get("/uploads/b.jpg").status, 404)
        status, pool, response = self.call(server, "POST", PATH,
                                           {"name": "second", "storage_tier": "warm", "base_path": str(second.path)})
        self.assertEqual((status, response["location"]), (201, PATH + "/second"), pool)
        self.assertEqual(server.get("/uploads/b.jpg").body, content)  # at once, though it was known to be absent
        server.tree.put("b.jpg", b"".join([tidepool.make_image("image/jpeg", 900, "hot")]))
        status, pool, _ = self.call(server, "PATCH", PATH + "/second", {"state": "disabled"})
        self.assertEqual(status, 200)
        self.assertEqual(server.get("/uploads/b.jpg").body, tidepool.make_image("image/jpeg", 900, "hot"))
        self.assertEqual(server.admin_get("/readyz").status, 200)

    def test_the_marker_of_a_folder_is_looked_for_from_then_on(self):
        server = self.serve_api()
        second = tidepool.Tree(server.folder / "second")
        self.call(server, "POST", PATH, {"name": "second", "base_path": str(second.path)})
        self.assertEqual(server.get("/uploads/b.jpg").status, 404)
        status, pool, _ = self.call(server, "PATCH", PATH + "/second", {"marker": ".mounted"})
        self.assertEqual((status, pool["marker"]), (200, ".mounted"))
        self.assertEqual(server.get("/uploads/b.jpg").status, 503)
        (second.path / ".mounted").touch()
        self.assertEqual(server.get("/uploads/b.jpg").status, 404)

    def test_answers_go_on_while_their_pool_goes(self):
        server = self.serve_api()
        second = tidepool.Tree(server.folder / "second")
        content = second.image("big.jpg", size=30_000_000)
        self.call(server, "POST", PATH, {"name": "second", "base_path": str(second.path)})
        with server.connect(receive_buffer=65536) as wire:
            wire.send(tidepool.request("/uploads/big.jpg"))
            head = wire.read_head()
            self.assertEqual(self.call(server, "PATCH", PATH + "/second", {"is_active": False})[0], 200)
            self.assertIn(server.get("/uploads/big.jpg").status, (404, 503))  # 503 once it has been adopted
            self.assertTrue(wire.read_exactly(int(head["content-length"])) == content)

    def test_it_is_there_after_a_restart_and_for_the_commands(self):
        folder = self.folder_of_its_own()
        server = self.serve_api(folder=folder)
        content = tidepool.make_image("image/jpeg", 5_000, "kept")
        self.b2.put(BUCKET, "uploads/kept.jpg", content, "image/jpeg")
        self.create(server)
        self.assertEqual(self.run_command(server, "scan", "late")[0], 0)
        server.stop_process()
        server = self.serve_api(folder=folder)
        self.assertEqual(server.get("/uploads/kept.jpg").body, content)
        status, text = self.run_command(server, "stats", "--json")
        self.assertEqual({pool["pool"]: pool["used_bytes"] for pool in json.loads(text)["pools"]}["late"], 5_000)
        self.assertEqual(self.run_command(server, "get", "uploads/kept.jpg", str(folder / "out.jpg"))[0], 0)
        self.assertEqual((folder / "out.jpg").read_bytes(), content)

    def test_another_server_of_the_same_catalog_learns_of_it(self):
        folder = self.folder_of_its_own()
        first = self.serve_api(folder=folder)
        second_folder = self.folder_of_its_own()
        catalog = {"url": f"sqlite:{folder}/catalog.db"}
        (second_folder / "secrets.key").write_bytes((folder / "secrets.key").read_bytes())
        (second_folder / "secrets.key").chmod(0o600)
        second = self.serve_api(folder=second_folder, config={"catalog": catalog},
                                pools=[{"name": "hot", "base_path": folder / "uploads"}])
        content = tidepool.make_image("image/jpeg", 5_000, "shared")
        self.b2.put(BUCKET, "uploads/shared.jpg", content, "image/jpeg")
        self.create(first)
        tidepool.eventually(lambda: self.call(second, "GET", PATH + "/late")[0] == 200, "it knows")
        self.assertEqual(self.run_command(first, "scan", "late")[0], 0)
        tidepool.eventually(lambda: second.get("/uploads/shared.jpg").body == content, "it serves")
        self.call(first, "PATCH", PATH + "/late", {"is_active": False})
        tidepool.eventually(lambda: second.get("/uploads/shared.jpg").status == 503, "it stops")


class Secrets(PoolsCase):
    def everything_said(self, server):
        texts = ["\n".join(server.log()), server.admin_get("/metrics").body.decode()]
        texts += [response.body.decode() for _, _, response in (self.call(server, "GET"),
                                                                self.call(server, "GET", PATH + "/late"))]
        return "\n".join(texts)

    def test_they_are_seen_nowhere(self):
        server = self.serve_api()
        self.create(server)
        self.call(server, "PATCH", PATH + "/late", {"description": "x"})
        secret, key_id = self.b2.key.secret, self.b2.key.id
        self.assertNotIn(secret, self.everything_said(server))
        self.assertNotIn(TOKEN, self.everything_said(server))
        stored = b"".join(path.read_bytes() for path in server.folder.glob("catalog.db*"))
        self.assertNotIn(secret.encode(), stored)
        self.assertNotIn(key_id.encode(), stored)
        self.assertNotIn(TOKEN.encode(), stored)
        self.assertNotIn(secret, self.run_command(server, "stats", "--json")[1])

    def test_they_are_kept_and_changed(self):
        server = self.serve_api()
        content = tidepool.make_image("image/jpeg", 5_000, "k")
        self.b2.put(BUCKET, "uploads/k.jpg", content, "image/jpeg")
        self.create(server, secret_access_key="not-the-right-one")
        self.assertEqual(self.run_command(server, "scan", "late")[0], 1)
        status, _, _ = self.call(server, "PATCH", PATH + "/late", {"secret_access_key": self.b2.key.secret})
        self.assertEqual(status, 200)
        self.assertEqual(self.run_command(server, "scan", "late")[0], 0)
        self.call(server, "PATCH", PATH + "/late", {"priority": 7})  # does not lose it
        tidepool.eventually(lambda: server.get("/uploads/k.jpg").body == content, "served")

    def test_they_need_a_key_and_the_same_one(self):
        folder = self.folder_of_its_own()
        server = self.serve_api(folder=folder, with_key=False)
        status, answer, _ = self.call(server, "POST", PATH, self.bucket_fields())
        self.assertEqual((status, answer["error"]), (409, "no_secrets_key"))
        self.assertIn("catalog.secrets_key_file", answer["message"])
        server.stop_process()

        server = self.serve_api(folder=folder)
        self.create(server)
        server.stop_process()
        (folder / "secrets.key").write_bytes(os.urandom(32))
        server = self.serve_api(folder=folder)
        server.wait_log("pool cannot be used pool=late")
        pool = self.call(server, "GET", PATH + "/late")[1]
        self.assertIn("secrets_key_file", pool["problem"])
        self.assertEqual((pool["state"], pool["is_active"]), ("disabled", False))
        # New credentials mend it.
        status, pool, _ = self.call(server, "PATCH", PATH + "/late",
                                    {"access_key_id": self.b2.key.id, "secret_access_key": self.b2.key.secret})
        self.assertEqual((status, pool["state"], pool.get("problem")), (200, "active", None), pool)
        self.assertEqual(self.run_command(server, "scan", "late")[0], 0)

    def test_a_bad_key_file_stops_the_start(self):
        folder = self.folder_of_its_own()
        (folder / "secrets.key").write_bytes(b"short")
        (folder / "secrets.key").chmod(0o600)
        server = self.serve_api(folder=folder, expect_ready=False)
        server.wait_log("cannot serve: catalog.secrets_key_file: .*a key is 32 bytes, and this file has 5")
        self.assertEqual(server.exit_of(server.pid), 1)
        server.kill()

    def test_sources_belong_to_the_file(self):
        server = self.serve_api()
        for key in ("access_key_id", "secret_access_key"):
            for value in ("env:HOME", "file:/etc/passwd"):
                with self.subTest(key=key, value=value):
                    fields = self.refused_fields(server, "POST", PATH, self.bucket_fields(**{key: value}))
                    self.assertEqual(list(fields), [key])


class Wrong(PoolsCase):
    def test_each_wrong_field_is_named(self):
        server = self.serve_api()
        for changes, field, part in (
                ({"bucket": "Wrong_Name"}, "bucket", ""), ({"path_prefix": "uploads/"}, "path_prefix", "uploads/"),
                ({"bukket": "a"}, "bukket", "bucket"), ({"priority": "high"}, "priority", "a whole number"),
                ({"priority": -1}, "priority", "from 0"), ({"max_size": 5000}, "max_size", "5000B"),
                ({"max_size": 99999999999999999999}, "max_size", "a size"), ({"name": "Upper"}, "name", ""),
                ({"storage_type": "tape"}, "storage_type", "s3"), ({"base_path": "/srv"}, "base_path", "no folder"),
                ({"region": None}, "region", "is missing"), ({"secret_access_key": None}, "secret_access_key", ""),
                ({"secret_access_key": 7}, "secret_access_key", "a text"), ({"serve": "redirect"}, "serve", ""),
                ({"origin": "friendly"}, "origin", "download_url"), ({"is_active": "yes"}, "is_active", "true or false"),
                ({"state": "gone"}, "state", "draining"), ({"name": None}, "name", "is missing"),
                ({"endpoint_url": {"a": {"b": {"c": {"d": 1}}}}}, "endpoint_url", "a text")):
            with self.subTest(changes=changes):
                fields = self.refused_fields(server, "POST", PATH, self.bucket_fields(**changes))
                self.assertIn(field, fields)
                self.assertIn(part, fields[field])
        self.assertEqual([pool["name"] for pool in self.call(server, "GET")[1]["pools"]], ["hot"])
        local = {"name": "b", "base_path": str(server.folder / "b")}
        for changes, field in (({"is_backup_target": True}, "is_backup_target"), ({"bucket": "abc"}, "bucket"),
                               ({"base_path": str(server.tree.path / "in")}, "base_path"), ({"base_path": "x"}, "base_path"),
                               ({"marker": "a/b"}, "marker")):
            with self.subTest(changes=changes):
                self.assertIn(field, self.refused_fields(server, "POST", PATH, {**local, **changes}))

    def test_pools_may_not_contradict_each_other(self):
        server = self.serve_api(pools=[{"name": "hot", "base_path": self.folder_of_its_own(), "is_default": True}])
        self.create(server)
        status, answer, _ = self.call(server, "POST", PATH, self.bucket_fields())
        self.assertEqual((status, answer["error"]), (409, "conflict"))
        status, answer, _ = self.call(server, "POST", PATH, self.bucket_fields(name="hot"))
        self.assertEqual((status, answer["error"]), (409, "conflict"))
        self.assertIn("bucket", self.refused_fields(server, "POST", PATH, self.bucket_fields(name="other")))
        self.assertIn("is_default", self.refused_fields(server, "PATCH", PATH + "/late", {"is_default": True}))
        self.assertIn("name", self.refused_fields(server, "PATCH", PATH + "/late", {"name": "newer"}))

    def test_the_file_manages_its_own(self):
        server = self.serve_api()
        status, answer, _ = self.call(server, "PATCH", PATH + "/hot", {"priority": 5})
        self.assertEqual((status, answer["error"]), (409, "managed_by_file"))
        self.assertEqual(self.call(server, "DELETE", PATH + "/hot")[0], 409)
        # But for its state, which outlives the server.
        status, pool, _ = self.call(server, "PATCH", PATH + "/hot", {"state": "draining"})
        self.assertEqual((status, pool["state"], pool["managed_by"]), (200, "draining", "file"))
        server.stop_process()
        server = self.serve_api(folder=server.folder)
        self.assertEqual(self.call(server, "GET", PATH + "/hot")[1]["state"], "draining")

    def test_a_row_that_cannot_be_read_is_shown_and_harms_nobody(self):
        folder = self.folder_of_its_own()
        server = self.serve_api(folder=folder)
        self.create(server)
        content = server.tree.image("a.jpg")
        server.stop_process()
        with sqlite3.connect(folder / "catalog.db") as catalog:
            catalog.execute("UPDATE pools SET settings = 'nonsense' WHERE name = 'late'")
        server = self.serve_api(folder=folder)
        self.assertEqual(server.get("/uploads/a.jpg").body, content)
        self.assertIn("no JSON", self.call(server, "GET", PATH + "/late")[1]["problem"])
        self.assertEqual(self.call(server, "DELETE", PATH + "/late")[0], 204)


class Reload(PoolsCase):
    def test_a_reload_takes_the_file_s_pools(self):
        server = self.serve_api()
        second = tidepool.Tree(server.folder / "second")
        content = second.image("b.jpg")
        self.assertEqual(server.get("/uploads/b.jpg").status, 404)
        sections = server.config_file.read_text()
        with server.connect() as wire:  # is not dropped
            self.assertEqual(wire.get("/uploads/b.jpg").status, 404)
            mark = len(server.log())
            server.config_file.write_text(sections + tidepool.toml_section(
                "[[pool]]", {"name": "second", "base_path": second.path}))
            server.signal(signal.SIGHUP)
            server.wait_log("configuration reloaded", after=mark)
            self.assertEqual(wire.get("/uploads/b.jpg").body, content)
            mark = len(server.log())
            server.config_file.write_text(sections)
            server.signal(signal.SIGHUP)
            server.wait_log("configuration reloaded", after=mark)
            self.assertIn(wire.get("/uploads/b.jpg").status, (404, 503))  # 503 once it has been adopted

    def test_a_file_that_takes_the_name_of_another_pool_is_refused(self):
        server = self.serve_api()
        self.create(server)
        content = server.tree.image("a.jpg")
        sections = server.config_file.read_text()
        mark = len(server.log())
        server.config_file.write_text(sections + tidepool.toml_section(
            "[[pool]]", {"name": "late", "base_path": server.folder / "late"}))
        server.signal(signal.SIGHUP)
        server.wait_log("not reloaded, the old ones are kept", after=mark)
        self.assertEqual(self.call(server, "GET", PATH + "/late")[1]["managed_by"], "api")
        self.assertEqual(server.get("/uploads/a.jpg").body, content)


if __name__ == "__main__":
    tidepool.main()
