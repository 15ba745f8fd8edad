"""Starts the real tidepool and speaks raw bytes with it. For tests/system; Python 3.11, standard library only.

The binary is $TIDEPOOL, else build/dev/tidepool. Ports are chosen by the kernel and read from the server's own log,
files live in a temporary folder, and every process is ended by its own pid. Nothing here sleeps to synchronise:
`eventually` asks for a condition until it holds or a generous deadline passes.
"""

import contextlib
import ctypes
import hashlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TIDEPOOL") or str(REPOSITORY / "build" / "dev" / "tidepool")
PRESET = os.environ.get("TIDEPOOL_PRESET", "dev")
SANITIZED = PRESET in ("asan", "tsan")
# How long anything may take before it counts as hanging. Five tests share two cores, and a call to a store that is down
# is given up after half a minute.
PATIENCE_S = 120

SANITIZER_MARKS = ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehaviorSanitizer")

_PR_SET_CHILD_SUBREAPER = 36
# A successor's parent is the process it replaces; when that ends, the successor becomes our child and can be waited for.
ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def refusing_address(test):
    """An address of this machine where nobody listens: taken until the test ends, so that nobody else comes to."""
    taken = test.enterContext(socket.socket())
    taken.bind(("127.0.0.1", 0))
    return taken.getsockname()


def eventually(condition, what, patience_s=PATIENCE_S, every_s=0.01):
    """Returns the first truthy value of condition(); fails with `what` where none comes in time."""
    pause = threading.Event()
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen: {what() if callable(what) else what}")
        pause.wait(every_s)


# --- contents ----------------------------------------------------------------------------------------------------------

_BEGINNINGS = {
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00",
    "image/gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00",
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "image/avif": b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf",
    "image/bmp": b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\x01\x00\x00\x00",
    "image/jxl": b"\xff\x0a\xfa\x7f\x01\x90",
    "image/heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
    "image/tiff": b"II*\x00\x08\x00\x00\x00",
    "image/x-icon": b"\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00\x01\x00\x20\x00",
    "application/pdf": b"%PDF-1.7\n",
    "image/svg+xml": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>\n',
    "text/html": b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>\n",
}
EXTENSIONS = {
    "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp", "image/avif": "avif",
    "image/bmp": "bmp", "image/jxl": "jxl", "image/heic": "heic", "image/tiff": "tif", "image/x-icon": "ico",
    "image/svg+xml": "svg",
}


def filler(size, seed):
    """`size` bytes that are the same for the same seed and differ everywhere for another."""
    return hashlib.shake_128(repr(seed).encode()).digest(size)


def make_image(content_type="image/jpeg", size=1000, seed=0):
    """`size` bytes that begin as an image of that type does; text types are filled up with blanks."""
    beginning = _BEGINNINGS[content_type]
    size = max(size, len(beginning))
    if content_type in ("image/svg+xml", "text/html"):
        return beginning + f"<!-- {seed} -->".encode().ljust(size - len(beginning))[:max(0, size - len(beginning))]
    return beginning + filler(size - len(beginning), seed)


def etag_of(content):
    return '"' + hashlib.sha256(content).hexdigest() + '"'


