"""A private bucket read by its friendly URL: the token that B2 gives for it, its renewal, and when there is none."""

import base64
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import pools_api_test  # noqa: E402
import tidepool  # noqa: E402

AUTHORIZE, LIST, GRANT = "b2_authorize_account", "b2_list_buckets", "b2_get_download_authorization"
NO_SHELF = {"shelf": {"path": ""}}
REFUSED_A_MINUTE = 6  # rounds that may be made for tokens, however many are refused
GOT = r"download authorization got pool=cold"
NONE = r"no download authorization, so the bucket cannot be read pool=cold"


class AuthorizationCase(cold.ColdCase):
    """What every test checks in the end: no log, metric or page of its servers names what must stay secret."""

    def setUp(self):
        super().setUp()
        self.servers = []
        self.keys = [self.b2.key]

    def serve(self, *args, **kwargs):
        server = super().serve(*args, **kwargs)
        self.servers.append(server)
        return server

    def serve_private(self, config=None, pool=None, waits=True, **options):
        """A server over the bucket; `waits` until it has a token."""
        config = {"log": {"level": "debug"}, **(config or {})}
        pool = {"origin": "friendly", "download_authorization": True, "native_url": self.b2.friendly_url, **(pool or {})}
        server = self.serve_cold(config=config, pool=pool, **options)
        if waits:
            server.wait_log(GOT)
            self.b2.clear_requests()
        return server

    def tearDown(self):
        for server in self.servers:
            if not server.stopped:
                self.assert_no_secret(server.admin_get("/metrics").body.decode())
            self.assert_no_secret("\n".join(server.log()))
        super().tearDown()

    def assert_no_secret(self, text):
        secrets = list(self.b2.friendly.tokens)
        for key in self.keys:
            secrets += [key.secret, base64.b64encode(f"{key.id}:{key.secret}".encode()).decode()]
        for secret in secrets:
            self.assertNotIn(secret, text)

    def use_key(self, *args, **kwargs):
        self.b2.key = self.b2.new_key(*args, **kwargs)
        self.keys.append(self.b2.key)

    def grants(self):
        return self.b2.count(operation=GRANT)

    def refused(self):
        """How many fetches were refused for their token."""
        return sum(entry.status == 401 for entry in self.fetches())

    def check_config(self, server):
        status, out, error = tidepool.run_tool("check", "-c", str(server.config_file),
                                               environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
        self.assert_no_secret(out + error)
        return status, out + error

    def gauge(self, server, name):
        return server.metrics().sum(f"tidepool_download_authorization_{name}", pool="cold")

    def assert_refused_soon(self, server, name):
        answer = server.get(f"/uploads/{name}")
        self.assert_refusal(answer, 503)
        self.assert_no_secret(answer.body.decode())
        return answer


class Serving(AuthorizationCase):
    def test_a_private_bucket_is_served_byte_for_byte(self):
        for name, size in (("a.jpg", 90_000), ("b.jpg", 3_000_000), ("c d+e.jpg", 10)):
            self.put(name, size)
        for config in (None, NO_SHELF):
            with self.subTest(config=config):
                server = self.serve_private(config)  # nobody has to ask for the token
                self.assertEqual(server.get("/uploads/absent.jpg").status, 404)
                for name, content in self.contents.items():
                    path = name.replace(" ", "%20")
                    part = server.get(f"/uploads/{path}", "Range: bytes=3-8")
                    self.assertEqual((part.status, part.body), (206, content[3:9]))
                    whole = server.get(f"/uploads/{path}")
                    self.assertEqual(whole.status, 200)
                    self.assertTrue(whole.body == content)
                    friendly = server.get(f"/file/{cold.BUCKET}/uploads/{path}")
                    self.assertTrue(friendly.body == content)
                    last = server.get(f"/uploads/{path}", "Range: bytes=-5")
                    self.assertEqual((last.status, last.body), (206, content[-5:]))
                entries = self.fetches()
                self.assertEqual({entry.face for entry in entries}, {"friendly"})
                self.assertEqual(len({entry.headers["authorization"] for entry in entries}), 1)
                self.assertEqual(self.refused(), 0)
                self.assertEqual({entry.operation for entry in self.b2.requests}, {"b2_download_file_by_name"})

    def test_a_token_costs_two_or_three_calls_and_is_asked_for_the_bucket(self):
        for capabilities, bucket, operations in (
                (None, None, [AUTHORIZE, LIST, GRANT]), (("listFiles", "shareFiles", "readFiles"), cold.BUCKET,
                                                         [AUTHORIZE, GRANT])):
            with self.subTest(bucket=bucket):
                self.put("a.jpg")
                self.use_key(**({"capabilities": capabilities, "bucket": bucket} if bucket else {}))
                server = self.serve_private(pool={"download_authorization_lifetime": "2h"}, scanned=False)
                server.wait_log(GOT + r' prefix="" good_for_s=7200')
                self.assertGreater(self.gauge(server, "good_seconds"), 7000)
                self.assertEqual(self.gauge(server, "rounds_total"), 1)
                used = server.metrics().sum("tidepool_budget_used", pool="cold", item="class_c_calls")
                self.assertEqual(used, len(operations))
                cold.scan(server, self.b2.key.secret)
                self.assert_served(server, "a.jpg")
                self.b2.clear_requests()
                status, text = self.check_config(server)
                self.assertEqual(status, 0, text)
                self.assertIn("downloads are authorized for every name at " + self.b2.friendly_url, text)
                native = [entry.operation for entry in self.b2.requests if entry.face == "friendly"]
                self.assertEqual(native, [*operations, "b2_download_file_by_name"])

    def test_a_download_url_of_the_configuration_is_used(self):
        self.put("a.jpg")
        proxy = self.fault_proxy("friendly")
        server = self.serve_private(pool={"download_url": proxy.url})
        self.assert_served(server, "a.jpg")
        self.assertEqual({entry.headers["host"] for entry in self.fetches()}, {proxy.url.removeprefix("http://")})

    def test_requests_wait_for_the_first_token(self):
        self.put("a.jpg")
        fault = self.b2.fault("half_open", operation=AUTHORIZE)
        server = self.serve_private(waits=False)
        fault.wait_hits()
        with tidepool.Wire(server.address) as wire:
            wire.send(tidepool.request("/uploads/a.jpg"))
            fault.release()  # its connection ends, and it is asked again
            self.assertTrue(wire.response().body == self.contents["a.jpg"])


class RunTime(pools_api_test.PoolsCase):
    def test_a_pool_made_at_run_time(self):
        server = self.serve_api(config={"log": {"level": "debug"}})
        content = tidepool.make_image(size=70_000, seed="late")
        self.b2.put(pools_api_test.BUCKET, "uploads/late.jpg", content)
        path = pools_api_test.PATH
        refused = self.refused_fields(server, "POST", path, self.bucket_fields(download_authorization=True))
        self.assertIn('origin = "friendly"', refused["download_authorization"])
        pool = self.create(server, origin="friendly", download_authorization=True, native_url=self.b2.friendly_url,
                           download_authorization_lifetime="90m")
        self.assertEqual((pool["download_authorization"], pool["download_authorization_lifetime"], pool["native_url"]),
                         (True, "90m", self.b2.friendly_url))
        status, out = self.run_command(server, "scan", "late")
        self.assertEqual(status, 0, out)
        tidepool.eventually(lambda: server.get("/uploads/late.jpg").body == content, "it is served")
        # Another lifetime is another token.
        mark = len(server.log())
        status, _, response = self.call(server, "PATCH", path + "/late", {"download_authorization_lifetime": "1h"})
        self.assertEqual(status, 200, response.body)
        server.wait_log(r"download authorization got pool=late .*good_for_s=3600", after=mark)
        _, _, listing = self.call(server, "GET")
        text = listing.body.decode() + "\n".join(server.log()) + server.admin_get("/metrics").body.decode()
        for secret in (*self.b2.friendly.tokens, self.b2.key.secret):
            self.assertNotIn(secret, text)
        # Public now: no token is sent any more.
        self.b2.account.buckets[pools_api_test.BUCKET].public = True
        self.b2.put(pools_api_test.BUCKET, "uploads/open.jpg", content)
        status, _, response = self.call(server, "PATCH", path + "/late",
                                        {"download_authorization": None, "download_url": self.b2.friendly_url})
        self.assertEqual(status, 200, response.body)
        status, out = self.run_command(server, "scan", "late")
        self.assertEqual(status, 0, out)
        self.b2.clear_requests()
        tidepool.eventually(lambda: server.get("/uploads/open.jpg").body == content, "it is served")
        for entry in self.b2.select(face="friendly"):
            self.assertNotIn("authorization", entry.headers)


class Renewal(AuthorizationCase):
    def test_a_token_that_ends_between_requests_costs_no_request(self):
        for number in range(4):
            self.put(f"{number}.jpg")
        server = self.serve_private({"origin": {"tries": 1}})  # of the bucket; the token is our own affair
        self.assert_served(server, "0.jpg")
        for number, tokens in ((1, 1), (2, 2), (3, 3)):
            self.assertEqual(self.b2.expire_tokens(), 1)
            self.assert_served(server, f"{number}.jpg")
            self.assertEqual(self.grants(), tokens)
        self.assertEqual(self.refused(), 3)

    def test_a_token_that_ends_under_load_fails_nobody(self):
        contents = {f"{number}.jpg": self.put(f"{number}.jpg", 40_000) for number in range(300)}
        server = self.serve_private(NO_SHELF)
        wanted = [(f"/uploads/{name}", content) for name, content in contents.items()]
        fault = self.b2.fault("slow_first_byte", count=None, operation="b2_download_file_by_name", seconds=0.02)
        with cold.Crowd(server, [cold.Client(*each) for each in wanted]) as crowd:
            waiting = crowd.clients[:60]
            crowd.run(clients=waiting)
            for part in (60, 120, 180, 240):
                self.assertGreater(self.b2.expire_tokens(), 0)
                crowd.run(clients=crowd.clients[part:part + 60])
        fault.release()
        for client in crowd.clients:
            self.assertTrue(client.served, client)
        self.assertGreater(self.refused(), 0)
        self.assertLessEqual(self.grants(), REFUSED_A_MINUTE)
        self.assertEqual(self.grants(), 4)

    def test_a_body_that_breaks_after_its_token_ended_goes_on(self):
        self.put("a.jpg", 4_000_000)
        server = self.serve_private()
        fault = self.b2.fault("stall", key="uploads/a.jpg", after=1_000_000)
        cut = self.b2.fault("cut", key="uploads/a.jpg", after=2_000_000, how="rst")
        with tidepool.Wire(server.address) as wire:
            wire.send(tidepool.request("/uploads/a.jpg"))
            fault.wait_hits()
            self.b2.expire_tokens()
            fault.release()
            self.assertTrue(wire.response().body == self.contents["a.jpg"])
        self.assertEqual(cut.hits, 1)
        self.assertEqual([entry.status for entry in self.fetches()], [200, 401, 206])

    def test_it_is_renewed_in_time_and_while_b2_fails_the_old_one_is_used(self):
        for number in range(3):
            self.put(f"{number}.jpg")
        server = self.serve_private(pool={"download_authorization_lifetime": "20s"})
        first = set(self.b2.friendly.tokens)
        fault = self.b2.fault("error", status=503, code="service_unavailable", operation=AUTHORIZE, count=3)
        _, line = server.wait_log(r"download authorization not renewed pool=cold reason=\".*503")
        self.assertEqual(fault.hits, 3)
        self.assert_served(server, "0.jpg")
        server.wait_log(GOT, after=line)
        with self.b2.account.lock:
            for token in first:
                del self.b2.friendly.tokens[token]
        self.assert_served(server, "1.jpg")
        self.assertEqual(self.refused(), 0)
        self.assertGreater(self.gauge(server, "good_seconds"), 0)
        self.assertEqual(self.gauge(server, "failures_total"), 1)


class Without(AuthorizationCase):
    def test_a_revoked_key_is_503_until_it_is_there_again(self):
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            self.put(name)
        server = self.serve_private()
        self.assert_served(server, "a.jpg")
        key = self.b2.key
        self.b2.revoke(key)
        self.assert_refused_soon(server, "b.jpg")
        server.wait_log(NONE + ".*b2_authorize_account.*401 unauthorized.*does not know access_key_id")
        self.b2.clear_requests()
        for _ in range(30):
            self.assert_refused_soon(server, "b.jpg")
            self.assert_refused_soon(server, "c.jpg")
        self.assertLessEqual(self.b2.count(operation=AUTHORIZE), REFUSED_A_MINUTE)
        self.assertEqual(self.fetches(), [])
        self.assertEqual(self.gauge(server, "good_seconds"), 0)
        self.assert_served(server, "a.jpg")  # is on the shelf
        self.assertEqual(server.get("/uploads/b.jpg", method="HEAD").status, 200)
        self.assertEqual(server.get("/uploads/absent.jpg").status, 404)
        status, text = self.check_config(server)
        self.assertEqual(status, 1)
        self.assertRegex(text, "pool cold: b2_authorize_account .*401 unauthorized: B2 does not know access_key_id")
        with self.b2.account.lock:
            self.b2.account.keys[key.id] = key
        tidepool.eventually(lambda: server.get("/uploads/b.jpg").status == 200, "it is served again")

    def test_a_key_that_may_not_is_told_by_the_log_and_by_check(self):
        self.b2.bucket("tidepool-other")
        self.put("a.jpg")
        for capabilities, bucket, reason in (
                (("listFiles", "readFiles"), cold.BUCKET, "has not the capability shareFiles"),
                (("listFiles", "readFiles", "shareFiles"), None, "needs the capability listBuckets")):
            with self.subTest(reason=reason):
                self.use_key(capabilities, bucket)
                server = self.serve_private(waits=False)
                server.wait_log(NONE + ".*" + reason)
                self.assert_refused_soon(server, "a.jpg")
                status, text = self.check_config(server)
                self.assertEqual(status, 1)
                self.assertIn(reason, text)
                self.assertIn("pool cold: the bucket can be listed", text)
                self.assertEqual(self.fetches(), [])

    def test_check_asks_the_download_host(self):
        self.put("a.jpg")
        server = self.serve_private(pool={"download_url": self.b2.s3_url})
        status, text = self.check_config(server)
        self.assertEqual(status, 1)
        self.assertIn("look at download_url", text)

    def test_a_used_up_budget_is_told(self):
        self.put("a.jpg")
        server = self.serve_private()
        text = server.config_file.read_text()
        self.assertIn('name = "cold"\n', text)
        server.config_file.write_text(text.replace('name = "cold"\n', 'name = "cold"\ndaily_class_c_calls = 1\n'))
        self.b2.clear_requests()
        mark = len(server.log())
        server.signal(signal.SIGHUP)
        server.wait_log(NONE + ".*today's budget of this pool is used up", after=mark)
        answer = self.assert_refused_soon(server, "a.jpg")
        self.assertGreater(int(answer["retry-after"]), 5)
        self.assertEqual(self.b2.requests, [])
        status, shown = self.check_config(server)
        self.assertEqual(status, 1)
        self.assertIn("today's budget of this pool is used up", shown)
        # What was used stays used; more is allowed.
        mark = len(server.log())
        server.config_file.write_text(text)
        server.signal(signal.SIGHUP)
        server.wait_log(GOT, after=mark)
        self.assert_served(server, "a.jpg")

    def test_a_cap_of_the_store_is_told(self):
        self.put("a.jpg")
        self.b2.fault("error", count=None, operation=GRANT, status=403, code="transaction_cap_exceeded",
                      message="Transaction cap exceeded.")
        server = self.serve_private(waits=False)
        server.wait_log(NONE + ".*transaction_cap_exceeded.*a limit of the store's account is reached")
        self.assert_refused_soon(server, "a.jpg")

    def test_a_bucket_that_refuses_every_token_causes_no_storm(self):
        self.put("a.jpg")
        self.put("b.jpg")
        server = self.serve_private(NO_SHELF)
        # An object that the token does not open, though it may be good.
        fault = self.b2.fault("error", count=None, key="uploads/a.jpg", status=401, code="unauthorized", message="")
        for _ in range(30):
            self.assert_refused_soon(server, "a.jpg")
            self.assert_served(server, "b.jpg")
        self.assertLessEqual(self.grants(), REFUSED_A_MINUTE)
        fault.release()
        self.assert_served(server, "a.jpg")

    def test_a_store_that_repeats_what_it_was_sent(self):
        self.put("a.jpg")
        server = self.serve_private()
        token, = (text for text, token in self.b2.friendly.tokens.items() if token.download)
        self.b2.fault("error", count=None, key="uploads/a.jpg", status=400, code="bad_request",
                      message=f"what is {token}?")
        answer = server.get("/uploads/a.jpg")
        self.assert_refusal(answer, 502)
        self.assert_no_secret(answer.body.decode())

    def test_b2_that_does_not_answer_is_503(self):
        self.put("a.jpg")
        self.b2.fault("half_open", count=None, operation=AUTHORIZE)
        server = self.serve_private({"origin": cold.IMPATIENT}, waits=False)
        self.assert_refused_soon(server, "a.jpg")
        server.wait_log(NONE)

    def test_a_server_that_ends_does_not_wait_for_b2(self):
        self.put("a.jpg")
        fault = self.b2.fault("half_open", count=None, operation=AUTHORIZE)
        # Longer than a server would be waited for here.
        patient = {"origin": {"first_byte_timeout": "85s"}, "server": {"drain_timeout": "1s"}}
        server = self.serve_private(patient, waits=False)
        fault.wait_hits()
        with tidepool.Wire(server.address) as wire:
            wire.send(tidepool.request("/uploads/a.jpg"))
            # It has the request, as one that came later is answered.
            self.assertEqual(server.get("/uploads/absent.jpg").status, 404)
            server.stop_process()


if __name__ == "__main__":
    tidepool.main()
