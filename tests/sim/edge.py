"""Cloudflare's edge in the test's own process: what it makes of requests, what it stores, what it says when we fail.

    with Edge(server.address) as edge:
        ... GET edge.url + "/uploads/a.jpg" with a Host ...
        assert edge.log[-1].cache == "MISS" and len(edge.fetches) == 1

Visitors speak plain HTTP/1.1 with `address`, the purge API is at `api_url`, both on ports of the kernel's choice.
Lifetimes are counted on the clock of `now()`, which `clock_offset_s` moves; the timers on the way to the origin are
real ones, scaled down to a tenth. Rules of the zone are what a test gives as `Zone`. Not here: TLS, HTTP/2, several
ranges at once (answered whole).
"""

import collections
import email.utils
import gzip
import json
import os
import pathlib
import re
import secrets
import select
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import http1  # noqa: E402
import sockets  # noqa: E402

PATIENCE_S = 45
MIB = 1024 * 1024
EXTENSIONS = frozenset("""
    7z avi avif apk bin bmp bz2 class css csv doc docx dmg ejs eot eps exe flac gif gz ico iso jar jpg jpeg js mid midi
    mkv mp3 mp4 ogg otf pdf pict pls png ppt pptx ps rar svg svgz swf tar tif tiff ttf webm webp woff woff2 xls xlsx zip
    zst
    """.split())
DEFAULT_TTL_S = {200: 7200, 206: 7200, 301: 7200, 302: 1200, 303: 1200, 404: 180, 410: 180}
_MAX_STORED = 512 * MIB
_MAX_URL = 16 * 1024
_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
_CONDITIONS = {"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"}
_KEY_FIELDS = ("origin", "x-http-method-override", "x-http-method", "x-method-override", "x-forwarded-host", "x-host",
               "x-original-url", "x-rewrite-url", "forwarded")
_CONSUMED = {"x-accel-buffering", "x-accel-charset", "x-accel-limit-rate", "x-accel-redirect", "cache-tag",
             "cloudflare-cdn-cache-control"}
_COMPRESSED = re.compile(r"image/svg\+xml|text/|application/(json|javascript)")

Rules = collections.namedtuple("Rules", "store ttl_s swr_s sie_s always unstored status")
Visit = collections.namedtuple("Visit", "method target status cache ray")
Purge = collections.namedtuple("Purge", "call body status")


class Zone:
    """What the rules of a zone do; each may be changed at any time.

    `rewrite` gives the target that the origin is asked for, `block` and `bypass` say whether a request is refused or not
    cached. A `ttl_s` makes every path one that is cached, and is how long a 200 is, whatever the origin says. `remove` and
    `put` change the fields of what the origin answered, `put` those of a 200. Without `proxied` visitors come to the origin
    as if there were no edge.
    """

    def __init__(self, rewrite=None, block=None, bypass=None, ttl_s=None, remove=(), put=(), proxied=True):
        self.rewrite, self.block, self.bypass, self.ttl_s = rewrite, block, bypass, ttl_s
        self.remove, self.put, self.proxied = set(remove), list(put), proxied


class OriginError(Exception):
    """What the visitor is told instead of an answer: 520 to 524."""

    def __init__(self, code, why):
        super().__init__(f"{code}: {why}")
        self.code, self.why = code, why


class VisitorGone(Exception):
    pass


class Fetch:
    """One request to the origin, for tests to look at."""

    def __init__(self, method, target, fields, connection, reused):
        self.method, self.target, self.fields, self.headers = method, target, fields, dict(fields)
        self.connection, self.reused = connection, reused
        self.status = None

    def __repr__(self):
        return f"<{self.method} {self.target} {self.status} connection={self.connection} {self.fields}>"


class Entry:
    """What is stored under a key. `blocks` holds the pieces of one that is known in part only."""

    def __init__(self, answer, rules, now, host, target, origin, invented):
        self.answer, self.rules, self.stored_s, self.fetched_s = answer, rules, now, now
        self.host, self.target, self.origin, self.invented = host, target, origin, invented
        self.tags = {tag.strip().lower() for tag in answer.get("cache-tag", "").split(",") if tag.strip()}
        self.blocks, self.size = None, None
        self.invalidated = False
        self.refreshing = False

    def past_s(self, now):
        """Seconds since it expired; negative while it is fresh."""
        if self.rules.always and not self.invalidated:
            return max(0.0, now - self.stored_s)
        return now - self.stored_s - self.rules.ttl_s

    def invalidate(self, now):
        """Stale from now on; its windows for that begin now."""
        self.invalidated = True
        self.stored_s = now - self.rules.ttl_s