class Tree:
    """A folder of files below a temporary one."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    def put(self, name, content, mtime=None):
        """Writes a file beside the tree and renames it into place, as a careful uploader does; returns the content."""
        target = os.path.join(os.fsencode(self.path), os.fsencode(name))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=os.fsencode(self.path.parent))
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(beside, 0o644)
        if mtime is not None:
            os.utime(beside, (mtime, mtime))
        os.replace(beside, target)
        return content

    def image(self, name, content_type="image/jpeg", size=1000, seed=None, mtime=None):
        return self.put(name, make_image(content_type, size, name if seed is None else seed), mtime)


# --- the wire ----------------------------------------------------------------------------------------------------------


class NotHttp(AssertionError):
    """What came back is no proper HTTP/1.1 response."""


_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [ -~]*")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_SINGLE = {"content-length", "content-type", "etag", "date", "last-modified", "cache-control", "content-range",
           "accept-ranges", "connection", "location", "retry-after", "allow", "cache-status", "x-content-type-options"}


class Response:
    def __init__(self, status, fields, body=b""):
        self.status = status
        self.fields = fields  # (lower-case name, value), in order
        self.body = body

    def get(self, name, default=None):
        """The value of a field that must not stand twice."""
        values = self.all(name)
        if len(values) > 1:
            raise NotHttp(f"{name} stands {len(values)} times: {values}")
        return values[0] if values else default

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise AssertionError(f"no {name} in {self}")
        return value

    def all(self, name):
        return [value for field, value in self.fields if field == name.lower()]

    @property
    def closes(self):
        return self.get("connection", "").lower() == "close"

    def __repr__(self):
        return f"<{self.status} {self.fields} body={len(self.body)} {self.body[:60]!r}>"


def parse_head(head):
    """A response head, strictly: CRLF everywhere, tokens as names, no folding, single fields once."""
    lines = head.split(b"\r\n")
    for line in lines:
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise NotHttp(f"bare CR, LF or NUL in {line!r}")
    status = _STATUS_LINE.fullmatch(lines[0])
    if not status:
        raise NotHttp(f"no status line: {lines[0]!r}")
    response = Response(int(status[1]), [])
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if not field:
            raise NotHttp(f"no header field: {line!r}")
        response.fields.append((field[1].decode("latin-1").lower(), field[2].decode("latin-1")))
    for name in _SINGLE:
        response.get(name)
    for forbidden in ("transfer-encoding", "set-cookie", "vary", "link", "age"):
        if response.all(forbidden):
            raise NotHttp(f"{forbidden} was sent: {response}")
    if response.status >= 200:
        if not re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", response["date"]):
            raise NotHttp(f"Date: {response['date']}")
        length = response.get("content-length")
        if length is None and response.status not in (204, 304):
            raise NotHttp(f"no Content-Length: {response}")
        if length is not None and not re.fullmatch(r"0|[1-9][0-9]*", length):
            raise NotHttp(f"Content-Length: {length}")
    return response


class Wire:
    """One connection, byte by byte."""

    def __init__(self, address, receive_buffer=None, source=None):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self.socket = socket.socket(family, socket.SOCK_STREAM)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            self.socket.bind(source)
        self.socket.settimeout(PATIENCE_S)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Goes away with RST, as a crashed client does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def send_split(self, data):
        """Each byte in a segment of its own."""
        for byte in data:
            self.socket.sendall(bytes((byte,)))
        return self

    def finish_sending(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_exactly(self, count):
        while len(self.buffer) < count:
            if not self._more():
                raise NotHttp(f"the connection ended after {len(self.buffer)} of {count} bytes")
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read_head(self):
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end >= 0:
                break
            if not self._more():
                raise NotHttp(f"the connection ended in a head: {bytes(self.buffer[:200])!r}")
        return parse_head(self.read_exactly(end + 4)[:-4])

    def response(self, head_only=False):
        """Reads one response; `head_only` for the answer to a HEAD request."""
        response = self.read_head()
        if not head_only and response.status >= 200 and response.status not in (204, 304):
            response.body = self.read_exactly(int(response["content-length"]))
        return response

    def read_to_end(self):
        """(everything until the peer closes, "fin" or "rst")."""
        end = "fin"
        with contextlib.suppress(BrokenPipeError):
            try:
                while self._more():
                    pass
            except ConnectionResetError:
                end = "rst"
        taken = bytes(self.buffer)
        self.buffer.clear()
        return taken, end

    def get(self, path, *fields, method="GET"):
        """Sends one request with a Host field, reads its response."""
        self.send(request(path, *fields, method=method))
        return self.response(head_only=method == "HEAD")


def request(path, *fields, method="GET", version="HTTP/1.1", host="images.example"):
    """The bytes of a request; `fields` are whole lines without their line ends, text or bytes."""
    def raw(text):
        return text if isinstance(text, bytes) else text.encode("utf-8")
    lines = [raw(method) + b" " + raw(path) + b" " + raw(version)]
    if host is not None:
        lines.append(b"Host: " + raw(host))
    lines += [raw(field) for field in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


# --- metrics -----------------------------------------------------------------------------------------------------------

_SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)(?: \d+)?')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"')


class Metrics:
    """One scrape, strictly parsed: every sample belongs to a declared family, none stands twice."""

    def __init__(self, text):
        self.types = {}
        self.help = {}
        self.samples = {}  # (name, frozenset of label items) -> value
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, _, sentence = line[7:].partition(" ")
                self.help[name] = sentence
            elif line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                if name in self.types:
                    raise AssertionError(f"family declared twice: {name}")
                self.types[name] = kind
            elif line:
                sample = _SAMPLE.fullmatch(line)
                if not sample:
                    raise AssertionError(f"no sample: {line!r}")
                key = (sample[1], frozenset(_LABEL.findall(sample[2] or "")))
                if key in self.samples:
                    raise AssertionError(f"sample stands twice: {line!r}")
                self.samples[key] = float(sample[3])

    def sum(self, name, **labels):
        """The sum of the family's samples that have these labels."""
        wanted = set(labels.items())
        return sum(value for (family, has), value in self.samples.items() if family == name and wanted <= has)

    def has(self, name):
        return any(family == name for family, _ in self.samples)


