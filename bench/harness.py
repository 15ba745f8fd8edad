"""What the benchmarks share: files, servers pinned to a core, wrk, and what the machine was."""

import contextlib
import datetime
import http.client
import os
import pathlib
import platform
import random
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONNECTIONS = 64
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def fail(message):
    sys.exit(f"bench: {message}")


def note(message):
    print(f"bench: {message}", file=sys.stderr, flush=True)


def make_files(folder, classes, seed=1):
    """Writes the files of each class below folder/uploads and returns their URL paths by class. The content starts as
    a JPEG does and is noise from there, so that no server or file system can shorten it."""
    rng = random.Random(seed)
    paths = {}
    for name, (size, count) in classes.items():
        paths[name] = []
        for _ in range(count):
            day = f"2026/{rng.randint(1, 12):02}/{rng.randint(1, 28):02}"
            path = f"uploads/original/{day}/{uuid.UUID(int=rng.getrandbits(128), version=4)}.jpg"
            file = pathlib.Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            start = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
            file.write_bytes(start + rng.randbytes(size - len(start) - 2) + b"\xff\xd9")
            paths[name].append("/" + path)
    return paths


def two_cores(uses):
    """The first two cores that may be used; `uses` says what for."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        fail(f"two cores are needed, {uses}")
    return cores


def start(stack, core, command, **options):
    """A process on one core that is ended, by its own pid, when the stack closes."""
    process = subprocess.Popen(["taskset", "--cpu-list", str(core), *map(str, command)], **options)

    def stop():
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()

    stack.callback(stop)
    return process


def free_ports(count):
    """Ports that were free a moment ago; nginx cannot report one that the kernel chose."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Server:
    """A running server: its processes and, by (log, nopush), its ports."""

    def __init__(self, name, process, ports):
        self.name, self.process, self.ports = name, process, ports

    def port(self, log, nopush):
        return self.ports.get((log, nopush)) or self.ports[(log, False)]

    def has_nopush(self):
        return (False, True) in self.ports

    def pids(self):
        """The process and all its descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    fields = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                    parents[int(entry)] = int(fields[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu_ticks(self):
        """User and system time of all threads of all its processes."""
        ticks = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks

    def memory_of_each(self):
        """VmRSS, VmHWM and RssAnon in KiB of each of its processes, its own first; 0 of one that ends just now."""
        found = []
        for pid in self.pids():
            found.append(dict.fromkeys(("VmRSS", "VmHWM", "RssAnon"), 0))
            with contextlib.suppress(OSError):
                for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                    key, _, value = line.partition(":")
                    if key in found[-1]:
                        found[-1][key] = int(value.split()[0])
        return found

    def memory_kib(self):
        """The same, summed over its processes."""
        each = self.memory_of_each()
        return {key: sum(memory[key] for memory in each) for key in each[0]}


def run_nginx(stack, core, folder, template, words):
    """An nginx by this configuration, whose @WORDS@ are filled in; `folder` is its own."""
    (folder / "nginx.conf").write_text(re.sub(r"@([A-Z_]+)@", lambda m: str(words.get(m[1], m[0])), template))
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if not binary:
        fail("nginx is missing; ./dev setup bench installs it")
    return start(stack, core, [binary, "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"])


def certificate(folder):
    """A certificate for images.example that signs itself, and its key."""
    files = folder / "chain.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-out", files[0], "-keyout", files[1], "-subj", "/CN=images.example",
                    "-addext", "subjectAltName=DNS:images.example"], check=True, capture_output=True)
    return files


def wait_until_open(process, port, name):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    fail(f"{name} did not open its port {port}")


# What differs from the defaults: one loop (nginx has one worker) and ports of the kernel's choice. Every limit, cache and
# timeout is the built-in one.
TIDEPOOL_CONFIG = """\
[server]
listen = ["127.0.0.1:0"]
threads = 1
[admin]
listen = ["127.0.0.1:0"]
"""


def pool(name, path, **settings):
    """The lines of a pool over a folder."""
    more = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    return f'[[pool]]\nname = "{name}"\nbase_path = "{path}"\n{more}'


def start_tidepool(stack, core, binary, config, access_log=False, state=None, server=""):
    """A tidepool with this text after the settings above; its access log, where wanted, goes to a temporary file, and
    its catalog and shelf below the folder `state`, else a temporary one. `server`: more lines of that section."""
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tidepool-")))
    log = f'[access_log]\npath = "{folder}/access.log"\n' if access_log else ""
    file = folder / "tidepool.toml"
    file.write_text(TIDEPOOL_CONFIG.replace("[server]\n", "[server]\n" + server) + log + config)
    command = [binary, "serve", "-c", file, "--state-dir", state or folder / "state"]
    process = start(stack, core, command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 15
    seen = b""
    while not (match := re.search(rb"listening address=127\.0\.0\.1:(\d+) listener=public", seen)):
        if not select.select([process.stderr], [], [], max(0, deadline - time.monotonic()))[0]:
            fail(f"tidepool did not get ready; it said:\n{seen.decode()}")
        chunk = os.read(process.stderr.fileno(), 65536)
        if not chunk:
            fail(f"tidepool ended; it said:\n{seen.decode()}")
        seen += chunk
    threading.Thread(target=shutil.copyfileobj, args=(process.stderr, sys.stderr.buffer), daemon=True).start()
    return Server("tidepool", process, {(access_log, False): int(match[1])})


def fetch(port, path, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


# Requests are ready-made text in a table; `extra` may add Lua that makes some of them up.
WRK_SCRIPT = """\
local ready = {{ {requests} }}
local count, at = #ready, 0
function request()
    at = at % count + 1
    return ready[at]
