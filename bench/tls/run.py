"""TLS 1.3 with an ECDSA certificate: handshakes and 16 KiB answers per server core-second, beside nginx. See
bench/README.md."""

import argparse
import contextlib
import pathlib
import random
import re
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from harness import (  # noqa: E402
    ROOT, TICKS_PER_SECOND, Server, certificate, circumstances, fail, fetch, free_ports, head_bytes, make_files,
    measure_server, note, number, pool, request_text, run_nginx, start_tidepool, two_cores, wait_until_open, write_script)

SCENARIOS = {  # name: title, size of the files, how many, further fields; "h2-..." are over HTTP/2
    "handshake": ("a whole handshake a request, 1 KiB", 1024, 50, {}),
    "ticket": ("a handshake by ticket a request, 1 KiB", 1024, 50, {"Connection": "close"}),
    "16k": ("16 KiB", 16 * 1024, 200, {}),
    "h2-16k": ("16 KiB, HTTP/2", 16 * 1024, 200, {}),
    "h2-2m": ("2 MiB, HTTP/2", 2 * 1024 * 1024, 16, {}),
    "100k": ("100 KiB", 100 * 1024, 100, {}),
    "2m": ("2 MiB", 2 * 1024 * 1024, 16, {}),
}
TARGET = 1.0
# Of h2load: few connections with many requests each, as an edge has them.
H2_CONNECTIONS, H2_STREAMS = 16, 20
# Of h2load where each connection has one request: how many come at once, twenty times a second. wrk takes its sessions up
# again, h2load does not. Its core can do some half more, so it is not what is measured.
HANDSHAKES = 30


def start_nginx(stack, core, folder, chain, key):
    ports = free_ports(2)
    words = {"DIR": folder, "ROOT": folder, "CHAIN": chain, "KEY": key, "PORT_PLAIN": ports[0], "PORT_TLS": ports[1]}
    process = run_nginx(stack, core, folder, (HERE / "nginx.conf.in").read_text(), words)
    for port in ports:
        wait_until_open(process, port, "nginx")
    return Server("nginx", process, {(False, False): ports[0], "tls": ports[1]})


def start_ours(stack, core, binary, folder, chain, key):
    port = free_ports(1)[0]
    config = (f'[tls]\nlisten = ["127.0.0.1:{port}"]\n[[certificate]]\nchain_file = "{chain}"\nkey_file = "{key}"\n'
              + pool("uploads", folder / "uploads"))
    server = start_tidepool(stack, core, binary, config)
    wait_until_open(server.process, port, "tidepool")
    server.ports["tls"] = port
    return server


