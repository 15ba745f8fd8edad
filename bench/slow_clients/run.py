"""Does memory stay flat while a thousand slow clients read cold objects of 20 MiB?

An nginx is the bucket, one process the crowd: each client takes 64 KiB a second and no more, now and then one leaves in the
middle and another comes. After a while some read to the end as fast as they can. With a shelf and without. See
bench/README.md.
"""

import argparse
import contextlib
import os
import pathlib
import random
import signal
import socket
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bucket import BUCKET_ROLE, bucket_pool, fill_catalog, start_nginx  # noqa: E402
from harness import ROOT, circumstances, fail, free_ports, note, request_text, start_tidepool, two_cores  # noqa: E402

KIB, MIB = 1024, 1024 * 1024
SIZE = 20 * MIB
SHIFT = 4096 + 1  # by which the contents of two objects differ: no stretch of one fits into another
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
TURN_S = 0.25       # between two reads of a client
LEAVE_A_SECOND = 0.01
# What the limits allow for beside the buffers: a connection's state and what malloc keeps of what was freed.
CLIENT_BYTES = 24 * KIB
SLACK_BYTES = 32 * MIB
# A piece of a body on its way from the socket into memory, and one with which it overshoots origin.buffer there.
ON_ITS_WAY_BYTES = 2 * 128 * KIB


class Contents:
    """What the objects are: noise, each from another place of it, so that they are told apart without 800 MiB here."""

    def __init__(self, count):
        self.noise = memoryview(random.Random(7).randbytes(SIZE + count * SHIFT))
        self.paths = [f"uploads/original/2026/11/25/00000000-0000-4000-8000-{number:012}.jpg" for number in range(count)]

    def write(self, folder):
        for number, path in enumerate(self.paths):
            file = pathlib.Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(JPEG + self.noise[number * SHIFT + len(JPEG):number * SHIFT + SIZE])

    def holds(self, number, offset, data):
        if offset < len(JPEG):
            start = JPEG[offset:offset + len(data)]
            if data[:len(start)] != start:
                return False
            data, offset = data[len(start):], offset + len(start)
        return self.noise[number * SHIFT + offset:number * SHIFT + offset + len(data)] == data


class Client:
    """One of the crowd: asks for one object and judges every byte that comes."""

    def __init__(self, port, contents, number):
        self.contents, self.number = contents, number
        self.head, self.received, self.ended, self.wrong = b"", None, False, None
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(request_text("/" + contents.paths[number], {"Connection": "close"}).encode())
        self.socket.setblocking(False)

    def read(self, most):
        """Takes up to `most` bytes; how many came."""
        try:
            data = self.socket.recv(most)
        except BlockingIOError:
            return 0
        except ConnectionResetError:
            return self.end("reset")
        if not data:
            return self.end(None if self.received == SIZE else f"ended after {self.received} bytes")
        if self.received is None:
            self.head += data
            head, found, data = self.head.partition(b"\r\n\r\n")
            if not found:
                return 1
            if not head.startswith(b"HTTP/1.1 200 ") or b"content-length: %d\r\n" % SIZE not in head.lower() + b"\r\n":
                return self.end(f"answered {head.splitlines()[0].decode()}")
            self.received = 0
        if not self.contents.holds(self.number, self.received, data):
            return self.end(f"other bytes after {self.received}")
        self.received += len(data)
        return len(data)

    def end(self, wrong):
        self.ended, self.wrong = True, wrong
        self.socket.close()
        return 0


