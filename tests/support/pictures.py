"""Images made on the spot that a decoder takes."""

import struct
import zlib


def png(width, height, seed=0):
    """A picture with something in it."""
    rows = b"".join(b"\0" + bytes((x * 3 + y * 5 + seed) & 0xFF for x in range(width * 3)) for y in range(height))

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_size(content):
    assert content.startswith(b"\x89PNG"), content[:20]
    return struct.unpack(">II", content[16:24])
