"""The origin lock: who does not come through the edge is shut out, before anything is done for what he asks."""

import json
import pathlib
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402
import uploads  # noqa: E402

KEY, OLD_KEY = "a-secret-that-only-the-edge-knows", "the-secret-that-it-knew-before-it"
SECRET = f"X-Origin-Key: {KEY}"
HOST = "images.example"
INSIDE, OUTSIDE = "127.0.0.2", "127.0.0.1"  # of the trusted ranges
CHECK_HOST = {"hosts": [HOST, "*.example.com"]}
CHECK_SECRET = {"secret_header": "X-Origin-Key", "secret": "env:TIDEPOOL_TEST_LOCK"}
CHECK_PEER = {"only_trusted_peers": True}
CHECK_ALL = {**CHECK_HOST, **CHECK_SECRET, **CHECK_PEER}
IMAGE = "/uploads/a.jpg"
REFUSED, WOULD_REFUSE = "tidepool_edge_refused_total", "tidepool_edge_would_refuse_total"


class LockCase(tidepool.OwnServerCase):
    def locked(self, config=None, **edge):
        """A server with this in [edge], one image, and an access log that is written soon."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.log_file = self.folder / "access.log"
        self.config = config or {}
        self.server = self.serve(self.sections(edge), folder=self.folder,
                                 environment={"TIDEPOOL_TEST_LOCK": KEY, "TIDEPOOL_TEST_LOCK_BEFORE": OLD_KEY})
        self.server.tree.image("a.jpg")
        return self.server

    def sections(self, edge):
        return {"server": {"threads": 1}, "access_log": {"path": str(self.log_file), "flush_interval": "10ms"},
                "edge": {"trusted_ranges": [INSIDE], **edge}, **self.config}

    def reload(self, **edge):
        mark = len(self.server.log())
        self.server.write_config(self.sections(edge))
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)

    def connect(self, source=INSIDE):
        wire = self.server.connect(source=(source, 0))
        self.addCleanup(wire.close)
        return wire

    def ask(self, *fields, host=HOST, source=INSIDE, path=IMAGE, **options):
        """The answer to a request on a connection of its own."""
        return self.connect(source).send(tidepool.request(path, *fields, host=host, **options)).response(
            head_only=options.get("method") == "HEAD")

    def status(self, *fields, **options):
        return self.ask(*fields, **options).status

    def assert_refused(self, response, body=b"forbidden\n"):
        self.assertEqual((response.status, response["cache-control"], response.body), (403, "no-store", body), response)
        self.assertTrue(response.closes, response)

    def assert_silent(self, wire, data):
        """Nothing comes but the end."""
        try:
            wire.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return
        self.assertEqual(wire.read_to_end()[0], b"")

    def counted(self, family=REFUSED):
        metrics = self.server.metrics()
        return tuple(metrics.sum(family, reason=reason) for reason in ("peer", "host", "secret"))

    def entries(self, count):
        def enough():
            text = self.log_file.read_text()
            return text.count("\n") >= count and text.splitlines()
        return [json.loads(line) for line in tidepool.eventually(enough, f"{count} lines")]


class Forbid(LockCase):
    def test_nothing_is_checked_until_it_is_asked_for(self):
        self.locked()
        for host in (HOST, "other.example"):
            for source in (INSIDE, OUTSIDE):
                self.assertEqual(self.status(host=host, source=source), 200)
        self.assertEqual(self.status(host=None, version="HTTP/1.0"), 200)
        self.assertEqual((self.counted(), self.counted(WOULD_REFUSE)), ((0, 0, 0), (0, 0, 0)))
        self.assertNotIn("origin lock", "\n".join(self.server.log()))

    def test_by_host(self):
        self.locked(**CHECK_HOST)
        for host in (HOST, "IMAGES.EXAMPLE:8080", f"{HOST}.", "a.example.com", "a.b.example.com:1"):
            self.assertEqual(self.status(host=host, source=OUTSIDE), 200, host)
        wrong = ("other.example", "example.com", f"{HOST}.evil.org", "127.0.0.1", "[::1]", "")
        for host in wrong:
            self.assert_refused(self.ask(host=host))
        self.assertEqual(self.status(path=f"http://{HOST}{IMAGE}"), 200)
        self.assert_refused(self.ask(path=f"http://other.example{IMAGE}"))
        self.assert_refused(self.ask(path=f"http://{HOST}{IMAGE}", host="other.example"))
        self.assert_refused(self.ask(host=None, version="HTTP/1.0"))
        self.assertEqual(self.counted(), (0, len(wrong) + 3, 0))

    def test_by_secret(self):
        self.locked(**CHECK_SECRET, secret_previous="env:TIDEPOOL_TEST_LOCK_BEFORE")
        for good in (SECRET, f"x-origin-key:{KEY}", f"X-Origin-Key: {OLD_KEY}"):
            self.assertEqual(self.status(good, source=OUTSIDE, host="any.example"), 200, good)
        wrong = ((), ("X-Origin-Key:",), (f"X-Origin-Key: {KEY[:-1]}",), (f"{SECRET}x",), (SECRET, SECRET),
                 (SECRET, f"X-Origin-Key: {OLD_KEY}"), ("X-Origin-Key: no", SECRET), (f"Cookie: X-Origin-Key={KEY}",))
        for fields in wrong:
            self.assert_refused(self.ask(*fields))
        self.assertEqual(self.counted(), (0, 0, len(wrong)))

    def test_by_peer(self):
        self.locked(**CHECK_PEER)
        self.assertEqual(self.status(host="any.example"), 200)
        self.assert_refused(self.ask(source=OUTSIDE))
        self.assertEqual(self.counted(), (1, 0, 0))

    def test_a_unix_socket_is_no_stranger(self):
        path = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-")) / "public.sock"
        self.addCleanup(path.parent.rmdir)
        self.locked({"server": {"threads": 1, "listen": [f"unix:{path}"]}}, **CHECK_ALL)
        with self.server.connect() as wire:
            self.assertEqual(wire.get(IMAGE, SECRET).status, 200)
            self.assert_refused(wire.get(IMAGE))
        self.assertEqual(self.counted(), (0, 0, 1))

    def test_together_a_request_counts_for_the_first_check(self):
        self.locked(**CHECK_ALL)
        self.assertEqual(self.status(SECRET), 200)
        for fields, host, source, counted in (((SECRET,), HOST, OUTSIDE, (1, 0, 0)), ((), HOST, INSIDE, (1, 0, 1)),
                                              ((SECRET,), "other", INSIDE, (1, 1, 1)), ((), "other", OUTSIDE, (2, 1, 1)),
                                              ((), "other", INSIDE, (2, 2, 1))):
            self.assert_refused(self.ask(*fields, host=host, source=source))
            self.assertEqual(self.counted(), counted)
        self.assertEqual(self.server.refused("locked_out"), 5)

    def test_whatever_is_asked_for(self):
        self.locked(**CHECK_SECRET)
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PURGE"):
            for path in (IMAGE, "/uploads/none.jpg", "/", "/api/v1/ping", "/api/internal/replicate", "/file/bucket/a"):
                answer = self.ask(path=path, method=method)
                self.assert_refused(answer, b"" if method == "HEAD" else b"forbidden\n")

    def test_each_request_of_a_connection_anew(self):
        self.locked(**CHECK_ALL)
        wire = self.connect()
        for _ in range(3):
            self.assertEqual(wire.get(IMAGE, SECRET).status, 200)
        self.assert_refused(wire.get(IMAGE))
        self.assertEqual(wire.read_to_end(), (b"", "fin"))
        # Pipelined: what stands behind the refused one is not answered.
        good, bad = tidepool.request(IMAGE, SECRET), tidepool.request(IMAGE, SECRET, host="other.example")
        wire = self.connect().send(good + good + bad + good)
        self.assertEqual([wire.response().status for _ in range(2)], [200, 200])
        self.assert_refused(wire.response())
        self.assertEqual(wire.read_to_end()[0], b"")
        self.assertEqual(self.counted(), (0, 1, 1))

    def test_a_stranger_cannot_keep_a_connection_by_being_slow(self):
        self.locked({"timeouts": {"header": "300ms"}}, **CHECK_PEER)
        wire = self.connect(OUTSIDE).send("GET ")
        self.assert_refused(wire.response())
        self.assertEqual(wire.read_to_end()[0], b"")
        self.assert_refused(self.connect(OUTSIDE).send("nonsense\r\n\r\n").response())

    def test_what_cannot_be_read_is_answered_as_ever(self):
        self.locked(**CHECK_SECRET)
        self.assertEqual(self.connect().send("GET / HTTP/1.1\r\nHost : x\r\n\r\n").response().status, 400)

    def test_the_admin_listener_has_no_lock(self):
        self.locked(**{**CHECK_ALL, "hosts": ["only.example"]})
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(self.server.admin_get(path).status, 200)

    def test_no_rule_makes_the_answer_last(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        rule = '[[cache_control]]\nstatus = ["403"]\ncache_control = "public, max-age=60"\n'
        self.server = self.serve({"edge": {"trusted_ranges": [INSIDE], **CHECK_PEER}}, folder=folder, extra=rule)
        self.assert_refused(self.ask(source=OUTSIDE))


class Close(LockCase):
    def test_who_is_refused_gets_no_answer(self):
        self.locked(**CHECK_HOST, **CHECK_SECRET, refusal="close")
        self.assertEqual(self.status(SECRET), 200)
        self.assert_silent(self.connect(), tidepool.request(IMAGE))
        self.assert_silent(self.connect(), tidepool.request(IMAGE, SECRET, host="other.example"))
        self.assertEqual(self.counted(), (0, 1, 1))
        self.assert_silent(self.connect(), "GET / HTTP/1.1\r\nHost : x\r\n\r\n")
        self.assertEqual((self.counted(), self.server.refused("bad_field_name")), ((0, 1, 1), 1))
        wire = self.connect()
        self.assertEqual(wire.get(IMAGE, SECRET).status, 200)
        self.assert_silent(wire, tidepool.request(IMAGE))
        good, bad = tidepool.request(IMAGE, SECRET), tidepool.request(IMAGE)
        wire = self.connect().send(good + bad + good)
        self.assertEqual(wire.response().status, 200)
        self.assertEqual(wire.read_to_end()[0], b"")
        self.assertEqual([entry["status"] for entry in self.entries(3)], [200, 200, 200])

    def test_a_strangers_connection_ends_before_it_says_anything(self):
        self.locked({"server": {"threads": 1, "defer_accept": False}}, **CHECK_ALL, refusal="close")
        self.assertEqual(self.connect(OUTSIDE).read_to_end(), (b"", "fin"))
        self.assert_silent(self.connect(OUTSIDE), tidepool.request(IMAGE, SECRET))
        self.assertEqual(self.status(SECRET), 200)
        self.assertEqual(self.counted(), (2, 0, 0))
        tidepool.eventually(lambda: self.server.metrics().sum("tidepool_connections") <= 1, "none is left")

    def test_a_body_is_not_waited_for(self):
        self.locked(**CHECK_SECRET, refusal="close")
        head = tidepool.request("/api/v1/upload", "Content-Length: 1000000", "Expect: 100-continue", method="POST")
        self.assert_silent(self.connect(), head)
        self.assert_silent(self.connect(), head + b"x" * 100_000)


class Log(LockCase):
    def test_all_come_in_and_each_failed_check_counts(self):
        self.locked(**CHECK_ALL, lock="log", refusal="close")
        self.assertEqual(self.status(SECRET), 200)
        self.assertEqual(self.counted(WOULD_REFUSE), (0, 0, 0))
        for _ in range(20):
            self.assertEqual(self.status(host="other.example", source=OUTSIDE), 200)
        self.assertEqual(self.status(), 200)
        self.assertEqual((self.counted(WOULD_REFUSE), self.counted()), ((20, 20, 21), (0, 0, 0)))
        lines = [line for line in self.server.log() if "would refuse" in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn('checks=peer,host,secret peer=127.0.0.1 host="other.example" requests=1', lines[0])

    def test_off_checks_nothing(self):
        self.locked(**CHECK_ALL, lock="off")
        self.assertEqual(self.status(host="other.example", source=OUTSIDE), 200)
        self.assertEqual((self.counted(WOULD_REFUSE), self.counted()), ((0, 0, 0), (0, 0, 0)))


class Believed(LockCase):
    FORGED = ("CF-Connecting-IP: 203.0.113.7", "X-Forwarded-For: 203.0.113.7")

    def clients(self, *fields):
        """Whom the access log names for requests with these fields, and each header: from inside, from outside."""
        before = self.log_file.read_text().count("\n")
        for source in (INSIDE, OUTSIDE):
            for forged in self.FORGED:
                self.ask(forged, *fields, source=source)
        return [entry["client"] for entry in self.entries(before + 4)[before:]]

    def test_without_a_secret_the_ranges_tell(self):
        self.locked()
        self.assertEqual(self.clients(), ["203.0.113.7"] * 2 + [OUTSIDE] * 2)

    def test_with_one_both_are_needed(self):
        for lock in ("log", "enforce"):
            self.locked(**CHECK_SECRET, lock=lock)
            self.assertEqual(self.clients(SECRET), ["203.0.113.7"] * 2 + [OUTSIDE] * 2, lock)
            self.assertEqual(self.clients(), [INSIDE] * 2 + [OUTSIDE] * 2, lock)
            self.assertEqual(self.clients("X-Origin-Key: wrong"), [INSIDE] * 2 + [OUTSIDE] * 2, lock)
        self.locked(**CHECK_SECRET, lock="off")
        self.assertEqual(self.clients(), ["203.0.113.7"] * 2 + [OUTSIDE] * 2)

    def test_anew_for_each_request_of_a_connection(self):
        self.locked(**CHECK_SECRET, lock="log")
        wire = self.connect()
        for fields in ((SECRET,), (), (SECRET,)):
            self.assertEqual(wire.get(IMAGE, self.FORGED[0], *fields).status, 200)
        self.assertEqual([each["client"] for each in self.entries(3)], ["203.0.113.7", INSIDE, "203.0.113.7"])

    def test_the_refused_are_in_the_log_and_the_secret_is_not(self):
        self.locked(**CHECK_HOST, **CHECK_SECRET)
        self.ask(SECRET, self.FORGED[0], host="other.example")
        self.ask(f"X-Origin-Key: {KEY}x")
        first, second = self.entries(2)
        self.assertEqual((first["client"], first["peer"], first["status"], first["host"]),
                         ("203.0.113.7", INSIDE, 403, "other.example"))
        self.assertEqual((second["client"], second["status"]), (INSIDE, 403))
        for text in (self.log_file.read_text(), "\n".join(self.server.log())):
            self.assertNotIn(KEY, text)


class Reload(LockCase):
    def test_all_of_it_is_taken_over(self):
        self.locked()
        kept = self.connect(OUTSIDE)
        self.assertEqual(kept.get(IMAGE).status, 200)
        other = {"host": "other.example", "source": OUTSIDE}
        self.assertEqual(self.status(**other), 200)
        self.reload(**CHECK_HOST)
        self.server.wait_log("origin lock mode=enforce checks=host refusal=forbid")
        tidepool.eventually(lambda: self.status(**other) == 403, "hosts are checked")
        self.assertEqual(kept.get(IMAGE).status, 200)
        self.reload(**CHECK_SECRET)
        tidepool.eventually(lambda: self.status(**other) == 403 and self.status(SECRET, **other) == 200, "the secret is")
        self.reload(**CHECK_SECRET, lock="log")
        tidepool.eventually(lambda: self.status(**other) == 200, "it only logs")
        self.reload(**CHECK_PEER)
        tidepool.eventually(lambda: self.status(**other) == 403 and self.status() == 200, "peers are checked")
        self.assert_refused(kept.get(IMAGE))  # a connection from before, too
        self.reload()
        tidepool.eventually(lambda: self.status(**other) == 200, "nothing is checked")
        self.assertEqual(self.server.wait_log("origin lock mode=off")[0][0], "origin lock mode=off")

    def test_other_ranges_hold_for_connections_that_there_are(self):
        self.locked(**CHECK_PEER)
        wire = self.connect()
        self.assertEqual(wire.get(IMAGE).status, 200)
        self.reload(trusted_ranges=[OUTSIDE], **CHECK_PEER)
        tidepool.eventually(lambda: self.status(source=OUTSIDE) == 200, "the new one is trusted")
        self.assert_refused(wire.get(IMAGE))

    def test_a_secret_is_changed_without_a_refused_request(self):
        self.locked(**CHECK_SECRET)
        key, before = self.folder / "key", self.folder / "key.before"
        key.write_text("the-next-secret-of-this-edge\n")
        before.write_text(f"{KEY}\n")
        new = "X-Origin-Key: the-next-secret-of-this-edge"
        both = {**CHECK_SECRET, "secret": f"file:{key}", "secret_previous": f"file:{before}"}
        self.reload(**both)
        tidepool.eventually(lambda: self.status(new) == 200, "the new one is known")
        self.assertEqual(self.status(SECRET), 200)
        self.reload(**{**both, "secret_previous": ""})
        tidepool.eventually(lambda: self.status(SECRET) == 403, "the old one is not")
        self.assertEqual(self.status(new), 200)
        # What files say is read again.
        key.write_text("a-secret-after-the-next-one")
        self.reload(**{**both, "secret_previous": ""})
        tidepool.eventually(lambda: self.status("X-Origin-Key: a-secret-after-the-next-one") == 200, "it is read")

    def test_a_file_with_mistakes_changes_nothing(self):
        self.locked(**CHECK_SECRET)
        mark = len(self.server.log())
        self.server.write_config(self.sections({"secret_header": "X-Origin-Key"}))
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration not reloaded", after=mark)
        self.assertEqual((self.status(), self.status(SECRET)), (403, 200))

    def test_a_successor_has_it_from_its_first_request_on(self):
        self.locked(**CHECK_SECRET)
        self.server.take_over()
        self.assertEqual((self.status(), self.status(SECRET)), (403, 200))


class Uploads(uploads.UploadCase):
    def locked(self, upload=None, **edge):
        self.environment["TIDEPOOL_TEST_LOCK"] = KEY
        return self.start(upload, {"edge": {"trusted_ranges": ["127.0.0.1"], **CHECK_SECRET, **edge}})

    def test_they_are_refused_before_their_body_is_read(self):
        self.locked()
        token = self.token(1_000_000)
        for lines in ((), ("Expect: 100-continue",)):
            wire = self.wire().send(self.head_of(token, 1_000_000, *lines))
            answer = wire.answer()
            self.assertEqual((answer.status, answer.body), (403, b"forbidden\n"))
            self.assertTrue(answer.response.closes)
        self.assertEqual(self.wire().send(self.head_of(token)).answer().status, 403)  # in chunks
        for path in (uploads.INTERNAL_UPLOAD, uploads.SESSIONS, uploads.REPLICATE, "/api/v1/upload/tus"):
            self.assertEqual(self.wire().send(self.head_of(token, 1_000_000, path=path)).answer().status, 403, path)
        self.assertEqual(self.originals(), {})
        wire = self.wire().send(self.head_of(token, 10, "Expect: 100-continue", SECRET))
        self.assertEqual(wire.answer().status, 100)

    def test_whoever_shows_the_secret_uploads_as_ever(self):
        self.locked()
        fields = dict([SECRET.split(": ")])
        self.assertEqual(self.api("GET", uploads.PING).status, 403)
        self.assertEqual(self.api("GET", uploads.PING, fields=fields).status, 200)
        content = tidepool.make_image("image/jpeg", 1000, 1)
        self.assertNotEqual(self.upload(content).status, 200)
        refused_as_no_image = self.upload(content, fields=fields)
        self.assertEqual(refused_as_no_image.status, 415, refused_as_no_image)  # it came that far

    def test_a_limit_by_address_is_not_got_round_by_a_header(self):
        self.locked({"rate_per_address": 1}, lock="log")
        key = self.key()
        secret = dict([SECRET.split(": ")])

        def ask(client, fields):
            return self.ask_session(1000, key, {"CF-Connecting-IP": client, **fields}).status
        self.assertEqual([ask(f"203.0.113.{i}", secret) for i in range(3)], [200, 200, 200])
        self.assertEqual([ask(f"198.51.100.{i}", {}) for i in range(3)], [200, 429, 429])


class Check(tidepool.OwnServerCase):
    def check(self, **edge):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        self.addCleanup(lambda: (file.unlink(), (folder / "uploads").rmdir(), folder.rmdir()))
        file = folder / "tidepool.toml"
        (folder / "uploads").mkdir()
        file.write_text(tidepool.toml_section("[edge]", edge) + tidepool.toml_section("[catalog]", {"url": ""}) +
                        tidepool.toml_section("[[pool]]", {"name": "hot", "base_path": folder / "uploads"}))
        return tidepool.run_tool("check", "-c", str(file), environment={"TIDEPOOL_TEST_LOCK": KEY})

    def test_contradictions_are_errors(self):
        for edge, problem in (({"secret_header": "X-Origin-Key"}, "edge.secret_header: no secret is right"),
                              ({"secret": "env:TIDEPOOL_TEST_LOCK"}, "edge.secret: nobody is asked for it"),
                              ({"only_trusted_peers": True, "trusted_ranges": []}, "edge.trusted_ranges: the list is empty"),
                              ({**CHECK_SECRET, "secret_header": "CF-Key"}, "edge.secret_header: \"CF-Key\""),
                              ({"hosts": ["http://a.example"]}, "edge.hosts[1]: \"http://a.example\"")):
            status, _, errors = self.check(**edge)
            self.assertEqual(status, 2, errors)
            self.assertIn(problem, errors)
            self.assertNotIn(KEY, errors)

    def test_a_lock_that_is_open_is_mentioned(self):
        self.assertEqual(self.check(**CHECK_ALL)[0:1], (0,))
        self.assertNotIn("edge:", self.check(**CHECK_ALL)[1])
        for lock in ("log", "off"):
            self.assertIn(f'edge: nobody is shut out: edge.lock is "{lock}"', self.check(**CHECK_ALL, lock=lock)[1])
        self.assertNotIn("edge:", self.check(lock="off")[1])


if __name__ == "__main__":
    tidepool.main()