class _Pool:
    """Idle connections to the origin, the latest used first; closed when idle for too long."""

    def __init__(self, idle_s):
        self._idle_s = idle_s
        self._idle = []  # (since, number, socket, reader)
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._reap, daemon=True)
        self._thread.start()

    def take(self):
        with self._news:
            while self._idle:
                _, number, sock, reader = self._idle.pop()
                if not select.select([sock], [], [], 0)[0]:
                    return number, sock, reader
                sock.close()  # the origin ended it
        return None

    def give(self, number, sock, reader):
        with self._news:
            if self._ended:
                sock.close()
                return
            self._idle.append((time.monotonic(), number, sock, reader))
            self._news.notify_all()

    def __len__(self):
        with self._news:
            return len(self._idle)

    def _reap(self):
        with self._news:
            while not self._ended:
                while self._idle and time.monotonic() - self._idle[0][0] >= self._idle_s:
                    self._idle.pop(0)[2].close()
                    self._news.notify_all()
                self._news.wait(self._idle[0][0] + self._idle_s - time.monotonic() if self._idle else None)

    def wait_empty(self, patience_s=PATIENCE_S):
        with self._news:
            if not self._news.wait_for(lambda: not self._idle, patience_s):
                raise AssertionError("connections to the origin stay open")

    def end(self):
        with self._news:
            self._ended = True
            for _, _, sock, _ in self._idle:
                sock.close()
            self._idle.clear()
            self._news.notify_all()
        self._thread.join(PATIENCE_S)


class _Bucket:
    """A token bucket on the edge's clock."""

    def __init__(self, size, per_s, now):
        self.size, self.per_s, self._now = size, per_s, now
        self._left, self._at = size, now()

    def take(self):
        """0 where it may be done, else the seconds after which it may."""
        now = self._now()
        self._left = min(self.size, self._left + (now - self._at) * self.per_s)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self.per_s
        self._left -= 1
        return 0


def directives(value):
    """{name: value or ""} of a Cache-Control field."""
    found = {}
    for match in re.finditer(r'([\w-]+)\s*(?:=\s*("[^"]*"|[^\s,]*))?', value or ""):
        found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
    return found


def _seconds(found, name):
    return int(found[name]) if found.get(name, "").isdigit() else None


