"""HTTP/1.1 messages for the simulators, read strictly enough to notice a client that writes nonsense."""

import re
import time

MAX_HEAD = 128 * 1024
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_REQUEST_LINE = re.compile(rb"([A-Z_]+) (\S+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")

REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently", 304: "Not Modified",
           400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           409: "Conflict", 411: "Length Required", 412: "Precondition Failed", 416: "Range Not Satisfiable",
           429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable"}


class Malformed(Exception):
    """Bytes that are no HTTP/1.1 message."""


class Ended(Malformed):
    """The peer ended the connection within a message; `taken` is what came of it."""

    def __init__(self, taken):
        super().__init__(f"the connection ended after {len(taken)} bytes")
        self.taken = taken


class Reader:
    """Reads messages from a socket, one after another."""

    def __init__(self, sock):
        self.socket = sock
        self.buffer = bytearray()

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def head(self, limit=MAX_HEAD):
        """The lines of a head, or None where the peer ends the connection before one begins."""
        searched = 0
        while (end := self.buffer.find(b"\r\n\r\n", max(0, searched - 3))) < 0:
            searched = len(self.buffer)
            if searched > limit:
                raise Malformed("the head is too long")
            if not self._more():
                if self.buffer:
                    raise Ended(bytes(self.buffer))
                return None
        if end > limit:
            raise Malformed("the head is too long")
        lines = bytes(self.buffer[:end]).split(b"\r\n")
        del self.buffer[:end + 4]
        return lines

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self._more():
                raise Ended(bytes(self.buffer))
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def rest(self):
        """All until the peer ends the connection."""
        while self._more():
            pass
        taken = bytes(self.buffer)
        self.buffer.clear()
        return taken


def parse_fields(lines):
    fields = []
    for line in lines:
        match = _FIELD.fullmatch(line)
        if not match:
            raise Malformed(f"no header field: {line[:100]!r}")
        fields.append((match[1].decode("latin-1").lower(), match[2].decode("latin-1")))
    return fields


class Message:
    """What requests and responses have in common: `fields`, (name, value) in order, and a body."""

    def __init__(self, fields, body=b""):
        self.fields = fields
        self.body = body

    def get(self, name, default=None):
        """The value of a field; of one that stands several times, all of them joined."""
        values = self.all(name)
        return ", ".join(values) if values else default

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def length(self):
        """Content-Length, or None."""
        values = set(self.all("content-length"))
        if not values:
            return None
        if len(values) > 1 or not re.fullmatch(r"[0-9]{1,18}", value := values.pop()):
            raise Malformed("Content-Length")
        return int(value)


class Request(Message):
    def __init__(self, method, target, fields, version=1):
        super().__init__(fields)
        self.method = method
        self.target = target
        self.path, self.mark, self.query = target.partition("?")
        self.keep_alive = version == 1 and "close" not in (self.get("connection") or "").lower()

    def __repr__(self):
        return f"<{self.method} {self.target} {self.fields}>"


class Answer(Message):
    """A response to be written, or one that was read."""

    def __init__(self, status, fields=(), body=b""):
        super().__init__(list(fields), body)
        self.status = status

    def __repr__(self):
        return f"<{self.status} {self.fields} body={len(self.body)} {self.body[:60]!r}>"

    def head(self):
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in self.fields]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def read_request_head(reader):
    """A Request without its body, or None at the end of the connection."""
    lines = reader.head()
    if lines is None:
        return None
    match = _REQUEST_LINE.fullmatch(lines[0])
    if not match:
        raise Malformed(f"no request line: {lines[0][:100]!r}")
    request = Request(match[1].decode(), match[2].decode("latin-1"), parse_fields(lines[1:]), int(match[3]))
    if len(request.all("host")) != 1:
        raise Malformed("not exactly one Host")
    return request


def read_answer_head(reader, limit=MAX_HEAD):
    """An Answer without its body; interim ones are skipped."""
    while True:
        lines = reader.head(limit)
        if lines is None:
            raise Ended(b"")
        match = _STATUS_LINE.fullmatch(lines[0])
        if not match:
            raise Malformed(f"no status line: {lines[0][:100]!r}")
        answer = Answer(int(match[1]), parse_fields(lines[1:]))
        if answer.status >= 200:
            return answer


def has_body(method, status):
    return method != "HEAD" and status >= 200 and status not in (204, 304)


def date(seconds):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


def parse_range(value, size):
    """(first, last) of the range that is asked for, None where the whole is, "unsatisfiable" where nothing can be."""
    match = re.fullmatch(r"bytes=(?:(\d+)-(\d*)|-(\d+))", value or "")
    if not match:
        return None
    if match[3] is not None:
        first, last = max(0, size - int(match[3])), size - 1
        return (first, last) if int(match[3]) > 0 and size > 0 else "unsatisfiable"
    first, last = int(match[1]), min(int(match[2] or size), size - 1)
    if match[2] and int(match[2]) < first:
        return "unsatisfiable"
    return (first, last) if first < size else "unsatisfiable"


def read_chunks(reader):
    """A chunked body, without extensions and trailers."""
    body = b""
    while True:
        line = b""
        while not line.endswith(b"\r\n"):
            line += reader.exactly(1)
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}\r\n", line):
            raise Malformed(f"no chunk: {line[:40]!r}")
        size = int(line, 16)
        data = reader.exactly(size + 2)
        if not data.endswith(b"\r\n"):
            raise Malformed("a chunk is longer than it says")
        if size == 0:
            return body
        body += data[:-2]
