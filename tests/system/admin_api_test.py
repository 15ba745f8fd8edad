"""The admin API: keys, lists, stats, tiering, reconcile, settings, calls that are made once, and its description."""

import base64
import contextlib
import json
import pathlib
import re
import signal
import sqlite3
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import admin_api  # noqa: E402
import image_host  # noqa: E402
import json_schema  # noqa: E402
import tidepool  # noqa: E402

NO_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def cursor(text):
    """One that says this."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class Keys(admin_api.ApiCase):
    def test_a_key_is_shown_once_and_revoked(self):
        self.start(scanned=False)
        made = self.good("POST", "/keys", {"owner": "7", "name": "phone", "quota": "5GiB", "max_size": 1000, "rate": 0,
                                           "expires": "30d"}, status=201)
        self.assertRegex(made["key"], r"^tp_[0-9a-f]{64}$")
        self.assertEqual((made["quota"], made["max_size"], made["rate"], made["expires"] - made["created"]),
                         (5 << 30, 1000, 0, 30 * 86400))
        other = self.good("POST", "/keys", {"owner": "8"}, status=201)
        self.assertEqual((other["quota"], other["expires"], other["name"]), (None, None, ""))
        listed = self.good("GET", "/keys")["keys"]
        self.assertNotIn("key", listed[0])
        self.assertEqual({key["id"] for key in listed}, {made["id"], other["id"]})
        self.assertEqual([key["id"] for key in self.good("GET", "/keys?owner=8")["keys"]], [other["id"]])
        self.assertEqual(self.json("key", "list"), listed)
        self.assertEqual(self.ask("DELETE", f"/keys/{made['id']}").status, 204)
        self.assertEqual(self.call("DELETE", f"/keys/{made['id']}")[0], 404)
        self.assertEqual(self.call("DELETE", "/keys/" + other["id"][:3])[0], 404)
        self.assertEqual([key["revoked"] is None for key in self.good("GET", "/keys?owner=7")["keys"]], [False])
        text = (self.folder / "catalog.db").read_bytes() + (self.folder / "catalog.db-wal").read_bytes()
        self.assertNotIn(made["key"].encode(), text)

    def test_they_come_a_page_at_a_time(self):
        self.start(scanned=False)
        made = [self.good("POST", "/keys", {"owner": str(7 + i % 2)}, status=201)["id"] for i in range(7)]
        for limit, pages in ((1, 7), (3, 3), (7, 1), (1000, 1)):
            found, count = self.pages("/keys", "keys", limit=limit)
            self.assertEqual(({key["id"] for key in found}, len(found), count), (set(made), 7, pages))
        found, _ = self.pages("/keys", "keys", limit=2, owner="8")
        self.assertEqual({key["id"] for key in found}, set(made[1::2]))
        self.assertEqual(self.wrong_field("GET", "/keys?limit=1001"), ["limit"])
        for text in ("keys:", "keys:zzz", "keys:7", "keys:7.00", "keys:x." + "0" * 64, "jobs:7"):
            self.assertEqual(self.wrong_field("GET", f"/keys?cursor={cursor(text)}"), ["cursor"], text)

    def test_however_many_there_are_one_is_found_to_be_revoked(self):
        self.start(scanned=False)
        with contextlib.closing(sqlite3.connect(self.folder / "catalog.db")) as catalog, catalog:
            catalog.executemany("INSERT INTO api_keys VALUES (?, '9', '', '{}', 1, 0, 0)",
                                ((b"\0" * 28 + i.to_bytes(4, "big"),) for i in range(100_000)))
        made = self.good("POST", "/keys", {"owner": "7"}, status=201)
        self.assertEqual([key["id"] for key in self.good("GET", "/keys?owner=7")["keys"]], [made["id"]])
        self.assertEqual(self.call("DELETE", "/keys/" + "0" * 12)[0], 404, "many begin so")
        self.assertEqual(self.ask("DELETE", f"/keys/{made['id']}").status, 204)
        self.assertEqual(self.json("key", "list", "--owner", "7")[0]["revoked"] is None, False)

    def test_what_is_wrong_is_told_by_field(self):
        self.start(scanned=False)
        for body, field in (({}, "owner"), ({"owner": "a b"}, "owner"), ({"owner": 7}, "owner"),
                            ({"owner": "7", "quota": "much"}, "quota"), ({"owner": "7", "max_size": -1}, "max_size"),
                            ({"owner": "7", "rate": 1_000_001}, "rate"), ({"owner": "7", "rate": "1"}, "rate"),
                            ({"owner": "7", "expires": "soon"}, "expires"), ({"owner": "7", "more": 1}, "more")):
            with self.subTest(body=body):
                self.assertEqual(self.wrong_field("POST", "/keys", body, 422), [field])
        for body in (b"[]", b"{", b'{"owner":' + b"[" * 100):
            self.assertEqual(self.call("POST", "/keys", body)[0], 400)
        self.assertEqual(self.wrong_field("GET", "/keys?owners=7"), ["owners"])
        self.assertEqual(self.good("GET", "/keys")["keys"], [])


class Lists(admin_api.ApiCase):
    def test_images_by_page_and_filter(self):
        images = [self.new_image() for _ in range(7)]
        self.start()
        self.tool("mv", images[0].uuid, "--to", "cold")
        uuids = sorted(image.uuid for image in images)
        for limit, pages in ((1, 7), (3, 3), (7, 1), (1000, 1)):
            found, count = self.pages("/images", "images", limit=limit)
            self.assertEqual(([image["uuid"] for image in found], count), (uuids, pages))
        self.assertEqual(found[uuids.index(images[0].uuid)]["pool"], "cold")

        def listed(**query):
            return [image["uuid"] for image in self.pages("/images", "images", limit=2, **query)[0]]
        self.assertEqual(listed(pool="cold"), [images[0].uuid])
        self.assertEqual(listed(pool="hot"), [uuid for uuid in uuids if uuid != images[0].uuid])
        self.assertEqual(listed(state="failed"), [])
        self.assertEqual(listed(state="complete", prefix=f"uploads/original/{image_host.DAY}/"), uuids)
        self.assertEqual(listed(prefix=images[3].original), [images[3].uuid])
        self.assertEqual(listed(owner="7"), [])
        shown = self.good("GET", f"/images/{images[0].uuid}")
        self.assertEqual((shown["owner"], shown["metadata"], len(shown["objects"])), (None, None, 4))

    def test_what_is_wrong_with_a_list_is_told_by_field(self):
        self.start(scanned=False)
        jobs = self.good("GET", "/jobs")
        self.assertEqual(jobs["next"], None)
        for query, field in (("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("cursor=x", "cursor"),
                             *((f"cursor={cursor(text)}", "cursor")
                               for text in ("images:7", "jobs:zzz", "jobs:", "jobs:-1", "jobs:7x")),
                             ("state=gone", "state"), ("more=1", "more"), ("limit=1&limit=2", "limit")):
            for path in ("/images", "/jobs"):
                with self.subTest(path=path, query=query):
                    self.assertEqual(self.wrong_field("GET", f"{path}?{query}"), [field])
        self.assertEqual(self.wrong_field("GET", "/images?pool=colt"), ["pool"])

    def test_jobs_by_page_and_filter(self):
        images = [self.new_image() for _ in range(5)]
        self.start({"jobs": {"threads": 0}})
        ids = [self.good("POST", f"/images/{image.uuid}/move", {"to": "cold"}, status=202)["job"] for image in images]
        for limit, pages in ((1, 5), (2, 3), (5, 1)):
            found, count = self.pages("/jobs", "jobs", type="move", limit=limit)
            self.assertEqual(([job["id"] for job in found], count), (ids, pages))
        self.good("POST", f"/jobs/{ids[1]}/pause")
        found, _ = self.pages("/jobs", "jobs", type="move", state="paused")
        self.assertEqual([job["id"] for job in found], [ids[1]])

    def test_stats_are_those_of_the_command(self):
        for _ in range(2):
            self.new_image()
        self.start()
        stats = self.good("GET", "/stats")
        self.assertEqual(stats, self.json("stats"))
        hot = next(pool for pool in stats["pools"] if pool["pool"] == "hot")
        self.assertEqual((hot["original"]["count"], hot["variant"]["count"]), (2, 6))


class Tiering(admin_api.ApiCase):
    CONFIG = {"tiering": {"hot_keep_days_after_upload": 0, "demote_if_no_views_days": 1, "min_dwell_days_per_tier": 0}}

    def test_the_plan_is_that_of_the_command_and_is_done(self):
        images = [self.old_image() for _ in range(3)]
        self.start(self.CONFIG)
        plan = self.good("GET", "/tiering/plan")
        self.assertEqual(plan, self.json("tier", "plan"))
        self.assertEqual({move["image"] for move in plan["moves"]}, {image.uuid for image in images})
        short = self.good("GET", "/tiering/plan?limit=1")
        self.assertEqual((len(short["moves"]), short["images"]), (1, 3))
        self.assertEqual(self.wrong_field("GET", "/tiering/plan?limit=x"), ["limit"])
        sweep = self.good("POST", "/tiering/run", status=202)
        self.assertEqual(sweep["images"], 3)
        jobs, _ = self.pages("/jobs", "jobs", batch=sweep["batch"])
        self.assertEqual(len(jobs), 3)
        self.wait_for_jobs()
        self.assert_at(plan["moves"][0]["to"], *images)
        self.assertEqual(self.good("POST", "/tiering/run")["batch"], None)
        self.assertEqual(self.wrong_field("POST", "/tiering/run", {"now": True}, 422), ["now"])


class Reconcile(admin_api.ApiCase):
    # The pool is looked at, whatever is young.
    CONFIG = {"reconcile": {"grace": "0s"}, "jobs": {"threads": 2}}

    def lose(self, image):
        """Its small variants are gone from the disk behind the catalog's back."""
        lost = [key for key in image.keys if "_small" in key]
        for key in lost:
            (self.trees["uploads"].path / key.removeprefix("uploads/")).unlink()
        return lost

    def test_a_job_finds_and_mends(self):
        image = self.new_image()
        self.start(self.CONFIG)
        lost = self.lose(image)
        response = self.ask("POST", "/reconcile", {"pools": ["hot"]})
        self.assertEqual(response.status, 202)
        queued, = json.loads(response.body)["jobs"]
        self.assertEqual((queued["pool"], response["location"]), ("hot", f"{admin_api.ROOT}/jobs/{queued['job']}"))
        job = self.job_of(queued)
        self.assertEqual((job["type"], job["state"]), ("reconcile-pool", "done"))
        result = job["progress"]
        self.assertEqual((result["found"], result["repaired"], result["all_well"]), (len(lost), 0, False))
        self.assertEqual(result["findings"]["missing_object"]["found"], len(lost))
        command = json.loads(self.run_tool("reconcile", "hot", "--json")[1])[0]
        for name in ("compared", "bytes", "found", "pending", "young", "unreadable"):
            self.assertEqual(result[name], command[name], name)
        queued, = self.good("POST", "/reconcile", {"pools": ["hot"], "repair": True}, status=202)["jobs"]
        result = self.job_of(queued)["progress"]
        self.assertEqual((result["found"], result["repaired"], result["all_well"]), (len(lost), len(lost), True))
        queued, = self.good("POST", "/reconcile", {"pools": ["hot"], "deep": True}, status=202)["jobs"]
        self.assertEqual(self.job_of(queued)["progress"]["found"], 0)

    def test_all_active_pools_where_none_is_named(self):
        self.new_image()
        self.start(self.CONFIG)
        queued = self.good("POST", "/reconcile", status=202)["jobs"]
        self.assertEqual([each["pool"] for each in queued], ["hot", "warm", "cold"])
        for each in queued:
            self.assertEqual(self.job_of(each)["state"], "done")

    def test_where_too_much_would_change_the_job_fails(self):
        images = [self.new_image() for _ in range(12)]
        self.start(self.CONFIG)
        for image in images:
            self.lose(image)
        queued, = self.good("POST", "/reconcile", {"pools": ["hot"], "repair": True, "max_change": 1}, status=202)["jobs"]
        job = self.job_of(queued)
        self.assertEqual((job["state"], job["error_class"], job["progress"]["too_much"]), ("failed", "conflict", True))
        self.assertEqual(job["progress"]["repaired"], 0)

    def test_one_pool_at_a_time(self):
        self.start({**self.CONFIG, "jobs": {"threads": 0}}, scanned=False)
        first = self.good("POST", "/reconcile", {"pools": ["hot"]}, status=202)["jobs"]
        self.assertEqual(self.good("POST", "/reconcile", {"pools": ["hot", "hot"]}, status=202)["jobs"], first)
        status, answer = self.call("POST", "/reconcile", {"pools": ["hot"], "repair": True})
        self.assertEqual((status, answer["error"]), (409, "conflict"))
        self.good("POST", f"/jobs/{first[0]['job']}/cancel")
        self.good("POST", "/reconcile", {"pools": ["hot"], "repair": True}, status=202)

    def test_what_is_wrong_is_told_by_field(self):
        self.start(scanned=False)
        for body, field in (({"pools": []}, "pools"), ({"pools": "hot"}, "pools"), ({"pools": ["hott"]}, "pools"),
                            ({"pools": [7]}, "pools"), ({"repair": 1}, "repair"), ({"deep": "yes"}, "deep"),
                            ({"max_change": 101}, "max_change"), ({"max_change": "1"}, "max_change"), ({"x": 1}, "x")):
            with self.subTest(body=body):
                self.assertEqual(self.wrong_field("POST", "/reconcile", body, 422), [field])


