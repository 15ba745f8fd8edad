"""Uploads of 1 MiB by 16 clients onto a local pool, beside a bare loop that writes as much with the same fsyncs, and what
they cost the readers of hot files meanwhile. See bench/README.md."""

import argparse
import base64
import contextlib
import functools
import hmac
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parent / "variant_load"))
from harness import (  # noqa: E402
    ROOT, circumstances, fail, make_files, note, pool, request_text, start_tidepool, two_cores)
from latency import p99, probe  # noqa: E402

SECRET = "a-secret-for-benchmarks-alone"
RATE_TARGET, P99_TARGET, MEMORY_TARGET = 0.8, 3.0, 1.2
SIZE = 1 << 20
BOUNDARY = "bench-boundary"
PADDING = bytes(SIZE)
# What a commit of the catalog writes and syncs, and how often an upload waits for one.
JOURNAL_BYTES, COMMITS = 32 * 1024, 2
# What is made of an image once it is stored is no part of this.
NO_VARIANTS = '[[profile]]\nname = "small"\nwidth = 200\nformats = ["webp"]\nat_upload = []\n'


def token():
    payload = json.dumps({"user_id": 1, "pool_id": 1, "max_bytes": 2 * SIZE, "exp": int(time.time()) + 3600},
                         separators=(",", ":")).encode()
    parts = (payload, hmac.digest(SECRET.encode(), payload, "sha256"))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def photograph(folder):
    """The largest JPEG of noise that leaves room for what makes each upload another one."""
    best = b""
    for side in range(600, 4000, 40):
        path = folder / "photo.jpg"
        subprocess.run(["vips", "gaussnoise", f"{folder}/noise.v", str(side), str(side * 3 // 4)], check=True)
        subprocess.run(["vips", "cast", f"{folder}/noise.v", str(path), "uchar"], check=True)
        content = path.read_bytes()
        if len(content) > SIZE - 32:
            return best
        best = content
    fail("no photograph came near 1 MiB")
    return best


def mark(number):
    """What stands behind the image of that number, as cameras leave bytes there, and makes it another one."""
    return random.Random(number).randbytes(32)


def unique(content, number):
    """The pieces of that image, SIZE in all. They are not put together: what that costs is neither side's."""
    return [content, mark(number), PADDING[:SIZE - len(content) - 32]]


def write_all(write, pieces):
    """Has `write`, which may take less than all, take all."""
    pieces = [memoryview(piece) for piece in pieces]
    while pieces:
        done = write(pieces)
        while pieces and done >= len(pieces[0]):
            done -= len(pieces.pop(0))
        if pieces:
            pieces[0] = pieces[0][done:]


# --- the two sides -----------------------------------------------------------------------------------------------------


def send_all(port, content, numbers, bearer, failures):
    part = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n").encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    head = request_text("/api/v1/upload", {
        "Authorization": f"Bearer {bearer}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(part) + SIZE + len(tail))}).replace("GET", "POST", 1).encode()
    # From memory that the kernel sends without a copy: what clients on this machine take is missing to the server.
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock, open(os.memfd_create("body"), "wb") as body:
        write_all(functools.partial(os.writev, body.fileno()), [head + part, content, PADDING[:SIZE - len(content)], tail])
        for number in numbers:
            os.pwrite(body.fileno(), mark(number), len(head) + len(part) + len(content))
            sock.sendfile(body, 0, len(head) + len(part) + SIZE + len(tail))
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            said = answer.read()
            if answer.status != 200:
                failures.append(f"{answer.status} {said[:200]!r}")
                return


def upload(port, content, numbers, clients):
    """Seconds for all of them."""
    bearer, failures = token(), []
    begun = time.monotonic()
    threads = [threading.Thread(target=send_all, args=(port, content, numbers[i::clients], bearer, failures))
               for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        fail(f"an upload was answered by {failures[0]}")
    return time.monotonic() - begun


def bare(folder, content, numbers, clients):
    """Seconds for the same files with the same fsyncs: of each file, of its folder, and of a journal that one writes at a
    time."""
    journal = os.open(folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    lock = threading.Lock()
    (folder / "files").mkdir()
    directory = os.open(folder / "files", os.O_RDONLY | os.O_DIRECTORY)

    def commit():
        with lock:
            os.write(journal, bytes(JOURNAL_BYTES))
            os.fdatasync(journal)

    def write_files(mine):
        for number in mine:
            for _ in range(COMMITS - 1):
                commit()
            name = folder / "files" / f"{number}.tmp"
            file = os.open(name, os.O_WRONLY | os.O_CREAT)
            write_all(functools.partial(os.writev, file), unique(content, number))
            os.fsync(file)
            os.rename(name, folder / "files" / f"{number}.jpg")
            os.fsync(directory)
            os.close(file)
            commit()

    begun = time.monotonic()
    threads = [threading.Thread(target=write_files, args=(numbers[i::clients],)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    os.close(directory)
    os.close(journal)
    return took


# --- what is measured --------------------------------------------------------------------------------------------------


def anonymous_kib(server):
    """Of the server, and of its workers on average: how many there are just now, as one may be about to be replaced, says nothing
    about growth."""
    first, *workers = (memory["RssAnon"] for memory in server.memory_of_each())
    return first, statistics.mean(workers), len(workers)


def measure_rate(options, server, folder, content):
    """Median seconds of both, and anonymous memory before and after, in KiB, of the server and as many workers as there were at
    most."""
    ours, theirs, first = [], [], 0
    warm_up = range(first, first := options.clients * 16)
    upload(server.port(False, False), content, warm_up, options.clients)
    looks = [anonymous_kib(server)]
    for round_ in range(options.rounds):
        numbers = range(first, first + options.uploads)
        first += options.uploads
        ours.append(upload(server.port(False, False), content, numbers, options.clients))
        with tempfile.TemporaryDirectory(dir=folder, prefix="bare-") as below:
            theirs.append(bare(pathlib.Path(below), content, numbers, options.clients))
        note(f"round {round_ + 1}: {options.uploads / ours[-1]:.0f} uploads a second, bare {options.uploads / theirs[-1]:.0f}")
    looks.append(anonymous_kib(server))
    workers = max(count for _, _, count in looks)
    before, after = (own + mean * workers for own, mean, _ in looks)
    return statistics.median(ours), statistics.median(theirs), before, after


def keep_uploading(port, content, ended, done):
    # Clients elsewhere would take nothing of this machine's processors, so these take what is left, as the one who looks at
    # latencies never waits for one. The rate of uploads says that enough is left.
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    number = 10_000_000
    while not ended.is_set():
        upload(port, content, range(number, number + 32), 16)
        number += 32
        done.value += 32


def measure_latency(options, server, content, hot):
    port = server.port(False, False)
    probe(port, hot, 1)
    idle, busy, rates = [], [], []
    for _ in range(options.rounds):
        idle.append(p99(probe(port, hot, options.seconds)))
        ended, done = multiprocessing.Event(), multiprocessing.Value("q", 0)
        other = multiprocessing.Process(target=keep_uploading, args=(port, content, ended, done))
        other.start()
        while done.value == 0 and other.is_alive():
            other.join(0.05)
        before = done.value
        busy.append(p99(probe(port, hot, options.seconds)))
        rates.append((done.value - before) / options.seconds)
        if rates[-1] == 0:
            fail("nothing was uploaded meanwhile")
        ended.set()
        other.join()
    note(f"beside {statistics.median(rates):.0f} uploads a second")
    return statistics.median(idle), statistics.median(busy)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/tidepool")
    parser.add_argument("--uploads", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of each look at latencies")
    parser.add_argument("--not-realtime", action="store_true", help="server.realtime = false")
    parser.add_argument("--folder", type=pathlib.Path, help="where the pool and the bare loop write (a temporary one)")
    options = parser.parse_args()
    two_cores("and what they do is measured on both")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-upload-",
                                                                             dir=options.folder)))
        content = photograph(folder)
        paths = make_files(folder / "hot", {"hot": (16 * 1024, 100)})
        os.environ["BENCH_UPLOAD_SECRET"] = SECRET
        (folder / "pool").mkdir()
        config = ('[upload]\ntoken_secret = "env:BENCH_UPLOAD_SECRET"\n' + NO_VARIANTS
                  + pool("uploads", folder / "pool") + pool("hot", folder / "hot/uploads"))
        server = start_tidepool(stack, "0,1", options.binary, config, state=folder / "state",
                                server="realtime = false\n" if options.not_realtime else "")
        ours, theirs, before, after = measure_rate(options, server, folder, content)
        idle, busy = measure_latency(options, server, content, paths["hot"])
    rows = [("rate, uploads a second", f"{options.uploads / ours:.0f}", f"bare {options.uploads / theirs:.0f}", theirs / ours,
             "at least", RATE_TARGET, theirs / ours >= RATE_TARGET),
            ("p99 of hot files", f"{busy:.2f} ms", f"idle {idle:.2f} ms", busy / idle, "at most", P99_TARGET,
             busy / idle <= P99_TARGET),
            ("anonymous memory, server and as many workers", f"{after / 1024:.0f} MiB", f"before {before / 1024:.0f} MiB", after / before,
             "at most", MEMORY_TARGET, after / before <= MEMORY_TARGET)]
    facts = circumstances(argparse.Namespace(rounds=options.rounds, seconds=options.seconds), (0, 1))
    print(f"\n{facts['date']}; commit {facts['commit']}; cpu {facts['cpu']}; kernel {facts['kernel']}; "
          f"{options.clients} clients, {options.rounds} rounds of {options.uploads}\n")
    print("| what | tidepool | beside | ratio | target | |\n| --- | ---: | ---: | ---: | ---: | --- |")
    for what, mine, other, ratio, word, target, good in rows:
        print(f"| {what} | {mine} | {other} | **{ratio:.2f}** | {word} {target} | {'pass' if good else 'MISS'} |")
    sys.exit(0 if all(row[-1] for row in rows) else 1)


if __name__ == "__main__":
    main()
