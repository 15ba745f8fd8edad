"""What making variants costs everybody else: latency of hot files while both lanes are full, and memory over many variants.

Part one asks for hot files at a steady pace, once with the workers idle and once while clients keep both lanes full. Part
two has some thousands of images made, each in several variants, and compares the resident memory of server and workers
after the first thousand variants with that at the end. See bench/README.md.
"""

import argparse
import contextlib
import http.client
import itertools
import multiprocessing
import os
import pathlib
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from harness import ROOT, circumstances, fail, make_files, note, pool, start_tidepool, two_cores  # noqa: E402
from latency import p99, probe  # noqa: E402

DAY = "2026/11/28"
MIXED = ("_small.webp", "_small.{own}", "_small.avif", "_medium.webp")
FIRST = 1_000
P99_TARGET, MEMORY_TARGET = 3.0, 1.20
CLIENTS = 8


class Originals:
    """Images of several kinds, each under as many names as are asked for: links, so that they cost no space."""

    def __init__(self, folder):
        self.folder = folder
        subprocess.run([sys.executable, "-B", ROOT / "tests/support/demo_tree.py", folder / "demo"], check=True,
                       stdout=subprocess.DEVNULL)
        self.kinds = sorted((folder / "demo/uploads/original").rglob("*.*"))
        (folder / "uploads/original" / DAY).mkdir(parents=True)

    def link(self, source):
        """A new original with this content; what its variants' paths begin with, and its extension."""
        name = uuid.uuid4()
        os.link(source, self.folder / f"uploads/original/{DAY}/{name}{source.suffix}")
        return f"/uploads/variants/{DAY}/{name}", source.suffix[1:]


class Answers:
    """What clients got, counted by status."""

    def __init__(self):
        self.lock, self.counts = threading.Lock(), {}

    def add(self, status):
        with self.lock:
            self.counts[status] = self.counts.get(status, 0) + 1

    @property
    def total(self):
        with self.lock:
            return sum(self.counts.values())


def ask_all(port, paths, answers):
    """Takes paths from the iterator until it ends, on one connection as long as that lasts."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for path in paths:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        answers.add(answer.status)
    connection.close()


class SharedIterator:
    def __init__(self, items):
        self.items, self.lock = iter(items), threading.Lock()

    def __iter__(self):
        return self

    def __next__(self):
        with self.lock:
            return next(self.items)


def crowd(port, paths, answers, clients=CLIENTS):
    shared = SharedIterator(paths)
    threads = [threading.Thread(target=ask_all, args=(port, shared, answers)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    return threads


# --- part one ----------------------------------------------------------------------------------------------------------


def keep_full(port, originals, source, ended, made, others):
    """Clients that keep both lanes busy until that is set."""
    def endless(name):
        while not ended.is_set():
            image, own = originals.link(source)
            yield image + name.format(own=own)

    class Counted(Answers):
        def add(self, status):
            count = made if status == 200 else others
            with count.get_lock():
                count.value += 1

    for thread in [thread for name in ("_medium.webp", "_medium.avif")
                   for thread in crowd(port, endless(name), Counted(), clients=3)]:
        thread.join()


def measure_latency(options, server, originals, hot):
    """Medians of the rounds: p99 idle, p99 with full lanes."""
    port = server.port(False, False)
    photos = [kind for kind in originals.kinds if kind.suffix == ".jpg"]
    largest = max(photos, key=lambda path: path.stat().st_size)
    probe(port, hot, 1)
    idle, busy = [], []
    for round_ in range(options.rounds):
        idle.append(p99(probe(port, hot, options.seconds)))
        # In a process of its own, so that the probe shares no interpreter with it.
        ended, made, others = (multiprocessing.Event(), multiprocessing.Value("q", 0), multiprocessing.Value("q", 0))
        keeper = multiprocessing.Process(target=keep_full, args=(port, originals, largest, ended, made, others))
        keeper.start()
        while made.value < 6 and keeper.is_alive():
            keeper.join(0.05)
        before = made.value
        busy.append(p99(probe(port, hot, options.seconds)))
        note(f"round {round_ + 1}: p99 {idle[-1]:.2f} ms idle, {busy[-1]:.2f} ms with full lanes, while "
             f"{made.value - before} variants were made")
        ended.set()
        keeper.join()
        if made.value == before or others.value:
            fail(f"the lanes were not full: {made.value} made, {others.value} answers were none")
    return statistics.median(idle), statistics.median(busy)


# --- part two ----------------------------------------------------------------------------------------------------------


def resident_kib(server):
    """Of the server, and of its workers together."""
    first, *workers = (memory["VmRSS"] for memory in server.memory_of_each())
    return first, sum(workers)


def settle(server, samples=40):
    """Medians over some seconds, as workers hold an image's memory while they are at it."""
    seen = []
    for _ in range(samples):
        seen.append(resident_kib(server))
        time.sleep(0.05)  # tidy: allow sleep, samples are taken over a time
    return tuple(statistics.median(column) for column in zip(*seen))


