"""A TCP proxy in front of any address that is slow, stalls, cuts, refuses or says nothing, and can change its mind.

    with TcpFault(("127.0.0.1", port)) as proxy:
        proxy.delay(up=0.05, down=0.05)
        stalled = proxy.stall(after=10_000)
        ... connect to proxy.address ...
        stalled.release()

"up" is from the client to the target, "down" back. Bytes of a rule are counted for each connection by itself, from the
rule's beginning or the connection's, whichever is later. Each connection is one thread with both its sockets.
"""

import collections
import contextlib
import os
import pathlib
import select
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sockets  # noqa: E402

PATIENCE_S = 45
MAX_HELD = 1 << 20  # bytes on their way in one direction of one connection
_DIRECTIONS = ("up", "down")


class Rule:
    """A stall or cut. Ends for the connections that wait in it, and for all others, by release()."""

    def __init__(self, proxy, kind, direction, after, how, count):
        if direction not in _DIRECTIONS or how not in ("fin", "rst") or after < 0:
            raise ValueError(f"{kind} {direction} {how} {after}")
        self._proxy, self.kind, self.direction = proxy, kind, direction
        self.after, self.how, self.count = after, how, count
        self.hits = 0  # connections that met it
        self.active = True
        self._met = set()

    def release(self):
        self.active = False
        self._proxy._changed()

    def applies(self, number):
        return self.active and (number in self._met or self.count is None or self.hits < self.count)

    def meet(self, number):
        if number not in self._met:
            self._met.add(number)
            self.hits += 1
            self._proxy._tell()

    def wait_hits(self, hits=1, patience_s=PATIENCE_S):
        """Returns when so many connections are held or were cut by it."""
        self._proxy._wait(lambda: self.hits >= hits, f"{self.kind} was met by {hits}", patience_s)


class _Way:
    """One direction of a connection: what was read and is not written yet."""

    def __init__(self, name, source, sink):
        self.name, self.source, self.sink = name, source, sink
        self.held = collections.deque()  # (when it may go, bytes)
        self.size = 0
        self.ended = self.closed = False
        self.passed = {}  # rule -> bytes since
        self.next_s = 0.0  # when a throttle lets the next bytes go

    def allowed(self, rules, number, count):
        """(how many of `count` bytes may go now, the cut that is due, whether a stall holds the rest)."""
        for rule in rules:
            if rule.direction != self.name or not rule.applies(number):
                continue
            left = rule.after - self.passed.setdefault(rule, 0)
            if left <= 0 and count > 0:
                rule.meet(number)
                return (0, rule, False) if rule.kind == "cut" else (0, None, True)
            count = min(count, left)
        return count, None, False

    def count_passed(self, rules, number, count):
        """Counts for the rules; the cut that these bytes completed, or None."""
        completed = None
        for rule in rules:
            if rule.direction == self.name and rule.applies(number):
                self.passed[rule] = self.passed.get(rule, 0) + count
                if rule.kind == "cut" and self.passed[rule] >= rule.after:
                    completed = rule
        return completed


