"""Is a catalog of ten million objects fast and small enough?

Scans a made-up listing into a catalog in a temporary folder, looks up random keys that no cache of ours holds, and
compares with the targets: 100,000 objects/s scanned, 100 us a look-up (median, the file's pages in memory), 300 MiB.
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import ROOT, fail, note, output_of  # noqa: E402

# (name, what it is, target, whether it must be above or below it; None = only shown)
FIGURES = [
    ("scan_per_s", "objects/s, scan into an empty catalog", 100_000, "above"),
    ("scan_per_core_s", "the same a second of CPU time, where the machine is shared", None, None),
    ("rescan_per_s", "objects/s, scan that finds nothing new", 100_000, "above"),
    ("scan_mib", "MiB resident at most while scanning", 300, "below"),
    ("median_us", "us a look-up, one thread: median", 100, "below"),
    ("p99_us", "us a look-up, one thread: 99th percentile", None, None),
    ("finds_per_s", "look-ups/s, one thread", None, None),
    ("median_8_us", "us a look-up, 8 threads at once: median", None, None),
    ("finds_8_per_s", "look-ups/s, 8 threads at once", None, None),
    ("find_mib", "MiB resident at most with 8 threads", 300, "below"),
    ("file_mib", "MiB, the catalog's file", None, None),
]


def measure(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"{binary} {arguments[0]} ended with {done.returncode}: {done.stderr}")
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench catalog", description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/bench/catalog_bench")
    parser.add_argument("--objects", type=int, default=10_000_000)
    parser.add_argument("--folder", help="where the catalog is made (default: the system's for temporary files)")
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures there")
    options = parser.parse_args()
    figures = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-catalog-", dir=options.folder))
        file = pathlib.Path(folder, "catalog.db")
        note(f"scanning {options.objects:,} objects")
        got = measure(options.binary, "scan", file, options.objects)
        figures.update({name: got[name] for name in ("scan_per_s", "scan_per_core_s", "rescan_per_s")})
        figures["scan_mib"] = got["VmHWM"] / 1024
        figures["file_mib"] = file.stat().st_size / 2**20
        note("looking up")
        got = measure(options.binary, "find", file, options.objects)
        figures.update(median_us=got["median_us"], p99_us=got["p99_us"], finds_per_s=got["finds_per_s"])
        got = measure(options.binary, "find", file, options.objects, 8)
        figures.update(median_8_us=got["median_us"], finds_8_per_s=got["finds_per_s"], find_mib=got["VmHWM"] / 1024)
    print(f"{options.objects:,} objects; commit {output_of('git', 'rev-parse', '--short', 'HEAD')}\n")
    print("| figure | target | measured |\n| --- | ---: | ---: |")
    missed = False
    for name, meaning, target, side in FIGURES:
        value = figures[name]
        wrong = target is not None and (value < target if side == "above" else value > target)
        missed |= wrong
        text = f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"
        bound = "" if target is None else f"{'>=' if side == 'above' else '<='} {target:,}"
        print(f"| {meaning} | {bound} | {text}{' MISSED' if wrong else ''} |")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