class Edge:
    """The edge in front of `origin`, an address for socket.connect.

    `ranges` is the mode of Origin Range Requests: "default" fetches whole objects, "on" aligned blocks of 1 MiB.
    `origin_fields` go with every request to the origin, from `source` if that is given. The limits of the purge API are
    (bucket, per second); `url_items` and `items` are how many one call may name.
    """

    def __init__(self, origin, ranges="default", accept_encoding="br, gzip", country=None, visitor_ip=None,
                 scheme="https", origin_fields=(), source=None, connect_s=1.9, read_s=12.0, idle_s=90.0,
                 max_head=128 * 1024, zone_id="0123456789abcdef0123456789abcdef", token="purge-token",
                 url_limit=(800, 800), other_limit=(25, 5 / 60), url_items=30, items=100, zone=None):
        self.zone = zone or Zone()
        self.origin, self.ranges, self.accept_encoding = origin, ranges, accept_encoding
        self.country, self.visitor_ip, self.scheme = country, visitor_ip, scheme
        self.origin_fields, self.source = list(origin_fields), source
        self.connect_s, self.read_s, self.max_head = connect_s, read_s, max_head
        self.zone_id, self.token, self.url_items, self.items = zone_id, token, url_items, items
        self.clock_offset_s = 0
        self.fetches, self.log, self.purges, self.violations = [], [], [], []
        self.foreign_hosts = set()  # hosts that are not of this zone: a call that names their URLs is refused
        self._failing_purges, self._deaf_purges = [], 0
        self._limits = {"files": _Bucket(*url_limit, self.now), "other": _Bucket(*other_limit, self.now)}
        self._cache = {}
        self._opened = 0
        self._refreshes = 0
        self._news = threading.Condition()
        self.pool = _Pool(idle_s)
        self._listener = sockets.Listener(self._serve)
        self._api = sockets.Listener(self._serve_api)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._listener.stop()
        self._api.stop()
        self.pool.end()

    address = property(lambda self: self._listener.address)
    url = property(lambda self: f"http://{self._listener.address[0]}:{self._listener.address[1]}")
    api_url = property(lambda self: f"http://{self._api.address[0]}:{self._api.address[1]}/client/v4")

    def now(self):
        return time.time() + self.clock_offset_s

    @property
    def stored(self):
        """How many entries the cache holds."""
        with self._news:
            return len(self._cache)

    def evict(self):
        """Forgets everything, as a data centre may at any time."""
        with self._news:
            self._cache.clear()

    def wait_refreshed(self, patience_s=PATIENCE_S):
        """Returns when nothing is being refreshed in the background."""
        with self._news:
            if not self._news.wait_for(lambda: self._refreshes == 0, patience_s):
                raise AssertionError("a refresh does not end")

    # --- visitors ---

    def _serve(self, sock, _):
        reader = http1.Reader(sock)
        try:
            while (request := http1.read_request_head(reader)) is not None:
                request.body = reader.exactly(request.length() or 0)
                if not self._handle(sock, request) or not request.keep_alive:
                    break
        except http1.Malformed:
            fields = [("Server", "cloudflare"), ("Content-Length", "0"), ("Connection", "close")]
            sock.sendall(http1.Answer(400, fields).head())
        except VisitorGone:
            return
        sockets.end_by_fin(sock)

    def _handle(self, sock, request):
        """Answers one request; False where the connection must end."""
        request.ray = f"{secrets.token_hex(8)}-FRA"
        forwarded = request.all("x-forwarded-for")
        if request.all("cf-connecting-ip") or len(forwarded) > 1 or any(len(value) > 100 for value in forwarded):
            return self._say(sock, request, 403, 1000)
        if len(request.target) > _MAX_URL:
            return self._say(sock, request, 414, 414)
        if self.zone.block is not None and self.zone.block(request):
            return self._say(sock, request, 403, 1020)
        extension = request.path.rpartition("/")[2].rpartition(".")[2].lower()
        is_eligible = extension in EXTENSIONS or self.zone.ttl_s is not None
        if self.zone.bypass is not None and self.zone.bypass(request):
            is_eligible = False
        try:
            if request.method in ("GET", "HEAD") and is_eligible and self.zone.proxied:
                return self._from_cache(sock, request)
            answer, whole = self._fetch(sock, request, request.method, keep=_CONDITIONS | {"range"})
            return self._send(sock, request, self._shown(answer), "DYNAMIC", whole=whole)
        except OriginError as error:
            return self._say(sock, request, error.code, error.code)

    def _say(self, sock, request, status, code):
        """An answer of the edge's own."""
        fields = [("Content-Type", "text/plain"), ("Cache-Control", "private, max-age=0, no-store, no-cache")]
        return self._send(sock, request, http1.Answer(status, fields, f"error code: {code}".encode()), None)

    def _send(self, sock, request, answer, cache, age_s=None, whole=True, pieces=None):
        """Writes an answer; `pieces` gives a body that is still coming. One that is not whole ends the connection."""
        own = [("Server", "cloudflare"), ("CF-Ray", request.ray)] if self.zone.proxied else [("Server", "nginx")]
        fields = [("Date", http1.date(self.now())), *own, *answer.fields]
        if cache is not None and self.zone.proxied:
            fields.append(("CF-Cache-Status", cache))
        if age_s is not None:
            fields.append(("Age", str(int(age_s))))
        if answer.status not in (204, 304) and answer.get("content-length") is None:
            fields.append(("Content-Length", str(len(answer.body))))
        with self._news:
            self.log.append(Visit(request.method, request.target, answer.status, cache, request.ray))
        body = answer.body if http1.has_body(request.method, answer.status) else b""
        sock.sendall(http1.Answer(answer.status, fields).head() + (b"" if pieces is not None else body))
        if pieces is not None and http1.has_body(request.method, answer.status):
            try:
                for piece in pieces:
                    sock.sendall(piece)
            except OriginError:
                return False
        return whole

    def _shown(self, answer):
        """The answer as visitors see it."""
        fields = [(name, value) for name, value in answer.fields
                  if name not in _CONSUMED and name not in _HOP and name not in ("date", "server", "age")]
        fields = [(name, value) for name, value in fields if name.lower() not in self.zone.remove]
        if answer.status == 200 and self.zone.put:
            names = {name.lower() for name, _ in self.zone.put}
            fields = [(name, value) for name, value in fields if name.lower() not in names] + self.zone.put
        # An ETag that is not in quotes is taken away, not mended.
        fields = [(name, value) for name, value in fields
                  if name != "etag" or re.fullmatch(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"', value)]
        if answer.body or answer.status not in (204, 304):
            fields = [(name, value) for name, value in fields if name != "content-length"] + [
                ("Content-Length", answer.get("content-length") or str(len(answer.body)))]
        return http1.Answer(answer.status, fields, answer.body)

    # --- the cache ---

    def _key(self, request):
        scheme = request.get("x-forwarded-scheme")
        return ("http", request.get("host").lower(), request.target,
                scheme if scheme not in ("http", "https") else None, *(request.get(name) for name in _KEY_FIELDS))

    def _rules(self, answer, request):
        """What may be done with an answer."""
        control, told = {}, False
        for name in ("cloudflare-cdn-cache-control", "cdn-cache-control", "cache-control"):
            if name == "cache-control" and answer.all("surrogate-control"):
                continue
            if answer.all(name):
                control, told = directives(answer.get(name)), True
                break
        ttl_s = _seconds(control, "s-maxage")
        if ttl_s is None:
            ttl_s = _seconds(control, "max-age")
        if ttl_s is None and answer.get("expires") is not None:
            expires = email.utils.parsedate_tz(answer.get("expires"))
            ttl_s = max(0, email.utils.mktime_tz(expires) - self.now()) if expires else 0
        always = control.get("no-cache") == "" or ttl_s == 0
        unstored = {name.strip().lower() for name in control.get("private", "").split(",") if name.strip()}
        forbidden = (control.get("private") == "" or "no-store" in control or "*" in answer.all("vary")
                     or bool(answer.all("set-cookie")) or len(answer.body) > _MAX_STORED)
        if request.get("authorization") is not None and not {"public", "must-revalidate", "s-maxage"} & set(control):
            forbidden = True
        if self.zone.ttl_s is not None and answer.status == 200:
            return Rules(True, self.zone.ttl_s, 0, 0, False, set(), "MISS")
        default = DEFAULT_TTL_S.get(answer.status)
        fresh = ttl_s if ttl_s is not None else default
        store = not forbidden and (fresh is not None or always) and answer.status != 206
        stale = not {"s-maxage", "must-revalidate", "proxy-revalidate", "no-cache", "no-store"} & set(control)
        status = "BYPASS" if forbidden or told and control.get("no-cache") == "" else "MISS"
        return Rules(store, fresh or 0, (_seconds(control, "stale-while-revalidate") or 0) if stale else 0,
                     (_seconds(control, "stale-if-error") or 0) if stale else 0, always, unstored, status)

    def _store(self, request, answer, rules):
        """The new entry, which replaces what there was; None where nothing may be stored (and then nothing is)."""
        key = self._key(request)
        with self._news:
            if not rules.store:
                self._cache.pop(key, None)
                return None
            invented = answer.get("etag") is None and answer.get("last-modified") is None
            fields = [(name, value) for name, value in answer.fields if name not in rules.unstored]
            if invented:
                fields.append(("last-modified", http1.date(self.now())))
            entry = Entry(http1.Answer(answer.status, fields, answer.body), rules, self.now(),
                          request.get("host").lower(), request.target, request.get("origin"), invented)
            self._cache[key] = entry
            return entry

    def _from_cache(self, sock, request):
        with self._news:
            entry = self._cache.get(self._key(request))
        if self.ranges == "on" and request.method == "GET" and (entry is None or entry.blocks is not None):
            if (wanted := re.fullmatch(r"bytes=(\d+-\d*|-\d+)", request.get("range") or "")) is not None:
                return self._in_blocks(sock, request, entry, wanted[1])
        if entry is None or entry.blocks is not None:
            answer, whole = self._fetch(sock, request, "GET")
            rules = self._rules(answer, request)
            stored = self._store(request, answer, rules) if whole else None
            return self._present(sock, request, stored.answer if stored else answer, rules.status, whole=whole)
        now = self.now()
        past_s = entry.past_s(now)
        if past_s < 0:
            return self._present(sock, request, entry.answer, "HIT", now - entry.fetched_s)
        if past_s < entry.rules.swr_s:
            self._refresh(request, entry)
            return self._present(sock, request, entry.answer, "UPDATING", now - entry.fetched_s)
        try:
            answer, status, whole = self._revalidate(sock, request, entry)
        except OriginError:
            if past_s < entry.rules.sie_s:
                return self._present(sock, request, entry.answer, "STALE", now - entry.fetched_s)
            raise
        if answer.status >= 500 and past_s < entry.rules.sie_s:
            return self._present(sock, request, entry.answer, "STALE", now - entry.fetched_s)
        return self._present(sock, request, answer, status, 0 if status == "REVALIDATED" else None, whole)

    def _revalidate(self, sock, request, entry):
        """(answer, status, whether it is whole); the cache has it where it may."""
        conditions = []
        if not entry.invented:
            for name, condition in (("etag", "if-none-match"), ("last-modified", "if-modified-since")):
                if entry.answer.get(name) is not None:
                    conditions.append((condition, entry.answer.get(name)))
        answer, whole = self._fetch(sock, request, "GET", conditions)
        if answer.status == 304 and conditions:
            names = {name for name, _ in answer.fields} - {"content-length", "content-encoding", "content-type"}
            fields = [(name, value) for name, value in entry.answer.fields if name not in names]
            fields += [(name, value) for name, value in answer.fields if name in names]
            merged = http1.Answer(entry.answer.status, fields, entry.answer.body)
            self._store(request, merged, self._rules(merged, request))
            return merged, "REVALIDATED", True
        rules = self._rules(answer, request)
        if whole and answer.status < 500:
            stored = self._store(request, answer, rules)
            answer = stored.answer if stored else answer
        return answer, "BYPASS" if rules.status == "BYPASS" and not rules.store else "EXPIRED", whole

    def _refresh(self, request, entry):
        """Revalidates in the background; one at a time for an entry."""
        with self._news:
            if entry.refreshing:
                return
            entry.refreshing = True
            self._refreshes += 1

        def run():
            try:
                self._revalidate(None, request, entry)
            except OriginError:
                pass
            finally:
                with self._news:
                    entry.refreshing = False
                    self._refreshes -= 1
                    self._news.notify_all()
        threading.Thread(target=run, daemon=True).start()

    # --- what becomes of a stored answer ---

    def _present(self, sock, request, answer, cache, age_s=None, whole=True):
        """Judges conditions and ranges of the visitor, (un)compresses, sends."""
        shown = self._shown(answer)
        if not whole:
            return self._send(sock, request, shown, cache, whole=False)
        shown = self._encoded(request, shown)
        if shown.status == 200:
            if self._is_unchanged(request, shown):
                kept = [(name, value) for name, value in shown.fields if name.lower() not in ("content-length",
                                                                                             "content-encoding")]
                return self._send(sock, request, http1.Answer(304, kept), cache, age_s)
            shown = self._cut(request, shown)
        return self._send(sock, request, shown, cache, age_s)

    @staticmethod
    def _with_body(answer, body, *changes, status=None):
        names = {"content-length", *(name.lower() for name, _ in changes)}
        fields = [(name, value) for name, value in answer.fields if name.lower() not in names]
        fields += [(name, value) for name, value in changes if value is not None]
        return http1.Answer(status or answer.status, [*fields, ("Content-Length", str(len(body)))], body)

    def _encoded(self, request, answer):
        """In the encoding that the visitor takes; an ETag of other bytes than the origin's is a weak one."""
        accepts = "gzip" in (request.get("accept-encoding") or "")
        given = answer.get("content-encoding")
        tag = answer.get("etag")
        weak = tag if tag is None or tag.startswith("W/") else f"W/{tag}"
        if given == "gzip" and not accepts:
            return self._with_body(answer, gzip.decompress(answer.body), ("Content-Encoding", None), ("ETag", weak))
        if (given is None and accepts and answer.body and answer.status == 200 and not request.all("range")
                and _COMPRESSED.match(answer.get("content-type") or "")
                and "no-transform" not in directives(answer.get("cache-control"))):
            return self._with_body(answer, gzip.compress(answer.body), ("Content-Encoding", "gzip"), ("ETag", weak))
        return answer

    @staticmethod
    def _is_unchanged(request, answer):
        if request.get("if-none-match") is not None:
            wanted = [tag.strip().removeprefix("W/") for tag in request.get("if-none-match").split(",")]
            return "*" in wanted or (answer.get("etag") or "").removeprefix("W/") in wanted
        since, modified = (email.utils.parsedate_tz(value) if value else None
                           for value in (request.get("if-modified-since"), answer.get("last-modified")))
        return bool(since and modified) and email.utils.mktime_tz(modified) <= email.utils.mktime_tz(since)

    def _cut(self, request, answer):
        if request.method != "GET" or request.get("if-range") not in (None, answer.get("etag"),
                                                                      answer.get("last-modified")):
            return answer
        size = len(answer.body)
        chosen = http1.parse_range(request.get("range"), size)
        if chosen is None:
            return answer
        if chosen == "unsatisfiable":
            return self._with_body(answer, b"", ("Content-Range", f"bytes */{size}"), status=416)
        first, last = chosen
        return self._with_body(answer, answer.body[first:last + 1], ("Content-Range", f"bytes {first}-{last}/{size}"),
                               status=206)

    # --- ranges of the origin ---

    def _in_blocks(self, sock, request, entry, wanted):
        """Answers a range from blocks of 1 MiB, of which those that are missing or expired are fetched."""
        if entry is not None and entry.past_s(self.now()) >= 0:
            entry = None
        hit = True
        if entry is None:
            hit = False
            first = wanted.partition("-")[0]
            answer, whole = self._block(sock, request, int(first) // MIB if first else 0)
            if answer.status != 206:
                rules = self._rules(answer, request)
                stored = self._store(request, answer, rules) if whole else None
                return self._present(sock, request, stored.answer if stored else answer, rules.status, whole=whole)
            entry = self._begin_blocks(request, answer)
            self._check_block(entry, int(first) // MIB if first else 0, answer, whole)
        chosen = http1.parse_range(f"bytes={wanted}", entry.size)
        shown = self._shown(http1.Answer(206, [(name, value) for name, value in entry.answer.fields
                                               if name not in ("content-length", "content-range")]))
        if chosen == "unsatisfiable":
            answer = self._with_body(shown, b"", ("Content-Range", f"bytes */{entry.size}"), status=416)
            return self._send(sock, request, answer, "HIT" if hit else "MISS")
        first, last = chosen
        hit = hit and all(number in entry.blocks for number in range(first // MIB, last // MIB + 1))
        answer = self._with_body(shown, b"", ("Content-Range", f"bytes {first}-{last}/{entry.size}"))
        answer.fields = [(name, value) for name, value in answer.fields if name != "Content-Length"]
        answer.fields.append(("Content-Length", str(last - first + 1)))
        return self._send(sock, request, answer, "HIT" if hit else entry.rules.status,
                          pieces=self._pieces(sock, request, entry, first, last))

    def _begin_blocks(self, request, answer):
        total = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.get("content-range") or "")
        if not total:
            self._violate(f"Content-Range: {answer.get('content-range')}")
        rules = self._rules(http1.Answer(200, answer.fields), request)
        entry = Entry(http1.Answer(206, answer.fields), rules, self.now(), request.get("host").lower(), request.target,
                      request.get("origin"), False)
        entry.blocks, entry.size = {}, int(total[1])
        if rules.store:
            with self._news:
                self._cache[self._key(request)] = entry
        return entry

    def _block(self, sock, request, number):
        field = ("range", f"bytes={number * MIB}-{(number + 1) * MIB - 1}")
        return self._fetch(sock, request, "GET", [field, ("accept-encoding", "identity")])

    def _pieces(self, sock, request, entry, first, last):
        for number in range(first // MIB, last // MIB + 1):
            if number not in entry.blocks:
                answer, whole = self._block(sock, request, number)
                self._check_block(entry, number, answer, whole)
            start = number * MIB
            yield entry.blocks[number][max(0, first - start):last + 1 - start]

    def _check_block(self, entry, number, answer, whole):
        """Keeps a block that is as it must be; what is not is noted, and the visitor's body ends there."""
        begin, end = number * MIB, min((number + 1) * MIB, entry.size) - 1
        right = f"bytes {begin}-{end}/{entry.size}"
        for wrong, what in ((answer.status != 206, f"{answer.status} in answer to a range"),
                            (answer.get("content-range") != right, f"{answer.get('content-range')}, not {right}"),
                            (answer.length() != end - begin + 1 or not whole, "Content-Length is not the range's"),
                            (answer.all("transfer-encoding"), "Transfer-Encoding"),
                            (answer.get("content-encoding") not in (None, "identity"), "Content-Encoding"),
                            (answer.get("etag") != entry.answer.get("etag"), "another ETag")):
            if wrong:
                self._violate(what)
        entry.blocks[number] = answer.body

    def _violate(self, what):
        with self._news:
            self.violations.append(what)
        raise OriginError(520, what)

    # --- the origin ---

    def _origin_request(self, request, method, more, keep):
        """The fields that the origin sees."""
        visitor = self.visitor_ip or "127.0.0.1"
        forwarded = request.get("x-forwarded-for")
        loop = request.get("cdn-loop")
        replaced = {"host", "accept-encoding", "x-forwarded-for", "x-forwarded-proto", "cf-visitor", "cf-ray",
                    "cdn-loop", "cf-ipcountry", "x-real-ip", "content-length", "expect", *(name for name, _ in more)}
        dropped = (_CONDITIONS | {"range"}) - set(keep)
        fields = [("host", request.get("host")), ("accept-encoding", self.accept_encoding)]
        fields += [(name, value) for name, value in request.fields
                   if name not in replaced | dropped | _HOP and "." not in name]
        fields = [(name, value) for name, value in fields if name not in {name for name, _ in more}]
        fields += more
        fields += [("connection", "Keep-Alive"), ("cf-connecting-ip", visitor),
                   ("x-forwarded-for", f"{forwarded}, {visitor}" if forwarded else visitor),
                   ("x-forwarded-proto", self.scheme), ("cf-visitor", f'{{"scheme":"{self.scheme}"}}'),
                   ("cf-ray", request.ray),
                   ("cdn-loop", f"{loop}, cloudflare" if loop else "cloudflare")]
        if self.country is not None:
            fields.append(("cf-ipcountry", self.country))
        fields += self.origin_fields
        if request.body or method in ("POST", "PUT"):
            fields.append(("content-length", str(len(request.body))))
        return fields

    def _connection(self):
        """(number, socket, reader, whether it was used before)."""
        kept = self.pool.take()
        if kept is not None:
            return *kept, True
        try:
            if isinstance(self.origin, str):
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(self.connect_s)
                sock.connect(self.origin)
            else:
                source = (self.source, 0) if self.source else None
                sock = socket.create_connection(self.origin, self.connect_s, source)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except ConnectionRefusedError as error:
            raise OriginError(521, str(error)) from None
        except TimeoutError as error:
            raise OriginError(522, str(error)) from None
        except OSError as error:
            raise OriginError(523, os.strerror(error.errno or 0)) from None
        with self._news:
            self._opened += 1
            return self._opened, sock, http1.Reader(sock), False

    def _fetch(self, visitor, request, method, more=(), keep=()):
        """(the origin's answer, whether its body is whole)."""
        number, sock, reader, reused = self._connection()
        fields = self._origin_request(request, method, list(more), keep)
        target = self.zone.rewrite(request.target) if self.zone.rewrite is not None else request.target
        fetch = Fetch(method, target, fields, number, reused)
        with self._news:
            self.fetches.append(fetch)
        keeps = False
        try:
            sock.settimeout(self.read_s)
            head = "".join(f"{name}: {value}\r\n" for name, value in fields)
            sock.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + request.body)
            self._await(visitor, sock)
            answer = http1.read_answer_head(reader, self.max_head)
            fetch.status = answer.status
            whole, keeps = self._read_body(method, reader, answer)
            return answer, whole
        except TimeoutError as error:
            raise OriginError(524, str(error)) from None
        except (http1.Malformed, OSError) as error:
            raise OriginError(520, str(error)) from None
        finally:
            if keeps and not reader.buffer:  # what comes unasked is no beginning of the next answer
                self.pool.give(number, sock, reader)
            else:
                sock.close()

    def _await(self, visitor, sock):
        """Waits for the first byte of the origin, as long as the visitor does."""
        deadline = time.monotonic() + self.read_s
        watched = [sock] if visitor is None else [sock, visitor]
        while True:
            readable, _, _ = select.select(watched, [], [], max(0, deadline - time.monotonic()))
            if sock in readable:
                return
            if visitor in readable:
                if not visitor.recv(1, socket.MSG_PEEK):
                    raise VisitorGone
                watched = [sock]  # it has sent its next request already
            elif not readable:
                raise TimeoutError("no answer")

    @staticmethod
    def _read_body(method, reader, answer):
        """(whether the body is whole, whether the connection can be kept)."""
        keeps = "close" not in (answer.get("connection") or "").lower()
        if not http1.has_body(method, answer.status):
            return True, keeps
        if answer.get("transfer-encoding") is not None:
            answer.body = http1.read_chunks(reader)
            answer.fields = [(name, value) for name, value in answer.fields if name != "content-length"]
            return True, keeps
        length = answer.length()
        if length is None:
            answer.body = reader.rest()
            return True, False
        try:
            answer.body = reader.exactly(length)
            return True, keeps
        except http1.Ended as ended:
            answer.body = ended.taken
        except OSError:  # reset, or nothing more in time
            answer.body = bytes(reader.buffer)
        return False, False

    # --- the purge API ---

    def fail_purges(self, count=1, status=500, retry_after=None):
        """The next calls are answered like this and do nothing. "silent" is no answer, until the caller gives up;
        "unsuccessful" is a 200 that says success: false."""
        with self._news:
            self._failing_purges += [(status, retry_after)] * count

    def forget_nothing(self, count=1):
        """The next calls that are good are answered so, and do nothing."""
        with self._news:
            self._deaf_purges += count

    def _serve_api(self, sock, _):
        reader = http1.Reader(sock)
        try:
            while (request := http1.read_request_head(reader)) is not None:
                request.body = reader.exactly(request.length() or 0)
                status, message, fields = self._call(request)
                if status == "silent":
                    sock.recv(1)
                    return
                done = status == 200
                status = 200 if status == "unsuccessful" else status
                code = {400: 1012, 403: 10000}.get(status, 1000 + status)
                content = {"success": done, "errors": [] if done else [{"code": code, "message": message}],
                           "messages": [], "result": {"id": self.zone_id} if done else None}
                body = json.dumps(content).encode()
                fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *fields]
                sock.sendall(http1.Answer(status, fields).head() + body)
                if not request.keep_alive:
                    break
        except http1.Malformed:
            pass
        sockets.end_by_fin(sock)

    def _call(self, request):
        """(status, message, further fields) of one call, which is done."""
        match = re.fullmatch(r"/client/v4/zones/([0-9a-f]{32})/(purge_cache|invalidate_cache)", request.path)
        if not match or match[1] != self.zone_id or request.method != "POST":
            return 404, "no such call", []
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        status, message, wait_s = self._judge(request, body)
        if status == 200:
            with self._news:
                is_deaf = self._deaf_purges > 0
                self._deaf_purges -= is_deaf
                for key, entry in list(self._cache.items()) if not is_deaf else ():
                    if self._selects(body, entry):
                        if match[2] == "purge_cache":
                            del self._cache[key]
                        else:
                            entry.invalidate(self.now())
        with self._news:
            self.purges.append(Purge(match[2], body, status))
        return status, message, [("Retry-After", str(max(1, round(wait_s + 0.5))))] if wait_s else []

    def _judge(self, request, body):
        """(status, message, seconds to wait)."""
        if request.get("authorization") != f"Bearer {self.token}":
            return 403, "Authentication error", 0
        with self._news:
            if self._failing_purges:
                status, wait_s = self._failing_purges.pop(0)
                return status, "told to fail", wait_s or 0
        kind = next(iter(body)) if isinstance(body, dict) and len(body) == 1 else None
        if kind not in ("files", "tags", "hosts", "prefixes", "purge_everything"):
            return 400, "exactly one selector is needed", 0
        named = body[kind]
        limit = self.url_items if kind == "files" else self.items
        if kind == "purge_everything":
            if named is not True:
                return 400, "purge_everything is true or left out", 0
        elif not isinstance(named, list) or not 1 <= len(named) <= limit:
            return 400, f"between 1 and {limit} items", 0
        foreign = [url for url in self.urls_of(body) if url.split("/")[2] in self.foreign_hosts]
        if foreign:
            return 400, "Request must be for a URL in your zone", 0
        with self._news:
            wait_s = self._limits["files" if kind == "files" else "other"].take()
        return (429, "rate limited", wait_s) if wait_s else (200, "", 0)

    @staticmethod
    def urls_of(body):
        """The URLs that a call names, those with headers too."""
        return [item if isinstance(item, str) else item["url"] for item in body.get("files", ())]

    @staticmethod
    def _selects(body, entry):
        path = entry.target.partition("?")[0]
        for item in body.get("files", ()):
            url = item if isinstance(item, str) else item["url"]
            origin = None if isinstance(item, str) else item.get("headers", {}).get("Origin")
            match = re.fullmatch(r"https?://([^/]+)(/.*)", url)
            # One that was stored for an Origin is another one than the same URL without.
            if match and (match[1].lower(), match[2], origin) == (entry.host, entry.target, entry.origin):
                return True
        return (bool(entry.tags & {tag.lower() for tag in body.get("tags", ())})
                or entry.host in [host.lower() for host in body.get("hosts", ())]
                or any((entry.host + path).startswith(prefix) for prefix in body.get("prefixes", ()))
                or body.get("purge_everything") is True)
