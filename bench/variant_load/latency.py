"""How long a client waits for hot files that it asks for at a steady pace."""

import contextlib
import os
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import fail, request_text  # noqa: E402

PROBES_A_SECOND = 500


def probe(port, paths, seconds):
    """Asks for one file after the other at a steady pace; the answers' times in milliseconds, in order of size."""
    requests = [request_text(path, {}).encode() for path in paths]
    took = []
    # Where that is allowed the probe itself never waits for a processor, as a client elsewhere would not.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.monotonic()
        for number in range(int(seconds * PROBES_A_SECOND)):
            due = begun + number / PROBES_A_SECOND
            time.sleep(max(0, due - time.monotonic()))  # tidy: allow sleep, the pace is what is measured at
            asked = time.monotonic()
            sock.sendall(requests[number % len(requests)])
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                fail(f"a hot file was answered by {head.splitlines()[0]}")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while len(body) < length:
                body += sock.recv(65536)
            took.append((time.monotonic() - asked) * 1000)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return sorted(took)


def p99(took):
    return took[len(took) * 99 // 100]
