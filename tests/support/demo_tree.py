"""Makes a folder of real-looking images in the layout of an image host's uploads.

    demo_tree.py OUT [--count N] [--seed N]

OUT/uploads/original/YYYY/MM/DD/UUID.EXT and OUT/uploads/variants/YYYY/MM/DD/UUID[_small|_medium].EXT, and last of all
OUT/index.json, the list of URL paths. Pixels are computed here and encoded by the `vips` command; a format that this
machine's vips cannot write is left out with a message. The same seed gives the same names and pixels.
"""

import argparse
import array
import concurrent.futures
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import uuid

SMALL_WIDTH, MEDIUM_WIDTH = 200, 500
AVIF_MIN_SIDE = 64  # no AVIF is made of images of 64x64 and below

# How each format is written: quality for a normal-looking file, effort for a quick run.
SAVE_OPTIONS = {
    "jpg": "[Q=82,optimize-coding]",
    "jpeg": "[Q=90,optimize-coding,interlace]",
    "png": "[compression=6]",
    "gif": "[effort=3]",
    "webp": "[Q=80,effort=1]",
    "avif": "[Q=55,effort=0]",
}


# --- pixels ----------------------------------------------------------------------------------------------------------


def mix(a, b, t):
    return tuple(round(x + (y - x) * t) for x, y in zip(a, b))


def gradient(stops, length):
    """`length` colours between the `stops`, as bytes."""
    colours = bytearray()
    for i in range(length):
        at = i / max(1, length - 1) * (len(stops) - 1)
        first = min(int(at), len(stops) - 2)
        colours += bytes(mix(stops[first], stops[first + 1], at - first))
    return bytes(colours)


def ridge(rng, width, roughness):
    """A mountain's outline: midpoint displacement, heights in 0..1 for each column."""
    size = 1 << math.ceil(math.log2(width))
    line = [0.0] * (size + 1)
    line[0], line[size] = rng.random(), rng.random()
    step, spread = size, 1.0
    while step > 1:
        half = step // 2
        for i in range(half, size, step):
            line[i] = (line[i - half] + line[i + half]) / 2 + rng.uniform(-spread, spread) / 2
        step, spread = half, spread * roughness
    low, high = min(line[:width]), max(line[:width])
    return [(y - low) / (high - low) for y in line[:width]]


# Sky from top to horizon, the far mountains' colour, the near ones' colour, the sun's colour.
LIGHTS = [
    ([(25, 45, 95), (120, 90, 140), (245, 150, 110), (255, 215, 150)], (190, 125, 130), (38, 30, 52), (255, 244, 214)),
    ([(60, 120, 195), (130, 180, 225), (220, 235, 240)], (165, 190, 205), (28, 62, 48), (255, 255, 245)),
    ([(8, 10, 30), (20, 28, 66), (52, 60, 110)], (44, 52, 92), (8, 10, 20), (236, 238, 225)),
    ([(110, 125, 140), (165, 175, 182), (215, 215, 208)], (160, 168, 172), (50, 58, 60), (235, 235, 225)),
    ([(50, 20, 60), (180, 50, 75), (250, 120, 60), (255, 205, 95)], (150, 60, 80), (30, 12, 30), (255, 236, 170)),
    ([(20, 95, 120), (90, 175, 175), (235, 240, 205)], (120, 175, 165), (14, 50, 52), (255, 252, 225)),
]


