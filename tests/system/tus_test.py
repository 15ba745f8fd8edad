"""Uploads in pieces by tus 1.0: what the protocol says, what survives a kill, and what a real client makes of it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import pictures  # noqa: E402
import tidepool  # noqa: E402
import tus_client  # noqa: E402
import uploads  # noqa: E402
from pictures import picture, stamped  # noqa: E402
from uploads import IMAGES, ONE_PROFILE, OTHER_OWNER, OWNER, UUID  # noqa: E402

import base64  # noqa: E402
import contextlib  # noqa: E402
import email.utils  # noqa: E402
import hashlib  # noqa: E402
import http.client  # noqa: E402
import os  # noqa: E402
import sqlite3  # noqa: E402
import time  # noqa: E402
import unittest  # noqa: E402

TUS = "/api/v1/upload/tus"
KIB, MIB = 1024, 1024 * 1024
CONTENT_TYPE = "application/offset+octet-stream"
SITE = "https://site.example"


def base64_of(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def checksum(algorithm, data):
    return f"{algorithm} {base64_of(hashlib.new(algorithm, data).digest())}"


def chunks(data, *ends):
    """[(offset, piece)] of the data, cut at these places."""
    ends = (0, *ends, len(data))
    return [(begin, data[begin:end]) for begin, end in zip(ends, ends[1:], strict=False)]


class TusCase(uploads.UploadCase):
    def setUp(self):
        super().setUp()
        # As large as needs several writes, and other ones for each test would take longer.
        self.content = pictures.noise(500, 400)

    def begin_server(self, upload=None, **options):
        self.start(upload, extra=ONE_PROFILE, **options)

    def tus(self, method, path=TUS, token=None, body=None, version="1.0.0", **fields):
        """One call; `fields` as Upload_Length=7."""
        sent = {name.replace("_", "-"): str(value) for name, value in fields.items() if value is not None}
        if version is not None:
            sent["Tus-Resumable"] = version
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        answer = uploads.exchange(self.server.address, method, path, sent, body)
        if answer.status not in (404, 405) or method in ("POST", "HEAD", "PATCH", "DELETE"):
            self.assertEqual(answer.get("tus-resumable"), "1.0.0", answer)
        return answer

    def ask_begin(self, length, name="a.png", token=None, **fields):
        metadata = None if name is None else f"filename {base64_of(name)}"
        fields = {"Upload_Length": length, "Upload_Metadata": metadata, **fields}
        return self.tus("POST", token=token, **fields)

    def begin(self, length, name="a.png", token=None, **fields):
        """The path of a new upload."""
        answer = self.ask_begin(length, name, token, **fields)
        self.assertEqual(answer.status, 201, answer)
        return uploads.path_of(answer["location"])

    def patch(self, path, token, offset, body, **fields):
        return self.tus("PATCH", path, token, body, Upload_Offset=offset, **{"Content_Type": CONTENT_TYPE, **fields})

    def offset(self, path, token):
        answer = self.tus("HEAD", path, token)
        self.assertEqual(answer.status, 200, answer)
        return int(answer["upload-offset"])

    def assert_offset(self, path, token, offset):
        self.assertEqual(self.offset(path, token), offset)

    def assert_moved_on(self, answer, offset):
        self.assertEqual((answer.status, answer.get("upload-offset")), (204, str(offset)), answer)
        self.assertNotIn("upload-image", dict(answer.response.fields))

    def image_of(self, answer, status=204):
        """The UUID in the answer of a PATCH, POST or HEAD that has it."""
        self.assertEqual(answer.status, status, answer)
        uuid = answer["upload-image"]
        self.assertRegex(uuid, rf"\A{UUID.pattern}\Z")
        self.assertEqual(answer["content-location"], f"{IMAGES}/{uuid}")
        self.assertIsNotNone(email.utils.parsedate_to_datetime(answer["upload-expires"]))
        return uuid

    def send_all(self, path, token, content, *ends):
        """In chunks; the answer to the last."""
        answer = None
        for offset, piece in chunks(content, *ends):
            answer = self.patch(path, token, offset, piece)
            if offset + len(piece) < len(content):
                self.assert_moved_on(answer, offset + len(piece))
        return answer

    def assert_is_image(self, uuid, content, owner=OWNER):
        stored = self.image(uuid, self.key(owner))
        self.assertEqual(self.server.get(uploads.path_of(stored["url"])).body, content)
        return stored

    def assert_ended(self, path, token):
        """Nothing is known or left of it."""
        self.assertEqual(self.tus("HEAD", path, token).status, 404)
        self.assertEqual(uploads.spooled(self.spool), set())
        self.assertEqual(self.rows_of("tus") + self.rows_of("uploads"), [])

    def rows_of(self, table):
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/catalog.db?mode=ro", uri=True)) as catalog:
            catalog.row_factory = sqlite3.Row
            return [dict(row) for row in catalog.execute(f"SELECT * FROM {table}")]

    def change(self, sql, *values):
        with contextlib.closing(sqlite3.connect(f"{self.folder}/catalog.db", timeout=10)) as catalog:
            catalog.execute(sql, values)
            catalog.commit()

    def running_patch(self, path, token, offset, length, *fields):
        """A PATCH that the server waits for the body of."""
        wire = self.wire()
        wire.send(tidepool.request(path, "Tus-Resumable: 1.0.0", f"Authorization: Bearer {token}",
                                   f"Upload-Offset: {offset}", f"Content-Type: {CONTENT_TYPE}",
                                   f"Content-Length: {length}", "Expect: 100-continue", *fields, method="PATCH"))
        self.assertEqual(wire.read_head().status, 100)
        return wire


class Room(TusCase):
    """What the spool takes in all (invariant 7)."""

    def test_uploads_that_have_not_ended_take_only_so_much(self):
        self.begin_server({"max_size": "1MiB", "spool_size": "2MiB"})
        tokens = [self.token(MIB, owner=100 + i) for i in range(3)]
        paths = [self.begin(MIB, token=token) for token in tokens[:2]]
        self.assert_come_later(self.ask_begin(1000, token=tokens[2]), 503, "service_unavailable")
        # Who is in may go on; and what ends makes room, as an image or without.
        self.assertEqual(self.patch(paths[0], tokens[0], 0, self.content[:1000]).status, 204)
        self.assertEqual(self.tus("DELETE", paths[0], tokens[0]).status, 204)
        whole = self.token(len(self.content), owner=103)
        self.image_of(self.send_all(self.begin(len(self.content), token=whole), whole, self.content))
        self.begin(MIB, token=tokens[2])

    def test_at_once_they_take_no_more(self):
        self.begin_server({"max_size": "1MiB", "spool_size": "2MiB"})
        answers = uploads.at_once(12, lambda i: self.ask_begin(MIB // 2, token=self.token(MIB, owner=100 + i)))
        self.assertLessEqual([answer.status for answer in answers].count(201), 4)
        for answer in answers:
            if answer.status != 201:
                self.assert_come_later(answer, 503, "service_unavailable")

    def test_an_owner_has_only_so_many_by_whatever_token(self):
        self.begin_server({"resumable_per_owner": 3})
        tokens = [self.token(1000 + i) for i in range(4)]
        paths = [self.begin(1000, token=token) for token in tokens[:3]]
        self.assert_come_later(self.ask_begin(1000, token=tokens[3]), 429, "too_many_requests")
        self.begin(1000, token=self.token(1000, owner=OTHER_OWNER))
        self.assertEqual(self.tus("DELETE", paths[0], tokens[0]).status, 204)
        self.begin(1000, token=tokens[3])
        self.assert_come_later(self.ask_begin(1000, token=tokens[0]), 429, "too_many_requests")

    def test_the_disk_keeps_some_free(self):
        self.begin_server()
        token = self.token(len(self.content))
        path = self.begin(len(self.content), token=token)
        self.server.stop_process()
        self.begin_server({"spool_min_free": "1024TiB"})
        self.assert_come_later(self.ask_begin(1000, token=self.token(1000)), 503, "service_unavailable")
        self.assert_come_later(self.patch(path, token, 0, self.content), 503, "service_unavailable")
        self.assert_offset(path, token, 0)
        late = uploads.form(uploads.file(self.content, "a.png"), uploads.field("token", token))
        self.assert_come_later(self.send_form(late), 503, "service_unavailable")
        # What does not go by the spool is no matter of it.
        self.accepted(self.upload(picture("png", 70, 70), "b.png"))
        self.server.stop_process()
        self.begin_server()
        self.image_of(self.send_all(path, token, self.content))


class Discovery(TusCase):
    def test_what_the_server_can(self):
        self.begin_server({"max_size": "5MiB"})
        for path in (TUS, f"{TUS}/{'0' * 32}"):
            answer = self.tus("OPTIONS", path, version=None)
            self.assertEqual((answer.status, answer["tus-version"], answer["tus-max-size"]), (204, "1.0.0", str(5 * MIB)))
            self.assertEqual(set(answer["tus-extension"].split(",")),
                             {"creation", "creation-with-upload", "expiration", "checksum", "termination"})
            self.assertEqual(set(answer["tus-checksum-algorithm"].split(",")), {"md5", "sha1", "sha256"})

    def test_pages_of_other_sites(self):
        self.begin_server({"allowed_origins": [SITE]})
        answer = self.tus("OPTIONS", TUS, version=None, Origin=SITE, Access_Control_Request_Method="POST")
        self.assertEqual(answer["access-control-allow-origin"], SITE)
        allowed = {name.strip().lower() for name in answer["access-control-allow-headers"].split(",")}
        self.assertLessEqual({"tus-resumable", "upload-length", "upload-offset", "upload-metadata", "upload-checksum",
                              "authorization", "content-type", "x-http-method-override"}, allowed)
        self.assertEqual(answer["access-control-allow-methods"], "POST, OPTIONS")
        answer = self.tus("OPTIONS", f"{TUS}/{'0' * 32}", version=None, Origin=SITE)
        self.assertEqual(answer["access-control-allow-methods"], "HEAD, PATCH, DELETE, OPTIONS")
        answer = self.ask_begin(100, token=self.token(100), Origin=SITE)
        exposed = {name.strip().lower() for name in answer["access-control-expose-headers"].split(",")}
        self.assertLessEqual({"location", "upload-offset", "upload-length", "upload-expires", "upload-image",
                              "content-location", "tus-resumable"}, exposed)
        other = self.tus("OPTIONS", TUS, version=None, Origin="https://other.example")
        self.assertEqual((other.get("access-control-allow-origin"), other.get("access-control-allow-headers")), (None, None))

    def test_every_request_says_its_version(self):
        self.begin_server()
        token = self.token(100)
        path = self.begin(100, token=token)
        for version in (None, "", "0.2.2", "1.0", "2.0.0"):
            for method, where in (("POST", TUS), ("HEAD", path), ("PATCH", path), ("DELETE", path)):
                with self.subTest(version=version, method=method):
                    answer = self.tus(method, where, token, version=version, Upload_Length=100)
                    self.assertEqual((answer.status, answer["tus-version"]), (412, "1.0.0"))
        self.assert_offset(path, token, 0)

    def test_methods(self):
        self.begin_server()
        path = self.begin(100, token=self.token(100))
        for method, where, allowed in (("GET", TUS, "POST"), ("PUT", TUS, "POST"), ("DELETE", TUS, "POST"),
                                       ("GET", path, "HEAD, PATCH, DELETE"), ("POST", path, "HEAD, PATCH, DELETE")):
            answer = uploads.exchange(self.server.address, method, where, {"Tus-Resumable": "1.0.0"})
            self.assertEqual((answer.status, answer["allow"]), (405, allowed), (method, where))


    def test_a_method_that_is_said_otherwise(self):
        """For clients behind what lets through GET and POST alone."""
        self.begin_server({"allowed_origins": [SITE]})
        token = self.token(len(self.content))
        path = self.begin(len(self.content), token=token)

        def post(method, where=path, body=b"", **fields):
            return self.tus("POST", where, token, body, X_HTTP_Method_Override=method, **fields)
        half = len(self.content) // 2
        piece = {"Content_Type": CONTENT_TYPE}
        self.assert_moved_on(post("PATCH", body=self.content[:half], Upload_Offset=0, **piece), half)
        answer = post("HEAD")
        self.assertEqual((answer.status, answer["upload-offset"], answer.body), (200, str(half), b""))
        self.assertEqual(post("PATCH", body=b"x", Upload_Offset=0, **piece).status, 409)
        self.assert_is_image(self.image_of(post("PATCH", body=self.content[half:], Upload_Offset=half, **piece)),
                             self.content)
        self.assertEqual(post("DELETE").status, 204)
        self.assert_ended(path, token)
        answer = post("OPTIONS", TUS, Origin=SITE)
        self.assertEqual((answer.status, answer["tus-version"]), (204, "1.0.0"))

    def test_a_method_that_is_said_otherwise_and_is_none(self):
        self.begin_server()
        token = self.token(100)
        path = self.begin(100, token=token)
        for where, method, allowed in ((path, "POST", "HEAD, PATCH, DELETE"), (path, "patch", "HEAD, PATCH, DELETE"),
                                       (TUS, "PATCH", "POST"), (TUS, "GET", "POST")):
            fields = {"Tus-Resumable": "1.0.0", "X-HTTP-Method-Override": method, "Authorization": f"Bearer {token}"}
            answer = uploads.exchange(self.server.address, "POST", where, fields)
            self.assertEqual((answer.status, answer["allow"]), (405, allowed), (method, where))
        # A GET is one, whatever it says.
        fields = {"Tus-Resumable": "1.0.0", "X-HTTP-Method-Override": "DELETE", "Authorization": f"Bearer {token}"}
        self.assertEqual(uploads.exchange(self.server.address, "GET", path, fields).status, 405)
        self.assert_offset(path, token, 0)


class Creation(TusCase):
    def test_it_begins(self):
        self.begin_server({"resumable_lifetime": "2h"})
        token = self.token(5000)
        before = int(time.time())
        answer = self.ask_begin(4000, "a photo.png", token)
        self.assertEqual((answer.status, answer["upload-offset"], answer["cache-control"]), (201, "0", "no-store"))
        self.assertRegex(answer["location"], rf"\A{TUS}/[0-9a-f]{{32}}\Z")
        expires = email.utils.parsedate_to_datetime(answer["upload-expires"]).timestamp()
        self.assertTrue(before + 7200 <= expires <= time.time() + 7200)
        head = self.tus("HEAD", answer["location"], token)
        self.assertEqual((head.status, head["upload-offset"], head["upload-length"]), (200, "0", "4000"))
        self.assertEqual(head["upload-metadata"], f"filename {base64_of('a photo.png')}")
        self.assertEqual((head["cache-control"], head["upload-expires"]), ("no-store", answer["upload-expires"]))

    def test_its_url_is_the_sites(self):
        self.begin_server({"public_base_url": "https://images.example"})
        location = self.ask_begin(100, token=self.token(100))["location"]
        self.assertRegex(location, rf"\Ahttps://images\.example{TUS}/[0-9a-f]{{32}}\Z")

    def test_lengths(self):
        self.begin_server({"max_size": "1MiB"})
        for length in (None, "", "-1", "x", "1.5", "0", "1 000", "9" * 40):
            with self.subTest(length):
                self.assert_error(self.ask_begin(length, token=self.token(100)), 400, "bad_request")
        answer = self.ask_begin(None, token=self.token(100), Upload_Defer_Length=1)
        self.assert_error(answer, 400, "bad_request")
        self.assert_error(self.ask_begin(101, token=self.token(100)), 413, "payload_too_large")
        self.assert_error(self.ask_begin(MIB + 1, token=self.token(5 * MIB)), 413, "payload_too_large")
        self.begin(MIB, token=self.token(5 * MIB))
        self.assert_error(self.ask_begin(50, token=self.token(100), Upload_Concat="partial"), 400, "bad_request")

    def test_metadata(self):
        self.begin_server()
        token = self.token(100)
        good = base64_of("a.png")
        for metadata in (None, "", "filename", "filename ", "name " + good, "filename *", f"filename {good},",
                         f"filename {good},filename {good}", f"filename {good[:-1]}", "filename " + base64_of(b"\xff.png"),
                         "filename " + base64_of("a\n.png"), f"filename {good},x {base64_of('x' * 9000)}"):
            with self.subTest(metadata=metadata and metadata[:50]):
                answer = self.ask_begin(100, None, token, Upload_Metadata=metadata)
                if metadata == f"filename {good},":
                    self.assertEqual(answer.status, 201)  # lists may end so
                else:
                    self.assert_error(answer, 400, "bad_request")
        for name in ("a", "a.svg", "a.png.exe", "a.html", ".", "png"):
            with self.subTest(name):
                self.assert_error(self.ask_begin(100, name, token), 415, "unsupported_media_type")
        for name in ("a.PNG", "na\u00efve \u65e5\u672c.jpeg", "../../etc/passwd.gif", "C:\\a\\b.webp"):
            self.begin(100, name, token)
        self.begin(100, None, token, Upload_Metadata=f"empty,filename {good},other {base64_of('x')}")

    def test_tokens(self):
        self.begin_server()
        expired = uploads.sign({"user_id": OWNER, "pool_id": self.pool_id(), "max_bytes": 100, "exp": 1})
        forged = uploads.sign({"user_id": OWNER, "pool_id": self.pool_id(), "max_bytes": 100,
                               "exp": int(time.time()) + 100}, "another secret that nobody has here")
        for token in (None, "", "x", expired, forged):
            self.assert_error(self.ask_begin(100, token=token), 401, "unauthorized")
        self.assert_error(self.ask_begin(100, token=self.token(100, pool=999_999)), 400, "bad_request")
        self.assertEqual(uploads.spooled(self.spool), set())

    def test_a_sessions_bytes_become_its_own(self):
        self.begin_server()
        session = self.session(9000, processing={"profile": "original_only"})
        self.begin(7000, token=session["token"])
        (row,) = self.rows_of("uploads")
        self.assertEqual((row["bytes"], row["token"]), (7000, None))
        self.assertIn("original_only", row["details"])
        self.begin(6000, token=session["token"])  # once more: reserved for itself
        self.assertEqual(sorted(row["bytes"] for row in self.rows_of("uploads")), [6000, 7000])

    def test_what_its_session_said_holds(self):
        self.begin_server()
        session = self.session(len(self.content), processing={"profile": "original_only"}, album_id=17)
        path = self.begin(len(self.content), token=session["token"])
        uuid = self.image_of(self.send_all(path, session["token"], self.content, 1000))
        stored = self.image(uuid, self.key())
        self.assertEqual(stored["app"], {"album_id": 17})
        self.assertEqual([job for job in self.json("jobs", "list", "--limit", "0") if job["type"] == "process"], [])

    def test_a_pool_without_room(self):
        self.begin_server(pools=self.pools(max_size="1MiB"))
        token = self.token(5 * MIB)
        self.begin(MIB - 1000, token=token)
        self.assert_error(self.ask_begin(2000, token=token), 500, "no_storage_pool")
        self.assertEqual(len(uploads.spooled(self.spool)), 1)

    def test_a_token_that_is_used_again_obeys_the_quota(self):
        self.begin_server()
        contents = [pictures.noise(60, 60, seed) for seed in range(3)]
        size = len(contents[0])
        key = self.key(OWNER, "--quota", f"{size + size // 2}B")
        token = self.session(size, key)["token"]
        self.image_of(self.send_all(self.begin(size, token=token), token, contents[0]))
        refused = self.assert_error(self.ask_begin(size, token=token), 413, "quota_exceeded")
        self.assertEqual(refused.json["details"], {"remaining": size // 2, "needed": size})
        # What has begun counts before it is an image.
        self.begin(size // 2, token=token)
        self.assert_error(self.ask_begin(1, token=token), 413, "quota_exceeded")
        self.assertEqual(len(uploads.spooled(self.spool)), 1)
        self.assertEqual(len(self.originals()), 1)

    def test_at_once_they_do_not_overrun_the_quota(self):
        self.begin_server()
        self.key(OWNER, "--quota", "500KiB")
        token = self.token(100_000)
        answers = uploads.at_once(12, lambda _: self.ask_begin(100_000, token=token))
        self.assertEqual(sorted(answer.status for answer in answers), [201] * 5 + [413] * 7)

    def test_a_token_has_not_any_number_of_them(self):
        self.begin_server()
        token = self.token(100)
        paths = [self.begin(100, token=token) for _ in range(16)]
        self.assert_come_later(self.ask_begin(100, token=token), 429, "too_many_requests")
        self.begin(100, token=self.token(101))
        self.assertEqual(self.tus("DELETE", paths[0], token).status, 204)
        self.begin(100, token=token)

    def test_how_often(self):
        self.begin_server({"rate_per_key": 3})
        answers = [self.ask_begin(100, token=self.token(100)) for _ in range(4)]
        self.assertEqual([answer.status for answer in answers], [201, 201, 201, 429])
        self.assert_come_later(answers[3], 429, "too_many_requests")
        self.begin(100, token=self.token(100, OTHER_OWNER))

    def test_with_all_of_it(self):
        self.begin_server()
        answer = self.tus("POST", TUS, self.token(len(self.content)), self.content, Upload_Length=len(self.content),
                          Upload_Metadata=f"filename {base64_of('a.png')}", Content_Type=CONTENT_TYPE,
                          Upload_Checksum=checksum("sha256", self.content))
        uuid = self.image_of(answer, 201)
        self.assertEqual(answer["upload-offset"], str(len(self.content)))
        self.assertIn(TUS, answer["location"])
        self.assert_is_image(uuid, self.content)

    def test_with_some_of_it(self):
        self.begin_server()
        token = self.token(len(self.content))
        fields = {"Upload_Length": len(self.content), "Upload_Metadata": f"filename {base64_of('a.png')}"}
        answer = self.tus("POST", TUS, token, self.content[:70_000], Content_Type=CONTENT_TYPE, **fields)
        self.assertEqual((answer.status, answer["upload-offset"]), (201, "70000"))
        self.image_of(self.patch(answer["location"], token, 70_000, self.content[70_000:]))
        for refused, status in (({"Content_Type": "image/png"}, 415),
                                ({"Content_Type": CONTENT_TYPE, "Upload_Checksum": checksum("md5", b"another")}, 460)):
            answer = self.tus("POST", TUS, token, self.content[:5000], **fields, **refused)
            self.assertEqual(answer.status, status)
        answer = self.tus("POST", TUS, token, self.content + b"x", Content_Type=CONTENT_TYPE, **fields)
        self.assertEqual(answer.status, 413)
        self.assertEqual(uploads.spooled(self.spool), set())


class Pieces(TusCase):
    def begin_one(self, content=None, name="a.png", **upload):
        self.begin_server(upload)
        self.content = self.content if content is None else content
        self.upload_token = self.token(len(self.content))
        return self.begin(len(self.content), name, self.upload_token), self.upload_token

    def test_it_becomes_an_image(self):
        path, token = self.begin_one()
        size = len(self.content)
        answer = self.send_all(path, token, self.content, 1, 1000, 1024, 300_000, 300_001)
        uuid = self.image_of(answer)
        self.assertEqual(answer["upload-offset"], str(size))
        stored = self.assert_is_image(uuid, self.content)
        self.assertEqual(self.originals(), {stored["url"][1:]: self.content})
        self.assertEqual(stored["file_name"], "a.png")
        self.wait_processed(uuid, self.key())
        self.assertEqual(uploads.spooled(self.spool), set())
        self.assertEqual(self.rows_of("uploads"), [])
        self.assert_balanced()

        # Its answer may have been lost.
        head = self.tus("HEAD", path, token)
        self.assertEqual(self.image_of(head, 200), uuid)
        self.assertEqual((head["upload-offset"], head["upload-length"]), (str(size), str(size)))
        self.assertEqual(self.image_of(self.patch(path, token, 300_001, self.content[300_001:])), uuid)
        self.assertEqual(self.image_of(self.patch(path, token, size, b"")), uuid)
        self.assert_error(self.patch(path, token, 300_000, b"x"), 409, "conflict")
        self.assertEqual(self.tus("DELETE", path, token).status, 204)
        self.assert_ended(path, token)
        self.assert_is_image(uuid, self.content)

    def test_the_same_content_is_the_same_image(self):
        self.begin_server()
        form = self.accepted(self.upload(self.content, "a.png"))
        uuids = []
        for _ in range(2):
            token = self.token(len(self.content))
            path = self.begin(len(self.content), token=token)
            uuids.append(self.image_of(self.send_all(path, token, self.content, 5000)))
        self.assertEqual(uuids, [form["image_uuid"]] * 2)
        self.assertEqual(len(self.originals()), 1)
        self.assertEqual(self.rows_of("uploads"), [])

    def test_offsets(self):
        path, token = self.begin_one()
        for offset in (1, 1000, len(self.content)):
            answer = self.patch(path, token, offset, b"x")
            self.assert_error(answer, 409, "conflict")
            self.assertEqual(answer["upload-offset"], "0")
        for offset in (None, "", "-1", "x", "9" * 40):
            self.assert_error(self.patch(path, token, offset, b"x"), 400, "bad_request")
        self.assert_moved_on(self.patch(path, token, 0, self.content[:500]), 500)
        self.assert_error(self.patch(path, token, 0, self.content[:500]), 409, "conflict")
        self.assert_moved_on(self.patch(path, token, 500, b""), 500)
        self.assert_offset(path, token, 500)

    def test_content_types(self):
        path, token = self.begin_one()
        for kind in (None, "", "image/png", "application/octet-stream", "multipart/form-data; boundary=x"):
            answer = self.patch(path, token, 0, b"x", Content_Type=kind)
            self.assert_error(answer, 415, "unsupported_media_type")
        self.assert_offset(path, token, 0)

    def test_more_than_it_was_to_have(self):
        path, token = self.begin_one()
        self.assert_moved_on(self.patch(path, token, 0, self.content[:1000]), 1000)
        self.assertEqual(self.patch(path, token, 1000, self.content[1000:] + b"x").status, 413)
        self.assert_offset(path, token, 1000)
        pieces = iter([self.content[1000:200_000], self.content[200_000:], b"x"])
        self.assertEqual(self.patch(path, token, 1000, pieces).status, 413)
        self.assert_offset(path, token, 1000)
        self.image_of(self.patch(path, token, 1000, iter([self.content[1000:5000], self.content[5000:]])))

    def test_tokens(self):
        path, token = self.begin_one()
        same = uploads.sign({"user_id": OWNER, "pool_id": self.pool_id(), "max_bytes": len(self.content),
                             "exp": int(time.time()) + 1234})
        for other in (None, "", "x", same, self.token(len(self.content), OTHER_OWNER)):
            self.assertEqual(self.tus("HEAD", path, other).status, 401)
            self.assert_error(self.patch(path, other, 0, b"x"), 401, "unauthorized")
            self.assert_error(self.tus("DELETE", path, other), 401, "unauthorized")
        for unknown in (f"{TUS}/{'0' * 32}", f"{TUS}/x", f"{TUS}/..%2f", path.upper().replace(TUS.upper(), TUS),
                        f"{path}/", path + "0"):
            if unknown == path:
                continue
            self.assertEqual(self.tus("HEAD", unknown, token).status, 404, unknown)
            self.assert_error(self.patch(unknown, token, 0, b"x"), 404, "not_found")
        self.assert_offset(path, token, 0)

    def test_a_token_is_good_for_its_upload_although_it_has_expired(self):
        self.begin_server()
        token = self.token(len(self.content), lifetime_s=2)
        path = self.begin(len(self.content), token=token)
        tidepool.eventually(lambda: self.ask_begin(10, token=token).status == 401, "it has expired", every_s=0.1)
        self.image_of(self.send_all(path, token, self.content, 1000))

    def test_checksums(self):
        path, token = self.begin_one()
        at = 0
        for algorithm in ("md5", "sha1", "sha256"):
            piece = self.content[at:at + 150_000]
            answer = self.patch(path, token, at, piece, Upload_Checksum=checksum(algorithm, piece + b"x"))
            self.assert_error(answer, 460, "checksum_mismatch")
            self.assert_offset(path, token, at)
            at += len(piece)
            self.assert_moved_on(self.patch(path, token, at - len(piece), piece,
                                            Upload_Checksum=checksum(algorithm, piece)), at)
        for wrong in ("crc32 AAAA", "md5", "md5 x", "sha256 " + base64_of(b"x"), "md5," + base64_of(bytes(16)), "sha1 "):
            self.assert_error(self.patch(path, token, at, b"x", Upload_Checksum=wrong), 400, "bad_request")
        rest = self.content[at:]
        uuid = self.image_of(self.patch(path, token, at, rest, Upload_Checksum=checksum("sha256", rest)))
        self.assert_is_image(uuid, self.content)

    def test_a_chunk_that_breaks_off_keeps_what_came(self):
        path, token = self.begin_one()
        for begin, end in ((0, 7), (7, 300_000), (300_000, 300_001)):
            wire = self.running_patch(path, token, begin, len(self.content) - begin)
            wire.send(self.content[begin:end]).finish_sending()
            wire.read_to_end()
            tidepool.eventually(lambda e=end: self.offset(path, token) == e, f"{end} bytes are there")
        wire = self.running_patch(path, token, 300_001, 200_000)
        wire.send(self.content[300_001:400_000])
        wire.reset()  # which may take some of it along

        def settled():
            at = self.offset(path, token)
            answer = self.patch(path, token, at, self.content[at:])
            self.assertIn(answer.status, (204, 409, 423), answer)
            return answer.status == 204 and answer
        uuid = self.image_of(tidepool.eventually(settled, "the connection's end was seen"))
        self.assert_is_image(uuid, self.content)

    def test_one_with_a_checksum_keeps_nothing(self):
        path, token = self.begin_one()
        self.assert_moved_on(self.patch(path, token, 0, self.content[:1000]), 1000)
        rest = self.content[1000:]
        wire = self.running_patch(path, token, 1000, len(rest), f"Upload-Checksum: {checksum('md5', rest)}")
        wire.send(rest[:400_000]).finish_sending()
        self.assertEqual(wire.answer().status, 400)
        self.assert_offset(path, token, 1000)
        self.image_of(self.patch(path, token, 1000, rest, Upload_Checksum=checksum("md5", rest)))

    def test_two_at_once(self):
        path, token = self.begin_one()
        wire = self.running_patch(path, token, 0, 1000)
        wire.send(self.content[:400])
        self.assert_come_later(self.patch(path, token, 0, self.content[:1000]), 423, "locked")
        self.assert_come_later(self.tus("DELETE", path, token), 423, "locked")
        self.assertEqual(self.tus("HEAD", path, token).status, 200)
        wire.send(self.content[400:1000])
        self.assert_moved_on(wire.answer(), 1000)
        self.image_of(self.patch(path, token, 1000, self.content[1000:]))

    def test_many_at_once_become_one_image(self):
        path, token = self.begin_one()
        self.assert_moved_on(self.patch(path, token, 0, self.content[:1000]), 1000)
        answers = uploads.at_once(8, lambda _: self.patch(path, token, 1000, self.content[1000:]))
        self.assertLessEqual({answer.status for answer in answers}, {204, 423})
        taken = {self.image_of(answer) for answer in answers if answer.status == 204}
        self.assertEqual(len(taken), 1)
        self.assert_is_image(taken.pop(), self.content)
        self.assertEqual(len(self.originals()), 1)

    def test_no_more_than_may_run(self):
        path, token = self.begin_one(parallel=1)
        wire = self.running_patch(path, token, 0, 1000)
        self.assert_come_later(self.patch(path, token, 0, b"x"), 503, "service_unavailable")
        self.assert_come_later(self.ask_begin(10, token=token), 503, "service_unavailable")
        wire.send(self.content[:1000])
        self.assert_moved_on(wire.answer(), 1000)
        self.image_of(self.patch(path, token, 1000, self.content[1000:]))

    def test_it_can_be_ended(self):
        path, token = self.begin_one()
        self.assert_moved_on(self.patch(path, token, 0, self.content[:1000]), 1000)
        answer = self.tus("DELETE", path, token)
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assert_ended(path, token)
        self.assert_error(self.patch(path, token, 1000, b"x"), 404, "not_found")
        self.assertEqual(self.tus("DELETE", path, token).status, 404)

    def test_what_is_no_image_need_not_come_whole(self):
        path, token = self.begin_one(b"<html>" * 50_000)
        self.assert_moved_on(self.patch(path, token, 0, self.content[:500]), 500)
        self.assert_error(self.patch(path, token, 500, self.content[500:5000]), 415, "unsupported_media_type")
        self.assert_ended(path, token)

    def test_an_image_that_is_another_or_not_whole(self):
        self.begin_server()
        whole = picture("jpg")
        for name, content in (("a.png", whole), ("a.jpg", whole[:-5000]), ("a.jpg", stamped(whole, b"<script>")),
                              ("a.jpg", b"\xff"), ("a.png", pictures.png_claiming(100_001, 1))):
            with self.subTest(name=name, size=len(content)):
                token = self.token(len(content))
                path = self.begin(len(content), name, token)
                ends = [len(content) // 2] if len(content) > 100_000 else []
                self.assert_error(self.send_all(path, token, content, *ends), 415, "unsupported_media_type")
                self.assert_ended(path, token)
        self.assertEqual(self.originals(), {})


class Time(TusCase):
    def test_what_is_not_gone_on_with_ends(self):
        self.begin_server()
        token = self.token(len(self.content))
        given_up, going_on, done = (self.begin(len(self.content), token=token) for _ in range(3))
        uuid = self.image_of(self.send_all(done, token, self.content, 1000))
        for path in (given_up, going_on):
            self.assert_moved_on(self.patch(path, token, 0, self.content[:1000]), 1000)
        self.change("UPDATE tus SET expires_s = ? WHERE id IN (?, ?)", int(time.time()) - 1,
                    *(path.rpartition("/")[2] for path in (given_up, done)))
        for path in (given_up, done):
            self.assertIn(self.tus("HEAD", path, token).status, (404, 410))
            self.assertIn(self.patch(path, token, 1000, b"x").status, (404, 410))
        tidepool.eventually(lambda: len(self.rows_of("tus")) == 1, "it is forgotten", every_s=0.2)
        self.assertEqual([row["bytes"] for row in self.rows_of("uploads")], [len(self.content)])
        self.assertEqual(uploads.spooled(self.spool), {str(self.spool / "tus" / going_on.rpartition("/")[2])})
        self.assertEqual(self.image_of(self.send_rest(going_on, token)), uuid)
        self.assert_is_image(uuid, self.content)

    def send_rest(self, path, token):
        at = self.offset(path, token)
        return self.patch(path, token, at, self.content[at:])

    def test_bytes_that_nobody_knows_of(self):
        folder = self.spool / "tus"
        folder.mkdir(parents=True)
        old, fresh, foreign = (folder / name for name in ("0" * 32, "1" * 32, "something.else"))
        for path in (old, fresh, foreign):
            path.write_bytes(b"x")
        for path in (old, foreign):
            os.utime(path, (time.time() - 2 * 86_400,) * 2)
        self.begin_server()
        tidepool.eventually(lambda: not old.exists(), "it is removed")
        self.assertTrue(fresh.exists() and foreign.exists())


class Kills(TusCase):
    def begin_killed_at(self, step, content):
        """Begins an upload at a server that dies at that step of its end; the path and the token."""
        self.begin_server(environment={"TIDEPOOL_FAULT_POINT": step})
        token = self.token(len(content))
        path = self.begin(len(content), token=token)
        self.assert_moved_on(self.patch(path, token, 0, content[:1000]), 1000)
        return path, token

    def crash(self):
        self.server.crash()
        self.begin_server()

    def test_between_and_within_pieces(self):
        self.begin_server()
        token = self.token(len(self.content))
        path = self.begin(len(self.content), token=token)
        self.crash()
        self.assert_moved_on(self.patch(path, token, 0, self.content[:70_000]), 70_000)
        self.crash()
        self.assert_offset(path, token, 70_000)
        wire = self.running_patch(path, token, 70_000, len(self.content) - 70_000)
        wire.send(self.content[70_000:-1])
        grown = pathlib.Path(self.spool, "tus", path.rpartition("/")[2])
        tidepool.eventually(lambda: grown.stat().st_size > 70_000, "some of it is written")
        self.crash()
        at = self.offset(path, token)
        self.assertTrue(70_000 < at < len(self.content), at)
        uuid = self.image_of(self.patch(path, token, at, self.content[at:]))
        self.crash()
        self.assertEqual(self.image_of(self.tus("HEAD", path, token), 200), uuid)
        self.assert_is_image(uuid, self.content)

    def test_while_it_becomes_an_image(self):
        for number, step in enumerate(("tus.appended:2", "upload.begun", "upload.stored", "upload.noted", "tus.stored",
                                       "tus.noted")):
            for goes_on in ("HEAD", "PATCH"):
                with self.subTest(step=step, goes_on=goes_on):
                    content = stamped(self.content, f"{number} {goes_on}")
                    path, token = self.begin_killed_at(step, content)
                    try:
                        self.fail(f"still there: {self.patch(path, token, 1000, content[1000:])}")
                    except (OSError, http.client.HTTPException):
                        pass
                    self.server.crash()
                    self.begin_server()
                    if goes_on == "HEAD":
                        uuid = self.image_of(self.tus("HEAD", path, token), 200)
                    else:
                        uuid = self.image_of(self.patch(path, token, len(content), b""))
                    self.assert_is_image(uuid, content)
                    self.server.stop_process()
        self.begin_server()
        self.wait_for_jobs()
        tidepool.eventually(lambda: len(self.originals()) == 12 and not self.rows_of("uploads"), "all is clean",
                            every_s=0.2)
        self.assertEqual(uploads.spooled(self.spool), set())
        self.assert_balanced()


class Buckets(TusCase):
    def pools(self, **options):
        store = cold.Store(self.b2.s3_url, self.b2.region, self.b2.key)
        return [tidepool.bucket_pool(store, cold.BUCKET, "cold", public_base_url="https://images-b2.example", **options)]

    def test_a_bucket_alone(self):
        self.begin_server({"public_base_url": "https://images.example"})
        token = self.token(len(self.content), pool=self.pool_id("cold"))
        path = self.begin(len(self.content), token=token)
        uuid = self.image_of(self.send_all(path, token, self.content, 1000, 400_000))
        self.assert_is_image(uuid, self.content)
        self.assertEqual(list(self.originals("cold").values()), [self.content])
        self.assertEqual(uploads.spooled(self.spool), set())


class FailingBuckets(TusCase):
    """A bucket that fails for a while: the client's next try finds its reservation."""

    def pools(self, **options):
        store = cold.Store(self.b2.s3_url, self.b2.region, self.b2.key)
        return [tidepool.bucket_pool(store, cold.BUCKET, "cold", public_base_url="https://images-b2.example",
                                     max_size="400KiB", upload_api_url=uploads.NODE + uploads.INTERNAL_UPLOAD, **options)]

    def fails(self, content):
        """A new upload whose last piece the bucket did not take; its path and token."""
        session = self.session(len(content), processing={"profile": "original_only"}, is_nsfw=True)
        path = self.begin(len(content), token=session["token"])
        self.b2.fault("error", status=503, code="ServiceUnavailable", method="PUT", count=None)
        self.assert_come_later(self.patch(path, session["token"], 0, content), 503, "service_unavailable")
        self.b2.clear_faults()
        return path, session["token"]

    def ends(self, path, token):
        """The first answer to HEAD that is no 503."""
        return tidepool.eventually(lambda: (got := self.tus("HEAD", path, token)).status != 503 and got,
                                   "the bucket takes it", 240, every_s=0.2)

    def test_the_next_try_needs_no_room_of_its_own(self):
        self.begin_server()
        content = pictures.noise(250, 250)
        path, token = self.fails(content)
        self.assertEqual([row["bytes"] for row in self.rows_of("uploads") if row["bytes"]], [len(content)])
        # Somebody else takes all the room that is left, so that nothing could be reserved anew.
        self.session(400 * KIB - len(content), self.key(OTHER_OWNER))
        uuid = self.image_of(self.ends(path, token), 200)
        stored = self.assert_is_image(uuid, content)
        self.assertEqual(stored["app"], {"is_nsfw": True})
        self.assertTrue(self.api("GET", f"{IMAGES}/{uuid}/status", self.key()).json["complete"])

    def test_who_gives_up_keeps_nothing(self):
        self.begin_server()
        path, token = self.fails(pictures.noise(100, 100))
        self.assertEqual(self.tus("DELETE", path, token).status, 204)
        self.assertEqual([row["bytes"] for row in self.rows_of("uploads") if row["bytes"]], [])
        self.assertEqual(uploads.spooled(self.spool), set())


