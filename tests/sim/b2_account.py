"""What a B2 account holds: buckets, keys, and objects that are always versioned. No HTTP here."""

import bisect
import collections
import hashlib
import re
import secrets
import threading
import time

ALL_CAPABILITIES = frozenset((
    "listBuckets", "readBuckets", "writeBuckets", "deleteBuckets", "listFiles", "readFiles", "shareFiles", "writeFiles",
    "deleteFiles"))
NO_STORE = "max-age=0, no-cache, no-store"  # what B2 says of objects of which nobody said anything
STORED_FIELDS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")


class Failure(Exception):
    """An operation that the account refuses, in S3's words; the friendly face translates."""

    def __init__(self, status, code, message="", fields=()):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.fields = status, code, message, list(fields)


ApplicationKey = collections.namedtuple("ApplicationKey", "id secret capabilities bucket prefix")


class Version:
    """One version of a name: an object, or a delete marker (data is None)."""

    __slots__ = ("id", "key", "data", "etag", "sha1", "content_type", "headers", "info", "time_s")

    def __init__(self, key, version_id, time_s, data=None, etag="", sha1="", content_type="", headers=None, info=None):
        self.key, self.id, self.time_s, self.data, self.etag, self.sha1 = key, version_id, time_s, data, etag, sha1
        self.content_type, self.headers, self.info = content_type, headers or {}, info or {}

    @property
    def marker(self):
        return self.data is None

    def __repr__(self):
        return f"<{'marker' if self.marker else len(self.data)} {self.key} {self.id}>"


class Upload:
    """A multipart upload that is not finished."""

    def __init__(self, upload_id, key, time_s, content_type, headers, info):
        self.id, self.key, self.time_s = upload_id, key, time_s
        self.content_type, self.headers, self.info = content_type, headers, info
        self.parts = {}  # number -> (data, etag, time)


def check_key(key):
    """The rules of B2 for names (4.6)."""
    raw = key.encode("utf-8", "surrogateescape")
    segments = raw.split(b"/")
    if (not 1 <= len(raw) <= 1024 or any(byte < 32 or byte == 127 for byte in raw) or b"" in segments
            or any(len(segment) > 250 or segment in (b".", b"..") for segment in segments)):
        raise Failure(400, "InvalidArgument", "Bad file name")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Failure(400, "InvalidArgument", "The file name is not UTF-8") from None


class Bucket:
    def __init__(self, account, name, public, info):
        self.account, self.name, self.public, self.info = account, name, public, dict(info or {})
        self.id = secrets.token_hex(12)
        self.created_s = account.now()
        self.uploads = {}
        self.lifecycle = []  # rules in the native API's form; nothing here follows them
        self._names = {}  # key -> [Version], oldest first
        self._sorted = []
        self._stale = False

    def keys(self):
        """All names that have a version or marker, in the order of their bytes."""
        if self._stale:
            self._sorted, self._stale = sorted(self._names), False
        return self._sorted

    def keys_from(self, prefix, after):
        """Names with this prefix, behind `after`; both may be empty."""
        keys = self.keys()
        start = bisect.bisect_left(keys, prefix)
        if after:
            start = max(start, bisect.bisect_right(keys, after))
        for index in range(start, len(keys)):
            if not keys[index].startswith(prefix):
                return
            yield keys[index]

    def versions(self, key):
        """Newest first."""
        return self._names.get(key, [])[::-1]

    def current(self, key):
        """The newest version; a marker counts as none."""
        held = self._names.get(key)
        return held[-1] if held and not held[-1].marker else None

    def find(self, key, version_id):
        return next((version for version in self._names.get(key, ()) if version.id == version_id), None)

    def add(self, version):
        held = self._names.get(version.key)
        if held is None:
            held = self._names[version.key] = []
            self._stale = True
        held.append(version)
        return version

    def put(self, key, data, content_type="application/octet-stream", headers=None, info=None, etag=None):
        """A new version. An `etag` says that it came in parts; such a one has no SHA-1 of its own."""
        check_key(key)
        headers = {name.lower(): value for name, value in (headers or {}).items()}
        return self.add(Version(key, self.account.version_id(self), self.account.now(), bytes(data),
                                etag or hashlib.md5(data).hexdigest(),
                                "none" if etag else hashlib.sha1(data).hexdigest(), content_type, headers, info))

    def hide(self, key):
        check_key(key)
        return self.add(Version(key, self.account.version_id(self), self.account.now()))

    def remove(self, key, version_id):
        """The version that is gone for good now, or None."""
        version = self.find(key, version_id)
        if version is not None:
            self._names[key].remove(version)
            if not self._names[key]:
                del self._names[key]
                self._stale = True
        return version

    def cache_control(self, version):
        return version.headers.get("cache-control") or self.info.get("Cache-Control") or NO_STORE


class Account:
    """Buckets and keys behind one lock; `clock_offset_s` moves its clock against that of the machine."""

    def __init__(self):
        self.lock = threading.RLock()
        self.id = secrets.token_hex(6)
        self.buckets = {}
        self.keys = {}
        self.clock_offset_s = 0
        self._serial = 0

    def now(self):
        return time.time() + self.clock_offset_s

    def version_id(self, bucket):
        self._serial += 1
        now = self.now()
        return (f"4_z{bucket.id}_f1{self._serial:017x}_d{time.strftime('%Y%m%d_m%H%M%S', time.gmtime(now))}"
                f"_c003_v0312{self._serial % 1000:03d}_t0042_u{int(now * 1000):014d}")

    def add_bucket(self, name, public=False, info=None):
        if not re.fullmatch(r"[A-Za-z0-9.-]{6,63}", name) or name.startswith("b2-"):
            raise Failure(400, "InvalidBucketName", "The bucket's name is not valid")
        if name in self.buckets:
            raise Failure(409, "BucketAlreadyOwnedByYou", "There is a bucket of this name")
        self.buckets[name] = Bucket(self, name, public, info)
        return self.buckets[name]

    def bucket(self, name):
        if name not in self.buckets:
            raise Failure(404, "NoSuchBucket", "The specified bucket does not exist")
        return self.buckets[name]

    def add_key(self, capabilities=ALL_CAPABILITIES, bucket=None, prefix=""):
        key = ApplicationKey("004" + secrets.token_hex(11), "K004" + secrets.token_urlsafe(20), frozenset(capabilities),
                             bucket, prefix)
        self.keys[key.id] = key
        return key
