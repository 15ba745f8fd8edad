"""How much work per server core-second does tidepool do, and how much does nginx with the same files?

Both servers run at once on core A, each with one worker, and are loaded in turn by wrk on core B, in interleaved
rounds. Counted is the CPU time that the kernel charged to each server's processes, so that the figures hold where the
load generator and not the server is the limit. See bench/README.md.
"""

import argparse
import contextlib
import hashlib
import json
import pathlib
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from harness import (ROOT, Server, circumstances, fail, fetch, free_ports, head_bytes, make_files,  # noqa: E402
                     measure_server, note, number, pool, request_text, run_nginx, start_tidepool, two_cores,
                     wait_until_open, write_script, wrk)

RANGE = (1024 * 1024, 1024 * 1024 + 64 * 1024 - 1)  # the middle of a 2 MiB file

# Files made for the run: class, size in bytes, how many.
FILES = {
    "4k": (4 * 1024, 200),
    "16k": (16 * 1024, 200),
    "100k": (100 * 1024, 200),
    "2m": (2 * 1024 * 1024, 32),
}


class Scenario:
    """One kind of request, and by how much tidepool should be better at it."""

    def __init__(self, name, title, files, target, status=200, log=False, close=False):
        self.name, self.title, self.files, self.target = name, title, files, target
        self.status, self.log, self.close = status, log, close

    def headers(self, etag):
        found = {}
        if self.status == 304:
            found["If-None-Match"] = etag
        if self.status == 206:
            found["Range"] = "bytes=%d-%d" % RANGE
        if self.close:
            found["Connection"] = "close"
        return found


SCENARIOS = [
    Scenario("4k", "4 KiB", "4k", 1.3),
    Scenario("16k", "16 KiB", "16k", 1.3),
    Scenario("16k-log", "16 KiB, access logs on", "16k", 1.1, log=True),
    Scenario("100k", "100 KiB", "100k", 1.0),
    Scenario("2m", "2 MiB", "2m", 1.0),
    Scenario("304", "304 by If-None-Match, 16 KiB", "16k", 1.2, status=304),
    Scenario("range", "64 KiB range of 2 MiB", "2m", 1.2, status=206),
    Scenario("close", "one request a connection, 4 KiB", "4k", 1.0, close=True),
]


# --- servers ---------------------------------------------------------------------------------------------------------


def start_nginx(stack, core, root, name):
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-nginx-")))
    folder.chmod(0o755)  # the worker may run as another user
    ports = dict(zip(((False, False), (False, True), (True, False), (True, True)), free_ports(4)))
    words = {
        "DIR": folder, "ROOT": root, "FILES": min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        "PORT_PLAIN": ports[False, False], "PORT_NOPUSH": ports[False, True],
        "PORT_LOG_PLAIN": ports[True, False], "PORT_LOG_NOPUSH": ports[True, True],
    }
    process = run_nginx(stack, core, folder, (HERE / "nginx.conf.in").read_text(), words)
    for port in ports.values():
        wait_until_open(process, port, name)
    return Server(name, process, ports)


# --- the same answers ------------------------------------------------------------------------------------------------


def etags(port, paths):
    found = {}
    for path in paths:
        found[path] = fetch(port, path, {})[1]["ETag"]
        if not found[path]:
            fail(f"port {port} sends no ETag for {path}")
    return found


def check_same(scenario, root, sides, paths):
    """Every side answers the same status, type and bytes, and these are the file's."""
    for path in paths:
        content = pathlib.Path(root, path[1:]).read_bytes()
        expected = {200: content, 206: content[RANGE[0] : RANGE[1] + 1], 304: b""}[scenario.status]
        for side in sides:
            status, headers, body = fetch(side["port"], path, scenario.headers(side["etags"].get(path)))
            where = f"{scenario.name}: {side['server'].name} for {path}"
            if status != scenario.status:
                fail(f"{where}: status {status}, expected {scenario.status}")
            if hashlib.sha256(body).digest() != hashlib.sha256(expected).digest():
                fail(f"{where}: {len(body)} bytes that are not the file's")
            if status != 304 and headers["Content-Type"] != "image/jpeg":
                fail(f"{where}: Content-Type {headers['Content-Type']}")
            if status == 206 and headers["Content-Range"] != "bytes %d-%d/%d" % (*RANGE, len(content)):
                fail(f"{where}: Content-Range {headers['Content-Range']}")
            if headers["Cache-Control"] != "public, max-age=31536000, immutable":
                fail(f"{where}: Cache-Control {headers['Cache-Control']}")


# --- load ------------------------------------------------------------------------------------------------------------


def measure(core, side, seconds):
    """One round of a side."""
    return measure_server(core, f"{side['scenario'].name}: {side['server'].name}", side["server"], side["port"],
                          side["script"], seconds, side["answer_bytes"])