def measure_memory(options, server, originals):
    port = server.port(False, False)
    answers = Answers()
    snapshots = queue.SimpleQueue()

    def paths():
        # Mostly of what is quickly made, so that it ends some day; now and then each of the others.
        by_size = sorted(originals.kinds, key=lambda path: path.stat().st_size)
        few = by_size[:len(by_size) // 2]
        kinds = itertools.cycle(few * 9 + by_size)
        made = 0
        while made < options.variants:
            image, own = originals.link(next(kinds))
            for name in dict.fromkeys(name.format(own=own) for name in MIXED):
                yield image + name
                made += 1

    begun = time.monotonic()
    threads = crowd(port, paths(), answers)
    while answers.total < FIRST:
        time.sleep(0.05)  # tidy: allow sleep, samples are taken over a time
    snapshots.put((answers.total, settle(server)))
    while answers.total < options.variants - CLIENTS * 20:
        time.sleep(0.05)  # tidy: allow sleep, samples are taken over a time
    snapshots.put((answers.total, settle(server)))
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    note(f"{answers.total} answers {answers.counts} in {took:.0f} s, {answers.total / took:.0f} a second")
    return snapshots.get(), snapshots.get(), answers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=ROOT / "build/release/tidepool", type=pathlib.Path)
    parser.add_argument("--rounds", default=3, type=int, help="of part one")
    parser.add_argument("--seconds", default=8, type=float, help="of each probe")
    parser.add_argument("--variants", default=20_000, type=int, help="of part two")
    parser.add_argument("--skip-latency", action="store_true")
    parser.add_argument("--skip-memory", action="store_true")
    options = parser.parse_args()
    cores = two_cores("for the server with its workers and the clients alike")
    rows = []
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-variants-")))
        note("making images")
        originals = Originals(folder)
        hot = make_files(folder, {"16k": (16 * 1024, 50)})["16k"]
        # The cache is full after the first thousand, so that what still grows is not what it may hold.
        config = (pool("hot", folder / "uploads") + '[cache]\nmemory = "8MiB"\nfiles = 512\n'
                  '[variants]\nfirst_hit_wait = "85s"\nwait_timeout = "85s"\n')
        server = start_tidepool(stack, ",".join(map(str, cores)), options.binary, config)
        if not options.skip_latency:
            idle, busy = measure_latency(options, server, originals, hot)
            rows.append(("p99 of a hot 16 KiB file", f"{idle:.2f} ms idle", f"{busy:.2f} ms with both lanes full",
                         busy / idle, P99_TARGET))
        if not options.skip_memory:
            (_, first), (count, last), answers = measure_memory(options, server, originals)
            for name, before, after in (("server", first[0], last[0]), ("workers", first[1], last[1]),
                                        ("both", sum(first), sum(last))):
                rows.append((f"resident memory, {name}", f"{before / 1024:.0f} MiB after {FIRST:,} variants",
                             f"{after / 1024:.0f} MiB after {count:,}", after / before, MEMORY_TARGET))
            if set(answers.counts) - {200, 404}:
                fail(f"not all were made: {answers.counts}")
    said = circumstances(options, cores) | {"cores": "both for all", "load": f"{CLIENTS} clients"}
    print("\n" + "; ".join(f"{name} {value}" for name, value in said.items() if name not in ("nginx", "wrk")) + "\n")
    print("| what | before | then | ratio | at most | |\n| --- | ---: | ---: | ---: | ---: | --- |")
    for what, before, then, ratio, target in rows:
        verdict = "pass" if ratio <= target else "MISS"
        print(f"| {what} | {before} | {then} | **{ratio:.2f}** | {target} | {verdict} |")


if __name__ == "__main__":
    main()
