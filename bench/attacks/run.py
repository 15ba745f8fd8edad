"""A well-behaved client beside each of several attacks: how much longer its requests take, and what the attack costs the
server. See bench/README.md."""

import argparse
import contextlib
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
from attackers import ATTACKS  # noqa: E402
from harness import (  # noqa: E402
    ROOT, TICKS_PER_SECOND, certificate, circumstances, fail, free_ports, make_files, note, pool, start, start_tidepool,
    two_cores, wait_until_open)

SECRET = "0123456789abcdef"
CLIENTS, RATE = 4, 250  # of the well-behaved: connections, and requests per second of each
TARGET = 3.0
MEMORY_MIB = 64


def behave(core, port, paths, folder, seconds):
    """The 50th and 99th percentile of its requests' times, in milliseconds. Fails on any wrong answer.

    It shares its core with the attackers, and goes before them: what it waits for is the server, not the attackers' turn."""
    urls, log = folder / "urls", folder / "h2load.log"
    urls.write_text("".join(f"http://127.0.0.1:{port}{path}\n" for path in paths))
    log.unlink(missing_ok=True)
    done = subprocess.run(["taskset", "--cpu-list", str(core), "chrt", "--fifo", "1", "h2load", "--h1", "-t1", f"-c{CLIENTS}", f"--rps={RATE}",
                           f"-D{seconds}", f"--log-file={log}", "-H", f"X-Edge: {SECRET}", "-i", urls],
                          capture_output=True, text=True, check=False, timeout=seconds + 60)
    rows = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
    if done.returncode != 0 or not rows or any(row[1] != "200" for row in rows):
        fail(f"the well-behaved client failed:\n{done.stdout}{done.stderr}{rows[:3]}")
    if len(rows) < CLIENTS * RATE * seconds * 0.5:
        fail(f"it had {len(rows)} answers in {seconds} s")
    times = sorted(int(row[2]) / 1000 for row in rows)
    return statistics.median(times), times[int(len(times) * 0.99)]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench attacks", description=__doc__)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/tidepool")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="a round's length, idle and attacked (default: 4)")
    parser.add_argument("--only", metavar="NAME,...", default=",".join(ATTACKS))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all processes are ended
    cores = two_cores("one for the server and one for client and attackers")
    rows = []
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-attacks-")))
        chain, key = certificate(folder)
        paths = make_files(folder, {"16k": (16 * 1024, 50)})["16k"]
        for seed, (name, size) in enumerate({"a": 16 * 1024, "large": 8 * 1024 * 1024}.items(), 2):
            path = make_files(folder, {name: (size, 1)}, seed)[name][0]
            (folder / path[1:]).rename(folder / f"uploads/{name}.jpg")
        tls = free_ports(1)[0]
        (folder / "secret").write_text(SECRET)
        (folder / "signing").write_text(SECRET * 2)
        config = (f'[tls]\nlisten = ["127.0.0.1:{tls}"]\n[[certificate]]\nchain_file = "{chain}"\nkey_file = "{key}"\n'
                  f'[edge]\nsecret_header = "X-Edge"\nsecret = "file:{folder}/secret"\n'
                  f'[private]\nprefixes = ["uploads/private/"]\nsigning_key = "file:{folder}/signing"\n'
                  + pool("uploads", folder / "uploads"))
        server = start_tidepool(stack, cores[0], options.binary, config)
        wait_until_open(server.process, tls, "tidepool")
        # Cores that have nothing to do fall asleep, and waking them would make the quiet rounds the slow ones.
        for core in cores:
            start(stack, core, ["chrt", "--idle", "0", "sh", "-c", "while :; do :; done"])
        port = server.ports[False, False]
        behave(cores[1], port, paths, folder, 1)
        for name in options.only.split(",") if options.only != ",".join(ATTACKS) else ATTACKS:
            ratios, memory, cpu = [], 0, 0
            for _ in range(options.rounds):
                idle = behave(cores[1], port, paths, folder, options.seconds)[1]
                before, ticks, since = server.memory_kib()["RssAnon"], server.cpu_ticks(), time.monotonic()
                with contextlib.ExitStack() as attack:
                    start(attack, cores[1], ["nice", "-n", "19", sys.executable, "-B", HERE / "attackers.py", name, port, tls],
                          stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    attacked = behave(cores[1], port, paths, folder, options.seconds)[1]
                    memory = max(memory, server.memory_kib()["RssAnon"] - before)
                    cpu = (server.cpu_ticks() - ticks) / TICKS_PER_SECOND / (time.monotonic() - since)
                ratios.append((attacked / idle, idle, attacked))
            ratio, idle, attacked = sorted(ratios)[len(ratios) // 2]
            note(f"{name}: p99 {attacked:.2f} ms beside {idle:.2f}, {ratio:.1f}; {memory / 1024:.0f} MiB, {cpu:.0%} of a core")
            rows.append((name, idle, attacked, ratio, memory / 1024, cpu))
        print("\n" + "; ".join(f"{key} {value}" for key, value in circumstances(options, cores).items()
                               if key not in ("load", "wrk", "nginx")) + "\n")
    print("| attack | p99 idle, ms | p99 attacked, ms | ratio | target | memory, MiB | server's CPU | |\n"
          "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for name, idle, attacked, ratio, memory, cpu in rows:
        is_good = ratio <= TARGET and memory <= MEMORY_MIB
        print(f"| {name} | {idle:.2f} | {attacked:.2f} | **{ratio:.1f}** | {TARGET:.0f} | {memory:.0f} | {cpu:.0%} "
              f"| {'pass' if is_good else 'MISS'} |")
    sys.exit(0 if all(row[3] <= TARGET and row[4] <= MEMORY_MIB for row in rows) else 1)


if __name__ == "__main__":
    main()