end
{extra}
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format("RESULT %d %d %d %d %d %d %d %d %d\\n", summary.requests, summary.duration, summary.bytes,
        errors.connect, errors.read, errors.write, errors.timeout, errors.status, latency:percentile(99)))
end
"""


def request_text(path, headers):
    lines = [f"GET {path} HTTP/1.1", "Host: images.example", "User-Agent: bench"]
    return "\r\n".join(lines + [f"{name}: {value}" for name, value in headers.items()]) + "\r\n\r\n"


def lua_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n") + '"'


def write_script(path, requests, extra=""):
    path.write_text(WRK_SCRIPT.format(requests=",\n".join(map(lua_string, requests)), extra=extra))


def wrk(core, port, script, seconds, scheme="http"):
    """Loads a port and returns what wrk counted."""
    command = ["taskset", "--cpu-list", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s",
               "-s", str(script), f"{scheme}://127.0.0.1:{port}/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            output, _ = process.communicate(timeout=seconds + 60)
        except BaseException:
            process.kill()
            raise
    match = re.search(r"^RESULT (.*)$", output, re.MULTILINE)
    if process.returncode != 0 or not match:
        fail(f"wrk failed:\n{output}")
    names = ("requests", "duration_us", "bytes", "connect", "read", "write", "timeout", "status", "p99_us")
    return dict(zip(names, map(int, match[1].split())))


def output_of(*command):
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        return (done.stdout + done.stderr).strip()
    return ""


def head_bytes(port, request):
    """The size of an answer's head, as sent to wrk."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(request.encode())
        seen = b""
        while b"\r\n\r\n" not in seen:
            chunk = connection.recv(65536)
            if not chunk:
                fail(f"port {port} closed within the head of an answer to {request!r}")
            seen += chunk
    return seen.index(b"\r\n\r\n") + 4


def measure_server(core, name, server, port, script, seconds, answer_bytes, scheme="http"):
    """One round: what wrk counted and how much CPU time the server took meanwhile. Fails on any wrong answer."""
    before = server.cpu_ticks()
    counted = wrk(core, port, script, seconds, scheme)
    cpu = (server.cpu_ticks() - before) / TICKS_PER_SECOND
    wrong = {key: counted[key] for key in ("connect", "read", "write", "timeout", "status") if counted[key]}
    if wrong:
        fail(f"{name}: wrk saw errors: {wrong}")
    if not counted["requests"] or not cpu:
        fail(f"{name}: no work was done: {counted}, {cpu} s of CPU")
    # The mean size tells a wrong answer from a right one; at the end some answers are only half read.
    size = counted["bytes"] / counted["requests"]
    slack = 2 * CONNECTIONS / counted["requests"] + 0.02
    if not answer_bytes * (1 - slack) <= size <= answer_bytes * (1 + slack):
        fail(f"{name}: answers of {size:.0f} bytes on average, expected {answer_bytes}")
    return {
        "requests": counted["requests"],
        "requests_per_s": counted["requests"] * 1e6 / counted["duration_us"],
        "requests_per_cpu_s": counted["requests"] / cpu,
        "cpu_s": cpu,
        "cpu_share": cpu * 1e6 / counted["duration_us"],
        "p99_us": counted["p99_us"],
    }


def circumstances(options, cores):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    commit = output_of("git", "rev-parse", "--short", "HEAD")
    dirty = "+changes" if output_of("git", "status", "--porcelain", "--untracked-files=no") else ""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": (commit if re.fullmatch("[0-9a-f]+", commit) else "none") + dirty,
        "cpu": cpu[1] if cpu else platform.machine(),
        "kernel": platform.release(),
        "nginx": output_of("nginx", "-v").rpartition("/")[2],
        "wrk": (output_of("wrk", "-v").split() + ["", ""])[1],
        "cores": f"servers on {cores[0]}, wrk on {cores[1]}",
        "load": f"{CONNECTIONS} connections, {options.rounds} interleaved rounds of {options.seconds} s a server",
    }


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
