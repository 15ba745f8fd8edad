"""HTTP/2 as raw frames over TLS, for what well-behaved clients never send. Header compression is Debian's python3-hpack."""

import collections
import ssl
import struct

import hpack

from tidepool import PATIENCE_S, Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
# Settings, and codes of errors (RFC 9113, 6.5.2 and 7).
ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 2, 3, 4, 5, 6
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)

Frame = collections.namedtuple("Frame", "type flags stream payload")


class Answer:
    """What came on one stream."""

    def __init__(self):
        self.interim, self.fields, self.body, self.reset, self.ended = [], None, b"", None, False

    @property
    def status(self):
        return int(self[":status"]) if self.fields else None

    def __getitem__(self, name):
        found = [value for key, value in self.fields if key == name]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", name, value) for name, value in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def plain_block(fields):
    """A header block without compression: each field a literal that nobody remembers, of any bytes."""
    def text(value):
        value = value if isinstance(value, bytes) else value.encode()
        size, prefix = len(value), b""
        if size < 127:
            return bytes([size]) + value
        prefix, size = b"\x7f", size - 127
        while size >= 128:
            prefix, size = prefix + bytes([size % 128 + 128]), size // 128
        return prefix + bytes([size]) + value

    return b"".join(b"\x00" + text(name) + text(value) for name, value in fields)


class Http2Wire:
    """One connection, begun with settings of one's own. Frames are read into `answers` by stream, and `frames`."""

    def __init__(self, address, client, host="images.example", begin=True, own=((ENABLE_PUSH, 0),), session=None, **options):
        self.wire = Wire(address, **options)
        self.host = host
        client.set_alpn_protocols(["h2", "http/1.1"])
        try:
            self.wire.socket = client.wrap_socket(self.wire.socket, server_hostname=host, session=session,
                                                  suppress_ragged_eofs=True)
        except (OSError, ssl.SSLError):
            self.wire.close()
            raise
        assert self.wire.socket.selected_alpn_protocol() == "h2"
        self.decoder, self.encoder = hpack.Decoder(), hpack.Encoder()
        self.decoder.max_allowed_table_size = 4096
        self.answers = collections.defaultdict(Answer)
        self.frames, self.goaway, self.theirs, self.ended = [], None, {}, False
        self.next_stream, self._block, self.opens_windows = 1, b"", True
        if begin:
            self.send(PREFACE + settings(*own))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.wire.close()

    def send(self, data):
        """What the other side, having ended, does not take is lost; reading tells of that."""
        try:
            self.wire.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.ended = True

    def fields(self, path="/", *more, method="GET"):
        return [(":method", method), (":scheme", "https"), (":authority", self.host), (":path", path), *more]

    def head(self, path="/", *more, method="GET", end=True, stream=None):
        """A HEADERS frame, of the next stream; and its number."""
        if stream is None:
            stream, self.next_stream = self.next_stream, self.next_stream + 2
        block = self.encoder.encode(self.fields(path, *more, method=method))
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block), stream

    def ask(self, path, *more, method="GET", end=True):
        data, stream = self.head(path, *more, method=method, end=end)
        self.send(data)
        return stream

    def get(self, path, *more, method="GET"):
        return self.answer(self.ask(path, *more, method=method))

    def _exactly(self, count):
        while len(self.wire.buffer) < count:
            try:
                piece = self.wire.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
                piece = b""
            if not piece:
                return None
            self.wire.buffer += piece
        data = bytes(self.wire.buffer[:count])
        del self.wire.buffer[:count]
        return data

    def read(self):
        """The next frame, taken into account; None: the connection has ended."""
        head = self._exactly(9)
        payload = head and self._exactly(int.from_bytes(head[:3], "big"))
        if payload is None:
            self.ended = True
            return None
        got = Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)
        self.frames.append(got._replace(payload=payload[:64]))
        self._take(got)
        return got

    def _take(self, got):
        answer = self.answers[got.stream] if got.stream else None
        if got.type == SETTINGS and not got.flags & ACK:
            for at in range(0, len(got.payload), 6):
                name, value = struct.unpack_from(">HI", got.payload, at)
                self.theirs[name] = value
            self.send(frame(SETTINGS, ACK))
        elif got.type == PING and not got.flags & ACK:
            self.send(frame(PING, ACK, payload=got.payload))
        elif got.type == GOAWAY:
            self.goaway = struct.unpack_from(">II", got.payload)
        elif got.type == RST_STREAM:
            answer.reset = struct.unpack(">I", got.payload)[0]
        elif got.type in (HEADERS, CONTINUATION):
            self._block += got.payload
            if got.flags & END_HEADERS:
                fields = self.decoder.decode(self._block)
                self._block = b""
                if dict(fields)[":status"].startswith("1"):
                    answer.interim.append(fields)
                else:
                    answer.fields = fields
        elif got.type == DATA:
            answer.body += got.payload
            if self.opens_windows and got.payload:
                self.send(window_update(0, len(got.payload)) + window_update(got.stream, len(got.payload)))
        if got.type in (HEADERS, DATA) and got.flags & END_STREAM:
            answer.ended = True

    def answer(self, stream):
        answer = self.answers[stream]
        while not answer.ended and answer.reset is None:
            if self.read() is None:
                raise AssertionError(f"the connection ended before stream {stream}, GOAWAY {self.goaway}")
        return answer

    def read_until(self, condition):
        """Reads frames until one for which the condition holds, and returns it; None: the connection ended before."""
        while (got := self.read()) is not None:
            if condition(got):
                return got
        return None

    def ping(self):
        """All that was sent before has been seen by the other side when this returns, and what it could answer at once has
        come. False: it has ended."""
        for _ in range(2):  # the first is answered before what was asked before it
            self.send(frame(PING, payload=b"tidepool"))
            if self.read_until(lambda got: got.type == PING and got.flags & ACK) is None:
                return False
        return True

    def read_to_end(self):
        self.wire.socket.settimeout(PATIENCE_S)
        while self.read() is not None:
            pass
        return self.goaway