# --- the server --------------------------------------------------------------------------------------------------------


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def toml_section(title, settings):
    return f"{title}\n" + "".join(f"{key} = {toml(value)}\n" for key, value in settings.items()) + "\n"


_DEFAULTS = {
    "server": {"listen": ["127.0.0.1:0"], "drain_idle": "100ms", "drain_timeout": "20s"},
    "admin": {"listen": ["127.0.0.1:0"]},
    "cache": {"freshness": "200ms"},
    # Which spares each server its worker processes; of the cheap ones one is enough, and can be held up.
    "variants": {"on_demand": False, "cheap_workers": 1, "dear_workers": 1},
}


class Process:
    """The binary with its standard error read all the time; used for what ends by itself and as Server's inside."""

    def __init__(self, arguments, environment=None, pass_fds=(), preexec=None, binary=None, stdout=subprocess.DEVNULL):
        self.child = subprocess.Popen([binary or BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=stdout,
                                      stderr=subprocess.PIPE, env={**os.environ, **(environment or {})},
                                      pass_fds=pass_fds, preexec_fn=preexec)
        self.pid = self.child.pid
        self._lines = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.child.stderr:
            with self._news:
                self._lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def log(self):
        with self._news:
            return list(self._lines)

    def wait_log(self, pattern, after=0, patience_s=PATIENCE_S):
        """(match, index) of the first log line from number `after` on that the pattern is found in."""
        found = None

        def look():
            nonlocal found, after
            while after < len(self._lines):
                after += 1
                if match := re.search(pattern, self._lines[after - 1]):
                    found = match, after - 1
                    return True
            return self._ended
        with self._news:
            self._news.wait_for(look, timeout=patience_s)
            if found is None:
                log = "\n".join(self._lines[-40:])
                raise AssertionError(f"the log never said {pattern!r}; it said:\n{log}")
        return found

    def signal(self, number):
        os.kill(self.pid, number)


def bucket_pool(store, bucket, name="cold", **settings):
    """The settings of a pool over a bucket of a store: something with s3_url, key and region (see tests/sim/b2.py)."""
    return {"name": name, "storage_type": "s3", "storage_tier": "cold", "bucket": bucket, "region": store.region,
            "endpoint_url": store.s3_url, "access_key_id": store.key.id,
            "secret_access_key": "env:TIDEPOOL_TEST_S3_SECRET", **settings}


def wait_exit(pid, child=None, patience_s=PATIENCE_S):
    """The exit status of a process that is or will become our child (negative: ended by that signal)."""
    if child is not None and child.pid == pid:
        return child.wait(timeout=patience_s)
    status = None

    def ended():
        nonlocal status
        try:
            done, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return False  # still its starter's child
        return done == pid
    eventually(ended, f"process {pid} ends", patience_s)
    return os.waitstatus_to_exitcode(status)


def open_files(pid):
    """What the descriptors of a process lead to, as the kernel names it; one closed meanwhile is left out."""
    targets = []
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(link))
    return targets


