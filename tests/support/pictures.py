"""Images made on the spot that a decoder takes."""

import functools
import hashlib
import pathlib
import struct
import subprocess
import tempfile
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


def png_chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


_PNG_HEAD_END = 8 + 25  # the signature and IHDR


def png_claiming(width, height):
    """A small file that says it has so many pixels."""
    head = png(1, 1)
    claim = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return head[:8] + claim + head[_PNG_HEAD_END:]


def png_flat(width, height):
    """A picture of one colour, of a thousandth of its pixels' bytes."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(b"\0" + bytes(width)) for _ in range(height)) + packer.flush()
    head = png(1, 1)[:8] + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return head + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def jpeg_of_scans(side, scans):
    """A grey square, progressive, in so many scans; those have no pixels, which decoders take for zeros."""
    def segment(marker, content):
        return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content

    one_code = b"\1" + bytes(15)
    first = (segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0")
             + segment(0xC4, b"\0" + one_code + b"\0") + segment(0xC4, b"\x10" + one_code + b"\xE0")
             + segment(0xDA, b"\1\1\0\0\0\0"))
    return b"\xFF\xD8" + first + segment(0xDA, b"\1\1\0\1\x3F\x10") * (scans - 1) + b"\xFF\xD9"


def noise(width, height, seed=0):
    """A picture that does not compress: three bytes a pixel, and other ones for each seed."""
    pixels = hashlib.shake_128(repr(("noise", seed)).encode()).digest(width * height * 3)
    rows = b"".join(b"\0" + pixels[y * width * 3:(y + 1) * width * 3] for y in range(height))
    head = png(1, 1)[:8] + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return head + png_chunk(b"IDAT", zlib.compress(rows, 0)) + png_chunk(b"IEND", b"")


def bmp(width, height, seed=0):
    stride = (width * 3 + 3) // 4 * 4
    rows = b"".join(bytes((x * 3 + y * 5 + seed) & 0xFF for x in range(width * 3)).ljust(stride, b"\0")
                    for y in range(height))
    head = b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0) + rows


# By the extension of a file: quick to encode, and like what people upload.
_SAVE_OPTIONS = {"jpg": "Q=82,strip", "jpeg": "Q=90,strip", "gif": "effort=1", "webp": "Q=80,effort=0",
                 "avif": "Q=55,effort=0"}


@functools.lru_cache(maxsize=64)
def picture(extension, width=600, height=400, seed=0, frames=1):
    """The bytes of a picture, as a file of this extension has them; `frames` above 1 is for gif and webp."""
    if extension == "png":
        return png(width, height, seed)
    if extension == "bmp":
        return bmp(width, height, seed)
    options = _SAVE_OPTIONS[extension] + (f",page-height={height}" if frames > 1 else "")
    with tempfile.TemporaryDirectory(prefix="tidepool-test-") as folder:
        source, target = pathlib.Path(folder, "source.png"), pathlib.Path(folder, f"target.{extension}")
        source.write_bytes(png(width, height * frames, seed))
        try:
            subprocess.run(["vips", "copy", str(source), f"{target}[{options}]"], check=True, capture_output=True)
        except FileNotFoundError:
            raise RuntimeError("vips not found: `./dev setup test` installs what the tests need") from None
        return target.read_bytes()


def stamped(content, text):
    """The same picture as another file: it has a comment near its beginning. For PNG and JPEG."""
    text = text if isinstance(text, bytes) else text.encode()
    if content.startswith(b"\x89PNG"):
        return content[:_PNG_HEAD_END] + png_chunk(b"tEXt", b"Comment\0" + text) + content[_PNG_HEAD_END:]
    assert content.startswith(b"\xff\xd8"), content[:20]
    return content[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + content[2:]
