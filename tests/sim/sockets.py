"""What all simulators need of sockets: a listener with a thread for each connection, and exact ways to end one."""

import contextlib
import fcntl
import socket
import struct
import termios
import threading
import time

PATIENCE_S = 45


class Listener:
    """Accepts on a port of the kernel's choice and runs `serve(socket, number)` in a thread for each connection.

    The number counts connections from 1. The socket is closed when `serve` returns.
    """

    def __init__(self, serve, host="127.0.0.1", port=0):
        self._serve = serve
        self._lock = threading.Condition()
        self._open = {}  # thread -> socket
        self.accepted = 0
        self.stopped = False
        self._socket = socket.create_server((host, port), backlog=1024)
        self.address = self._socket.getsockname()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                if self.stopped:
                    return
                continue
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self.stopped:
                    accepted.close()
                    return
                self.accepted += 1
                thread = threading.Thread(target=self._run, args=(accepted, self.accepted), daemon=True)
                self._open[thread] = accepted
                self._lock.notify_all()
            thread.start()

    def _run(self, accepted, number):
        try:
            self._serve(accepted, number)
        except OSError:
            pass  # the peer went, or stop() ended the socket
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)
                self._lock.notify_all()
            accepted.close()

    @property
    def connections(self):
        """How many are open now."""
        with self._lock:
            return len(self._open)

    def wait_connections(self, number, patience_s=PATIENCE_S):
        """Returns when exactly so many are open."""
        with self._lock:
            if not self._lock.wait_for(lambda: len(self._open) == number, patience_s):
                raise AssertionError(f"{len(self._open)} connections are open, not {number}")

    def drop_all(self):
        """Ends every open connection, as a restart does."""
        with self._lock:
            for opened in self._open.values():
                with contextlib.suppress(OSError):
                    opened.shutdown(socket.SHUT_RDWR)

    def close(self):
        """Accepts no more, so that the port refuses; what is open stays so."""
        with self._lock:
            self.stopped = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() does not
        self._socket.close()
        self._thread.join(PATIENCE_S)

    def stop(self):
        """Ends everything and waits for it."""
        self.close()
        with self._lock:
            threads = list(self._open)
        self.drop_all()
        for thread in threads:
            thread.join(PATIENCE_S)


def unsent(sock):
    """How many bytes the peer's kernel has not acknowledged yet."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def end_by_rst(sock):
    """Resets the connection, but only after the peer has all that was sent: RST throws away what is still queued."""
    pause, deadline = threading.Event(), time.monotonic() + 5
    with contextlib.suppress(OSError):
        while unsent(sock) and time.monotonic() < deadline:
            pause.wait(0.001)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def end_by_fin(sock):
    """Ends our side in order and reads what the peer still says, for what is unread at close() would become an RST."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(1)
        while sock.recv(65536):
            pass
    sock.close()