class Server(Process):
    """A running `tidepool serve` with its folder, configuration and addresses.

    `config` changes sections ({"limits": {"ranges": 3}}); None as a section's value leaves it out. `pools` replaces the
    one pool "hot" over `self.tree`; `extra` is appended as it is.
    """

    def __init__(self, config=None, pools=None, extra="", folder=None, expect_ready=True, **process):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="tidepool-test-"))
        self.tree = Tree(self.folder / "uploads")
        self.config_file = self.folder / "tidepool.toml"
        self.pools = pools
        self.write_config(config, extra)
        super().__init__(["serve", "-c", str(self.config_file)], **process)
        self.first_pid = self.pid
        self.stopped = False
        if expect_ready:
            try:
                self.learn_addresses()
            except AssertionError:
                self.kill()
                raise

    def write_config(self, config=None, extra=""):
        sections = {name: dict(settings) for name, settings in _DEFAULTS.items()}
        for name, settings in (config or {}).items():
            if settings is None:
                sections.pop(name, None)
            else:
                sections.setdefault(name, {}).update(settings)
        pools = self.pools or [{"name": "hot", "base_path": self.tree.path}]
        has_buckets = any(pool.get("storage_type") == "s3" for pool in pools)
        sections.setdefault("catalog", {"url": f"sqlite:{self.folder}/catalog.db" if has_buckets else ""})
        if has_buckets:
            sections.setdefault("shelf", {"path": self.folder / "shelf", "min_free": "0B"})
        text = "".join(toml_section(f"[{name}]", settings) for name, settings in sections.items())
        text += extra + "\n" + "".join(toml_section("[[pool]]", pool) for pool in pools)
        self.config_file.write_text(text)

    def workers(self):
        """The ids of the processes that make variants: it has no others."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]

    def learn_addresses(self, after=0):
        _, end = self.wait_log(r"serving version=", after=after)
        addresses = self.public, self.admin, self.tls = [], [], []
        for line in self.log()[after:end]:
            if match := re.search(r"listening address=(\S+) listener=(public|admin|tls)", line):
                addresses[("public", "admin", "tls").index(match[2])].append(parse_address(match[1]))
        return end + 1

    @property
    def address(self):
        return self.public[0]

    def connect(self, **options):
        return Wire(self.address, **options)

    def get(self, path, *fields, method="GET"):
        """One request on a connection of its own."""
        with self.connect() as wire:
            return wire.get(path, *fields, method=method)

    def get_from(self, address, path, *fields):
        """The same from another address of this machine."""
        with self.connect(source=(address, 0)) as wire:
            return wire.get(path, *fields)

    def admin_get(self, path, *fields, method="GET"):
        with Wire(self.admin[0]) as wire:
            return wire.get(path, *fields, method=method)

    def metrics(self):
        response = self.admin_get("/metrics")
        assert response.status == 200, response
        return Metrics(response.body.decode())

    def refused(self, reason):
        return self.metrics().sum("tidepool_http_refused_total", reason=reason)

    def take_over(self):
        """SIGUSR2; follows to the successor and waits until it serves and the old process has ended well."""
        old, mark = self.pid, len(self.log())
        self.signal(signal.SIGUSR2)
        match, _ = self.wait_log(r"successor serves pid=(\d+)", after=mark)
        self.pid = int(match[1])
        self.public, self.admin = self.public, self.admin
        return old

    def exit_of(self, pid):
        return wait_exit(pid, self.child)

    def stop_process(self):
        """Ends the server and checks that it ended well (status 0, nothing from a sanitizer); its folder stays."""
        if self.stopped:
            return
        self.stopped = True
        if self.child.poll() is None or self.pid != self.child.pid:
            os.kill(self.pid, signal.SIGTERM)
        status = self.exit_of(self.pid)
        self._reader.join(timeout=PATIENCE_S)
        self.check_log()
        assert status == 0, f"exit status {status}; log:\n" + "\n".join(self.log()[-60:])

    def stop(self):
        """The same, and its folder goes."""
        try:
            self.stop_process()
        finally:
            self.kill()

    def crash(self):
        """Kills it, as a machine that fails does; its folder stays."""
        self.stopped = True
        os.kill(self.pid, signal.SIGKILL)
        self.child.wait()
        self._reader.join(timeout=PATIENCE_S)

    def check_log(self):
        log = self.log()
        marks = [line for line in log if any(mark in line for mark in SANITIZER_MARKS)]
        assert not marks, "sanitizer report:\n" + "\n".join(log[-200:])

    def kill(self):
        """Whatever state it is in: gone, and its folder too."""
        self.stopped = True
        for pid in {self.pid, self.child.pid}:
            if pid == self.child.pid and self.child.returncode is not None:
                continue
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                if pid != self.child.pid:
                    os.waitpid(pid, 0)
        self.child.wait()
        self._reader.join(timeout=5)
        self.child.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def parse_address(text):
    """A logged address as socket.connect wants it."""
    if text.startswith("unix:"):
        return text[5:]
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class ServerCase(unittest.TestCase):
    """A test case with one server for all its tests: SETTINGS, POOLS and EXTRA say which, fill() makes its files."""

    SETTINGS = None
    EXTRA = ""
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.SETTINGS, extra=cls.EXTRA)
        cls.tree = cls.server.tree
        cls.fill()

    @classmethod
    def fill(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def serve(self, *args, **kwargs):
        """A server of this test's own, ended and checked after it."""
        server = Server(*args, **kwargs)
        self.addCleanup(server.stop)
        return server

    def connect(self, **options):
        wire = self.server.connect(**options)
        self.addCleanup(wire.close)
        return wire


class OwnServerCase(unittest.TestCase):
    """A test case whose tests start servers of their own."""

    maxDiff = 2000
    serve = ServerCase.serve


def run_tool(*arguments, timeout=PATIENCE_S, environment=None):
    """Runs the binary to its end: (status, standard output, standard error)."""
    done = subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
                          env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def readable(sock, seconds):
    """Whether anything (bytes or an end) comes within this time: only for showing that nothing comes."""
    return bool(select.select([sock], [], [], seconds)[0])


def main():
    unittest.main(module="__main__")
