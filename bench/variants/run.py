"""What does making variants cost, beside sharp and a bare libvips loop?

The same photographs and settings for all three, in interleaved rounds on two cores: single variants, and all variants of
an upload, which tidepool makes as one job and the others one by one. Then the way through the whole server. See
bench/README.md.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import random
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests/support"))
import demo_tree  # noqa: E402
from harness import (ROOT, TICKS_PER_SECOND, Server, circumstances, fail, note, output_of, pool, start,  # noqa: E402
                     start_tidepool, two_cores)

BUILD = ROOT / "build/release"
SHARP = ROOT / "build/bench/sharp"
WORKERS = 2
# Name, format, width, quality and effort; the defaults of tidepool's profiles.
VARIANTS = [("320 px WebP", "webp:320:80:4"), ("1280 px WebP", "webp:1280:80:4"), ("1280 px AVIF", "avif:1280:55:4"),
            ("320 px JPEG", "jpeg:320:82:0")]
# How many sources a side makes of one variant in a round: some seconds.
COUNTS = {"webp:320": 24, "webp:1280": 8, "avif:1280": 2, "jpeg:320": 24}
SET_COUNT = 2
SINGLE_TARGET, SET_TARGET, SERVER_TARGET = 1.0, 1.7, 1.15
# Sides' pictures may differ by their filters and encoders, not by what they show: of 255, on average.
MOST_DIFFERENCE = 4.0
REQUESTS = 15
DAY = "2026/02/25"


def make_photo(out, seed, width, height, options, folder):
    """A landscape with a texture and the grain of a sensor, as large as a camera's file of that many pixels."""
    vips = demo_tree.vips
    columns, rows, pixels = demo_tree.landscape(random.Random(seed), width // 4, height // 4)
    at = lambda name: f"{folder}/{name}.v"  # noqa: E731
    pathlib.Path(f"{folder}/raw.ppm").write_bytes(b"P6 %d %d 255\n" % (columns, rows) + pixels)
    vips("rot", f"{folder}/raw.ppm", at("upright"), "d90")
    vips("resize", at("upright"), at("large"), 4, "--kernel", "cubic")
    vips("gaussnoise", at("coarse"), width // 4, height // 4, "--sigma", 5, "--mean", 0, "--seed", seed)
    vips("resize", at("coarse"), at("texture"), 4, "--kernel", "cubic")
    vips("gaussnoise", at("noise"), width, height, "--sigma", 12, "--mean", 0, "--seed", seed + 1)
    vips("gaussblur", at("noise"), at("grain"), 0.7)
    vips("add", at("texture"), at("grain"), at("detail"))
    vips("add", at("large"), at("detail"), at("sum"))
    vips("cast", at("sum"), at("bytes"), "uchar")
    vips("copy", at("bytes"), f"{out}{options}")


def make_photos(folder):
    photos = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for name, seed, width, height in (("24mp", 1, 6000, 4000), ("12mp", 2, 4032, 3024)):
            photos.append(folder / f"{name}.jpg")
            make_photo(photos[-1], seed, width, height, "[Q=92,optimize-coding]", scratch)
    return photos


def install_sharp():
    if not (SHARP / "node_modules/sharp").exists():
        note(f"installing sharp into {SHARP}")
        SHARP.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(SHARP), "sharp"], check=True,
                       stdout=sys.stderr)
    script = str(pathlib.Path(__file__).with_name("sharp_side.mjs"))
    versions = subprocess.run(["node", script, str(SHARP), "0"], capture_output=True, text=True, check=True)
    return json.loads(versions.stdout)


