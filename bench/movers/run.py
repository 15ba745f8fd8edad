"""Moves of many small objects, disk to bucket and back, beside rclone and beside a bare loop of PUTs and GETs.

The bucket is Debian's Ceph gateway on the same two cores, so the store takes most of them; what each mover costs itself is
its CPU per object. tidepool hashes, proves and journals each object; rclone compares sizes and MD5. See bench/README.md.
"""

import argparse
import contextlib
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parents[1] / "tests/support"))
import radosgw  # noqa: E402
import s3_client  # noqa: E402
from harness import ROOT, circumstances, fail, make_files, note, two_cores  # noqa: E402

BUCKET = "bench-movers"
RATE_TARGET, CEILING_TARGET, CPU_TARGET = 1.0, 0.9, 0.5


class Cost:
    """What a command took: seconds, CPU seconds, peak memory of its largest process."""

    def __init__(self, seconds=0.0, cpu=0.0, peak_kib=0):
        self.seconds, self.cpu, self.peak_kib = seconds, cpu, peak_kib

    def __add__(self, other):
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu, max(self.peak_kib, other.peak_kib))


def run(command, environment=None):
    begun = time.monotonic()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}  # rclone heeds them
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**inherited, **(environment or {})})
    said = process.stdout.read().decode(errors="replace")
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        fail(f"{command[0]} ended with {process.returncode}: {said[-2000:]}")
    return Cost(time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss)


class Tidepool:
    def __init__(self, options, s3, folder):
        self.binary, self.folder = options.binary, folder
        self.environment = {"BENCH_S3_SECRET": s3.key.secret}
        self.config = folder / "tidepool.toml"
        self.config.write_text(
            f'[catalog]\nurl = "sqlite:{folder}/catalog.db"\n[shelf]\npath = ""\n[move]\ngrace = "0s"\n'
            f'[jobs]\nthreads = {options.transfers}\n[variants]\non_demand = false\n'
            f'[[pool]]\nname = "hot"\nbase_path = "{folder}/uploads"\njobs = {options.transfers}\n'
            f'[[pool]]\nname = "cold"\nstorage_type = "s3"\nstorage_tier = "cold"\nbucket = "{BUCKET}"\n'
            f'region = "{s3.region}"\nendpoint_url = "{s3.url}"\naccess_key_id = "{s3.key.id}"\n'
            f'secret_access_key = "env:BENCH_S3_SECRET"\njobs = {options.transfers}\n')
        self.tool("scan", "hot")

    def tool(self, command, *arguments):
        return run([self.binary, command, *arguments, "-c", self.config], self.environment)

    def move(self, source, target):
        # The second command removes what is left of the sources.
        return self.tool("mv", "--pool", source, "--to", target) + self.tool("jobs", "run")

    def there(self):
        return self.move("hot", "cold")

    def back(self):
        return self.move("cold", "hot")


class Rclone:
    def __init__(self, options, s3, folder):
        self.options, self.folder = options, folder
        self.config = folder / "rclone.conf"
        self.config.write_text(f"[s3]\ntype = s3\nprovider = Ceph\naccess_key_id = {s3.key.id}\n"
                               f"secret_access_key = {s3.key.secret}\nendpoint = {s3.url}\nregion = {s3.region}\n")

    def move(self, source, target):
        # It lists the bucket only where it has to, as tidepool knows what is there.
        return run(["rclone", "--config", self.config, "move", source, target, "--transfers", self.options.transfers,
                    "--checkers", self.options.transfers, "--s3-no-check-bucket", "--quiet"])

    def there(self):
        return self.move(f"{self.folder}/uploads", f"s3:{BUCKET}/rclone")

    def back(self):
        return self.move(f"s3:{BUCKET}/rclone", f"{self.folder}/uploads")