class Settings(admin_api.ApiCase):
    def test_a_reload_changes_what_it_can(self):
        secret = "an-upload-secret-of-some-length-0001"
        upload = {"token_secret": "env:TIDEPOOL_TEST_UPLOAD", "spool_path": self.folder / "spool"}
        self.start({"upload": upload}, scanned=False, environment={"TIDEPOOL_TEST_UPLOAD": secret})
        shown = self.good("GET", "/settings")
        self.assertEqual(shown["reload"]["limits"]["ranges"], 64)
        self.assertEqual(shown["restart"]["admin"]["token"], "env:TIDEPOOL_TEST_TOKEN")
        self.assertEqual(shown["restart"]["upload"]["token_secret"], "env:TIDEPOOL_TEST_UPLOAD")
        for value in (image_host.TOKEN, secret):
            self.assertNotIn(value, json.dumps(shown))
        mark = len(self.server.log())
        admin = {"listen": ["127.0.0.1:0"], "token": "env:TIDEPOOL_TEST_TOKEN"}
        self.server.write_config({"admin": admin, "upload": upload, "limits": {"ranges": 7}, "tiering": {"cohort_percent": 9},
                                  "move": {"grace": "77s"}, "server": {"threads": 2}})
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)
        after = self.good("GET", "/settings")
        self.assertEqual((after["reload"]["limits"]["ranges"], after["reload"]["tiering"]["cohort_percent"]), (7, 9))
        self.assertEqual(after["restart"], shown["restart"])