class Side:
    """One of the three: a process that takes commands, with its children."""

    def __init__(self, stack, name, cores, command):
        self.name = name
        self.process = start(stack, ",".join(map(str, cores)), command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True, bufsize=1)
        self.server = Server(name, self.process, {})
        self.line("ready", 60)

    def line(self, word, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            fail(f"{self.name} says nothing")
        line = self.process.stdout.readline().split()
        if not line or line[0] != word:
            fail(f"{self.name} said {line}, not {word}")
        return line[1:]

    def forget_peak(self):
        for pid in self.server.pids():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def run(self, count, recipes, photos, together=False, save="-"):
        """CPU seconds, variants and bytes of them, and seconds by the clock."""
        before = self.server.cpu_ticks()
        words = ["run", count, "together" if together else "apart", save, ",".join(recipes), *photos]
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        variants, size, seconds = self.line("done", 600)
        if int(variants) != count * len(recipes):
            fail(f"{self.name} made {variants} variants of {count * len(recipes)}")
        cpu = (self.server.cpu_ticks() - before) / TICKS_PER_SECOND
        return {"cpu": cpu / int(variants), "bytes": int(size) / int(variants), "per_s": int(variants) / float(seconds)}


def number_of(*arguments):
    return float(output_of("vips", *map(str, arguments)))


def squared_difference(a, b, folder):
    """Of two pictures of one size, the mean square."""
    for step in (("subtract", a, b, f"{folder}/d.v"), ("multiply", f"{folder}/d.v", f"{folder}/d.v", f"{folder}/s.v")):
        demo_tree.vips(*step)
    return number_of("avg", f"{folder}/s.v")


def check_and_judge(sides, photos, folder):
    """All sides' variants show the same; returns mean bytes and noise (as PSNR) of each variant and side against the
    picture that libvips makes without loss."""
    recipes = [recipe for _, recipe in VARIANTS]
    for side in sides:
        side.run(len(photos), recipes, photos, together=True, save=f"{folder}/{side.name}")
    judged = {}
    for index, (name, recipe) in enumerate(VARIANTS):
        for side in sides:
            noise, size = [], []
            for number, photo in enumerate(photos):
                file = f"{folder}/{side.name}-{number}-{index}"
                exact = f"{folder}/exact-{number}-{recipe.split(':')[1]}.v"
                if not pathlib.Path(exact).exists():
                    demo_tree.vips("thumbnail", photo, exact, recipe.split(":")[1], "--height", 100_000, "--size", "down")
                sizes = [output_of("vipsheader", "-f", field, each) for field in ("width", "height") for each in (file, exact)]
                if sizes[0] != sizes[1] or sizes[2] != sizes[3]:
                    fail(f"{side.name}: {name} of {photo} is {sizes[0]} x {sizes[2]}, not {sizes[1]} x {sizes[3]}")
                square = squared_difference(file, exact, folder)
                if square > MOST_DIFFERENCE**2 * 4:
                    fail(f"{side.name}: {name} of {photo} shows something else: a mean square of {square}")
                noise.append(10 * math.log10(255**2 / square))
                size.append(pathlib.Path(file).stat().st_size)
            judged[name, side.name] = (statistics.mean(size), statistics.mean(noise))
    return judged


def medians(rounds):
    return {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}


def compare(sides, rounds, count, recipes, photos):
    """Interleaved rounds: each side's medians, and by side what our work is worth in its CPU time, round by round."""
    seen = {side.name: [] for side in sides}
    for number in range(rounds):
        for side in sides[number % len(sides):] + sides[:number % len(sides)]:
            seen[side.name].append(side.run(count, recipes, photos, together=True))
    ours = seen["tidepool"]
    ratios = {name: [theirs["cpu"] / own["cpu"] for theirs, own in zip(each, ours)] for name, each in seen.items()}
    return {name: medians(each) for name, each in seen.items()}, ratios


def first_byte(port, path):
    """Seconds from a request to the first byte of its answer, which must be a WebP."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        began = time.perf_counter()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: images.example\r\nConnection: close\r\n\r\n".encode())
        first = connection.recv(1)
        took = time.perf_counter() - began
        rest = first
        while chunk := connection.recv(65536):
            rest += chunk
    if b" 200 " not in rest.split(b"\r\n", 1)[0] or b"WEBPVP8" not in rest:
        fail(f"{path} was answered with {rest[:200]!r}")
    return took


def through_the_server(stack, cores, photo, folder):
    """Medians of the time from a request to the first byte, and of the bare encode, in turns."""
    tree = folder / "tree"
    names = [f"0f8fad5b-d9cb-469f-a165-{number:012x}" for number in range(REQUESTS + 1)]
    for name in names:
        original = tree / f"original/{DAY}/{name}.jpg"
        original.parent.mkdir(parents=True, exist_ok=True)
        original.write_bytes(photo.read_bytes())
    config = ('[variants]\non_demand = true\nworker_nice = 0\n[[profile]]\nname = "small"\nwidth = 320\nformats = ["webp"]\nat_upload = []\n'
              + pool("bench", tree))
    server = start_tidepool(stack, ",".join(map(str, cores)), BUILD / "tidepool", config)
    bare = Side(stack, "bare libvips", cores, [BUILD / "bench/bare_vips", 1])
    recipe = VARIANTS[0][1]
    times = {"server": [], "bare": []}
    for number, name in enumerate(names):
        path = f"/uploads/variants/{DAY}/{name}_small.webp"
        asked = first_byte(server.port(False, False), path)
        encoded = 1 / bare.run(1, [recipe], [photo])["per_s"]
        if number > 0:  # the first wakes everything
            times["server"].append(asked)
            times["bare"].append(encoded)
    return {name: statistics.median(each) for name, each in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="those scenarios whose name has this in it: WebP, AVIF, JPEG, set, server")
    parser.add_argument("--json", type=pathlib.Path, help="where every figure goes")
    options = parser.parse_args()
    os.environ["VIPS_WARNING"] = "none"  # of the commands that compare
    wanted = lambda name: options.only is None or options.only in name  # noqa: E731
    cores = two_cores("all of them for each side in turn")
    sharp = install_sharp()
    results, reached = [], True
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-variants-")))
        note("making photographs")
        photos = make_photos(folder)
        tidepool = Side(stack, "tidepool", cores, [BUILD / "bench/variants_bench", WORKERS])
        script = pathlib.Path(__file__).with_name("sharp_side.mjs")
        others = [Side(stack, "sharp", cores, ["node", script, SHARP, WORKERS, "equal"]),
                  Side(stack, "sharp-fast", cores, ["node", script, SHARP, WORKERS, "fast"]),
                  Side(stack, "libvips", cores, [BUILD / "bench/bare_vips", WORKERS])]
        sides = [tidepool, *others]
        note("comparing what they make")
        judged = check_and_judge(sides, photos, folder)
        for name, recipe in VARIANTS:
            if wanted(name):
                note(name)
                count = COUNTS[recipe.rpartition(":")[0].rpartition(":")[0]]
                results.append((name, SINGLE_TARGET, *compare(sides, options.rounds, count, [recipe], photos)))
        memory = {}
        if wanted("set"):
            note("the full set of an upload")
            for side in sides:
                side.forget_peak()
            name = "all four of an upload"
            results.append((name, SET_TARGET, *compare(sides, options.rounds, SET_COUNT, [r for _, r in VARIANTS], photos)))
            memory = {side.name: side.server.memory_kib()["VmHWM"] / 1024 for side in sides}
        times = {}
        if wanted("server"):
            note("through the server")
            times = through_the_server(stack, cores, photos[0], folder)
        options.seconds = 0  # of harness.circumstances; what it says of them is left out
        about = circumstances(options, cores)
    for key in ("nginx", "wrk", "cores", "load"):
        about.pop(key)
    libraries = {name: output_of("dpkg-query", "-W", "-f", "${Version}", package) for name, package in
                 (("vips", "libvips42"), ("webp", "libwebp7"), ("heif", "libheif1"), ("aom", "libaom3"))}
    print("\n" + "; ".join(f"{key} {value}" for key, value in about.items()) + f"; {options.rounds} interleaved rounds")
    print("tidepool and libvips: " + ", ".join(f"{key} {value}" for key, value in libraries.items()))
    print("sharp " + sharp["sharp"] + ": " + ", ".join(f"{key} {sharp.get(key)}" for key in libraries) + "\n")
    print("| | tidepool CPU-s | sharp CPU-s | sharp-fast CPU-s | libvips CPU-s | sharp/tidepool (min..max) | target | |"
          " sharp-fast/tidepool | libvips/tidepool | tidepool/s | sharp/s | sharp-fast/s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, target, median, ratios in results:
        ratio = median["sharp"]["cpu"] / median["tidepool"]["cpu"]
        beside = " | ".join(f"{median[name]['cpu'] / median['tidepool']['cpu']:.2f}" for name in ("sharp-fast", "libvips"))
        speeds = " | ".join(f"{median[name]['per_s']:.2f}" for name in ("tidepool", "sharp", "sharp-fast"))
        reached = reached and ratio >= target
        print(f"| {name} | " + " | ".join(f"{median[side.name]['cpu']:.4f}" for side in sides) +
              f" | **{ratio:.2f}** ({min(ratios['sharp']):.2f}..{max(ratios['sharp']):.2f}) | {target} |"
              f" {'pass' if ratio >= target else 'MISS'} | {beside} | {speeds} |")
    print("\n| | " + " | ".join(f"{side.name} KiB, dB" for side in sides) + " |\n| ---" + " | ---:" * len(sides) + " |")
    for name, _ in VARIANTS:
        print(f"| {name} | " + " | ".join(f"{judged[name, side.name][0] / 1024:.1f}, {judged[name, side.name][1]:.1f}"
                                          for side in sides) + " |")
    if memory:
        good = memory["tidepool"] < memory["sharp"]
        reached = reached and good
        print("\npeak resident memory, all processes: " + ", ".join(f"{k} {v:.0f} MiB" for k, v in memory.items()) +
              f": {'pass' if good else 'MISS'}")
    if times:
        ratio = times["server"] / times["bare"]
        reached = reached and ratio <= SERVER_TARGET
        print(f"\nfrom request to first byte of a 320 px WebP of 24 MP: {times['server'] * 1000:.1f} ms, bare encode"
              f" {times['bare'] * 1000:.1f} ms: {ratio:.2f}, at most {SERVER_TARGET}:"
              f" {'pass' if ratio <= SERVER_TARGET else 'MISS'}")
    if options.json:
        options.json.write_text(json.dumps({"about": about, "sharp": sharp, "memory": memory, "times": times, "results": [
            {"name": name, "target": target, "medians": median, "ratios": ratios}
            for name, target, median, ratios in results]}, indent=1))
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
