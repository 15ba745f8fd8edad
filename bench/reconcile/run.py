"""Is comparing a million rows with a listing fast and small enough?

Scans a made-up listing into a catalog in a temporary folder, compares the two where they agree and where every 100th object
is absent, and compares with the targets: 60 s and 300 MiB.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import ROOT, fail, output_of  # noqa: E402

# (name, what it is, the most that it may be)
FIGURES = [
    ("well_s", "s, where all agrees", 60),
    ("absent_s", "s, where every 100th object is absent", 60),
    ("mib", "MiB resident at most, the scan before included", 300),
]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench reconcile", description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/bench/reconcile_bench")
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--folder", help="where the catalog is made (default: the system's for temporary files)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-reconcile-", dir=options.folder) as folder:
        done = subprocess.run([options.binary, pathlib.Path(folder, "catalog.db"), str(options.objects)],
                              capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"{options.binary} ended with {done.returncode}: {done.stderr}")
    figures = {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    figures["mib"] = figures["VmHWM"] / 1024
    print(f"{options.objects:,} objects; commit {output_of('git', 'rev-parse', '--short', 'HEAD')}\n")
    print("| figure | target | measured |\n| --- | ---: | ---: |")
    missed = False
    for name, meaning, target in FIGURES:
        wrong = figures[name] > target
        missed |= wrong
        print(f"| {meaning} | <= {target:,} | {figures[name]:,.1f}{' MISSED' if wrong else ''} |")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