class Bare:
    """curl with as many transfers: PUTs, then GETs to nowhere. The store's ceiling, nothing hashed, nothing removed."""

    def __init__(self, options, s3, folder):
        self.options, self.s3, self.folder = options, s3, folder
        self.files = sorted(path for path in (folder / "uploads").rglob("*.jpg"))

    def curl(self, lines):
        config = self.folder / "curl.conf"
        config.write_text("\n".join(lines) + "\n")
        return run(["curl", "--silent", "--show-error", "--fail", "--parallel", "--parallel-max", self.options.transfers,
                    "--aws-sigv4", f"aws:amz:{self.s3.region}:s3", "--user", f"{self.s3.key.id}:{self.s3.key.secret}",
                    "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--config", config])

    def url(self, file):
        return f"{self.s3.url}/{BUCKET}/bare/{file.name}"

    def there(self):
        return self.curl([f'upload-file = "{file}"\nurl = "{self.url(file)}"' for file in self.files])

    def back(self):
        return self.curl([f'url = "{self.url(file)}"\noutput = "/dev/null"' for file in self.files])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=ROOT / "build/release/tidepool", type=pathlib.Path)
    parser.add_argument("--objects", default=5_000, type=int)
    parser.add_argument("--bytes", default=100 * 1024, type=int, help="of each")
    parser.add_argument("--transfers", default=4, type=int)
    parser.add_argument("--rounds", default=3, type=int)
    options = parser.parse_args()
    for program in ("rclone", "curl"):
        if shutil.which(program) is None:
            fail(f"{program} is missing; ./dev setup bench installs it")
    cores = two_cores("for the movers and the store alike")
    costs = {}
    with contextlib.ExitStack() as stack:
        s3 = stack.enter_context(radosgw.Radosgw(store_bytes=4 << 30))
        client = s3_client.S3Client(s3.url, s3.key, s3.region)
        client.create_bucket(BUCKET, versioned=False)
        movers = {}
        for name, kind in (("tidepool", Tidepool), ("rclone", Rclone), ("bare", Bare)):
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"bench-{name}-")))
            make_files(folder, {"all": (options.bytes, options.objects)})
            movers[name] = kind(options, s3, folder)
        for round_ in range(options.rounds):
            for way in ("there", "back"):
                for name, mover in movers.items():
                    cost = getattr(mover, way)()
                    costs.setdefault((way, name), []).append(cost)
                    note(f"round {round_ + 1}, {way}, {name}: {options.objects / cost.seconds:.0f}/s, "
                         f"{cost.cpu / options.objects * 1e6:.0f} us CPU each, {cost.peak_kib / 1024:.0f} MiB")
    report(options, cores, costs)


def report(options, cores, costs):
    def median(way, name, what):
        return statistics.median(what(cost) for cost in costs[way, name])
    options.seconds = 0
    said = circumstances(options, cores) | {"cores": "both for mover and store", "load": f"{options.transfers} transfers"}
    print("\n" + "; ".join(f"{name} {value}" for name, value in said.items() if name not in ("nginx", "wrk")) + "\n")
    print(f"{options.objects} objects of {options.bytes} bytes; peak of this process "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB\n")
    print("| way | tidepool/s | rclone/s | bare/s | of rclone | of bare | CPU us: tidepool | rclone | of rclone | peak MiB: "
          "tidepool | rclone | |\n| --- |" + " ---: |" * 10 + " --- |")
    for way, title in (("there", "disk to bucket"), ("back", "bucket to disk")):
        rate = {name: options.objects / median(way, name, lambda cost: cost.seconds) for name in ("tidepool", "rclone", "bare")}
        cpu = {name: median(way, name, lambda cost: cost.cpu) / options.objects * 1e6 for name in ("tidepool", "rclone")}
        peak = {name: median(way, name, lambda cost: cost.peak_kib) / 1024 for name in ("tidepool", "rclone")}
        good = (rate["tidepool"] >= RATE_TARGET * rate["rclone"] and rate["tidepool"] >= CEILING_TARGET * rate["bare"]
                and cpu["tidepool"] <= CPU_TARGET * cpu["rclone"] and peak["tidepool"] <= peak["rclone"])
        print(f"| {title} | {rate['tidepool']:.0f} | {rate['rclone']:.0f} | {rate['bare']:.0f} | "
              f"**{rate['tidepool'] / rate['rclone']:.2f}** | **{rate['tidepool'] / rate['bare']:.2f}** | {cpu['tidepool']:.0f} | "
              f"{cpu['rclone']:.0f} | **{cpu['tidepool'] / cpu['rclone']:.2f}** | {peak['tidepool']:.0f} | {peak['rclone']:.0f} | "
              f"{'pass' if good else 'MISS'} |")


if __name__ == "__main__":
    main()