def check_version(server):
    """The cipher that is spoken, over TLS 1.3."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.ports["tls"])) as plain, \
            context.wrap_socket(plain, server_hostname="images.example") as wire:
        if wire.version() != "TLSv1.3":
            fail(f"{server.name} spoke {wire.version()}")
        note(f"{server.name}: {wire.version()}, {wire.cipher()[0]}")
        return wire.cipher()[0]


def h2load(core, name, server, urls, seconds, size):
    """One round over HTTP/2, or of connections with one request each: answers per second of the server's CPU. Fails on any
    wrong answer."""
    if name.startswith("h2-"):
        protocol, at_once = "h2", H2_CONNECTIONS * H2_STREAMS
        load = [f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", f"-D{seconds}", "-w20", "-W24"]
    else:
        protocol, at_once, connections = "http/1.1", 0, 20 * HANDSHAKES * seconds
        load = ["--h1", f"-c{connections}", f"-n{connections}", f"-r{HANDSHAKES}", "--rate-period=50ms"]
    before = server.cpu_ticks()
    done = subprocess.run(["taskset", "--cpu-list", str(core), "h2load", "-t1", *load, "-i", urls], capture_output=True,
                          text=True, check=False, timeout=seconds + 60)
    cpu = (server.cpu_ticks() - before) / TICKS_PER_SECOND
    requests = re.search(r"requests: .* (\d+) done, (\d+) succeeded, 0 failed, 0 errored, 0 timeout", done.stdout)
    traffic = re.search(r"traffic: .*, [^(]*\(([0-9]+)\) data", done.stdout)
    if done.returncode != 0 or not requests or not int(requests[2]) or not traffic or not cpu or f"Application protocol: {protocol}\n" not in done.stdout:
        fail(f"{name}: h2load failed:\n{done.stdout}{done.stderr}")
    count = int(requests[2])
    slack = 2 * at_once / count + 0.02  # at the end some answers are only half read
    if not size * (1 - slack) <= int(traffic[1]) / count <= size * (1 + slack):
        fail(f"{name}: answers of {int(traffic[1]) / count:.0f} bytes on average, expected {size}")
    return count / cpu


def run(options, folder, core, name, servers, paths):
    title, size, _, fields = SCENARIOS[name]
    note(f"{name}: {options.rounds} rounds of 2 x {options.seconds} s")
    requests = [request_text(path, fields) for path in random.Random(2).sample(paths, len(paths))]
    sides = []
    for server in servers:
        for path in paths[:5]:
            if fetch(server.ports[False, False], path, {})[2] != (folder / path[1:]).read_bytes():
                fail(f"{server.name}: {path} is not the file")
        script = folder / f"{name}-{server.name}.lua"
        write_script(script, requests)
        answer = head_bytes(server.ports[False, False], requests[0]) + size
        sides.append((core, f"{name}: {server.name}", server, server.ports["tls"], script, answer))
    rounds = [[], []]
    for number_ in range(options.rounds + 1):
        for which in (0, 1) if number_ % 2 == 0 else (1, 0):
            core, title_, server, port, script, answer = sides[which]
            seconds = options.seconds if number_ else 2
            if name.startswith("h2-") or name == "handshake":
                urls = folder / f"{name}-{server.name}.urls"
                urls.write_text("".join(f"https://127.0.0.1:{port}{path}\n" for path in paths))
                got = h2load(core, title_, server, urls, seconds, size)
            else:
                got = measure_server(core, title_, server, port, script, seconds, answer, "https")["requests_per_cpu_s"]
            if number_:  # the first is for warming up
                rounds[which].append(got)
    ours, theirs = map(statistics.median, rounds)
    ratios = [a / b for a, b in zip(*rounds)]
    return title, ours, theirs, ours / theirs, min(ratios), max(ratios)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench tls", description=__doc__)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/tidepool")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="a round's length for each server (default: 4)")
    parser.add_argument("--only", metavar="NAME,...", default=",".join(SCENARIOS))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended
    cores = two_cores("one for the servers and one for wrk")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tls-")))
        folder.chmod(0o755)  # nginx's worker may run as another user
        chain, key = certificate(folder)
        paths = make_files(folder, {name: SCENARIOS[name][1:3] for name in options.only.split(",")})
        servers = (start_ours(stack, cores[0], options.binary, folder, chain, key),
                   start_nginx(stack, cores[0], folder, chain, key))
        if len(ciphers := {check_version(server) for server in servers}) != 1:
            fail(f"different ciphers: {ciphers}")
        rows = [run(options, folder, cores[1], name, servers, paths[name]) for name in options.only.split(",")]
        print("\n" + "; ".join(f"{key} {value}" for key, value in circumstances(options, cores).items()) + "\n")
    print("| scenario | tidepool req/CPU-s | nginx req/CPU-s | ratio (min..max) | target | |\n"
          "| --- | ---: | ---: | ---: | ---: | --- |")
    for title, ours, theirs, ratio, least, most in rows:
        print(f"| {title} | {number(ours)} | {number(theirs)} | **{ratio:.2f}** ({least:.2f}..{most:.2f}) | {TARGET:.1f} "
              f"| {'pass' if ratio >= TARGET else 'MISS'} |")
    sys.exit(0 if all(row[3] >= TARGET for row in rows) else 1)


if __name__ == "__main__":
    main()