class Once(admin_api.ApiCase):
    KEY = "Idempotency-Key: 3b0c2f0e-key"

    def test_a_call_is_made_once_also_after_a_restart(self):
        self.start(scanned=False)
        first = self.ask("POST", "/keys", {"owner": "7"}, self.KEY)
        again = self.ask("POST", "/keys", {"owner": "7"}, self.KEY)
        self.assertEqual((first.status, again.status, again.body), (201, 201, first.body))
        self.server.crash()
        self.start(scanned=False)
        again = self.ask("POST", "/keys", {"owner": "7"}, self.KEY)
        self.assertEqual((again.status, again.body), (201, first.body))
        self.assertEqual(len(self.good("GET", "/keys")["keys"]), 1)
        # The key itself is nowhere to be read.
        key = json.loads(first.body)["key"].encode()
        for name in ("catalog.db", "catalog.db-wal"):
            self.assertNotIn(key, (self.folder / name).read_bytes())

    def test_another_call_with_the_same_key_is_refused(self):
        self.start(scanned=False)
        self.good("POST", "/keys", {"owner": "7"}, self.KEY, status=201)
        for method, path, body in (("POST", "/keys", {"owner": "8"}), ("POST", "/reconcile", {"owner": "7"}),
                                   ("DELETE", "/keys/abcdef", None), ("POST", "/keys?a=b", {"owner": "7"})):
            status, answer = self.call(method, path, body, self.KEY)
            self.assertEqual((status, answer["error"]), (422, "idempotency_key_reused"), path)
        self.assertEqual(len(self.good("GET", "/keys", None, self.KEY)["keys"]), 1)  # what reads is never kept

    def test_refusals_are_kept_and_pools_change_once(self):
        self.start(scanned=False)
        other = tidepool.Tree(self.folder / "other")
        body = {"name": "other", "base_path": str(other.path)}
        self.good("POST", "/pools", body, self.KEY, status=201)
        self.good("POST", "/pools", body, self.KEY, status=201)
        self.assertEqual(self.call("POST", "/pools", body)[0], 409)
        gone = "Idempotency-Key: gone"
        self.assertEqual(self.ask("DELETE", "/pools/other", None, gone).status, 204)
        self.assertEqual(self.ask("DELETE", "/pools/other", None, gone).status, 204)
        self.assertEqual(self.call("DELETE", "/pools/other")[0], 404)
        late = "Idempotency-Key: late"
        self.assertEqual(self.call("DELETE", f"/images/{NO_UUID}x", None, late)[0], 404)

    def test_at_once_it_is_made_once(self):
        self.start(scanned=False)
        answers = []

        def make():
            answers.append(self.ask("POST", "/keys", {"owner": "7"}, self.KEY))
        threads = [threading.Thread(target=make) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLessEqual({answer.status for answer in answers}, {201, 409})
        self.assertEqual(len({answer.body for answer in answers if answer.status == 201}), 1)
        self.assertEqual(len(self.good("GET", "/keys")["keys"]), 1)

    def test_what_is_no_key(self):
        self.start(scanned=False)
        for lines in (["Idempotency-Key:"], ["Idempotency-Key: a b"], ["Idempotency-Key: " + "k" * 256],
                      ["Idempotency-Key: \u00e4"], [self.KEY, self.KEY]):
            with self.subTest(lines=lines):
                status, answer = self.call("POST", "/keys", {"owner": "7"}, *lines)
                self.assertEqual((status, answer["error"]), (400, "bad_request"))
        self.good("POST", "/keys", {"owner": "7"}, "Idempotency-Key: " + "k" * 255, status=201)


class Document(admin_api.ApiCase):
    """Walks the OpenAPI document: what it says is what there is."""

    def operation(self, method, path):
        """(template, what the document says of it) of a path below admin_api.ROOT."""
        plain = path.partition("?")[0]
        for template, methods in self.document["paths"].items():
            pattern = "".join("[^/]+" if part.startswith("{") else re.escape(part)
                              for part in re.split(r"(\{[^}]*\})", template))
            if re.fullmatch(pattern, plain) and method.lower() in methods:
                return template, methods[method.lower()]
        raise AssertionError(f"{method} {path} is not described")

    def check(self, method, path, body=None, *lines, **options):
        """The JSON of an answer that is as the document says."""
        template, operation = self.operation(method, path)
        response = self.ask(method, path, body, *lines, **options)
        where = f"{method} {path}: {response.status} {response.body[:300]}"
        self.assertIn(str(response.status), operation["responses"], where)
        described = json_schema.resolve(self.document, operation["responses"][str(response.status)])
        self.seen.setdefault((method, template), set()).add(str(response.status))
        for name in described.get("headers", {}):
            self.assertTrue(response.all(name), f"{where} lacks {name}")
        if "content" not in described:
            self.assertEqual(response.body, b"", where)
            return None
        self.assertEqual(response["content-type"], "application/json", where)
        answer = json.loads(response.body)
        schema = described["content"]["application/json"]["schema"]
        self.assertEqual(json_schema.problems(self.document, schema, answer), [], where)
        if body is not None and response.status < 400:
            wanted = operation["requestBody"]["content"]["application/json"]["schema"]
            self.assertEqual(json_schema.problems(self.document, wanted, body), [], where)
        return answer

    def test_it_is_what_is_served(self):
        images = [self.old_image() for _ in range(4)]
        folder = tidepool.Tree(self.folder / "other").path
        self.environment["TIDEPOOL_TEST_PRIVATE"] = "a key of sixteen"
        # Nobody is where the edge's API would be, so its jobs wait.
        zone = {"zone_id": "0" * 32, "api_token": "env:TIDEPOOL_TEST_TOKEN", "api_url": "http://127.0.0.1:1",
                "hosts": ["https://images.example"]}
        self.start({"jobs": {"threads": 0}, "purge": zone, "private": {"signing_key": "env:TIDEPOOL_TEST_PRIVATE"},
                    **Tiering.CONFIG})
        self.document = self.good("GET", "/openapi.json")
        self.seen = {}
        self.check("GET", "/openapi.json")
        # Pools.
        self.check("GET", "/pools")
        self.check("POST", "/pools", {"name": "other", "base_path": str(folder), "priority": 7})
        self.check("POST", "/pools", {"name": "other", "base_path": str(folder)})
        self.check("POST", "/pools", {"name": "other2", "storage_tier": "nowhere"})
        self.check("POST", "/pools", b"{")
        self.check("GET", "/pools/other")
        self.check("GET", "/pools/cold")
        self.check("GET", "/pools/none")
        self.check("PATCH", "/pools/other", {"description": "changed", "priority": None})
        self.check("PATCH", "/pools/other", {"priority": "x"})
        self.check("PATCH", "/pools/hot", {"priority": 1})
        self.check("PATCH", "/pools/none", {"priority": 1})
        self.check("PATCH", "/pools/other", b"[]")
        self.check("DELETE", "/pools/other")
        self.check("DELETE", "/pools/other")
        self.check("DELETE", "/pools/hot")
        # Images, and jobs that they make.
        page = self.check("GET", "/images?limit=3")
        self.check("GET", f"/images?cursor={page['next']}&pool=hot&state=complete&prefix=uploads/")
        self.check("GET", "/images?state=x")
        self.check("GET", f"/images/{images[0].uuid}")
        self.check("GET", f"/images/{NO_UUID}")
        self.check("PATCH", f"/images/{images[0].uuid}", {"visibility": "private"})
        self.check("PATCH", f"/images/{images[0].uuid}", {"visibility": "secret"})
        self.check("PATCH", f"/images/{NO_UUID}", {"visibility": "public"})
        self.check("PATCH", f"/images/{images[0].uuid}", b"[]")
        move = self.check("POST", f"/images/{images[0].uuid}/move", {"to": "cold"})
        self.check("POST", f"/images/{images[0].uuid}/move", {"to": "warm"})
        self.check("POST", f"/images/{NO_UUID}/move", {"to": "warm"})
        self.check("POST", f"/images/{images[0].uuid}/move", {"to": 7})
        self.check("DELETE", f"/images/{images[1].uuid}")
        self.check("DELETE", "/images/nonsense")
        page = self.check("GET", "/jobs?limit=1")
        self.check("GET", f"/jobs?cursor={page['next']}&state=queued")
        self.check("GET", "/jobs?limit=x")
        self.check("GET", f"/jobs?cursor={cursor('jobs:zzz')}")
        path = f"/jobs/{move['job']}"
        self.check("GET", path)
        self.check("GET", "/jobs/99999")
        for action in ("pause", "resume", "cancel", "retry"):
            self.check("POST", f"{path}/{action}")
            self.check("POST", f"/jobs/99999/{action}")
        self.check("POST", f"{path}/resume")  # it is queued
        # What else there is.
        self.check("GET", "/stats")
        self.check("GET", "/stats?x=1")
        key = self.check("POST", "/keys", {"owner": "7", "quota": 1000, "expires": "1d"})
        self.check("POST", "/keys", {"owner": ""})
        self.check("POST", "/keys", b"{")
        self.check("POST", "/keys", {"owner": "7", "name": "x" * 70_000})
        page = self.check("GET", "/keys?owner=7&limit=1")
        self.assertIn("413", self.seen["POST", "/keys"])
        self.check("GET", "/keys?x=1")
        self.check("DELETE", f"/keys/{key['id']}")
        self.check("DELETE", f"/keys/{key['id']}")
        self.check("GET", "/tiering/plan")
        self.check("GET", "/tiering/plan?limit=x")
        self.check("POST", "/tiering/run")
        self.check("POST", "/tiering/run", b'{"x": 1}')
        queued = self.check("POST", "/reconcile", {"pools": ["hot"], "repair": False, "max_change": 5})
        self.check("POST", "/reconcile", {"pools": ["hot"], "repair": True})
        self.check("POST", "/reconcile", {"pools": ["none"]})
        self.check("POST", "/sign", {"path": "/uploads/a.jpg", "ttl": "1m", "form": None})
        self.check("POST", "/sign", {"url": "https://images.example/a.jpg", "form": "absolute"})
        self.check("POST", "/sign", {"path": "/uploads/a.jpg", "ttl": "10d"})
        self.check("POST", "/sign", b"{")
        self.check("POST", "/purges", {"images": [images[0].uuid], "urls": ["https://images.example/a.jpg"]})
        self.check("POST", "/purges", {"images": [NO_UUID]})
        self.check("POST", "/purges", {"images": ["x"]})
        self.check("POST", "/purges", b"{")
        self.check("GET", "/settings")
        self.check("GET", "/settings?x=1")
        self.check("PATCH", "/settings", {"tiering": {"cohort_percent": 9, "window": None}, "timeouts": None})
        self.check("PATCH", "/settings", {"tiering": {"cohort_percent": 101}})
        self.check("PATCH", "/settings", b"[]")
        self.tool("jobs", "run")
        job = self.check("GET", f"/jobs/{queued['jobs'][0]['job']}")
        result = self.document["components"]["schemas"]["ReconcileResult"]
        self.assertEqual(json_schema.problems(self.document, result, job["progress"]), [])
        # By now nothing is left to be moved.
        self.check("POST", "/tiering/run", None)
        self.check_every_operation()

    def check_every_operation(self):
        for template, methods in self.document["paths"].items():
            path = re.sub(r"\{[^}]*\}", "7", template)
            with self.subTest(path=template):
                described = {method.upper() for method in methods if method != "parameters"}
                for method in described:
                    self.check(method, path, token="wrong")
                    if method != "GET":
                        self.check(method, path, None, "Idempotency-Key: a b")
                    good = {code for code in methods[method.lower()]["responses"] if code < "300"}
                    self.assertLessEqual(good, self.seen.get((method, template), set()), method)
                for method in {"GET", "POST", "PATCH", "PUT", "DELETE"} - described:
                    response = self.ask(method, path)
                    self.assertEqual(response.status, 405, method)
                    allowed = set(response["allow"].split(", "))
                    self.assertEqual(allowed, described | ({"HEAD"} if "GET" in described else set()))
                    schema = self.document["components"]["schemas"]["Error"]
                    self.assertEqual(json_schema.problems(self.document, schema, json.loads(response.body)), [])

    def test_it_is_no_secret_but_closed_with_the_rest(self):
        self.start({"admin": {"listen": ["127.0.0.1:0"], "token": ""}}, scanned=False)
        self.assertEqual(self.call("GET", "/openapi.json")[0], 403)


if __name__ == "__main__":
    tidepool.main()