def make_side(folder, scenario, server, paths, nopush=False):
    port = server.port(scenario.log, nopush)
    tags = etags(port, paths) if scenario.status == 304 else {}
    requests = [request_text(path, scenario.headers(tags.get(path))) for path in paths]
    script = folder / f"{scenario.name}-{server.name}-{port}.lua"
    write_script(script, requests)
    body = {200: FILES[scenario.files][0], 206: RANGE[1] + 1 - RANGE[0], 304: 0}[scenario.status]
    return {
        "scenario": scenario, "server": server, "port": port, "etags": tags, "script": script, "nopush": nopush,
        "answer_bytes": head_bytes(port, requests[0]) + body,
    }


def better_nopush(options, folder, core, scenario, server, paths):
    """nginx with tcp_nopush as it does best in this scenario: short tries of both, in turn."""
    if not server.has_nopush():
        return make_side(folder, scenario, server, paths)
    sides = [make_side(folder, scenario, server, paths, nopush) for nopush in (False, True)]
    for side in sides:
        measure(core, side, 1)
    tries = [[measure(core, side, options.trial_seconds)["requests_per_cpu_s"] for side in sides] for _ in range(3)]
    medians = [statistics.median(column) for column in zip(*tries)]
    return sides[medians[1] > medians[0]]


def run_scenario(options, folder, root, core, scenario, ours, theirs, paths):
    """Interleaved rounds of one scenario. Returns what the table and the JSON file show."""
    paths = random.Random(2).sample(paths, len(paths))
    note(f"{scenario.name}: checking, then {options.rounds} rounds of 2 x {options.seconds} s")
    sides = [better_nopush(options, folder, core, scenario, server, paths) for server in (ours, theirs)]
    check_same(scenario, root, sides, paths[:20])
    for side in sides:
        measure(core, side, 1)
    rounds = [[], []]
    for number in range(options.rounds):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            rounds[which].append(measure(core, sides[which], options.seconds))
    keys = ("requests_per_s", "requests_per_cpu_s", "cpu_share", "p99_us")
    medians = [{key: statistics.median(each[key] for each in side) for key in keys} for side in rounds]
    for median in medians:
        median["cpu_s_per_100k"] = 1e5 / median["requests_per_cpu_s"]
    ratios = [a["requests_per_cpu_s"] / b["requests_per_cpu_s"] for a, b in zip(*rounds)]
    ratio = medians[0]["requests_per_cpu_s"] / medians[1]["requests_per_cpu_s"]
    return {
        "name": scenario.name, "title": scenario.title, "target": scenario.target,
        "ours": medians[0], "nginx": medians[1], "nginx_tcp_nopush": sides[1]["nopush"],
        "ratio": ratio, "ratio_min": min(ratios), "ratio_max": max(ratios), "reached": ratio >= scenario.target,
        "rounds": {"ours": rounds[0], "nginx": rounds[1]},
    }


# --- soak ------------------------------------------------------------------------------------------------------------

# One request in five is for a name that was never asked for before, so that what is remembered of absent names churns.
ABSENT_REQUESTS = """\
math.randomseed(1)
local ready_request = request
local format, random = string.format, math.random
function request()
    if random(5) == 1 then
        return format("GET /uploads/original/2026/01/01/%08x-%04x-4%03x-8%03x-%06x%06x.jpg HTTP/1.1\\r\\n"
            .. "Host: images.example\\r\\nUser-Agent: bench\\r\\n\\r\\n", random(0, 0x7fffffff), random(0, 0xffff),
            random(0, 0xfff), random(0, 0xfff), random(0, 0xffffff), random(0, 0xffffff))
    end
    return ready_request()
end
"""
SOAK_FILES = 4000
MEMORY_CACHE_MIB = 256  # cache.memory, the built-in default
MEMORY_LIMIT_MIB = 64 + MEMORY_CACHE_MIB