def landscape(rng, width, height, light=None, sun=None):
    """Mountains behind mountains above a lake, painted column by column: a column is a few runs of known colours."""
    sky_stops, far, near, sun_colour = LIGHTS[light if light is not None else rng.randrange(len(LIGHTS))]
    lake = round(height * rng.uniform(0.72, 0.85))
    sky = gradient(sky_stops, lake)
    sun_x, sun_y = sun or (rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.5) * lake)
    sun_radius = height * rng.uniform(0.04, 0.08)
    layers = []
    count = rng.randint(3, 5)
    for i in range(count):
        depth = (i + 1) / count
        colour = mix(far, near, depth)
        shades = [gradient([mix(colour, sun_colour, 0.05 * lit), mix(colour, far, 0.45)], lake) for lit in range(8)]
        base, span = lake * (0.52 + 0.4 * depth), lake * (0.46 - 0.26 * depth)
        outline = ridge(rng, width, rng.uniform(0.5, 0.6))
        layers.append(([round(base - y * span) for y in outline], shades))
    water = gradient([mix(sky_stops[-1], near, 0.35), mix(sky_stops[0], near, 0.6)], height - lake)

    columns = []
    for x in range(width):
        column = bytearray(sky)
        reach = sun_radius**2 - (x - sun_x) ** 2
        if reach > 0:
            top, bottom = max(0, round(sun_y - math.sqrt(reach))), min(lake, round(sun_y + math.sqrt(reach)))
            column[3 * top : 3 * bottom] = bytes(sun_colour) * (bottom - top)
        for outline, shades in layers:
            top = min(max(0, outline[x]), lake)
            slope = outline[min(x + 3, width - 1)] - outline[max(x - 3, 0)]
            lit = min(7, max(0, 3 + (slope if x > sun_x else -slope) // 3))
            column[3 * top :] = shades[lit][: 3 * (lake - top)]
        mirrored = bytearray(water)
        for y in range(0, height - lake, 1 + rng.randrange(3)):  # broken reflections of the shore
            source = 3 * max(0, lake - 1 - 2 * y)
            mirrored[3 * y : 3 * y + 3] = bytes(mix(mirrored[3 * y : 3 * y + 3], column[source : source + 3], 0.5))
        columns.append(bytes(column + mirrored))
    return height, width, b"".join(reversed(columns))  # it lies on its left side; vips turns it


def plasma(rng, size):
    """A fractal surface of size x size heights in 0..255 (diamond-square; size is a power of two)."""
    side = size + 1
    heights = array.array("d", bytes(8 * side * side))
    for corner in (0, size, size * side, size * side + size):
        heights[corner] = rng.random()
    step, spread = size, 1.0
    while step > 1:
        half = step // 2
        for y in range(half, side, step):
            for x in range(half, side, step):
                i = y * side + x
                heights[i] = (
                    heights[i - half * side - half]
                    + heights[i - half * side + half]
                    + heights[i + half * side - half]
                    + heights[i + half * side + half]
                ) / 4 + (rng.random() - 0.5) * spread
        for y in range(0, side, half):
            for x in range((y + half) % step, side, step):
                i = y * side + x
                around = []
                if y:
                    around.append(heights[i - half * side])
                if y < size:
                    around.append(heights[i + half * side])
                if x:
                    around.append(heights[i - half])
                if x < size:
                    around.append(heights[i + half])
                heights[i] = sum(around) / len(around) + (rng.random() - 0.5) * spread
        step, spread = half, spread * 0.54
    low, high = min(heights), max(heights)
    scale = 255 / (high - low)
    rows = [heights[y * side : y * side + size] for y in range(size)]
    return bytes(int((h - low) * scale) for row in rows for h in row)


ISLANDS = [(12, 30, 78), (22, 66, 128), (48, 120, 165), (214, 200, 150), (104, 148, 74), (58, 104, 52), (96, 84, 64),
           (132, 122, 112), (245, 247, 250)]
DESERT = [(70, 34, 26), (128, 66, 40), (182, 106, 58), (214, 150, 88), (236, 196, 136), (250, 228, 190)]
AGATE = [(28, 18, 40), (120, 40, 80), (240, 200, 190), (90, 30, 70), (250, 235, 225), (40, 60, 110), (200, 220, 240),
         (30, 40, 90), (240, 240, 250), (110, 70, 120), (20, 20, 50), (220, 180, 120)]


def seen_from_above(rng, size, colours):
    """Land (or polished stone) coloured by height and lit from the upper left."""
    heights = plasma(rng, size)
    palette = gradient(colours, 256)
    pixels = bytearray(3 * size * size)
    # Slopes against the light are dark. Values around 128 are flat land.
    light = bytes(
        min(255, max(0, 128 + 9 * (a - b))) for a, b in zip(heights, heights[size + 1 :] + heights[-size - 1 :])
    )
    for channel in range(3):
        plain = heights.translate(palette[channel::3])
        pixels[channel::3] = bytes(min(255, p * (l + 96) // 224) for p, l in zip(plain, light))
    return size, size, bytes(pixels)


def screenshot(rng, width, height):
    """An editor's window full of coloured words, as people paste them."""
    dark = rng.random() < 0.7
    background = (30, 33, 40) if dark else (252, 252, 250)
    side = (38, 42, 51) if dark else (238, 238, 236)
    inks = [(198, 120, 221), (97, 175, 239), (152, 195, 121), (229, 192, 123), (171, 178, 191), (92, 99, 112)]
    title = bytes((58, 63, 75) if dark else (222, 222, 222)) * width
    blank = bytes(side) * (width // 6) + bytes(background) * (width - width // 6)
    rows = [title] * 28
    indent = 0
    while len(rows) < height:
        row = bytearray(blank)
        name_end = 16 + rng.randint(20, max(21, width // 6 - 40))
        row[3 * 16 : 3 * name_end] = bytes(mix(side, (150, 150, 150), 0.6)) * (name_end - 16)
        x = width // 6 + 24
        row[3 * (x - 14) : 3 * (x - 6)] = bytes(mix(background, (128, 128, 128), 0.5)) * 8
        indent = min(4, max(0, indent + rng.choice((-1, 0, 0, 0, 1))))
        x += 10 + 28 * indent
        for _ in range(rng.randint(0, 9)):
            word = 7 * rng.randint(2, 11)
            if x + word > width - 20:
                break
            row[3 * x : 3 * (x + word)] = bytes(rng.choice(inks)) * word
            x += word + 7
        rows += [bytes(row)] * 9 + [blank] * 9
    return width, height, b"".join(rows[:height])


def sunrise(seed, width, height, frames):
    """The frames of an animation, one below the other: the same mountains while the sun climbs."""
    pixels = []
    for frame in range(frames):
        at = frame / (frames - 1)
        columns, rows, turned = landscape(
            random.Random(seed), width, height, light=4, sun=(width * (0.25 + 0.4 * at), height * (0.62 - 0.45 * at))
        )
        for y in range(columns):
            row = bytearray(3 * rows)
            for channel in range(3):
                row[channel::3] = turned[3 * y + channel :: 3 * columns][::-1]
            pixels.append(bytes(row))
    return width, height * frames, b"".join(pixels)


# --- files -----------------------------------------------------------------------------------------------------------


def vips(*arguments):
    subprocess.run(
        ["vips", *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "VIPS_CONCURRENCY": "1"},
    )


def writable_formats(folder):
    """The formats that this machine's vips writes; a message for each other one."""
    probe = pathlib.Path(folder, "probe.v")
    vips("black", probe, 96, 96, "--bands", 3)
    found = []
    for extension, options in SAVE_OPTIONS.items():
        try:
            vips("copy", probe, f"{folder}/probe.{extension}{options}")
            found.append(extension)
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip().splitlines() or ["no reason given"])[0]
            print(f"demo_tree: no .{extension}, this machine's vips cannot write it: {reason}", file=sys.stderr)
    return found


# What is made, over and over: kind, extension, width, height.
PLAN = [
    ("landscape", "jpg", 1600, 1067), ("land", "jpg", 1024, 1024), ("landscape", "jpg", 2400, 1350),
    ("screenshot", "png", 1280, 800), ("landscape", "webp", 1200, 800), ("land", "png", 512, 512),
    ("landscape", "jpeg", 1080, 1350), ("landscape", "avif", 1200, 675), ("sunrise", "gif", 320, 200),
    ("land", "webp", 768, 768), ("landscape", "jpg", 640, 427), ("land", "jpg", 64, 64),
]


def paint(kind, rng, width, height):
    """Pixels of a picture: width, height and RGB bytes, and whether it lies on its side."""
    if kind == "landscape":
        return (*landscape(rng, width, height), True)
    if kind == "screenshot":
        return (*screenshot(rng, width, height), False)
    if kind == "sunrise":
        return (*sunrise(rng.random(), width, height, frames=10), False)
    return (*seen_from_above(rng, 512 if width > 64 else 64, rng.choice((ISLANDS, ISLANDS, DESERT, AGATE))), False)


def make_image(out, seed, number, formats):
    """Makes image `number` with its variants and returns what index.json says of it."""
    rng = random.Random(f"{seed}/{number}")
    kind, extension, width, height = PLAN[number % len(PLAN)]
    identity = uuid.UUID(int=rng.getrandbits(128), version=4)
    day = f"2026/{rng.randint(1, 3):02}/{rng.randint(1, 28):02}"
    original = out / "uploads/original" / day / f"{identity}.{extension}"
    variants = out / "uploads/variants" / day
    if extension not in formats:
        return None
    original.parent.mkdir(parents=True, exist_ok=True)
    variants.mkdir(parents=True, exist_ok=True)
    written = [original]

    with tempfile.TemporaryDirectory(dir=out) as folder:
        raw, picture = f"{folder}/raw.ppm", f"{folder}/picture.v"
        columns, rows, pixels, turned = paint(kind, rng, width, height)
        with open(raw, "wb") as file:
            file.write(b"P6 %d %d 255\n" % (columns, rows) + pixels)
        if turned:
            vips("rot", raw, picture, "d90")
        elif kind == "land" and width != columns:
            vips("resize", raw, picture, width / columns)
        else:
            picture = raw

        if kind == "sunrise":
            vips("gifsave", picture, original, "--page-height", height, "--effort", 3)
            source = original  # thumbnails are of the first frame
        else:
            vips("copy", picture, f"{original}{SAVE_OPTIONS[extension]}")
            source = picture

        def variant(suffix, kind_of_file, width_limit):
            path = variants / f"{identity}{suffix}.{kind_of_file}"
            vips("thumbnail", source, f"{path}{SAVE_OPTIONS[kind_of_file]}", width_limit, "--height", 100_000,
                 "--size", "down")
            written.append(path)

        modern = [f for f in ("webp", "avif") if f in formats and (f != "avif" or min(width, height) > AVIF_MIN_SIDE)]
        every_third = number % 3 == 0  # has all its variants; of the others some are left to the server to make
        for file_format in dict.fromkeys([*modern, extension] if every_third or extension == "gif" else modern):
            variant("_small", file_format, SMALL_WIDTH)
            if file_format != "avif" or every_third:
                variant("_medium", file_format, MEDIUM_WIDTH)
        if extension not in ("gif", "avif"):  # of these only thumbnails are made
            for file_format in modern:
                if file_format == "webp" or every_third:
                    variant("", file_format, 100_000)

    return {
        "uuid": str(identity),
        "width": width,
        "height": height,
        "urls": ["/" + path.relative_to(out).as_posix() for path in written],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    parser.add_argument("--count", type=int, default=36, help="how many originals (default: 36)")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other images (default: 1)")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            formats = writable_formats(folder)
        except FileNotFoundError:
            sys.exit("demo_tree: the command `vips` is missing; ./dev setup demo installs it")
    with concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        made = [
            pool.submit(make_image, options.out, options.seed, number, formats) for number in range(options.count)
        ]
        images = [image for image in (future.result() for future in made) if image]
    index = {"count": len(images), "urls": [url for image in images for url in image["urls"]], "images": images}
    with open(options.out / "index.json", "w", encoding="utf-8") as file:
        json.dump(index, file, indent=1)
        file.write("\n")
    print(f"demo_tree: {len(images)} images, {len(index['urls'])} files below {options.out / 'uploads'}")


if __name__ == "__main__":
    main()
