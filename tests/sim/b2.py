"""A Backblaze B2 in the test's own process: the S3 and the native download face of one account, with faults on command.

    with B2() as b2:
        b2.bucket("images", public=True)
        b2.put("images", "a.jpg", content)
        b2.fault("cut", method="GET", key="a.jpg", after=1000, how="rst")
        ...
        assert b2.count(operation="GetObject") == 1

It speaks plain HTTP/1.1 on two ports of the kernel's choice (`s3_url`, `friendly_url`), keeps all in memory, logs every
request, and refuses what B2 refuses: see b2_s3.py and b2_friendly.py for the rules, b2_account.py for what is stored.
"""

import functools
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import b2_account  # noqa: E402
import b2_friendly  # noqa: E402
import b2_s3  # noqa: E402
import http1  # noqa: E402
import sigv4  # noqa: E402
import sockets  # noqa: E402
from b2_account import ALL_CAPABILITIES, NO_STORE, Failure  # noqa: E402,F401

PATIENCE_S = 45
MAX_BODY = 256 * 1024 * 1024

# What each kind of fault takes, with its defaults (... = must be given).
FAULTS = {
    "no_tomes": {},  # 503 for this and all later requests on the connection: another one has another vault
    "slow_down": {"retry_after": None},  # 503, the account's rate limit
    "too_many": {"retry_after": None},  # 429
    "error": {"status": 500, "code": None, "message": "An internal error occurred. Please retry your upload."},
    "error_after_store": {},  # the operation is done, and then answered by 500
    "cap_exceeded": {},  # 403: the cap on downloads
    "expired_token": {},  # 401
    "cut": {"after": ..., "how": "fin"},  # the body ends after so many bytes, by "fin" or "rst"
    "stall": {"after": ...},  # the body stops after so many bytes until release()
    "half_open": {},  # nothing is answered until release(), and then the connection ends
    "wrong_length": {"by": ...},  # Content-Length is off by this: more than comes (> 0) or less (< 0)
    "wrong_body": {},  # as many other bytes
    "slow_first_byte": {"seconds": ...},
    "trickle": {"bytes_per_s": ...},
    "extra_headers": {"headers": ...},  # [(name, value)]
    "ignore_range": {},  # 200 in answer to a Range
    "other_version": {"data": None},  # before the answer, the object gets this (or its bytes reversed) as a new version
}