def soak(options, folder, core, server, paths):
    """Resident memory before and after many requests: 16 KiB files, 304s of them, absent names."""
    port = server.port(False, False)
    before = server.memory_kib()
    tags = etags(port, paths)
    scenario = next(each for each in SCENARIOS if each.name == "304")
    requests = [request_text(path, {} if number % 2 else scenario.headers(tags[path]))
                for number, path in enumerate(paths)]
    script = folder / "soak.lua"
    write_script(script, requests, ABSENT_REQUESTS)
    wanted, sent, samples = round(options.soak * 1e6), 0, []
    while sent < wanted:
        counted = wrk(core, port, script, options.soak_seconds)
        wrong = {key: counted[key] for key in ("connect", "read", "write", "timeout") if counted[key]}
        if wrong or not counted["requests"]:
            fail(f"soak: wrk saw errors: {wrong or counted}")
        sent += counted["requests"]
        samples.append({"requests": sent, "not_found": counted["status"], **server.memory_kib()})
        note(f"soak: {sent / 1e6:.2f} million requests, {samples[-1]['VmRSS'] / 1024:.1f} MiB resident")
    after = samples[-1]
    reached = after["VmHWM"] / 1024 < MEMORY_LIMIT_MIB
    print(f"\nSoak of {server.name}: {sent / 1e6:.2f} million requests (40 % 16 KiB, 40 % 304, 20 % 404 of names never"
          f" asked before), {SOAK_FILES} files = {SOAK_FILES * 16 / 1024:.1f} MiB of content,\n"
          f"cache.memory {MEMORY_CACHE_MIB} MiB (the default), all other caches at their defaults.\n")
    print("| memory of the process | before | after |\n| --- | ---: | ---: |")
    for key, meaning in (("VmRSS", "resident"), ("RssAnon", "of it private"), ("VmHWM", "highest ever")):
        print(f"| {meaning} ({key}) | {before[key] / 1024:.1f} MiB | {after[key] / 1024:.1f} MiB |")
    print(f"\nLimit: 64 MiB + cache.memory = {MEMORY_LIMIT_MIB} MiB: {'pass' if reached else 'MISS'}; without the"
          f" content it may hold: {after['VmHWM'] / 1024 - SOAK_FILES * 16 / 1024:.1f} MiB.")
    return {"requests": sent, "before": before, "after": after, "samples": samples, "reached": reached}


# --- report ----------------------------------------------------------------------------------------------------------


def print_table(name, results):
    """Medians of the rounds; the ratio is that of requests per server CPU second, with its range over the rounds."""
    print(f"| scenario | {name} req/s | nginx req/s | {name} req/CPU-s | nginx req/CPU-s | {name} CPU-s/100k "
          "| nginx CPU-s/100k | nginx tcp_nopush | ratio (min..max) | target | |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | --- |")
    for each in results:
        cells = [each["title"]]
        for key in ("requests_per_s", "requests_per_cpu_s", "cpu_s_per_100k"):
            cells += [number(each["ours"][key]), number(each["nginx"][key])]
        cells += [
            "on" if each["nginx_tcp_nopush"] else "off",
            f"**{each['ratio']:.2f}** ({each['ratio_min']:.2f}..{each['ratio_max']:.2f})",
            *((f"{each['target']:.1f}", "pass" if each["reached"] else "MISS") if name != "peer" else ("", "")),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def parse_options():
    parser = argparse.ArgumentParser(prog="./dev bench static", description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/tidepool")
    parser.add_argument("--rounds", type=int, default=5, help="rounds a scenario (default: 5)")
    parser.add_argument("--seconds", type=int, default=4, help="a round's length for each server (default: 4)")
    parser.add_argument("--trial-seconds", type=int, default=1,
                        help="length of a try of nginx's tcp_nopush (default: 1)")
    parser.add_argument("--only", metavar="NAME,...", help="of " + ",".join(each.name for each in SCENARIOS))
    parser.add_argument("--peer-only", action="store_true",
                        help="nginx against nginx: shows what of a ratio is noise")
    parser.add_argument("--soak", type=float, nargs="?", const=10.0, metavar="N",
                        help="instead: send N million requests and show resident memory (default: 10)")
    parser.add_argument("--soak-seconds", type=int, default=20, help="length of a soak's parts (default: 20)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything measured there")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else [each.name for each in SCENARIOS]
    unknown = set(names) - {each.name for each in SCENARIOS}
    if unknown:
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}")
    options.scenarios = [each for each in SCENARIOS if each.name in names]
    if not options.peer_only and not options.binary.exists():
        fail(f"{options.binary} is missing; ./dev build makes it")
    return options


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended
    cores = two_cores("one for the servers and one for wrk")
    server_core, wrk_core = cores

    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-static-")))
        folder.chmod(0o755)  # nginx's worker may run as another user

        def ours(log):
            if options.peer_only:
                return start_nginx(stack, server_core, folder, "peer")
            return start_tidepool(stack, server_core, options.binary, pool("uploads", folder / "uploads"), log)

        about = circumstances(options, cores)
        report = {"about": about}
        if options.soak:
            paths = make_files(folder, {"soak": (16 * 1024, SOAK_FILES)})["soak"]
            report["soak"] = soak(options, folder, wrk_core, ours(log=False), paths)
            reached = report["soak"]["reached"]
        else:
            paths = make_files(folder, FILES)
            nginx = start_nginx(stack, server_core, folder, "nginx")
            needed = sorted({each.log for each in options.scenarios})
            servers = {log: ours(log) for log in needed}
            report["results"] = [
                run_scenario(options, folder, folder, wrk_core, each, servers[each.log], nginx, paths[each.files])
                for each in options.scenarios
            ]
            reached = all(each["reached"] for each in report["results"]) or options.peer_only
            print("\n" + "; ".join(f"{key} {value}" for key, value in about.items()) + "\n")
            print_table(servers[needed[0]].name, report["results"])
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
