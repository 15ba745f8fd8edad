"""What does an object of a bucket cost the server, beside nginx as a caching and as a plain proxy?

Both servers run on core A; the bucket (an nginx that serves files under S3's path-style URLs) and wrk on core B, so
only the servers' own CPU time is counted. See bench/README.md.
"""

import argparse
import contextlib
import os
import pathlib
import random
import selectors
import signal
import socket
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from bucket import BUCKET_ROLE, bucket_pool, fill_catalog, start_nginx  # noqa: E402
from harness import (ROOT, circumstances, fail, fetch, free_ports, head_bytes, make_files, measure_server,  # noqa: E402
                     note, number, request_text, start_tidepool, two_cores, write_script)
import tcp_fault  # noqa: E402: bucket made its folder known

FILES = {"16k": (16 * 1024, 200), "2m": (2 * 1024 * 1024, 24), "many": (16 * 1024, 4000), "cold": (2 * 1024 * 1024, 12)}
CLIENTS = 500
ORIGIN_DELAY_S = 0.2

PROXY_ROLE = """
    upstream bucket { server 127.0.0.1:@ORIGIN@; keepalive 128; keepalive_requests 1000000000; }
    upstream slow_bucket { server 127.0.0.1:@SLOW_ORIGIN@; keepalive 128; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_cache_path @DIR@/cache levels=1:2 keys_zone=all:64m max_size=8g inactive=1d use_temp_path=off;
    proxy_cache_lock on;
    proxy_cache_lock_age 60s;
    proxy_cache_lock_timeout 60s;
    proxy_cache_valid 200 1d;
    add_header Cache-Control "public, max-age=31536000, immutable";
    add_header X-Content-Type-Options nosniff;
    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        location /uploads/ { proxy_cache all; proxy_pass http://bucket/@BUCKET@/uploads/; }
    }
    server {
        listen 127.0.0.1:@PLAIN@ backlog=4096;
        location /uploads/ { proxy_pass http://bucket/@BUCKET@/uploads/; }
    }
    server {
        listen 127.0.0.1:@SLOW@ backlog=4096;
        location /uploads/ { proxy_cache all; proxy_pass http://slow_bucket/@BUCKET@/uploads/; }
    }
"""


def check_same(root, port, paths, where):
    for path in paths:
        status, _, body = fetch(port, path, {})
        if status != 200 or body != pathlib.Path(root, path[1:]).read_bytes():
            fail(f"{where}: {path}: status {status}, {len(body)} bytes that are not the file's")


def compare(options, folder, root, core, name, paths, sides):
    """Interleaved rounds; medians of requests per server core-second."""
    paths = random.Random(2).sample(paths, len(paths))
    note(f"{name}: checking, then {options.rounds} rounds of 2 x {options.seconds} s")
    for side in sides:
        check_same(root, side["port"], paths[:20], f"{name}: {side['server'].name}")
        for path in paths if side["warm"] else ():
            fetch(side["port"], path, {})
        requests = [request_text(path, {}) for path in paths]
        side["script"] = folder / f"{name}-{side['server'].name}.lua"
        write_script(side["script"], requests)
        size = pathlib.Path(root, paths[0][1:]).stat().st_size
        side["bytes"] = head_bytes(side["port"], requests[0]) + size

    def round_of(side, seconds):
        return measure_server(core, f"{name}: {side['server'].name}", side["server"], side["port"], side["script"],
                              seconds, side["bytes"])
    for side in sides:
        round_of(side, 1)
    rounds = [[], []]
    for count in range(options.rounds):
        for which in (0, 1) if count % 2 == 0 else (1, 0):
            rounds[which].append(round_of(sides[which], options.seconds))
    medians = [{key: statistics.median(each[key] for each in side) for key in ("requests_per_s", "requests_per_cpu_s")}
               for side in rounds]
    ratios = [a["requests_per_cpu_s"] / b["requests_per_cpu_s"] for a, b in zip(*rounds)]
    return medians, medians[0]["requests_per_cpu_s"] / medians[1]["requests_per_cpu_s"], min(ratios), max(ratios)


def stampede(port, path, content):
    """CLIENTS clients ask at once for one object; seconds until the last has it whole."""
    request = request_text(path, {"Connection": "close"}).encode()
    waiting = selectors.DefaultSelector()
    begun = time.monotonic()
    for _ in range(CLIENTS):
        client = socket.socket()
        client.connect(("127.0.0.1", port))
        client.sendall(request)
        client.setblocking(False)
        waiting.register(client, selectors.EVENT_READ, bytearray())
    left = CLIENTS
    while left:
        for event, _ in waiting.select(60):
            try:
                piece = event.fileobj.recv(1 << 20)
            except BlockingIOError:
                continue
            event.data.extend(piece)
            if piece:
                continue
            if bytes(event.data).partition(b"\r\n\r\n")[2] != content:
                fail(f"a client got {len(event.data)} bytes that are not the object")
            waiting.unregister(event.fileobj)
            event.fileobj.close()
            left -= 1
    return time.monotonic() - begun