class Fault:
    """One kind of misbehaviour for the next `count` requests that match (None: for all), after `skip` of them."""

    def __init__(self, kind, count=1, skip=0, method=None, face=None, key=None, operation=None, **options):
        known = FAULTS.get(kind)
        if known is None:
            raise ValueError(f"no fault is called {kind!r}; there are {', '.join(FAULTS)}")
        if unknown := set(options) - set(known):
            raise TypeError(f"{kind} takes no {', '.join(sorted(unknown))}")
        options = {**known, **options}
        if missing := [name for name, value in options.items() if value is ...]:
            raise TypeError(f"{kind} needs {', '.join(missing)}")
        self.kind, self.count, self.skip, self.options = kind, count, skip, options
        self.method, self.face, self.key, self.operation = method, face, key, operation
        self.hits = 0
        self._released = threading.Event()
        self._changed = threading.Condition()

    def __getattr__(self, name):
        try:
            return self.__dict__["options"][name]
        except KeyError:
            raise AttributeError(name) from None

    def matches(self, entry):
        if self.count is not None and self.hits >= self.count or self._released.is_set():
            return False
        for wanted, given in ((self.method, entry.method), (self.face, entry.face), (self.operation, entry.operation)):
            if wanted is not None and given != wanted:
                return False
        if self.key is not None and not (self.key(entry.key) if callable(self.key) else self.key == entry.key):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        with self._changed:
            self.hits += 1
            self._changed.notify_all()
        return True

    def wait_hits(self, hits=1, patience_s=PATIENCE_S):
        """Returns when so many requests have met the fault."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.hits >= hits, patience_s):
                raise AssertionError(f"{self.kind} was met by {self.hits} requests, not {hits}")

    def release(self):
        """Lets everything go on that waits in this fault, and ends it."""
        self._released.set()

    remove = release

    def wait_released(self):
        self._released.wait()


class Entry:
    """One request of the log. `status` is None until it is answered, `sent` counts the bytes of the body as they go."""

    def __init__(self, number, connection, face, request, call):
        self.number, self.connection, self.face = number, connection, face
        self.method, self.path, self.target = request.method, request.path, request.target
        self.query, self.range = call.query, request.get("range")
        self.fields = request.fields
        self.headers = dict(request.fields)
        self.operation, self.bucket, self.key, self.price = call.operation, call.bucket, call.key, call.price
        self.received = len(request.body)
        self.key_id = None
        self.status = None
        self.sent = 0
        self.faults = []

    def __repr__(self):
        shown = (self.face, self.operation, self.method, self.target, self.range or "", self.status, self.sent)
        return f"<{' '.join(map(str, shown))}>"


class B2:
    """The simulator; ends with its `with` block, or by stop().

    `page_size` bounds every list, `min_part_size` all parts of an upload but the last, `copy_limit` what can be copied
    at once. `conditional_gets` has If-None-Match obeyed by the S3 face; whether B2 does is not known, so it is off.
    """

    def __init__(self, region="us-west-004", page_size=1000, min_part_size=5_000_000, copy_limit=5_000_000_000,
                 conditional_gets=False, host="127.0.0.1"):
        self.region = region
        self.account = b2_account.Account()
        self.s3 = b2_s3.S3Face(self.account, region, page_size, min_part_size, copy_limit, conditional_gets)
        self.friendly = b2_friendly.FriendlyFace(self.account, lambda: (self.friendly_url, self.s3_url))
        self.key = self.account.add_key()
        self._log, self._faults = [], []
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._no_tomes = set()  # (face, connection)
        self._listeners = {name: sockets.Listener(functools.partial(self._serve, name, face), host)
                           for name, face in (("s3", self.s3), ("friendly", self.friendly))}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stopping.set()
        for fault in self._faults:
            fault.release()
        for listener in self._listeners.values():
            listener.stop()

    def _url(self, face):
        host, port = self._listeners[face].address[:2]
        return f"http://{host}:{port}"

    s3_url = property(lambda self: self._url("s3"))
    friendly_url = property(lambda self: self._url("friendly"))
    s3_address = property(lambda self: self._listeners["s3"].address)
    friendly_address = property(lambda self: self._listeners["friendly"].address)

    def connections(self, face):
        """(how many were accepted, how many are open)."""
        return self._listeners[face].accepted, self._listeners[face].connections

    def drop_connections(self):
        for listener in self._listeners.values():
            listener.drop_all()

    # --- the account, without HTTP ---

    def bucket(self, name, public=False, info=None):
        with self.account.lock:
            return self.account.add_bucket(name, public, info)

    def new_key(self, capabilities=ALL_CAPABILITIES, bucket=None, prefix=""):
        with self.account.lock:
            return self.account.add_key(capabilities, bucket, prefix)

    def put(self, bucket, key, data, content_type="image/jpeg", headers=None, info=None, etag=None):
        """A new version; returns it (.id, .etag, .sha1). With an `etag` it came in parts, and nothing tells its digest."""
        with self.account.lock:
            return self.account.bucket(bucket).put(key, data, content_type, headers, info, etag)

    def get(self, bucket, key):
        """The bytes of the current version, or None."""
        with self.account.lock:
            version = self.account.bucket(bucket).current(key)
            return None if version is None else version.data

    def versions(self, bucket, key):
        """All versions and markers of a name, newest first."""
        with self.account.lock:
            return self.account.bucket(bucket).versions(key)

    def keys(self, bucket):
        """All names that have a version or marker."""
        with self.account.lock:
            return list(self.account.bucket(bucket).keys())

    def delete(self, bucket, key, version_id=None):
        """Hides the name (returns the marker), or removes one version for good (returns it)."""
        with self.account.lock:
            held = self.account.bucket(bucket)
            return held.hide(key) if version_id is None else held.remove(key, version_id)

    def download_token(self, bucket, prefix="", seconds=3600, key=None):
        """What b2_get_download_authorization gives."""
        with self.account.lock:
            return self.friendly.mint(key or self.key, seconds, bucket=bucket, prefix=prefix, download=True)

    def expire_tokens(self, download=True):
        """Ends all download tokens, or those of accounts, now; returns how many were good."""
        with self.account.lock:
            return self.friendly.expire(download)

    def revoke(self, key):
        """The key is gone, and with it what its tokens opened."""
        with self.account.lock:
            del self.account.keys[key.id]

    # --- the log ---

    @property
    def requests(self):
        with self._lock:
            return list(self._log)

    def clear_requests(self):
        with self._lock:
            self._log.clear()

    def select(self, **wanted):
        """The logged requests whose attributes are these: select(operation="GetObject", key="a.jpg")."""
        return [entry for entry in self.requests
                if all(getattr(entry, name) == value for name, value in wanted.items())]

    def count(self, **wanted):
        return len(self.select(**wanted))

    def calls(self, key_id=None):
        """{"A": n, "B": n, "C": n}, of all clients or of one key's."""
        prices = [entry.price for entry in self.requests if key_id is None or entry.key_id == key_id]
        return {price: prices.count(price) for price in "ABC"}

    def egress(self, key_id=None):
        """Bytes of bodies sent for downloads, of all clients or of one key's."""
        return sum(entry.sent for entry in self.requests
                   if entry.price == "B" and (key_id is None or entry.key_id == key_id))

    def wait_requests(self, number, patience_s=PATIENCE_S, **wanted):
        """Returns the matching requests when there are so many of them; they need not be answered yet."""
        def there():
            return [entry for entry in self._log
                    if all(getattr(entry, name) == value for name, value in wanted.items())]
        with self._news:
            if not self._news.wait_for(lambda: len(there()) >= number, patience_s):
                raise AssertionError(f"{len(there())} requests came, not {number}: {there()}")
            return there()

    # --- faults ---

    def fault(self, kind, **options):
        """Adds a Fault and returns it. All that match a request act on it, the first that answers does so."""
        fault = Fault(kind, **options)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear_faults(self):
        with self._lock:
            faults, self._faults = self._faults, []
            self._no_tomes.clear()
        for fault in faults:
            fault.release()

    # --- serving ---

    def _serve(self, name, face, sock, number):
        reader = http1.Reader(sock)
        try:
            while (request := http1.read_request_head(reader)) is not None:
                refusal = self._read_body(request, reader, sock)
                if not self._respond(name, face, sock, number, request, refusal) or refusal or not request.keep_alive:
                    break
        except http1.Malformed as error:
            sock.sendall(self._finished(face, face.failure(Failure(400, "InvalidRequest", str(error))), True).head())
        sockets.end_by_fin(sock)

    @staticmethod
    def _read_body(request, reader, sock):
        """Reads the body; the Failure for a request whose body cannot be read."""
        if request.get("transfer-encoding") is not None or (request.method in ("PUT", "POST")
                                                            and request.length() is None):
            return Failure(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        length = request.length() or 0
        if length > MAX_BODY:
            return Failure(400, "EntityTooLarge", "The body is larger than this simulator takes")
        if (request.get("expect") or "").lower() == "100-continue":
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = reader.exactly(length)
        return None

    def _finished(self, face, answer, close, length=None):
        """The answer with the fields that every one has."""
        fields = [("Date", http1.date(self.account.now())), *face.common_fields(), *answer.fields]
        if answer.status not in (204, 304):
            fields.append(("Content-Length", str(len(answer.body) if length is None else length)))
        if close:
            fields.append(("Connection", "close"))
        return http1.Answer(answer.status, fields, answer.body)

    def _respond(self, name, face, sock, number, request, refusal):
        """Answers one request; False where the connection must end."""
        with self.account.lock:
            call = face.route(request)
        with self._news:
            entry = Entry(len(self._log), number, name, request, call)
            entry.faults = [fault for fault in self._faults if fault.matches(entry)]
            self._log.append(entry)
            self._news.notify_all()
        faults = {fault.kind: fault for fault in entry.faults}
        if "half_open" in faults:
            faults["half_open"].wait_released()
            return False
        if "slow_first_byte" in faults:
            self._stopping.wait(faults["slow_first_byte"].seconds)
        if "ignore_range" in faults:
            request.fields = [(field, value) for field, value in request.fields if field != "range"]
        if "other_version" in faults:
            self._change(call, faults["other_version"].data)
        answer = face.failure(refusal) if refusal else self._failing(name, face, number, faults)
        if answer is None:
            answer = face.answer(request, call)
            if "error_after_store" in faults:
                answer = self._error(face, 500, "InternalError", "internal_error", "An internal error occurred.")
        if call.caller is not None:
            entry.key_id = call.caller.id
        entry.status = answer.status
        return self._send(face, sock, request, entry, answer, faults, bool(refusal) or not request.keep_alive)

    def _change(self, call, data):
        with self.account.lock:
            bucket = self.account.buckets.get(call.bucket)
            current = bucket and bucket.current(call.key)
            if current:
                bucket.put(call.key, current.data[::-1] if data is None else data, current.content_type,
                           current.headers, current.info)

    def _error(self, face, status, code, native, message, retry_after=None):
        fields = [] if retry_after is None else [("Retry-After", str(retry_after))]
        return face.failure(Failure(status, code if face is self.s3 else native, message, fields))

    def _failing(self, name, face, number, faults):
        """The answer of the first fault that gives one, or None."""
        with self._lock:
            if "no_tomes" in faults:
                self._no_tomes.add((name, number))
            if (name, number) in self._no_tomes:
                return self._error(face, 503, "ServiceUnavailable", "service_unavailable", "no tomes available")
        for kind, fault in faults.items():
            if kind == "slow_down":
                return self._error(face, 503, "SlowDown", "service_unavailable", "Please reduce your request rate.",
                                   fault.retry_after)
            if kind == "too_many":
                return self._error(face, 429, "TooManyRequests", "too_many_requests", "too many requests",
                                   fault.retry_after)
            if kind == "error":
                return self._error(face, fault.status, fault.code or "InternalError", fault.code or "internal_error",
                                   fault.message)
            if kind == "cap_exceeded":
                return self._error(face, 403, "AccessDenied", "download_cap_exceeded",
                                   "Cannot download file, download bandwidth or transaction (Class B) cap exceeded.")
            if kind == "expired_token":
                return self._error(face, 401, "UnauthorizedAccess", "expired_auth_token",
                                   "Authorization token has expired")
        return None

    def _send(self, face, sock, request, entry, answer, faults, close):
        body = answer.body
        if "wrong_body" in faults:
            body = bytes(byte ^ 0x5a for byte in body)
        if "extra_headers" in faults:
            answer.fields = [*answer.fields, *faults["extra_headers"].headers]
        lies = faults["wrong_length"].by if "wrong_length" in faults else 0
        head = self._finished(face, answer, close, max(0, len(body) + lies)).head()
        if not http1.has_body(request.method, answer.status):
            body = b""
        rate = faults["trickle"].bytes_per_s if "trickle" in faults else None
        stall, cut = faults.get("stall"), faults.get("cut")
        if stall is None and cut is None and rate is None and len(body) <= 65536:
            entry.sent = len(body)  # counted before they go, so that whoever has them finds them counted
            sock.sendall(head + body)
            return not close and not lies
        sock.sendall(head)
        marks = sorted({0, len(body), *(min(fault.after, len(body)) for fault in (stall, cut) if fault is not None)})
        for first, last in zip(marks, [*marks[1:], None]):
            if stall is not None and first == min(stall.after, len(body)):
                stall.wait_released()
            if cut is not None and first == min(cut.after, len(body)):
                if cut.how == "rst":
                    sockets.end_by_rst(sock)
                return False
            if last is not None:
                self._write(sock, entry, body[first:last], rate)
        return not close and not lies

    def _write(self, sock, entry, data, rate):
        step = 65536 if rate is None else max(1, rate // 20)
        begun = time.monotonic()
        for at in range(0, len(data), step):
            piece = data[at:at + step]
            if rate is not None and self._stopping.wait(max(0, begun + at / rate - time.monotonic())):
                return
            entry.sent += len(piece)
            sock.sendall(piece)