class Crowd:
    def __init__(self, options, port, contents):
        self.rng = random.Random(3)
        self.options, self.port, self.contents = options, port, contents
        self.wrong, self.left, self.received = [], 0, 0
        self.clients = []

    def fill(self):
        """A client comes for each that is missing, a few at a time as a crowd does."""
        for _ in range(min(self.options.clients - len(self.clients), self.options.clients // 10)):
            self.clients.append(Client(self.port, self.contents, self.rng.randrange(len(self.contents.paths))))

    def turn(self, most):
        """Each client reads once; those that have ended are judged and gone."""
        for client in self.clients:
            self.received += client.read(most)
        self.wrong += [client.wrong for client in self.clients if client.wrong]
        self.clients = [client for client in self.clients if not client.ended]

    def leave(self, count):
        for client in self.rng.sample(self.clients, min(count, len(self.clients))):
            client.socket.close()
            self.clients.remove(client)
            self.left += 1


def anonymous(server):
    return server.memory_kib()["RssAnon"] * KIB


def run(options, name, server, contents, limit_bytes, formula):
    """Loads one server; whether it was as it should be."""
    port = server.port(False, False)
    first = Client(port, contents, 0)
    while not first.ended:  # what every process takes once is no growth
        first.read(MIB)
    if first.wrong:
        fail(f"{name}: a first client's answer {first.wrong}")
    time.sleep(1)
    before = most = anonymous(server)
    crowd = Crowd(options, port, contents)
    begun = time.monotonic()
    samples = []

    def sample():
        nonlocal most
        now = anonymous(server)
        most = max(most, now)
        samples.append((time.monotonic() - begun, now, len(crowd.clients)))

    leaving, next_sample = 0.0, 0.0
    while (elapsed := time.monotonic() - begun) < options.seconds and server.process.poll() is None:
        crowd.fill()
        crowd.turn(int(options.rate_kib * KIB * TURN_S))
        leaving += options.clients * LEAVE_A_SECOND * TURN_S
        crowd.leave(int(leaving))
        leaving %= 1
        if elapsed >= next_sample:
            sample()
            next_sample += options.seconds / 12
        time.sleep(max(0, begun + elapsed + TURN_S - time.monotonic()))
    late = time.monotonic() - begun
    slow_bytes, left = crowd.received, crowd.left
    crowd.leave(len(crowd.clients) - options.finish)
    finishing = len(crowd.clients)
    give_up = time.monotonic() + 300
    while crowd.clients and time.monotonic() < give_up and server.process.poll() is None:
        before_turn = crowd.received
        crowd.turn(MIB)
        if crowd.received == before_turn:
            time.sleep(0.01)
        if time.monotonic() - begun > samples[-1][0] + 5:
            sample()
    if crowd.clients:
        crowd.wrong += ["never ended"] * len(crowd.clients)
    time.sleep(2)
    sample()
    is_alive = server.process.poll() is None

    print(f"\n{name}: {options.clients} clients, {left} of them left in the middle and were replaced,"
          f" {slow_bytes / MIB / late:.0f} MiB/s for {late:.0f} s, then {finishing} to the end")
    print("  RssAnon in MiB: before", f"{before / MIB:.0f};",
          ", ".join(f"{at:.0f} s: {bytes_ / MIB:.0f} ({clients})" for at, bytes_, clients in samples))
    grown = most - before
    print(f"  grown by at most {grown / MIB:.0f} MiB; allowed: {formula} = {limit_bytes / MIB:.0f} MiB")
    counts = {text: crowd.wrong.count(text) for text in sorted(set(crowd.wrong))}
    print(f"  answers that were not right: {counts or 'none'}; the server {'lives' if is_alive else 'DIED'}")
    good = is_alive and not crowd.wrong and grown <= limit_bytes
    print("  pass" if good else "  MISS", flush=True)
    return good


def parse_options():
    parser = argparse.ArgumentParser(prog="./dev bench slow_clients", description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/tidepool")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--objects", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60, help="of slow reading, for each of the two")
    parser.add_argument("--rate-kib", type=int, default=64, help="KiB a second that a client takes")
    parser.add_argument("--finish", type=int, default=100, help="clients that read to the end after that")
    parser.add_argument("--connections", type=int, help="origin.connections; default: two for each client")
    parser.add_argument("--buffer-kib", type=int, default=256, help="origin.buffer")
    parser.add_argument("--only", choices=("shelf", "bare"))
    options = parser.parse_args()
    options.rounds = 1  # for circumstances()
    options.connections = options.connections or 2 * options.clients
    return options


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cores = two_cores("one for the server and one for the clients and the bucket")
    os.sched_setaffinity(0, {cores[1]})
    good = True
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-slow-clients-")))
        folder.chmod(0o755)
        note(f"making {options.objects} objects of {SIZE // MIB} MiB, and a catalog that knows their SHA-256")
        contents = Contents(options.objects)
        contents.write(folder)
        state = folder / "state"
        region, key = fill_catalog(options.binary, folder, state, folder, hashed=True)
        origin, = free_ports(1)
        start_nginx(stack, cores[1], BUCKET_ROLE, PORT=origin, ROOT=folder)
        # As many connections as there may be fetches: without a shelf each slow client ends up with one of its own.
        config = (f'[limits]\nconnections_per_peer = 10000\n[origin]\nbuffer = "{options.buffer_kib}KiB"\n'
                  f"connections = {options.connections}\n")
        bucket = bucket_pool(f"http://127.0.0.1:{origin}", region, key, friendly=True)
        clients = options.clients * CLIENT_BYTES + SLACK_BYTES
        client_text = f"{options.clients} clients x {CLIENT_BYTES // KIB} KiB + {SLACK_BYTES // MIB} MiB"
        buffer, buffer_text = options.buffer_kib * KIB, f"origin.buffer of {options.buffer_kib} KiB"
        at_once = min(options.clients, options.connections)
        for name, shelf, limit, formula in (
                ("shelf", 'min_free = "0B"', options.objects * 2 * buffer,
                 f"{options.objects} objects x 2 x {buffer_text}"),
                ("bare", 'path = ""', at_once * (buffer + ON_ITS_WAY_BYTES),
                 f"{at_once} fetches x ({buffer_text} + {ON_ITS_WAY_BYTES // KIB} KiB on its way)")):
            if options.only in (None, name):
                with contextlib.ExitStack() as inner:
                    server = start_tidepool(inner, cores[0], options.binary, f"{config}[shelf]\n{shelf}\n{bucket}",
                                            state=state)
                    good &= run(options, "with a shelf" if name == "shelf" else "without a shelf", server, contents,
                                limit + clients, f"{formula} + {client_text}")
        about = circumstances(options, cores)
    print("\n" + "; ".join(f"{name} {value}" for name, value in about.items() if name not in ("wrk", "load")))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