class Client(TusCase):
    """tus-js-client as it is published."""

    @classmethod
    def setUpClass(cls):
        if why := tus_client.why_not():
            raise unittest.SkipTest(why)
        super().setUpClass()

    def run_client(self, content, token, **options):
        source = self.folder / "source.png"
        source.write_bytes(content)
        return tus_client.run(source, self.url_of(TUS), token, self.folder / "client.json", **options)

    def url_of(self, path):
        host, port = self.server.address[:2]
        return f"http://{host}:{port}{path}"

    def test_it_uploads_in_chunks(self):
        self.begin_server()
        told = self.run_client(self.content, self.token(len(self.content)), chunk=100_000)
        self.assertEqual(told["outcome"], "success", told)
        self.assertGreaterEqual(told["patches"], len(self.content) // 100_000)
        self.assert_is_image(told["image"], self.content)

    def test_it_goes_on_where_it_was_interrupted(self):
        self.begin_server()
        token = self.token(len(self.content))
        told = self.run_client(self.content, token, chunk=100_000, stop_after=250_000)
        self.assertEqual(told["outcome"], "interrupted", told)
        self.server.crash()
        self.begin_server()
        told = self.run_client(self.content, token, chunk=100_000, resume=self.url_of(uploads.path_of(told["url"])))
        self.assertEqual(told["outcome"], "success", told)
        self.assertGreaterEqual(told["began_at"], 200_000)
        self.assert_is_image(told["image"], self.content)


if __name__ == "__main__":
    tidepool.main()
