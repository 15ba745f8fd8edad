"""The upload API as its clients know it: sessions, tokens, what is taken, what is refused, and what comes twice."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import pictures  # noqa: E402
import tidepool  # noqa: E402
import uploads  # noqa: E402
from pictures import picture, png, stamped  # noqa: E402
from uploads import (  # noqa: E402
    IMAGES, INTERNAL_UPLOAD, NODE, ONE_PROFILE, OTHER_OWNER, OWNER, SECRET, SESSIONS, UPLOAD)

import io  # noqa: E402
import json  # noqa: E402
import struct  # noqa: E402
import time  # noqa: E402
import zipfile  # noqa: E402

MIB = 1024 * 1024
KINDS = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp",
         "avif": "image/avif", "bmp": "image/bmp"}
HTML = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"


def archive():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("index.html", HTML)
    return packed.getvalue()


class Sessions(uploads.UploadCase):
    def test_it_says_where_to_upload(self):
        self.start()
        before = int(time.time())
        answer = self.ask_session(12_345, self.key())
        self.assertEqual((answer.status, answer["cache-control"]), (200, "no-store"))
        session = answer.json
        self.assertLessEqual({"upload_url", "token", "pool_id", "expires_at", "max_bytes"}, set(session))
        self.assertEqual(session["upload_url"], NODE + UPLOAD)
        self.assertEqual((session["pool_id"], session["max_bytes"]), (self.pool_id(), 12_345))
        self.assertTrue(before + 1800 <= session["expires_at"] <= int(time.time()) + 1800, session)

    def test_its_token_is_one_that_the_app_accepts(self):
        self.start()
        session = self.session(12_345)
        payload = uploads.read_token(session["token"])
        self.assertEqual(str(payload["user_id"]), str(OWNER))
        self.assertEqual((payload["pool_id"], payload["max_bytes"], payload["exp"]),
                         (session["pool_id"], 12_345, session["expires_at"]))

    def test_its_lifetime_is_configured(self):
        self.start({"session_lifetime": "5m"})
        session = self.session(1000)
        self.assertLessEqual(abs(session["expires_at"] - time.time() - 300), 5)
        self.assertEqual(uploads.read_token(session["token"])["exp"], session["expires_at"])

    def test_an_owner_has_only_so_many_open(self):
        self.start({"sessions_per_owner": 2}, extra=ONE_PROFILE)
        key = self.key()
        content = picture("png")
        first = self.session(len(content), key)
        self.session(1000, key)
        refused = self.ask_session(1000, key)
        self.assert_error(refused, 429, "too_many_requests")
        self.assertGreater(int(refused["retry-after"]), 0)
        self.session(1000, self.key(owner=OWNER + 1))
        self.accepted(self.upload(content, "a.png", first["token"]))
        self.session(1000, key)

    def test_an_upload_goes_through_it(self):
        self.start(extra=ONE_PROFILE)
        content = picture("png")
        session = self.session(len(content))
        stored = self.accepted(self.upload(content, "a.png", session["token"]))
        self.assertFalse(stored["duplicate"])
        self.assertEqual(self.originals(), {stored["url"][1:]: content})

    def test_its_url_is_below_the_pools_public_url(self):
        self.start(pools=self.pools(public_base_url="https://images.example"))
        self.assertEqual(self.session(1000)["upload_url"], "https://images.example" + UPLOAD)

    def test_a_public_url_is_enough(self):
        self.start(pools=self.pools(public_base_url="http://images.example", upload_api_url=""))
        self.assertEqual(self.session(1000)["upload_url"], "http://images.example" + UPLOAD)

    def test_a_pool_without_any_url_is_misconfigured(self):
        self.start(pools=self.pools(upload_api_url=""))
        self.assert_error(self.ask_session(1000, self.key()), 503, "pool_misconfigured")

    def test_without_a_secret_there_are_none(self):
        self.start({"token_secret": ""})
        self.assert_error(self.ask_session(1000, self.key()), 503, "service_unavailable")

    def test_a_secret_may_be_in_a_file(self):
        secret = self.folder / "secret"
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
        self.start({"token_secret": f"file:{secret}"})
        uploads.read_token(self.session(1000)["token"])

    def test_what_is_no_request_for_one(self):
        self.start()
        key = self.key()
        for body in ("", "{", "[]", "7", "null", '"file_size"', "{}", '{"file_size": 0}', '{"file_size": -1}',
                     '{"file_size": "1000"}', '{"file_size": 10.5}', '{"file_size": null}', '{"file_size": [1000]}',
                     '{"file_size": 99999999999999999999999}', '{"file_size": 1e400}', "[" * 5000,
                     "\xff\xfe{"):
            with self.subTest(body=body[:60]):
                answer = self.api("POST", SESSIONS, key, body.encode("latin-1"))
                if body.startswith('{"file_size": 9999'):
                    self.assertIn(answer.status, (400, 413))
                else:
                    self.assert_error(answer, 400, "bad_request")

    def test_fields_of_the_app_and_unknown_ones_do_no_harm(self):
        self.start()
        self.session(1000, is_nsfw=True, album_id=17, processing={"profile": "default"}, title="cats",
                     nested={"a": [1]})

    def test_a_key_is_needed(self):
        self.start()
        good, revoked = self.key(), self.json("key", "add", "--owner", OWNER)
        self.assertEqual(self.ask_session(1000, revoked["key"]).status, 200)
        self.tool("key", "revoke", revoked["id"])
        for key in (None, "", "tp_", good + "x", good[:-1], "x" * 5000):
            with self.subTest(key=key):
                self.assert_error(self.ask_session(1000, key), 401, "unauthorized")
        tidepool.eventually(lambda: self.ask_session(1000, revoked["key"]).status == 401, "it is revoked")
        self.assert_error(self.ask_session(1000, fields={"Authorization": f"Bearer {good}"}), 401, "unauthorized")

    def test_a_key_may_expire(self):
        self.start()
        key = self.key(OWNER, "--expires", "2s")
        tidepool.eventually(lambda: self.ask_session(1000, key).status == 401, "it has expired", every_s=0.1)
        self.assertEqual(self.ask_session(1000, self.key(OWNER, "--expires", "1h")).status, 200)

    def test_what_is_larger_than_uploads_may_be(self):
        self.start({"max_size": "1MiB"})
        key = self.key()
        self.assertEqual(self.ask_session(MIB, key).status, 200)
        self.assert_error(self.ask_session(MIB + 1, key), 413, "payload_too_large")

    def test_what_is_larger_than_this_key_may_upload(self):
        self.start()
        key = self.key(OWNER, "--max-size", "64KiB")
        self.assertEqual(self.ask_session(65_536, key).status, 200)
        self.assert_error(self.ask_session(65_537, key), 413, "payload_too_large")

    def test_the_default_limit(self):
        self.start()
        key = self.key()
        self.assertEqual(self.ask_session(100 * MIB, key).status, 200)
        self.assert_error(self.ask_session(100 * MIB + 1, key), 413, "payload_too_large")

    def test_a_quota_counts_what_is_reserved(self):
        self.start()
        key = self.key(OWNER, "--quota", "1MiB")
        self.session(600_000, key)
        self.assert_error(self.ask_session(600_000, key), 413, "quota_exceeded")
        self.session(400_000, key)
        self.session(600_000, self.key(OTHER_OWNER, "--quota", "1MiB"))

    def test_a_quota_counts_what_is_stored(self):
        self.start(extra=ONE_PROFILE)
        key = self.key(OWNER, "--quota", "100KiB")
        content = pictures.noise(160, 150)  # 72 kB
        session = self.session(len(content), key)
        self.accepted(self.upload(content, "a.png", session["token"]))
        self.assert_error(self.ask_session(len(content), key), 413, "quota_exceeded")
        self.session(20_000, key)

    def test_at_once_they_do_not_overrun_a_quota(self):
        self.start()
        key = self.key(OWNER, "--quota", "500KiB")
        answers = uploads.at_once(24, lambda _: self.ask_session(100_000, key))
        self.assertEqual(sorted(answer.status for answer in answers), [200] * 5 + [413] * 19)
        for answer in answers:
            if answer.status == 413:
                self.assert_error(answer, 413, "quota_exceeded")
                self.assertEqual(answer.json["details"], {"remaining": 12_000, "needed": 100_000})

    def test_at_once_they_do_not_overrun_a_pool(self):
        self.start(pools=self.pools(max_size="500KiB"))
        keys = [self.key(owner) for owner in (OWNER, OTHER_OWNER)]
        answers = uploads.at_once(24, lambda number: self.ask_session(100_000, keys[number % 2]))
        self.assertEqual(sorted(answer.status for answer in answers), [200] * 5 + [500] * 19)
        for answer in answers:
            if answer.status == 500:
                self.assert_error(answer, 500, "no_storage_pool")

    def test_a_reservation_ends_with_its_session(self):
        self.start({"session_lifetime": "2s"}, pools=self.pools(max_size="1MiB"))
        key = self.key(OWNER, "--quota", "1MiB")
        self.session(600_000, key)
        self.assertIn(self.ask_session(600_000, key).status, (413, 500))
        tidepool.eventually(lambda: self.ask_session(600_000, key).status == 200, "there is room again", every_s=0.1)

    def test_a_reservation_ends_with_its_upload(self):
        self.start(pools=self.pools(max_size="1MiB"), extra=ONE_PROFILE)
        key = self.key()
        session = self.session(900_000, key)
        self.assert_error(self.ask_session(900_000, key), 500, "no_storage_pool")
        self.accepted(self.upload(picture("png"), "a.png", session["token"]))
        self.session(900_000, key)

    def test_no_pool_has_room(self):
        self.start(pools=self.pools(max_size="64KiB"))
        key = self.key()
        self.assert_error(self.ask_session(65_537, key), 500, "no_storage_pool")
        self.assertEqual(self.ask_session(65_536, key).status, 200)


class ChoiceOfAPool(uploads.UploadCase):
    """By tier, then priority, then age."""

    def several(self, *wanted):
        pools = []
        for name, tier, more in wanted:
            folder = tidepool.Tree(self.folder / name).path
            pools.append({"name": name, "storage_tier": tier, "base_path": folder,
                          "upload_api_url": NODE + INTERNAL_UPLOAD, **more})
        return pools

    def chosen(self, key, size=1000):
        return self.session(size, key)["pool_id"]

    def test_hot_pools_by_priority_then_warm_ones_then_any(self):
        small = {"max_size": "100KiB"}
        self.start(pools=self.several(("warm-one", "warm", {"priority": 1, "max_size": "200KiB"}),
                                      ("cold-one", "cold", {"priority": 2}),
                                      ("hot-late", "hot", {"priority": 50, **small}),
                                      ("hot-first", "hot", {"priority": 5, **small})))
        key = self.key()
        names = {self.pool_id(name): name for name in ("warm-one", "cold-one", "hot-late", "hot-first")}
        for size, expected in ((1000, "hot-first"), (90_000, "hot-first"), (90_000, "hot-late"), (150_000, "warm-one"),
                               (90_000, "cold-one"), (500_000, "cold-one"), (5_000, "hot-first")):
            with self.subTest(size=size, expected=expected):
                self.assertEqual(names[self.chosen(key, size)], expected)

    def test_of_equal_ones_the_oldest(self):
        self.start(pools=self.several(("b-pool", "hot", {}), ("a-pool", "hot", {})))
        oldest = min(("a-pool", "b-pool"), key=self.pool_id)
        self.assertEqual(self.chosen(self.key()), self.pool_id(oldest))

    def test_cold_pools_may_be_left_out(self):
        pools = self.several(("warm-one", "warm", {"max_size": "64KiB"}), ("cold-one", "cold", {}))
        self.start({"fallback": False}, pools=pools)
        key = self.key()
        self.assertEqual(self.chosen(key, 60_000), self.pool_id("warm-one"))
        self.assert_error(self.ask_session(60_000, key), 500, "no_storage_pool")

    def test_one_that_is_not_active_takes_none(self):
        self.start(pools=self.several(("off", "hot", {"is_active": False}), ("drained", "hot", {}),
                                      ("warm-one", "warm", {})))
        self.assertEqual(self.call("PATCH", "/api/admin/v1/pools/drained", {"state": "draining"})[0], 200)
        key = self.key()
        tidepool.eventually(lambda: self.chosen(key) == self.pool_id("warm-one"), "only one may take it")


class Tokens(uploads.UploadCase):
    def setUp(self):
        super().setUp()
        self.content = picture("png", 70, 70)

    def begin(self, **options):
        self.start(extra=ONE_PROFILE, **options)

    def payload(self, **changes):
        return {"user_id": OWNER, "pool_id": self.pool_id(), "max_bytes": 100_000, "exp": int(time.time()) + 600,
                **changes}

    def payload_without(self, name):
        payload = self.payload()
        del payload[name]
        return payload

    def test_one_of_the_app_is_accepted(self):
        self.begin()
        for number, path in enumerate((UPLOAD, INTERNAL_UPLOAD)):
            with self.subTest(path=path):
                content = stamped(self.content, f"{number}")
                self.accepted(self.upload(content, "a.png", uploads.sign(self.payload()), path=path))

    def test_the_blanks_and_order_of_its_json_do_not_matter(self):
        self.begin()
        text = json.dumps(dict(reversed(self.payload(more=[1, {"a": None}]).items())), indent=1).encode()
        self.accepted(self.upload(self.content, "a.png", uploads.sign(text)))

    def test_it_may_be_a_field_of_the_form(self):
        self.begin()
        for path in (UPLOAD, INTERNAL_UPLOAD):
            body = uploads.form(uploads.field("token", uploads.sign(self.payload())),
                                uploads.file(stamped(self.content, path), "a.png"))
            self.accepted(self.send_form(body, path=path))

    def late(self, content, token, name="a.png"):
        return self.send_form(uploads.form(uploads.file(content, name), uploads.field("token", token)))

    def test_it_may_stand_behind_the_file(self):
        self.begin()
        keys = set()
        for content in (self.content, picture("png", 900, 700)):
            payload = self.payload(max_bytes=len(content))
            stored = self.accepted(self.late(content, uploads.sign(payload)))
            keys.add(stored["url"][1:])
            self.assertEqual(self.originals()[stored["url"][1:]], content)
            self.assertIs(self.accepted(self.late(content, uploads.sign(payload)))["duplicate"], True)
            for status, token in ((413, uploads.sign({**payload, "max_bytes": len(content) - 1})),
                                  (401, uploads.sign({**payload, "exp": 1})), (401, "nonsense")):
                with self.subTest(status=status):
                    self.assertEqual(self.late(content[:-1] + b"x", token).status, status)
        self.assertEqual(self.late(self.content, uploads.sign(self.payload()), "a.txt").status, 415)
        self.assertEqual(self.late(b"no image" * 20_000, uploads.sign(self.payload())).status, 415)
        self.assertEqual(self.send_form(uploads.form(uploads.file(self.content, "a.png"))).status, 401)
        self.assertEqual(set(self.originals()), keys)
        self.assertFalse(uploads.spooled(self.spool))

    def test_but_there_only_so_many_wait_for_it(self):
        self.begin(upload={"parallel_tokenless": 1})
        body = uploads.form(uploads.file(self.content, "a.png"), uploads.field("token", uploads.sign(self.payload())))
        half = len(body) // 2
        wire = self.wire()
        wire.send(self.head_of(None, len(body)) + body[:half])
        tidepool.eventually(lambda: self.server.metrics().sum("tidepool_uploads_running") == 1, "it has the one place")
        refused = self.late(stamped(self.content, "1"), uploads.sign(self.payload()))
        self.assert_error(refused, 503, "service_unavailable")
        self.accepted(self.upload(self.content, "a.png", uploads.sign(self.payload())))
        wire.send(body[half:])
        self.assertIs(self.accepted(wire.answer())["duplicate"], True)
        self.accepted(self.late(stamped(self.content, "2"), uploads.sign(self.payload())))

    def test_one_owner_does_not_take_all_places(self):
        self.begin(upload={"parallel": 4})
        body = uploads.form(uploads.file(self.content, "a.png"))
        half = len(body) // 2
        wires = [self.wire() for _ in range(3)]
        for wire in wires:
            wire.send(self.head_of(uploads.sign(self.payload()), len(body)) + body[:half])
        tidepool.eventually(lambda: self.server.metrics().sum("tidepool_uploads_running") == 3, "they have their places")
        for refused in (self.upload(self.content, "a.png", uploads.sign(self.payload())),
                        self.late(self.content, uploads.sign(self.payload()))):
            self.assert_error(refused, 429, "too_many_requests")
            self.assertEqual(refused["retry-after"], "2")
        self.accepted(self.upload(self.content, "a.png", owner=OTHER_OWNER))
        wires[0].send(body[half:])
        self.accepted(wires[0].answer())
        self.assertIs(self.accepted(self.upload(self.content, "a.png", uploads.sign(self.payload())))["duplicate"], True)

    def test_and_of_one_address_only_some_of_these(self):
        self.begin(upload={"tokenless_per_address": 1}, config={"edge": {"trusted_ranges": ["127.0.0.1"]}})
        body = uploads.form(uploads.file(self.content, "a.png"), uploads.field("token", uploads.sign(self.payload())))
        half = len(body) // 2
        wires = {client: self.wire() for client in ("203.0.113.1", "2001:db8::1")}
        for client, wire in wires.items():
            wire.send(self.head_of(None, len(body), f"CF-Connecting-IP: {client}") + body[:half])
        tidepool.eventually(lambda: self.server.metrics().sum("tidepool_uploads_running") == 2, "they have their places")
        for client in ("203.0.113.1", "2001:db8::2"):
            with self.subTest(client=client), self.wire() as other:
                other.send(self.head_of(None, len(body), f"CF-Connecting-IP: {client}") + body)
                refused = other.answer()
                self.assert_error(refused, 429, "too_many_requests")
                self.assertEqual(refused["retry-after"], "2")
        with self.wire() as other:
            other.send(self.head_of(None, len(body), "CF-Connecting-IP: 203.0.113.2") + body)
            self.accepted(other.answer())
        for wire in wires.values():
            wire.send(body[half:])
            self.assertIs(self.accepted(wire.answer())["duplicate"], True)

    def test_behind_the_file_it_can_be_refused(self):
        self.begin(upload={"parallel_tokenless": 0})
        self.assertEqual(self.late(self.content, uploads.sign(self.payload())).status, 401)
        self.assert_nothing_left()

    def test_one_of_the_previous_secret_is_accepted_and_none_made(self):
        self.begin(upload={"token_secret_previous": "env:TIDEPOOL_TEST_PREVIOUS"})
        for number, secret in enumerate((SECRET, uploads.PREVIOUS_SECRET)):
            content = stamped(self.content, f"{number}")
            self.accepted(self.upload(content, "a.png", uploads.sign(self.payload(), secret)))
        uploads.read_token(self.session(1000)["token"], SECRET)

    def refused_tokens(self):
        good = uploads.sign(self.payload())
        head, _, signature = good.partition(".")
        more = json.dumps(self.payload(max_bytes=10**9)).encode()
        flipped = ("B" if signature[5] == "A" else "A").join((signature[:5], signature[6:]))
        return {
            "of another secret": uploads.sign(self.payload(), "another-secret-of-some-length-00001"),
            "of the previous secret, which is not set": uploads.sign(self.payload(), uploads.PREVIOUS_SECRET),
            "of no secret": uploads.sign(self.payload(), ""),
            "of a changed payload": uploads.b64url(more) + "." + signature,
            "of a changed signature": f"{head}.{flipped}",
            "of a shorter signature": good[:-1],
            "of half a signature": f"{head}.{signature[:22]}",
            "without a signature": head + ".",
            "without a point": head,
            "without a payload": "." + signature,
            "a point": ".",
            "of three parts": good + ".x",
            "no Base64": "!!!." + signature,
            "expired": uploads.sign(self.payload(exp=int(time.time()) - 1)),
            "expired long ago": uploads.sign(self.payload(exp=0)),
            "that never expires": uploads.sign(self.payload_without("exp")),
            "that expires in words": uploads.sign(self.payload(exp="tomorrow")),
            "of nobody": uploads.sign(self.payload_without("user_id")),
            "of a text": uploads.sign(b"this is no JSON"),
            "of a list": uploads.sign(b"[1, 2, 3]"),
            "of nothing": uploads.sign(b""),
            "deep": uploads.sign(b"[" * 3000),
            "long": "A" * 10_000 + "." + signature,
            "in words": "let-me-in",
        }

    def test_each_that_is_not_good_is_refused(self):
        self.begin()
        for name, token in self.refused_tokens().items():
            with self.subTest(name):
                self.assert_error(self.upload(self.content, "a.png", token), 401, "unauthorized")
        self.assert_nothing_left()

    def test_the_same_in_a_form(self):
        self.begin()
        for name, token in self.refused_tokens().items():
            with self.subTest(name):
                body = uploads.form(uploads.field("token", token), uploads.file(self.content, "a.png"))
                answer = self.send_form(body)
                if name == "long":
                    self.assertIn(answer.status, (400, 401, 413))
                else:
                    self.assert_error(answer, 401, "unauthorized")
        self.assert_nothing_left()

    def test_one_is_needed(self):
        self.begin()
        good = uploads.sign(self.payload())
        body = uploads.form(uploads.file(self.content, "a.png"))
        for fields in ({}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "},
                       {"Authorization": f"Basic {good}"}, {"Authorization": good}, {"X-API-Key": self.key()},
                       {"X-Upload-Token": good}):
            with self.subTest(fields=list(fields)):
                self.assert_error(self.send_form(body, fields=fields), 401, "unauthorized")
        self.assert_nothing_left()

    def test_the_scheme_is_no_matter_of_case(self):
        self.begin()
        self.accepted(self.send_form(uploads.form(uploads.file(self.content, "a.png")),
                                     fields={"authorization": f"bearer {uploads.sign(self.payload())}"}))

    def test_without_a_secret_no_token_is_good(self):
        self.begin(upload={"token_secret": ""})
        for secret in (SECRET, ""):
            answer = self.upload(self.content, "a.png", uploads.sign(self.payload(), secret))
            self.assertIn(answer.status, (401, 503), answer)
        self.assert_nothing_left()

    def test_a_pool_that_is_not_there(self):
        self.begin()
        unknown = uploads.sign(self.payload(pool_id=999_999))
        self.assert_error(self.upload(self.content, "a.png", unknown), 400, "bad_request")
        for pool in (0, -1, "hot", None):
            with self.subTest(pool=pool):
                answer = self.upload(self.content, "a.png", uploads.sign(self.payload(pool_id=pool)))
                self.assertIn(answer.status, (400, 401), answer)
        self.assert_nothing_left()

    def test_a_pool_that_is_not_active(self):
        self.begin()
        token = uploads.sign(self.payload())
        self.assertEqual(self.call("PATCH", "/api/admin/v1/pools/hot", {"state": "draining"})[0], 200)

        def refused():
            answer = self.upload(self.content, "a.png", token)
            return answer.status == 400 and answer
        self.assert_error(tidepool.eventually(refused, "the pool is out of service"), 400, "bad_request")

    def test_a_token_that_is_used_again_obeys_the_quota(self):
        self.start(extra=ONE_PROFILE)
        first, second = (stamped(picture("jpg"), text) for text in (b"one", b"two"))
        key = self.key(OWNER, "--quota", f"{len(first) * 3 // 2}B")
        token = self.session(len(first), key)["token"]
        self.accepted(self.upload(first, token=token))
        self.assert_error(self.upload(second, token=token), 413, "quota_exceeded")

    def test_a_token_obeys_the_quota_of_a_key_that_was_revoked(self):
        self.start(extra=ONE_PROFILE)
        first, second = (stamped(picture("jpg"), text) for text in (b"one", b"two"))
        key = self.json("key", "add", "--owner", OWNER, "--quota", f"{len(first) * 3 // 2}B")
        token = self.session(len(first), key["key"])["token"]
        self.tool("key", "revoke", key["id"])
        self.accepted(self.upload(first, token=token))
        self.assert_error(self.upload(second, token=token), 413, "quota_exceeded")
        # Whom the app knows and who never had a key has no quota here.
        self.accepted(self.upload(second, owner=OTHER_OWNER))

    def test_a_second_try_is_what_the_session_said(self):
        self.start(extra=ONE_PROFILE)
        content, key = picture("jpg"), self.key()
        token = self.session(len(content), key, is_nsfw=True, processing={"profile": "original_only"})["token"]
        self.assert_error(self.upload(b"no image at all", token=token), 415, "unsupported_media_type")
        stored = self.accepted(self.upload(content, token=token))
        self.assertEqual(self.api("GET", f"{IMAGES}/{stored['image_uuid']}", key).json["app"], {"is_nsfw": True})
        self.assertTrue(self.api("GET", f"{IMAGES}/{stored['image_uuid']}/status", key).json["complete"])


class PersonalMetadata(uploads.UploadCase):
    """A pool that keeps nothing of where and by whom a photograph was taken."""

    def pools(self, **options):
        return super().pools(**{"strip_metadata": True, **options})

    @staticmethod
    def with_exif(jpeg):
        make = b"SecretCamera\0"
        tiff = (b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 0x010F, 2, len(make), 26)
                + struct.pack("<I", 0) + make)
        body = b"Exif\0\0" + tiff
        comment = b"SecretPlace"
        return (jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
                + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[2:])

    def test_it_is_not_stored(self):
        self.start(extra=ONE_PROFILE)
        plain = picture("jpg")
        photo = self.with_exif(plain)
        stored = self.accepted(self.upload(photo, "a.jpg"))
        served = self.server.get(stored["url"]).body
        self.assertNotIn(b"Secret", served)
        self.assertLess(len(served), len(photo))
        # All that shows the picture is there: from the first table on it is the same.
        self.assertEqual(served[served.index(b"\xff\xdb"):], plain[plain.index(b"\xff\xdb"):])
        again = self.accepted(self.upload(photo, "b.jpg"))
        self.assertEqual((again["duplicate"], again["image_uuid"]), (True, stored["image_uuid"]))
        self.assert_balanced()

    def test_what_has_none_is_stored_as_it_is(self):
        self.start(extra=ONE_PROFILE)
        for extension in ("png", "gif", "bmp"):
            content = picture(extension)
            stored = self.accepted(self.upload(content, f"a.{extension}"))
            self.assertTrue(self.server.get(stored["url"]).body == content, extension)


class Kinds(uploads.UploadCase):
    """What is taken: each kind of image under its names, and nothing else."""

    def test_each_kind(self):
        self.start(extra=ONE_PROFILE)
        days = {time.strftime("%Y/%m/%d", time.gmtime())}
        for extension, kind in KINDS.items():
            with self.subTest(extension):
                content = picture(extension)
                stored = self.accepted(self.upload(content, f"holiday photo.{extension}"))
                days.add(time.strftime("%Y/%m/%d", time.gmtime()))
                self.assertIn(stored["url"], [f"/uploads/original/{day}/{stored['image_uuid']}.{extension}" for day in days])
                self.assertFalse(stored["duplicate"])
                self.assertNotIn("view_url", stored)
                self.assertEqual(self.originals()[stored["url"][1:]], content)
                leaf = stored["variants"]["original"]["original"]
                self.assertEqual((leaf["bytes"], leaf["mime_type"]), (len(content), kind))
                self.assertEqual((leaf.get("width", 600), leaf.get("height", 400)), (600, 400))
                answer = self.server.get(stored["url"])
                self.assertEqual((answer.status, answer["content-type"], answer.body), (200, kind, content))

    def test_what_is_known_at_once(self):
        self.start(extra=ONE_PROFILE)
        stored = self.accepted(self.upload(png(321, 123), "a.png"))
        leaf = stored["variants"]["original"]["original"]
        self.assertEqual((leaf["width"], leaf["height"]), (321, 123))
        self.assertFalse(leaf.get("animated", False))

    def test_what_moves(self):
        self.start(extra=ONE_PROFILE)
        for extension in ("gif", "webp"):
            with self.subTest(extension):
                content = picture(extension, 100, 80, frames=3)
                leaf = self.accepted(self.upload(content, f"a.{extension}"))["variants"]["original"]["original"]
                self.assertTrue(leaf.get("animated", True))
                self.assertEqual((leaf.get("width", 100), leaf.get("height", 80)), (100, 80))

    def test_both_names_of_jpeg_and_any_case(self):
        self.start(extra=ONE_PROFILE)
        for number, name in enumerate(("a.jpg", "a.jpeg", "A.JPG", "a.JpEg", "a.b.c.jpg", "..jpg.jpg")):
            with self.subTest(name):
                stored = self.accepted(self.upload(stamped(picture("jpg"), f"{number}"), name))
                self.assertEqual(stored["url"].rpartition(".")[2], name.rpartition(".")[2].lower())

    def test_the_type_that_a_client_names_has_no_say(self):
        self.start(extra=ONE_PROFILE)
        for number, kind in enumerate((None, "image/jpeg", "text/html", "application/x-php", "nonsense")):
            part = uploads.file(stamped(picture("png"), f"{number}"), "a.png", kind)
            self.accepted(self.send_form(uploads.form(part), self.token(100_000)))
        answer = self.send_form(uploads.form(uploads.file(HTML, "a.html", "image/png")), self.token(100_000))
        self.assert_error(answer, 415, "unsupported_media_type")

    def assert_refused(self, files):
        """[(what it is, content, file name)]"""
        for what, content, name in files:
            with self.subTest(what):
                self.assert_error(self.upload(content, name), 415, "unsupported_media_type")
        self.assert_nothing_left()

    def test_names_that_are_none_of_images(self):
        self.start()
        content = picture("png", 70, 70)
        self.assert_refused([(name, content, name) for name in (
            "a", "png", "a.png.exe", "a.html", "a.svg", "a.svgz", "a.xml", "a.php", "a.tif", "a.ico", "a.jxl", "a.heic",
            "a.pdf", "a.zip", "a.png.", "a.p ng", "a.jpgg", "a.jp", "a.pn\u0261")])

    def test_names_of_another_kind_of_image(self):
        self.start()
        self.assert_refused([(f"a {kind} that is called {name}", picture(kind, 70, 70), f"a.{name}")
                             for kind in KINDS for name in KINDS if KINDS[kind] != KINDS[name]])

    def test_images_of_kinds_that_are_not_taken(self):
        self.start()
        self.assert_refused([(kind, tidepool.make_image(kind), f"a.{name}") for name in ("jpg", "png", "avif")
                             for kind in ("image/jxl", "image/heic", "image/tiff", "image/x-icon", "application/pdf")])

    def test_svg_html_and_xml(self):
        self.start()
        texts = {"svg": tidepool.make_image("image/svg+xml"), "html": HTML, "xml": b'<?xml version="1.0"?><a/>',
                 "svg behind a comment": b"<!-- a --><svg xmlns='http://www.w3.org/2000/svg'/>",
                 "svg behind a byte order mark": b"\xef\xbb\xbf \n<svg/>",
                 "html in UTF-16": "\ufeff<html>".encode("utf-16-le"), "text": b"just text\n" * 50,
                 "xhtml": b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>',
                 "script": b"#!/bin/sh\necho hello\n", "php": b"<?php phpinfo();"}
        self.assert_refused([(f"{what} as {extension}", text, f"a.{extension}")
                             for what, text in texts.items() for extension in (*KINDS, "svg")])

    def test_polyglots(self):
        self.start()
        jpeg, gif, image = picture("jpg"), picture("gif"), picture("png")
        pdf = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
        # A GIF's colours begin at byte 13; nothing minds what they are.
        painted = gif[:13] + HTML + gif[13 + len(HTML):]
        self.assert_refused([
            ("a JPEG with a PDF's head", stamped(jpeg, pdf), "a.jpg"),
            ("a PNG with a PDF's head", stamped(image, pdf), "a.png"),
            ("a PDF before a JPEG", pdf + jpeg, "a.jpg"),
            ("a JPEG with HTML in it", stamped(jpeg, HTML), "a.jpg"),
            ("a JPEG with a script in it", stamped(jpeg, b"<script>alert(1)</script>"), "a.jpg"),
            ("a PNG with HTML in it", stamped(image, HTML), "a.png"),
            ("a PNG with HTML in it, in capitals", stamped(image, b"<HTML><BODY ONLOAD=alert(1)>"), "a.png"),
            ("a GIF of HTML", painted, "a.gif"),
            ("a JPEG with an archive behind it", jpeg + archive(), "a.jpg"),
            ("a GIF with an archive behind it", gif + archive(), "a.gif"),
        ])

    def test_comments_are_no_reason(self):
        self.start(extra=ONE_PROFILE)
        for text in ("1 < 2 and 3 > 2", "made with love", "a PDF of this is available"):
            self.accepted(self.upload(stamped(picture("jpg"), text), "a.jpg"))

    def test_truncated_ones(self):
        self.start()
        halves = [(f"half a {kind}", (whole := picture(kind))[:len(whole) // 2], f"a.{kind}") for kind in KINDS]
        heads = [(f"the head of a {kind}", picture(kind)[:64], f"a.{kind}") for kind in KINDS]
        self.assert_refused(halves + heads)

    def test_garbage(self):
        self.start()
        begun = [(f"garbage that begins as a {name}", tidepool.make_image(kind, 20_000), f"a.{name}")
                 for name, kind in KINDS.items()]
        noise = [(f"garbage called {name}", tidepool.filler(20_000, name), f"a.{name}") for name in KINDS]
        tiny = [(f"a byte called {name}", b"\xff", f"a.{name}") for name in KINDS]
        self.assert_refused(begun + noise + tiny)

    def assert_too_long(self, content, what):
        answer = self.assert_error(self.upload(content, "a.png"), 415, "unsupported_media_type")
        self.assertIn(what, answer.json["message"])

    def test_a_side_that_is_longer_than_may_be(self):
        """Of images that are right in all else, so that nothing else can be the reason."""
        self.start(extra=ONE_PROFILE)
        limit = "and a side may have 65535"
        self.assert_too_long(pictures.png(100_001, 1), f"100001 x 1 pixels, {limit}")
        self.assert_too_long(pictures.png(1, 100_001), f"1 x 100001 pixels, {limit}")
        self.assert_too_long(pictures.png(65_536, 1), f"65536 x 1 pixels, {limit}")
        self.assert_nothing_left()
        for width, height in ((65_535, 1), (1, 65_535)):
            self.accepted(self.upload(pictures.png(width, height), "a.png"))

    def test_the_longest_side_is_configured(self):
        self.start({"max_side": 80}, extra=ONE_PROFILE)
        self.assert_too_long(pictures.png(81, 10), "81 x 10 pixels, and a side may have 80")
        self.assert_too_long(pictures.png(10, 81), "10 x 81 pixels, and a side may have 80")
        self.accepted(self.upload(pictures.png(80, 80), "a.png"))

    def test_more_pixels_than_may_be(self):
        self.start()
        self.assert_refused([("wide", pictures.png_claiming(100_001, 1), "a.png"),
                             ("high", pictures.png_claiming(1, 100_001), "a.png"),
                             ("both", pictures.png_claiming(65_000, 65_000), "a.png"),
                             ("beyond all", pictures.png_claiming(2**31 - 1, 2**31 - 1), "a.png"),
                             ("none", pictures.png_claiming(0, 0), "a.png")])


class Duplicates(uploads.UploadCase):
    def setUp(self):
        super().setUp()
        self.content = picture("png", 70, 70)

    def begin(self, **options):
        self.start(extra=ONE_PROFILE, **options)

    def test_the_same_file_is_the_same_image(self):
        self.begin()
        first = self.accepted(self.upload(self.content, "a.png"))
        for name in ("a.png", "another name.PNG"):
            again = self.accepted(self.upload(self.content, name))
            self.assertTrue(again["duplicate"])
            self.assertEqual((again["image_uuid"], again["url"]), (first["image_uuid"], first["url"]))
        self.assertFalse(first["duplicate"])
        self.assertEqual(self.originals(), {first["url"][1:]: self.content})

    def test_by_any_key_of_its_owner(self):
        self.begin()
        first = self.accepted(self.upload(self.content, "a.png", self.session(5000, self.key())["token"]))
        second = self.accepted(self.upload(self.content, "a.png", self.session(5000, self.key())["token"]))
        self.assertEqual((second["image_uuid"], second["duplicate"]), (first["image_uuid"], True))

    def test_the_apps_users_are_the_owners_of_keys(self):
        self.begin()
        first = self.accepted(self.upload(self.content, "a.png", self.session(5000)["token"]))
        second = self.accepted(self.upload(self.content, "a.png"))
        self.assertEqual((second["image_uuid"], second["duplicate"]), (first["image_uuid"], True))

    def test_of_another_owner_it_is_another_image(self):
        self.begin()
        images = [self.accepted(self.upload(self.content, "a.png", owner=owner)) for owner in (OWNER, OTHER_OWNER)]
        self.assertEqual([image["duplicate"] for image in images], [False, False])
        self.assertEqual(self.originals(), {image["url"][1:]: self.content for image in images})
        self.assertEqual(len({image["image_uuid"] for image in images}), 2)
        again = self.accepted(self.upload(self.content, "a.png", owner=OTHER_OWNER))
        self.assertEqual((again["image_uuid"], again["duplicate"]), (images[1]["image_uuid"], True))

    def test_both_at_once(self):
        self.begin()
        for round_ in range(5):
            content = stamped(pictures.noise(150, 100, round_), f"{round_}")
            token = self.token(len(content))
            got = [self.accepted(answer)
                   for answer in uploads.at_once(8, lambda _, c=content, t=token: self.upload(c, "a.png", t))]
            self.assertEqual(len({image["image_uuid"] for image in got}), 1, got)
            self.assertEqual(sorted(image["duplicate"] for image in got), [False] + [True] * 7)
            self.assertEqual([key for key, held in self.originals().items() if held == content], [got[0]["url"][1:]])

    def test_owners_at_once_do_not_meet(self):
        self.begin()
        got = [self.accepted(answer) for answer in uploads.at_once(
            6, lambda number: self.upload(self.content, "a.png", owner=OWNER + number))]
        self.assertEqual({image["duplicate"] for image in got}, {False})
        self.assertEqual(len(self.originals()), 6)

    def test_once_deleted_it_is_a_new_image(self):
        self.begin()
        key = self.key()
        first = self.accepted(self.upload(self.content, "a.png"))
        self.tool("rm", first["image_uuid"], "--yes")
        self.assert_error(self.api("GET", f"{IMAGES}/{first['image_uuid']}", key), 404, "not_found")
        second = self.accepted(self.upload(self.content, "a.png"))
        self.assertNotEqual(second["image_uuid"], first["image_uuid"])
        self.assertFalse(second["duplicate"])
        self.assertEqual(self.server.get(second["url"]).body, self.content)
        again = self.accepted(self.upload(self.content, "a.png"))
        self.assertEqual((again["image_uuid"], again["duplicate"]), (second["image_uuid"], True))
        self.wait_for_jobs()
        self.assertEqual(self.originals(), {second["url"][1:]: self.content})
        self.assert_balanced()

    def test_it_is_still_known_after_a_restart(self):
        self.begin()
        first = self.accepted(self.upload(self.content, "a.png"))
        self.server.stop_process()
        self.begin()
        again = self.accepted(self.upload(self.content, "a.png"))
        self.assertEqual((again["image_uuid"], again["duplicate"]), (first["image_uuid"], True))


class OthersPictures(uploads.UploadCase):
    """Pictures that take long to decode: their owner waits for the variants, and nobody for an upload."""

    def begin(self, formats='["webp", "original"]'):
        self.environment["TIDEPOOL_TEST_DECODER"] = "1"
        profile = f'[[profile]]\nname = "small"\nwidth = 50\nformats = {formats}\nat_upload = {formats}\n\n'
        # No deadline of a worker ends anything while the test runs.
        self.start(extra=profile, config={"variants": {"on_demand": True, "cheap_workers": 2, "dear_workers": 1,
                                                       "cheap_job_timeout": "1h", "job_timeout": "1h"}})

    def metric(self, name, **labels):
        return self.server.metrics().sum(f"tidepool_variants_{name}", **labels)

    def test_decoders_that_hang_hold_up_no_upload(self):
        self.begin()
        for seed in range(2):
            # Its second variant never comes; a look at its structure finds nothing odd.
            self.accepted(self.upload(png(90, 60, seed) + b"TEST:1:doze", "a.png"))
        tidepool.eventually(lambda: self.metric("running", lane="cheap") == 2, "both workers hang")
        self.accepted(self.upload(png(70, 50), "a.png", owner=OTHER_OWNER))
        for answer in uploads.at_once(8, lambda seed: self.upload(png(70, 50, seed), "a.png", owner=10 + seed)):
            self.accepted(answer)
        self.assertEqual(self.metric("running", lane="cheap"), 2)
        self.assertGreaterEqual(self.metric("waiting", lane="cheap"), 1)
        self.server.signal(tidepool.signal.SIGTERM)
        self.server.wait_log(r"draining")
        self.server.signal(tidepool.signal.SIGTERM)  # nobody waits for what hangs

    def test_a_flood_of_scans_is_not_decoded(self):
        self.begin()
        key = self.key()
        stored = self.accepted(self.upload(pictures.jpeg_of_scans(10_000, 100), "a.jpg"))
        path = f"{IMAGES}/{stored['image_uuid']}/status"
        tidepool.eventually(lambda: self.api("GET", path, key).json["failed"], "it is given up")
        self.assertGreater(self.metric("failed_total", reason="undecodable"), 0)

    def test_a_small_file_of_many_pixels_is_for_the_dear_workers(self):
        self.begin('["webp"]')
        key = self.key()
        content = pictures.png_flat(7_300, 7_300)
        self.assertLess(len(content), 100_000)
        self.wait_processed(self.accepted(self.upload(content, "a.png"))["image_uuid"], key)
        self.assertEqual([self.metric("made_total", lane=lane) for lane in ("cheap", "dear")], [0, 1])
        self.wait_processed(self.accepted(self.upload(png(70, 50), "a.png"))["image_uuid"], key)
        self.assertEqual([self.metric("made_total", lane=lane) for lane in ("cheap", "dear")], [1, 1])


if __name__ == "__main__":
    tidepool.main()