def parse_options():
    parser = argparse.ArgumentParser(prog="./dev bench proxy", description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/tidepool")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="shelf,bare,stampede", help="some of shelf,bare,stampede")
    return parser.parse_args()


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cores = two_cores("one for the servers and one for wrk and the bucket")
    os.sched_setaffinity(0, {cores[1]})  # this program is client and simulator
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-proxy-")))
        folder.chmod(0o755)
        paths = make_files(folder, FILES)
        state = folder / "state"
        region, key = fill_catalog(options.binary, folder, state, folder)

        origin, front, plain, slow = free_ports(4)
        start_nginx(stack, cores[1], BUCKET_ROLE, PORT=origin, ROOT=folder)
        delay = stack.enter_context(tcp_fault.TcpFault(("127.0.0.1", origin)))
        delay.delay(down=ORIGIN_DELAY_S)
        nginx = start_nginx(stack, cores[0], PROXY_ROLE, PORT=front, PLAIN=plain, SLOW=slow, ORIGIN=origin,
                            SLOW_ORIGIN=delay.address[1])
        endpoint = f"http://127.0.0.1:{origin}"
        more = "[limits]\nconnections_per_peer = 10000\n"

        def ours(settings, url=endpoint, where=state):
            return start_tidepool(stack, cores[0], options.binary, more + settings + bucket_pool(url, region, key),
                                  state=where)
        shelf = '[shelf]\nmin_free = "0B"\n'
        results = []
        only = options.only.split(",")
        if "shelf" in only:
            shelved = ours(shelf)
            for name, title, target in (("16k", "shelf hits, 16 KiB", 1.2), ("2m", "shelf hits, 2 MiB", 1.0)):
                sides = [{"server": shelved, "port": shelved.port(False, False), "warm": True},
                         {"server": nginx, "port": front, "warm": True}]
                results.append((title, target, *compare(options, folder, folder, cores[1], name, paths[name], sides)))
        if "bare" in only:
            # Nothing kept anywhere, and more objects than connections, so that each request is one of the bucket's.
            bare = ours('[cache]\nmemory = "0B"\n[shelf]\npath = ""\n')
            sides = [{"server": bare, "port": bare.port(False, False), "warm": False},
                     {"server": nginx, "port": plain, "warm": False}]
            results.append(("pass-through, 16 KiB", 0.6,
                            *compare(options, folder, folder, cores[1], "many", paths["many"], sides)))
        times = {"tidepool": [], "nginx": []}
        if "stampede" in only:
            stampeded = ours(shelf, f"http://127.0.0.1:{delay.address[1]}", state)
            for path in paths["cold"]:
                content = (folder / path[1:]).read_bytes()
                times["tidepool"].append(stampede(stampeded.port(False, False), path, content))
                times["nginx"].append(stampede(slow, path, content))
        about = circumstances(options, cores)
    print("\n" + "; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    print("| scenario | tidepool req/s | nginx req/s | tidepool req/CPU-s | nginx req/CPU-s | ratio (min..max) | target | |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    reached = True
    for title, target, medians, ratio, least, most in results:
        reached = reached and ratio >= target
        cells = [title, *(number(side["requests_per_s"]) for side in medians),
                 *(number(side["requests_per_cpu_s"]) for side in medians),
                 f"**{ratio:.2f}** ({least:.2f}..{most:.2f})", f"{target:.1f}", "pass" if ratio >= target else "MISS"]
        print("| " + " | ".join(cells) + " |")
    if times["nginx"]:
        last = {name: statistics.median(each) for name, each in times.items()}
        ratio = last["tidepool"] / last["nginx"]
        reached = reached and ratio <= 1
        print(f"\n{CLIENTS} clients at once for one cold object of 2 MiB, {ORIGIN_DELAY_S * 1000:.0f} ms from the bucket,"
              f" until the last has it: tidepool {last['tidepool']:.2f} s, nginx {last['nginx']:.2f} s (medians of"
              f" {len(paths['cold'])}): {ratio:.2f}, at most 1.0 wanted: {'pass' if ratio <= 1 else 'MISS'}")
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