class TcpFault:
    """The proxy; ends with its `with` block, or by stop(). `target` is an address for socket.connect."""

    def __init__(self, target, host="127.0.0.1"):
        self.target = target
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._rules, self._wakers, self._old = [], set(), []
        self._delay = dict.fromkeys(_DIRECTIONS, 0.0)
        self._rate = dict.fromkeys(_DIRECTIONS)
        self._silent = self._stopping = False
        self.accepted = 0  # how many connections there were
        self.bytes = dict.fromkeys(_DIRECTIONS, 0)
        # Bound and never listening: it keeps the port ours while connections are refused.
        self._claim = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self._claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._claim.bind((host, 0))
        self.address = self._claim.getsockname()
        self._listener = sockets.Listener(self._serve, *self.address[:2])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"http://{self.address[0]}:{self.address[1]}"

    def stop(self):
        with self._lock:
            self._stopping = True
        listeners = [*self._old, *([self._listener] if self._listener else [])]
        for listener in listeners:
            listener.close()
        self._changed()
        with self._news:
            self._news.wait_for(lambda: not self._wakers, 5)  # they reset both their sides
        for listener in listeners:
            listener.stop()
        self._claim.close()

    # --- what it does to connections ---

    def delay(self, up=0.0, down=0.0):
        """Seconds that every byte read from now on takes longer; the throughput stays."""
        with self._lock:
            self._delay = {"up": up, "down": down}

    def throttle(self, up=None, down=None):
        """Bytes per second (None: all)."""
        with self._lock:
            self._rate = {"up": up, "down": down}
        self._changed()

    def stall(self, after=0, direction="down", count=None):
        """Lets `after` bytes pass and then nothing, for the next `count` connections that get there (None: all)."""
        return self._add("stall", direction, after, "fin", count)

    def cut(self, after, how="fin", direction="down", count=None):
        """Ends the connection towards the receiver, and drops it towards the sender, when `after` bytes have passed.

        After none: when the first wants to pass.
        """
        return self._add("cut", direction, after, how, count)

    def refuse(self):
        """New connections are refused by the kernel; those that are open go on."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            self._old.append(listener)
            listener.close()

    def silence(self):
        """New connections are accepted, and then nothing; with heal() they go on."""
        with self._lock:
            self._silent = True

    def drop(self):
        """Resets all open connections on both sides."""
        with self._lock:
            for waker in self._wakers:
                waker.dropped = True
        self._changed()

    def heal(self):
        """Ends all that was set."""
        with self._lock:
            for rule in self._rules:
                rule.active = False
            self._rules.clear()
            self._delay = dict.fromkeys(_DIRECTIONS, 0.0)
            self._rate = dict.fromkeys(_DIRECTIONS)
            self._silent = False
            if self._listener is None:
                self._listener = sockets.Listener(self._serve, *self.address[:2])
        self._changed()

    # --- what it has seen ---

    @property
    def connections(self):
        """How many are open."""
        with self._lock:
            return len(self._wakers)

    def wait_connections(self, number, patience_s=PATIENCE_S):
        """Returns when exactly so many are open."""
        self._wait(lambda: len(self._wakers) == number, f"{number} connections are open", patience_s)

    # --- inside ---

    def _wait(self, condition, what, patience_s):
        with self._news:
            if not self._news.wait_for(condition, patience_s):
                raise AssertionError(f"did not happen: {what}")

    def _tell(self):
        with self._news:
            self._news.notify_all()

    def _add(self, *rule):
        with self._lock:
            added = Rule(self, *rule)
            self._rules.append(added)
        self._changed()
        return added

    def _changed(self):
        """Has every connection look again at what holds."""
        with self._news:
            for waker in self._wakers:
                waker.wake()
            self._news.notify_all()

    def _serve(self, client, _):
        waker = _Waker()
        with self._lock:
            self.accepted += 1
            number = self.accepted
            self._wakers.add(waker)
            self._news.notify_all()
        target = None
        try:
            with self._news:
                self._news.wait_for(lambda: not self._silent or self._stopping or waker.dropped)
                if self._stopping or waker.dropped:
                    return sockets.end_by_rst(client)
            try:
                target = (socket.socket(socket.AF_UNIX) if isinstance(self.target, str) else
                          socket.create_connection(self.target, PATIENCE_S))
                if isinstance(self.target, str):
                    target.connect(self.target)
                else:
                    target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                return sockets.end_by_rst(client)
            self._pump(number, client, target, waker)
        finally:
            if target is not None:
                target.close()
            client.close()
            with self._news:
                self._wakers.discard(waker)
                waker.close()
                self._news.notify_all()
        return None

    def _pump(self, number, client, target, waker):
        client.setblocking(False)
        target.setblocking(False)
        ways = [_Way("up", client, target), _Way("down", target, client)]
        while not all(way.closed for way in ways):
            reads, writes, wake_s = [waker.descriptor], [], None
            with self._lock:
                rules, rates = list(self._rules), dict(self._rate)
                if self._stopping or waker.dropped:
                    return self._reset(client, target)
            now = time.monotonic()
            for way in ways:
                if not way.ended and way.size < MAX_HELD:
                    reads.append(way.source)
                if not way.held:
                    continue
                count, cut, stalled = way.allowed(rules, number, len(way.held[0][1]))
                if cut is not None:
                    return self._cut(cut, way)
                due_s = max(way.held[0][0], way.next_s if rates[way.name] else 0)
                if stalled:
                    continue
                if due_s <= now and count:
                    writes.append(way.sink)
                elif due_s > now:
                    wake_s = min(due_s, wake_s or due_s)
            timeout = None if wake_s is None else max(0, wake_s - now)
            readable, writable, _ = select.select(reads, writes, [], timeout)
            if waker.descriptor in readable:
                waker.clear()
                continue
            for way in ways:
                try:
                    if way.source in readable:
                        self._read(way)
                    if way.sink in writable and way.sink in writes and way.held:
                        cut = self._write(number, way, rules, rates[way.name])
                        if cut is not None:
                            return self._cut(cut, way)
                except OSError:
                    return self._reset(client, target)
                if way.ended and not way.held and not way.closed:
                    way.closed = True
                    with contextlib.suppress(OSError):
                        way.sink.shutdown(socket.SHUT_WR)
        return None

    def _read(self, way):
        data = way.source.recv(65536)
        if not data:
            way.ended = True
        else:
            way.held.append((time.monotonic() + self._delay[way.name], data))
            way.size += len(data)

    def _write(self, number, way, rules, rate):
        due_s, data = way.held[0]
        if due_s > time.monotonic():
            return None
        count, _, _ = way.allowed(rules, number, len(data))
        if rate:
            count = min(count, max(1, rate // 20))
        if not count:
            return None
        try:
            # Counted before they go, so that whoever has them finds them counted.
            with self._lock:
                self.bytes[way.name] += count
            sent = way.sink.send(data[:count])
        except BlockingIOError:
            sent = 0
        with self._lock:
            self.bytes[way.name] -= count - sent
        way.size -= sent
        way.held.popleft()
        if sent < len(data):
            way.held.appendleft((due_s, data[sent:]))
        if rate:
            way.next_s = max(way.next_s, time.monotonic() - 0.1) + sent / rate
        cut = way.count_passed(rules, number, sent)
        if cut is not None:
            cut.meet(number)
        return cut

    @staticmethod
    def _reset(*both):
        for sock in both:
            sockets.end_by_rst(sock)

    @staticmethod
    def _cut(rule, way):
        """The receiver sees FIN or RST behind the last byte, the sender a connection that is gone."""
        way.sink.setblocking(True)
        sockets.end_by_rst(way.source)
        if rule.how == "rst":
            sockets.end_by_rst(way.sink)
        else:
            sockets.end_by_fin(way.sink)


class _Waker:
    """Wakes the select of one connection."""

    def __init__(self):
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.dropped = False

    def wake(self):
        os.eventfd_write(self.descriptor, 1)

    def clear(self):
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)

    def close(self):
        os.close(self.descriptor)
