"""Does a disk that takes 500 ms a read slow down requests that do not need it?

One event loop, two pools: one as it is, one whose every disk call takes 500 ms (debug_disk_delay). wrk asks for hot files
of the first in interleaved rounds, alone and while 100 other connections ask for files of the second that are never in
memory. Compared is the 99th percentile of the hot requests' latency.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import (ROOT, fail, fetch, make_files, note, pool, request_text, start_tidepool,  # noqa: E402
                     write_script, wrk)

DELAY = "500ms"
SLOW_CONNECTIONS = 100
TARGET = 2.0


@contextlib.contextmanager
def slow_load(core, port, script, seconds):
    """Keeps SLOW_CONNECTIONS requests waiting for the slow disk."""
    command = ["taskset", "--cpu-list", str(core), "wrk", "-t1", f"-c{SLOW_CONNECTIONS}", f"-d{seconds}s", "--timeout",
               "120s", "-s", str(script), f"http://127.0.0.1:{port}/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)  # wrk then reports what it has


def main():
    parser = argparse.ArgumentParser(prog="./dev bench slow_disk", description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/tidepool")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    server_core, wrk_core = sorted(os.sched_getaffinity(0))[:2]
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-slow-disk-")))
        hot = make_files(folder / "fast", {"small": (16 * 1024, 100), "large": (200 * 1024, 50)})
        # More files than are asked for in all rounds, so that none is asked for twice.
        slow = make_files(folder / "slow", {"slow": (20 * 1024, 4000)}, seed=2)["slow"]
        config = ("[limits]\nconnections_per_peer = 10000\n" +
                  pool("fast", folder / "fast/uploads", storage_tier="hot") +
                  pool("slow", folder / "slow/uploads", storage_tier="cold", debug_disk_delay=DELAY))
        server = start_tidepool(stack, server_core, options.binary, config)
        port = server.port(False, False)
        paths = hot["small"] + hot["large"]
        for path in paths:
            if fetch(port, path, {})[0] != 200:
                fail(f"{path} is not served")
        write_script(folder / "hot.lua", [request_text(path, {}) for path in paths])
        rounds = {"alone": [], "beside": []}
        for number in range(options.rounds):
            note(f"round {number + 1} of {options.rounds}")
            for kind in ("alone", "beside") if number % 2 == 0 else ("beside", "alone"):
                share = slow[number * 700:][:700]
                write_script(folder / "slow.lua", [request_text(path, {}) for path in share])
                with (slow_load(wrk_core, port, folder / "slow.lua", options.seconds + 2) if kind == "beside"
                      else contextlib.nullcontext()):
                    counted = wrk(wrk_core, port, folder / "hot.lua", options.seconds)
                wrong = {key: counted[key] for key in ("connect", "read", "write", "timeout", "status") if counted[key]}
                if wrong:
                    fail(f"wrk saw errors: {wrong}")
                rounds[kind].append(counted)
    p99 = {kind: statistics.median(each["p99_us"] for each in counted) for kind, counted in rounds.items()}
    rate = {kind: statistics.median(each["requests"] * 1e6 / each["duration_us"] for each in counted)
            for kind, counted in rounds.items()}
    ratio = p99["beside"] / p99["alone"]
    print("\n| hot requests | p99 | requests/s |\n| --- | ---: | ---: |")
    print(f"| alone | {p99['alone'] / 1000:.2f} ms | {rate['alone']:,.0f} |")
    print(f"| beside {SLOW_CONNECTIONS} that wait for a disk of {DELAY} a call | {p99['beside'] / 1000:.2f} ms "
          f"| {rate['beside']:,.0f} |")
    print(f"\nRatio of the p99: {ratio:.2f}, at most {TARGET:.0f} wanted: {'pass' if ratio <= TARGET else 'MISS'}")
    sys.exit(0 if ratio <= TARGET else 1)


if __name__ == "__main__":
    main()
