"""Clients of the upload API, and a server that takes uploads.

    class Some(uploads.UploadCase):
        def test_it(self):
            self.start()
            stored = self.accepted(self.upload(picture("png"), "a.png"))
            self.assertEqual(self.originals(), {stored["url"][1:]: picture("png")})
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import pathlib
import re
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import image_host  # noqa: E402
import tidepool  # noqa: E402

SECRET = "an-upload-secret-of-some-length-0001"
PREVIOUS_SECRET = "the-upload-secret-that-was-before-it"
REPLICATE_SECRET = "a-replicate-secret-of-some-length-01"
OWNER, OTHER_OWNER = 7, 8  # numbers, as the app's users are
LIFETIME_S = 1800

UPLOAD = "/api/v1/upload"
INTERNAL_UPLOAD = "/api/internal/upload"
SESSIONS = "/api/v1/upload/sessions"
IMAGES = "/api/v1/images"
PING = "/api/v1/ping"
PROFILE = "/api/v1/user/profile"
REPLICATE = "/api/internal/replicate"
# What sessions derive their URLs from. Nobody is there: tests know where the server listens.
NODE = "http://upload.example"

NO_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"  # of an image that nobody has
# Quick to make: what most tests have made of what they upload.
ONE_PROFILE = '[[profile]]\nname = "small"\nwidth = 50\nformats = ["webp"]\nat_upload = ["webp"]\n\n'

BOUNDARY = "----tidepool-test-boundary"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SIZES = ("original", "medium", "small")


# --- tokens ------------------------------------------------------------------------------------------------------------


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sign(payload, secret=SECRET):
    """The token of a payload: bytes, or what becomes JSON."""
    if not isinstance(payload, bytes):
        payload = json.dumps(payload, separators=(",", ":")).encode()
    return b64url(payload) + "." + b64url(hmac.digest(secret.encode(), payload, "sha256"))


def read_token(token, secret=SECRET):
    """The payload of a token that this secret has signed; fails for any other."""
    payload, _, signature = token.partition(".")
    assert "=" not in token, f"padded: {token}"
    wanted = hmac.digest(secret.encode(), from_b64url(payload), "sha256")
    assert hmac.compare_digest(from_b64url(signature), wanted), f"not signed by this secret: {token}"
    return json.loads(from_b64url(payload))


# --- forms -------------------------------------------------------------------------------------------------------------


def disposition(name, filename=None):
    """As browsers write it: in a name of a file `"` and line ends are escaped by percent."""
    if filename is None:
        return f'form-data; name="{name}"'
    for character in '"\r\n':
        filename = filename.replace(character, f"%{ord(character):02X}")
    return f'form-data; name="{name}"; filename="{filename}"'


def part(says, content, content_type=None, *lines):
    """One part with that Content-Disposition; None: without that line."""
    head = [] if says is None else [f"Content-Disposition: {says}"]
    head += [] if content_type is None else [f"Content-Type: {content_type}"]
    content = content if isinstance(content, bytes) else str(content).encode()
    return "".join(f"{line}\r\n" for line in (*head, *lines)).encode() + b"\r\n" + content


def field(name, value):
    return part(disposition(name), value)


def file(content, filename="a.jpg", content_type="application/octet-stream", name="file"):
    return part(disposition(name, filename), content, content_type)


def form(*parts, boundary=BOUNDARY, ended=True, before=b"", after=b""):
    """The body of multipart/form-data; `before` and `after` stand around it."""
    mark = b"--" + boundary.encode()
    body = b"".join(mark + b"\r\n" + one + b"\r\n" for one in parts)
    return before + body + (mark + b"--\r\n" + after if ended else b"")


def form_type(boundary=BOUNDARY):
    return f"multipart/form-data; boundary={boundary}"


# --- the wire ----------------------------------------------------------------------------------------------------------


class Answer:
    """What a call of the API got. Its fields are read strictly: tidepool.Response."""

    def __init__(self, response):
        self.response = response
        self.status, self.body = response.status, response.body
        self.get, self.all = response.get, response.all

    def __getitem__(self, name):
        return self.response[name]

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError(f"no JSON: {self}") from None

    def __repr__(self):
        return repr(self.response)


class Wire(tidepool.Wire):
    """One connection, byte by byte. Only here may an answer depend on the Origin."""

    def read_head(self):
        end = -1
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if not self._more():
                raise tidepool.NotHttp(f"the connection ended in a head: {bytes(self.buffer[:200])!r}")
        head = self.read_exactly(end + 4)[:-4]
        return tidepool.parse_head(re.sub(rb"(?i)\r\nvary:[ \t]*origin[ \t]*(?=\r\n|$)", b"", head))

    def answer(self, head_only=False):
        return Answer(self.response(head_only))


def exchange(address, method, path, fields=(), body=None, source=None):
    """One call by http.client, on a connection of its own; `body` may be an iterator, which is sent in chunks."""
    connection = http.client.HTTPConnection(*address[:2], timeout=tidepool.PATIENCE_S,
                                            source_address=(source, 0) if source else None)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may be answered before it has all
            connection.request(method, path, body, dict(fields))
        response = connection.getresponse()
        received = [(name.lower(), value) for name, value in response.getheaders()]
        return Answer(tidepool.Response(response.status, received, response.read()))
    finally:
        connection.close()


def at_once(count, call):
    """The results of call(0), call(1) and so on, begun together in threads of their own; an exception is a result."""
    results = [None] * count
    begin = threading.Barrier(count)

    def run(index):
        begin.wait()
        try:
            results[index] = call(index)
        except Exception as error:  # what went wrong belongs to the caller's thread
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- the server --------------------------------------------------------------------------------------------------------


class UploadCase(image_host.ImageHostCase):
    """A server with one pool, "hot", that takes uploads; POOL changes its settings."""

    POOL = {}

    def setUp(self):
        super().setUp()
        self.environment.update({"TIDEPOOL_TEST_UPLOAD_SECRET": SECRET, "TIDEPOOL_TEST_PREVIOUS": PREVIOUS_SECRET,
                                 "TIDEPOOL_TEST_REPLICATE": REPLICATE_SECRET})
        self.spool = self.folder / "spool"

    def pools(self, **options):
        return [{"name": "hot", "base_path": self.trees["uploads"].path, "upload_api_url": NODE + INTERNAL_UPLOAD,
                 **self.POOL, **options}]

    def start(self, upload=None, config=None, scanned=False, **options):
        """`upload` changes that section."""
        sections = {"catalog": {"url": f"sqlite:{self.folder}/catalog.db"},
                    "variants": {"on_demand": True, "first_hit_wait": "30s"},
                    "limits": {"connections_per_peer": 5000},
                    "upload": {"token_secret": "env:TIDEPOOL_TEST_UPLOAD_SECRET", "spool_path": self.spool,
                               **(upload or {})}, **(config or {})}
        return super().start(sections, scanned=scanned, **options)

    # --- keys, sessions and tokens ---

    def key(self, owner=OWNER, *options):
        return self.json("key", "add", "--owner", owner, *options)["key"]

    def pool_id(self, name="hot"):
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/catalog.db?mode=ro", uri=True)) as catalog:
            return catalog.execute("SELECT id FROM pools WHERE name = ?", (name,)).fetchone()[0]

    def token(self, max_bytes, owner=OWNER, pool=None, secret=SECRET, lifetime_s=LIFETIME_S):
        """A token as the app makes one: without a session here."""
        return sign({"user_id": owner, "pool_id": self.pool_id() if pool is None else pool, "max_bytes": max_bytes,
                     "exp": int(time.time()) + lifetime_s}, secret)

    def ask_session(self, size, key=None, fields=None, **more):
        """POST upload/sessions, as it is answered."""
        return self.api("POST", SESSIONS, key, {"file_size": size, **more}, fields)

    def session(self, size, key=None, **more):
        answer = self.ask_session(size, key or self.key(), **more)
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    # --- calls ---

    def api(self, method, path, key=None, body=None, fields=None, **options):
        """A call of the public API. A body that is no text is sent as JSON."""
        sent = {} if key is None else {"X-API-Key": key}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            sent["Content-Type"] = "application/json"
        return exchange(self.server.address, method, path, {**sent, **(fields or {})}, body, **options)

    def send_form(self, body, token=None, path=UPLOAD, content_type=None, fields=None, method="POST", **options):
        """Sends that body; a `token` goes into the head."""
        sent = {"Content-Type": form_type() if content_type is None else content_type}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return exchange(self.server.address, method, path, {**sent, **(fields or {})}, body, **options)

    def upload(self, content, filename="a.jpg", token=None, owner=OWNER, path=UPLOAD, **options):
        """Sends a file with a token of its own, or that one."""
        token = self.token(len(content), owner) if token is None else token
        return self.send_form(form(file(content, filename)), token, path, **options)

    def head_of(self, token, length=None, *lines, path=UPLOAD, content_type=None):
        """The bytes of an upload's head, for a Wire; without a length it comes in chunks."""
        sent = [f"Content-Type: {content_type or form_type()}"]
        sent += ["Transfer-Encoding: chunked"] if length is None else [f"Content-Length: {length}"]
        sent += [] if token is None else [f"Authorization: Bearer {token}"]
        return tidepool.request(path, *sent, *lines, method="POST")

    def wire(self, **options):
        wire = Wire(self.server.address, **options)
        self.addCleanup(wire.close)
        return wire

    def curl(self, *arguments, path=UPLOAD):
        """(status, body) of what curl got; 0 where it got nothing."""
        host, port = self.server.address[:2]
        line = ["curl", "--silent", "--show-error", "--max-time", str(tidepool.PATIENCE_S), "--write-out", "\n%{http_code}",
                *map(str, arguments), f"http://{host}:{port}{path}"]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body

    # --- what is expected ---

    def assert_error(self, answer, status, code):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer["content-type"].partition(";")[0], "application/json", answer)
        self.assertEqual(answer["cache-control"], "no-store", answer)
        error = answer.json
        self.assertEqual(error["error"], code, answer)
        self.assertTrue(isinstance(error["message"], str) and error["message"], answer)
        self.assertLessEqual(set(error), {"error", "message", "details"}, answer)
        for path in (self.folder, self.spool):
            self.assertNotIn(str(path), error["message"], "clients are told no paths")
        return answer

    def assert_come_later(self, answer, status, code):
        self.assertGreaterEqual(int(self.assert_error(answer, status, code)["retry-after"]), 1)

    def accepted(self, answer):
        """The JSON of an upload that was taken, of the shape that clients know."""
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer["content-type"].partition(";")[0], "application/json", answer)
        self.assertEqual(answer["cache-control"], "no-store", answer)
        stored = answer.json
        self.assertIsInstance(stored["duplicate"], bool)
        self.assert_image(stored)
        return stored

    def assert_image(self, stored):
        self.assertRegex(stored["image_uuid"], rf"\A{UUID.pattern}\Z")
        self.assertRegex(path_of(stored["url"]),
                         rf"\A/uploads/original/\d{{4}}/\d\d/\d\d/{stored['image_uuid']}\.[a-z]+\Z")
        self.assertIsInstance(stored["available_variants"], list)
        self.assertLessEqual(set(stored["variants"]), {"original", "webp", "avif"})
        self.assertEqual(stored["variants"]["original"]["original"]["url"], stored["url"])
        for _, size, leaf in leaves(stored):
            self.assertIn(size, SIZES)
            self.assertLessEqual(set(leaf), {"url", "width", "height", "bytes", "mime_type", "animated"})
            self.assertIn(stored["image_uuid"], leaf["url"])

    def originals(self, pool="hot"):
        """{key: content} of the originals in a pool."""
        return {key: content for key, content in self.stored(pool).items() if key.startswith("uploads/original/")}

    def assert_nothing_left(self, pool="hot", but=()):
        """Nothing is in the pool nor on its way there, but these keys; and the catalog knows of no more."""
        left = set()

        def clean():
            left.clear()
            left.update(set(self.stored(pool)) - set(but), spooled(self.spool))
            return not left
        tidepool.eventually(clean, lambda: f"nothing is left behind: {left}")
        self.assertEqual({row["key"] for row in self.json("ls", "--limit", "0")}, set(but))

    def wait_processed(self, uuid, key, patience_s=tidepool.PATIENCE_S * 2):
        """Until all variants of an upload are made; its last status."""
        def ended():
            answer = self.api("GET", f"{IMAGES}/{uuid}/status", key)
            self.assertEqual(answer.status, 200, answer)
            self.assertFalse(answer.json["failed"], answer)
            return answer.json["complete"] and answer.json
        return tidepool.eventually(ended, "it is processed", patience_s, every_s=0.05)

    def image(self, uuid, key):
        """GET images/UUID."""
        answer = self.api("GET", f"{IMAGES}/{uuid}", key)
        self.assertEqual(answer.status, 200, answer)
        self.assert_image(answer.json)
        return answer.json

    def assert_all_served(self, stored):
        """Each URL of an image answers as it says; {key: content}."""
        contents = {}
        for family, size, leaf in leaves(stored):
            answer = self.server.get(path_of(leaf["url"]))
            self.assertEqual(answer.status, 200, (family, size, answer))
            known = {"bytes": len(answer.body), "mime_type": answer["content-type"]}
            for name, value in known.items():
                self.assertEqual(leaf.get(name, value), value, (family, size, leaf))
            contents[path_of(leaf["url"])[1:]] = answer.body
        return contents


def leaves(stored):
    """(family, size, leaf) of all that an image has."""
    return [(family, size, leaf) for family, sizes in stored["variants"].items() for size, leaf in sizes.items()]


def path_of(url):
    return urllib.parse.urlsplit(url).path


def base_of(url):
    """All of a URL before its path; "" of one that is only a path."""
    return url[:len(url) - len(path_of(url))]


def spooled(folder):
    """The files below a folder that need not be there."""
    return {str(path) for path in folder.rglob("*") if path.is_file()} if folder.exists() else set()


def sha256(content):
    return hashlib.sha256(content).hexdigest()
