"""Golden values for WebP, TIFF, BMP, GIF, AVIF and HEIF, from Pillow and pillow-heif.

Writes small files of every kind to Tests/ImagesTests/Golden/Formats, the pictures that Pillow makes of
them as PNG beside them (one for all files that look the same), and the list of both, expected.json.

    python3 Tests/Oracle/image_formats.py

Needs Pillow with WebP, AVIF and libtiff, pillow-heif, and avifenc (Debian: libavif-bin); files of cameras and odd programs are put
together by the formats' specifications.
"""

import hashlib
import io
import json
import pathlib
import struct
import subprocess
import tempfile
import zlib

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
FOLDER = pathlib.Path(__file__).parent.parent / "ImagesTests" / "Golden" / "Formats"
WIDTH, HEIGHT = 33, 22

files = {}  # name: (content, expected pixels or None for Pillow's, largest difference allowed)


def add(name, content, tolerance=0, expected=None):
    assert name not in files
    files[name] = (content, expected, tolerance)


def smooth(width=WIDTH, height=HEIGHT):
    y, x = np.mgrid[0:height, 0:width]
    red = 128 + 110 * np.sin(x / 5.0 + y / 9.0)
    green = 128 + 110 * np.cos(x / 7.0 - y / 4.0)
    blue = 255.0 * x / width
    return np.clip(np.stack([red, green, blue], -1), 0, 255).astype(np.uint8)


def exif(orientation, order="<"):
    """EXIF with the orientation alone, without the header "Exif"."""
    header = b"II*\0" if order == "<" else b"MM\0*"
    return header + struct.pack(
        order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def xmp(orientation):
    return (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/>'
            b"</x:xmpmeta>" % orientation)


def encoded(samples, depth, chroma="420", *options):
    """AVIF of 10 or 12 bits from 16-bit samples."""
    height, width = samples.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/p.png", f"{folder}/p.avif"
        lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
        parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
                 (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
        pathlib.Path(source).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in parts))
        quality = [] if "--lossless" in options else ["--min", "10", "--max", "20"]
        subprocess.run(["avifenc", "-d", str(depth), "-y", chroma, *quality, *options, source,
                        target], check=True, stdout=subprocess.DEVNULL)
        return pathlib.Path(target).read_bytes()


rgb = smooth()
picture = Image.fromarray(rgb)
ramp = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 7 % 256).astype(np.uint8)
alpha = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 5 % 256).astype(np.uint8)
rgba = np.dstack([rgb, alpha])
rgb16 = (rgb.astype(np.uint32) * 257 + np.arange(WIDTH)[None, :, None] * 11) % 65536


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


# --- WebP -------------------------------------------------------------------------------------------

for quality in (30, 80, 100):
    add(f"lossy-{quality}.webp", saved(picture, format="webp", quality=quality))
add("lossless.webp", saved(picture, format="webp", lossless=True))
add("even-size.webp", saved(Image.fromarray(smooth(34, 22)), format="webp", lossless=True))
add("lossy-alpha.webp", saved(Image.fromarray(rgba), format="webp", quality=70))
for exact in (False, True):
    add(f"lossless-alpha-{'exact' if exact else 'free'}.webp",
        saved(Image.fromarray(rgba), format="webp", lossless=True, exact=exact))
add("odd-size.webp", saved(Image.fromarray(smooth(17, 31)), format="webp", quality=60))
add("grey.webp", saved(Image.fromarray(ramp), format="webp", quality=90))
frames = [Image.fromarray(smooth()[::step].copy()).resize((WIDTH, HEIGHT)) for step in (1, -1)]
add("animated.webp", saved(frames[0], format="webp", save_all=True, append_images=frames[1:],
                           duration=40, quality=80))
for orientation in range(1, 9):
    add(f"exif-{orientation}.webp", saved(
        picture, format="webp", lossless=True,
        exif=(b"Exif\0\0" if orientation % 2 else b"") + exif(orientation, "<>"[orientation % 2])))
add("xmp-6.webp", saved(picture, format="webp", lossless=True, xmp=xmp(6)))
add("exif-1-xmp-6.webp", saved(picture, format="webp", lossless=True, exif=exif(1), xmp=xmp(6)))


def riff(*chunks):
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
                    for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_chunks(content):
    place, found = 12, []
    while place + 8 <= len(content):
        length = struct.unpack("<I", content[place + 4:place + 8])[0]
        found.append((content[place:place + 4], content[place + 8:place + 8 + length]))
        place += 8 + length + length % 2
    return found


def small(value):
    return struct.pack("<I", value)[:3]


# A first frame smaller than the canvas: 12 × 10 at (4, 6).
part = webp_chunks(saved(Image.fromarray(smooth(12, 10)), format="webp", lossless=True))[0]
inner = part[0] + struct.pack("<I", len(part[1])) + part[1] + b"\0" * (len(part[1]) % 2)
for name, flags in {"offset-frame": 0, "offset-frame-blended": 0}.items():
    disposal = 2 if name == "offset-frame" else 0
    header = (small(2) + small(3) + small(11) + small(9) + small(40) + bytes([disposal]))
    add(f"{name}.webp", riff(
        (b"VP8X", bytes([2, 0, 0, 0]) + small(WIDTH - 1) + small(HEIGHT - 1)),
        (b"ANIM", struct.pack("<IH", 0xFF102030, 0)), (b"ANMF", header + inner)))

# --- TIFF -------------------------------------------------------------------------------------------

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 12: 8, 16: 8}


def tiff(tags, blocks, order="<", big=False):
    """A file of one directory. `tags`: number: (type, values); `blocks`: strips, or tiles where there is
    a tile's width among the tags."""
    width = 8 if big else 4
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HH", 8, 0) if big else b""
    place = len(head) + width
    data, offsets = b"", []
    for block in blocks:
        offsets.append(place + len(data))
        data += block + b"\0" * (len(block) % 2)
    tags = dict(tags)
    long = 16 if big else 4
    tags[324 if 322 in tags else 273] = (long, offsets)
    tags[325 if 322 in tags else 279] = (long, [len(block) for block in blocks])
    directory = place + len(data)
    entries, extra = b"", b""
    behind = directory + (8 if big else 2) + len(tags) * (20 if big else 12) + width
    for number, (kind, values) in sorted(tags.items()):
        if isinstance(values, bytes):
            packed, count = values, len(values)
        else:
            letter = {1: "B", 3: "H", 4: "I", 12: "d", 16: "Q"}[kind]
            packed, count = struct.pack(f"{order}{len(values)}{letter}", *values), len(values)
        entry = struct.pack(order + "HH" + ("Q" if big else "I"), number, kind, count)
        if len(packed) > width:
            entry += struct.pack(order + ("Q" if big else "I"), behind + len(extra))
            extra += packed + b"\0" * (len(packed) % 2)
        else:
            entry += packed.ljust(width, b"\0")
        entries += entry
    return (head + struct.pack(order + ("Q" if big else "I"), directory) + data
            + struct.pack(order + ("Q" if big else "H"), len(tags)) + entries
            + b"\0" * width + extra)


def packed(samples, depth, order="<"):
    """[height, width, channels] as rows of a TIFF."""
    if depth == 32:
        return samples.astype(order + "u4").tobytes()
    if depth == 16:
        return samples.astype(order + "u2").tobytes()
    if depth == 8:
        return samples.astype(np.uint8).tobytes()
    rows = samples.reshape(samples.shape[0], -1).astype(np.uint8)
    return b"".join(
        np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - depth:].reshape(-1)).tobytes()
        for row in rows)


def tags_of(samples, depth, photometric, **more):
    height, width, channels = samples.shape
    found = {256: (4, [width]), 257: (4, [height]), 258: (3, [depth] * channels), 259: (3, [1]),
             262: (3, [photometric]), 277: (3, [channels]), 278: (4, [height])}
    found.update({int(key[1:]): value for key, value in more.items()})
    return found


def strips(samples, depth, rows, order="<", squeeze=lambda data: data):
    return [squeeze(packed(samples[y:y + rows], depth, order))
            for y in range(0, samples.shape[0], rows)]


def tiles(samples, depth, wide, high, order="<", squeeze=lambda data: data):
    height, width = samples.shape[:2]
    padded = np.pad(samples, ((0, -height % high), (0, -width % wide), (0, 0)), mode="edge")
    return [squeeze(packed(padded[y:y + high, x:x + wide], depth, order))
            for y in range(0, height, high) for x in range(0, width, wide)]


def planes(samples, cut, *arguments, **options):
    return [block for channel in range(samples.shape[2])
            for block in cut(samples[..., channel:channel + 1], *arguments, **options)]


for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg",
                    "zstd", "lzma"):
    options = dict(quality=85) if compression == "jpeg" else {}
    name = compression.removeprefix("tiff_")
    add(f"rgb-{name}.tif", saved(picture, format="tiff", compression=compression, **options))
for compression in ("group3", "group4"):
    add(f"bilevel-{compression}.tif", saved(
        picture.convert("1"), format="tiff", compression=compression))
add("jpeg-grey.tif", saved(Image.fromarray(ramp), format="tiff", compression="jpeg"))
add("predictor.tif", saved(picture, format="tiff", compression="tiff_lzw", tiffinfo={317: 2}))
add("rgba-lzw.tif", saved(Image.fromarray(rgba), format="tiff", compression="tiff_lzw"))
add("cmyk.tif", saved(picture.convert("CMYK"), format="tiff"))
add("cmyk-lzw.tif", saved(picture.convert("CMYK"), format="tiff", compression="tiff_lzw"))
add("palette.tif", saved(picture.quantize(200), format="tiff"))
add("two-pages.tif", saved(picture, format="tiff", save_all=True,
                           append_images=[Image.fromarray(255 - rgb)]))
for order in "<>":
    end = "little" if order == "<" else "big"
    for photometric in (0, 1):
        what = "white" if photometric == 0 else "black"
        for depth in (1, 2, 4, 8):
            values = (ramp & (1 << depth) - 1)[..., None]
            add(f"grey-{depth}-{what}-{end}.tif", tiff(
                tags_of(values, depth, photometric), strips(values, depth, 99, order), order))
        values = rgb16[..., :1]
        shown = (values >> 8).astype(np.uint8)
        # Pillow reads 16-bit grey as integers and clips them.
        add(f"grey-16-{what}-{end}.tif", tiff(
            tags_of(values, 16, photometric, t278=(4, [5])), strips(values, 16, 5, order), order),
            expected=(255 - shown if photometric == 0 else shown).repeat(3, 2))
    add(f"rgb-16-{end}.tif", tiff(
        tags_of(rgb16, 16, 2, t278=(3, [7])), strips(rgb16, 16, 7, order), order))
    add(f"rgb-16-deflate-{end}.tif", tiff(
        tags_of(rgb16, 16, 2, t259=(3, [8]), t278=(3, [7])), strips(rgb16, 16, 7, order, zlib.compress), order))
    add(f"rgb-big-{end}.tif", tiff(
        tags_of(rgb, 8, 2, t278=(3, [9])), strips(rgb, 8, 9), order, big=True),
        expected=rgb if order == ">" else None)  # which Pillow can't read
    add(f"rgb-tiles-{end}.tif", tiff(
        tags_of(rgb, 8, 2, t322=(3, [16]), t323=(3, [16])), tiles(rgb, 8, 16, 16), order))
big_tiles = dict(t322=(4, [16]), t323=(4, [16]), t259=(3, [8]))
add("rgb-16-tiles-deflate.tif", tiff(
    tags_of(rgb16, 16, 2, **big_tiles), tiles(rgb16, 16, 16, 16, squeeze=zlib.compress)))
add("grey-1-tiles.tif", tiff(
    tags_of((ramp % 2)[..., None], 1, 1, t322=(3, [16]), t323=(3, [16])),
    tiles((ramp % 2)[..., None], 1, 16, 16)),
    expected=(ramp % 2 * 255)[..., None].repeat(3, 2))
one = dict(t322=(3, [48]), t323=(3, [32]))
add("rgb-one-tile.tif", tiff(tags_of(rgb, 8, 2, **one), tiles(rgb, 8, 48, 32)))
separate = dict(t284=(3, [2]))
add("rgb-planes.tif", tiff(tags_of(rgb, 8, 2, **separate), planes(rgb, strips, 8, 99)))
add("rgb-planes-deflate.tif", tiff(
    tags_of(rgb, 8, 2, t259=(3, [8]), t278=(3, [6]), **separate),
    planes(rgb, strips, 8, 6, squeeze=zlib.compress)))
add("rgba-planes-deflate.tif", tiff(
    tags_of(rgba, 8, 2, t338=(3, [2]), t259=(3, [8]), t278=(3, [6]), **separate),
    planes(rgba, strips, 8, 6, squeeze=zlib.compress)))
add("rgb-planes-tiles-deflate.tif", tiff(
    tags_of(rgb, 8, 2, **big_tiles, **separate), planes(rgb, tiles, 8, 16, 16,
                                                        squeeze=zlib.compress)))
for kind in (0, 1, 2):
    add(f"rgba-extra-{kind}.tif", tiff(
        tags_of(rgba, 8, 2, t338=(3, [kind])), strips(rgba, 8, 99)))
    grey_alpha = np.dstack([ramp, alpha])
    # Pillow can't convert grey that is multiplied by alpha; as it does with RGB.
    share = np.maximum(alpha, 1).astype(np.uint32)
    divided = np.where(alpha == 0, 0, np.minimum(255, ramp.astype(np.uint32) * 255 // share))
    add(f"grey-extra-{kind}.tif", tiff(
        tags_of(grey_alpha, 8, 1, t338=(3, [kind])), strips(grey_alpha, 8, 99)),
        expected=divided.astype(np.uint8)[..., None].repeat(3, 2) if kind == 1 else None)
    rgba16 = np.dstack([rgb16, alpha.astype(np.uint32) * 256 + 77])
    add(f"rgba-16-extra-{kind}.tif", tiff(
        tags_of(rgba16, 16, 2, t338=(3, [kind]), t259=(3, [8])),
        strips(rgba16, 16, 99, squeeze=zlib.compress)))
add("rgba-no-extra.tif", tiff(tags_of(rgba, 8, 2), strips(rgba, 8, 99)))
more = np.dstack([rgb, alpha, ramp])
add("rgb-two-extra.tif", tiff(
    tags_of(more, 8, 2, t338=(3, [0, 0]), t259=(3, [8])),
    strips(more, 8, 99, squeeze=zlib.compress)))
inks = np.dstack([255 - rgb, ramp])
add("cmyk-16.tif", tiff(
    tags_of(inks, 16, 5), strips(inks.astype(np.uint32) * 256 + 9, 16, 99)))
for depth in (1, 2, 4, 8):
    values = (ramp & (1 << depth) - 1)[..., None]
    colours = [(i * step + shift) * 257 % 65536 for step, shift in ((37, 5), (91, 7), (11, 201))
               for i in range(1 << depth)]
    add(f"palette-{depth}.tif", tiff(
        tags_of(values, depth, 3, t320=(3, colours)), strips(values, depth, 99)))
add("fill-order-2.tif", tiff(
    tags_of((ramp % 2)[..., None], 1, 1, t266=(3, [2])),
    [np.packbits(np.unpackbits(np.frombuffer(packed((ramp % 2)[..., None], 1), np.uint8))
                 .reshape(-1, 8)[:, ::-1]).tobytes()]))


def ycbcr_strip(values, across, down):
    """Rows of units of `down` × `across` Y, then Cb and Cr (TIFF 6.0, section 21)."""
    height, width = values.shape[:2]
    values = np.pad(values, ((0, -height % down), (0, -width % across), (0, 0)), mode="edge")
    out = b""
    for y in range(0, values.shape[0], down):
        for x in range(0, values.shape[1], across):
            unit = values[y:y + down, x:x + across]
            out += unit[..., 0].tobytes() + bytes([int(unit[..., 1].mean()),
                                                   int(unit[..., 2].mean())])
    return out


luma = np.asarray(picture.convert("YCbCr"))
for across, down in ((1, 1), (2, 1), (2, 2)):
    more = dict(t530=(3, [across, down]), t259=(3, [8]), t278=(3, [8]))
    add(f"ycbcr-{across}{down}.tif", tiff(
        tags_of(luma, 8, 6, **more),
        [zlib.compress(ycbcr_strip(luma[y:y + 8], across, down)) for y in range(0, HEIGHT, 8)]))
for orientation in range(1, 9):
    add(f"orientation-{orientation}.tif", tiff(
        tags_of(rgb, 8, 2, t274=(3, [orientation]), t278=(3, [5])), strips(rgb, 8, 5)))
add("orientation-6-deflate.tif", tiff(
    tags_of(rgb, 8, 2, t274=(3, [6]), t259=(3, [8])), strips(rgb, 8, 99, squeeze=zlib.compress)))
add("orientation-8-big.tif", tiff(
    tags_of(rgb, 8, 2, t274=(3, [8])), strips(rgb, 8, 99), big=True))
add("orientation-5-ycbcr.tif", tiff(
    tags_of(luma, 8, 6, t274=(3, [5]), t530=(3, [1, 1]), t259=(3, [8])),
    [zlib.compress(ycbcr_strip(luma, 1, 1))]))
add("xmp-6.tif", tiff(tags_of(rgb, 8, 2, t700=(1, xmp(6))), strips(rgb, 8, 99)))
add("orientation-1-xmp-6.tif", tiff(
    tags_of(rgb, 8, 2, t274=(3, [1]), t700=(1, xmp(6))), strips(rgb, 8, 99)))

# --- BMP --------------------------------------------------------------------------------------------


def bmp(rows, bits, width=WIDTH, height=HEIGHT, header=40, compression=0, palette=b"", colours=0,
        masks=b"", gap=0):
    """`rows`: pixel data as they are stored."""
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(rows),
                           2835, 2835, colours, 0)
        inside = masks if header >= 52 else b""
        info = (info + inside).ljust(header, b"\0")
    if header < 52:
        info += masks
    offset = 14 + len(info) + len(palette) + gap
    return (b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + palette
            + b"\0" * gap + rows)


def bmp_rows(samples, bits, top_down=False):
    out = []
    for row in samples if top_down else samples[::-1]:
        data = (row.astype("<u2").tobytes() if bits == 16
                else packed(row[None], min(bits, 8)))
        out.append(data + b"\0" * (-len(data) % 4))
    return b"".join(out)


bgr = rgb[..., ::-1]
entries = bytes(value for i in range(256) for value in (i * 37 % 256, i * 91 % 256, 255 - i, 0))
for bits in (1, 4, 8):
    values = (ramp & (1 << bits) - 1)[..., None]
    add(f"palette-{bits}.bmp", bmp(bmp_rows(values, bits), bits, palette=entries[:4 << bits]))
    add(f"palette-{bits}-top-down.bmp", bmp(
        bmp_rows(values, bits, True), bits, height=-HEIGHT, palette=entries[:4 << bits]))
    short = bytes(value for i in range(1 << bits) for value in entries[4 * i:4 * i + 3])
    add(f"palette-{bits}-os2.bmp", bmp(bmp_rows(values, bits), bits, header=12, palette=short))
add("palette-8-short.bmp", bmp(
    bmp_rows((ramp % 50)[..., None], 8), 8, palette=entries[:40 * 4], colours=40))
add("palette-8-gap.bmp", bmp(bmp_rows(ramp[..., None], 8), 8, palette=entries, gap=10))
grey = bytes(value for i in range(256) for value in (i, i, i, 0))
add("grey-8.bmp", bmp(bmp_rows(ramp[..., None], 8), 8, palette=grey))
add("bgr-24.bmp", bmp(bmp_rows(bgr, 24), 24))
add("bgr-24-top-down.bmp", bmp(bmp_rows(bgr, 24, True), 24, height=-HEIGHT))
add("bgr-24-os2.bmp", bmp(bmp_rows(bgr, 24), 24, header=12))
add("bgr-24-os2-64.bmp", bmp(bmp_rows(bgr, 24), 24, header=64))
bgra = np.dstack([bgr, alpha])
add("bgr-32.bmp", bmp(bmp_rows(bgra, 32), 32))
words = (rgb.astype(np.uint32) >> 3) @ np.array([1024, 32, 1], np.uint32)
add("rgb-555.bmp", bmp(bmp_rows(words, 16), 16))
masks = struct.pack("<III", 0x7C00, 0x3E0, 0x1F)
add("rgb-555-masks.bmp", bmp(bmp_rows(words, 16), 16, compression=3, masks=masks))
words = ((rgb[..., 0].astype(np.uint32) >> 3) << 11 | (rgb[..., 1].astype(np.uint32) >> 2) << 5
         | rgb[..., 2] >> 3)
masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
for header in (40, 52, 56, 108, 124):
    add(f"rgb-565-{header}.bmp", bmp(
        bmp_rows(words, 16), 16, header=header, compression=3, masks=masks))
for name, fields, order in [
    ("bgra", (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (2, 1, 0, 3)),
    ("rgba", (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0, 1, 2, 3)),
    ("xbgr", (0xFF000000, 0xFF0000, 0xFF00, 0), (3, 2, 1, 0)),
    ("abgr", (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (3, 2, 1, 0)),
]:
    add(f"masks-{name}.bmp", bmp(
        bmp_rows(rgba[..., list(order)], 32), 32, header=108, compression=3,
        masks=struct.pack("<IIII", *fields)))


def run_lengths(values, bits, mixed):
    """Rows as runs, and where `mixed` is set every third one pixel by pixel, and jumps over some."""
    out = b""
    height, width = values.shape
    for number, row in enumerate(values[::-1]):
        x = 0
        if mixed and number % 3 == 0:
            pixels = row[:20]
            data = bytes(pixels) if bits == 8 else packed(pixels[None, :, None], 4)
            out += bytes([0, 20]) + data + b"\0" * (len(data) % 2)
            x = 20
        if mixed and number % 5 == 1:
            out += bytes([0, 2, 6, 0])
            x += 6
        while x < width:
            run = 1
            while x + run < width and run < 255 and row[x + run] == row[x]:
                run += 1
            out += bytes([run, row[x] if bits == 8 else row[x] * 17])
            x += run
        if number < height - 1:
            out += b"\0\0"
    return out + b"\0\1"


blocks = (ramp // 9 * 9).repeat(3, 1)[:, :WIDTH]
for mixed in (False, True):
    tail = "-mixed.bmp" if mixed else ".bmp"
    add(f"run-length-8{tail}", bmp(
        run_lengths(blocks, 8, mixed), 8, compression=1, palette=entries))
    add(f"run-length-4{tail}", bmp(
        run_lengths(blocks % 16, 4, mixed), 4, compression=2, palette=entries[:64]))
add("saved.bmp", saved(picture, format="bmp"))

# --- GIF --------------------------------------------------------------------------------------------

for colours in (2, 5, 16, 100, 256):
    add(f"colours-{colours}.gif", saved(picture.quantize(colours), format="gif", interlace=0))
add("interlaced.gif", saved(picture.quantize(64), format="gif", interlace=1))
add("grey.gif", saved(Image.fromarray(ramp), format="gif"))
add("transparent.gif", saved(Image.fromarray(rgba).quantize(32), format="gif"))
add("animated.gif", saved(frames[0], format="gif", save_all=True, append_images=frames[1:],
                          duration=40))
noise = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
add("full-table.gif", saved(Image.fromarray(noise), format="gif"))


def gif(indices, screen, at=(0, 0), palette=None, local=None, transparent=None, interlaced=False,
        bits=8, end=True, version=b"GIF89a"):
    """Uncompressed codes with a clear code before the table grows."""
    def entry(colours):
        size = max(1, (len(colours) // 3 - 1).bit_length())
        return size - 1, colours.ljust(3 << size, b"\0")

    height, width = indices.shape
    out = version + struct.pack("<HH", *screen)
    if palette:
        size, table = entry(palette)
        out += bytes([0x80 | size, 0, 0]) + table
    else:
        out += bytes([0, 0, 0])
    if transparent is not None:
        out += bytes([0x21, 0xF9, 4, 1, 0, 0, transparent, 0])
    out += b"\x2c" + struct.pack("<HHHH", *at, width, height)
    flags = 0x40 if interlaced else 0
    if local:
        size, table = entry(local)
        out += bytes([0x80 | flags | size]) + table
    else:
        out += bytes([flags])
    codes, clear = [], 1 << bits
    for number, value in enumerate(indices.reshape(-1)):
        if number % (clear - 2) == 0:
            codes.append(clear)
        codes.append(int(value))
    codes.append(clear + 1)
    stream = 0
    for number, code in enumerate(codes):
        stream |= code << (number * (bits + 1))
    data = stream.to_bytes((len(codes) * (bits + 1) + 7) // 8, "little")
    out += bytes([bits])
    for place in range(0, len(data), 255):
        out += bytes([len(data[place:place + 255])]) + data[place:place + 255]
    return out + b"\0" + (b";" if end else b"")


some = bytes((i * 37 + c * 91) % 256 for i in range(256) for c in range(3))
add("no-palette.gif", gif(ramp, (WIDTH, HEIGHT)))
add("no-palette-87.gif", gif(ramp, (WIDTH, HEIGHT), version=b"GIF87a"))
add("local-palette.gif", gif(ramp, (WIDTH, HEIGHT), palette=some, local=some[::-1]))
add("short-palette.gif", gif(ramp, (WIDTH, HEIGHT), palette=some[:96]))
add("smaller-frame.gif", gif(ramp[:10, :12], (WIDTH, HEIGHT), at=(5, 7), palette=some))
add("smaller-frame-transparent.gif", gif(
    ramp[:10, :12], (WIDTH, HEIGHT), at=(5, 7), palette=some, transparent=9))
add("smaller-frame-no-palette.gif", gif(
    ramp[:10, :12], (WIDTH, HEIGHT), at=(5, 7), transparent=77))
add("larger-frame.gif", gif(ramp, (20, 11), at=(3, 2), palette=some))
add("interlaced-rows.gif", gif(ramp, (WIDTH, HEIGHT), palette=some, interlaced=True))
add("no-end.gif", gif(ramp, (WIDTH, HEIGHT), palette=some, end=False))

# --- AVIF -------------------------------------------------------------------------------------------

for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:0:0"):
    add(f"{subsampling.replace(':', '')}.avif", saved(
        picture, format="avif", subsampling=subsampling, quality=70))
add("quality-100.avif", saved(picture, format="avif", quality=100, subsampling="4:4:4"))
add("limited-range.avif", saved(picture, format="avif", range="limited", quality=80))
add("alpha.avif", saved(Image.fromarray(rgba), format="avif", quality=80))
add("alpha-premultiplied.avif", saved(
    Image.fromarray(rgba), format="avif", quality=80, alpha_premultiplied=True))
add("odd-size.avif", saved(Image.fromarray(smooth(35, 17)), format="avif"))
add("sequence.avif", saved(frames[0], format="avif", save_all=True, append_images=frames[1:],
                           duration=40))
for orientation in range(1, 9):
    add(f"exif-{orientation}.avif", saved(picture, format="avif", exif=exif(orientation)))
add("xmp-6.avif", saved(picture, format="avif", xmp=xmp(6)))
add("exif-3-xmp-6.avif", saved(picture, format="avif", exif=exif(3), xmp=xmp(6)))
# EXIF's number alone, without the container's turn, which Pillow would make of it: it counts for
# nothing, but XMP's does not count either then.
other = exif(6).replace(struct.pack("<HH", 0x0112, 3), struct.pack("<HH", 0x0113, 3))
for name, options in {"exif-alone": {}, "exif-alone-xmp-8": dict(xmp=xmp(8))}.items():
    content = saved(picture, format="avif", exif=other, **options)
    assert content.count(other) == 1
    add(f"{name}.avif", content.replace(other, exif(6)))
add("exif-without-xmp-8.avif", saved(picture, format="avif", exif=other, xmp=xmp(8)))

for depth in (10, 12):
    add(f"{depth}-bit.avif", encoded(rgb16, depth))
add("10-bit-444.avif", encoded(rgb16, 10, "444"))
add("10-bit-400.avif", encoded(rgb16, 10, "400"))
add("10-bit-709-limited.avif", encoded(rgb16, 10, "420", "--cicp", "1/13/1", "-r", "limited"))
add("10-bit-2020.avif", encoded(rgb16, 10, "422", "--cicp", "9/16/9"))
add("10-bit-lossless.avif", encoded(rgb16, 10, "444", "--lossless"))
add("8-bit-709.avif", encoded(rgb16, 8, "420", "--cicp", "1/13/1"))
add("8-bit-lossless.avif", encoded(rgb16, 8, "444", "--lossless"))

# --- HEIF -------------------------------------------------------------------------------------------

for chroma in ("420", "422", "444"):
    add(f"{chroma}.heic", saved(picture, format="heif", quality=80, chroma=chroma), 1)
add("quality-20.heic", saved(picture, format="heif", quality=20), 1)
add("lossless.heic", saved(picture, format="heif", quality=-1, chroma="444",
                           matrix_coefficients=0), 0)
add("grey.heic", saved(Image.fromarray(ramp), format="heif", quality=90), 1)
add("alpha.heic", saved(Image.fromarray(rgba), format="heif", quality=90), 1)
add("odd-size.heic", saved(Image.fromarray(smooth(67, 35)), format="heif", quality=90), 1)
# Of even size: libheif 1.15 turns halved chroma of odd sizes by half a pixel more than later versions.
even = Image.fromarray(smooth(34, 22))
for orientation in range(1, 9):
    add(f"exif-{orientation}.heic", saved(
        even, format="heif", quality=90, exif=exif(orientation)), 1)
add("xmp-6.heic", saved(picture, format="heif", quality=90, xmp=xmp(6)), 1)

add("grid.heic", saved(Image.fromarray(smooth(100, 70)), format="heif", quality=90,
                       tile_size=64), 1)
deep = pillow_heif.from_bytes(mode="RGB;16", size=(WIDTH, HEIGHT),
                              data=rgb16.astype("<u2").tobytes())
out = io.BytesIO()
deep.save(out, quality=90)
# Later versions of libheif than Debian 12's lose the lower bits before the conversion to RGB.
add("10-bit.heic", out.getvalue(), 2)

# --- Written ----------------------------------------------------------------------------------------


# A picture of 4096 × 4096 equal pixels, of which the container says that it has 16 × 16.
huge = saved(Image.new("L", (4096, 4096), 128), format="heif", quality=1)
size = struct.pack(">II", 4096, 4096)
assert huge.count(b"ispe\0\0\0\0" + size) == 1
huge = huge.replace(size, struct.pack(">II", 16, 16))


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    listed, pictures = [], {}
    for name, (content, expected, tolerance) in sorted(files.items()):
        try:
            shown = np.asarray(
                ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
        except Exception as error:  # noqa: BLE001
            print(f"{name}: Pillow: {error}")
            shown = None
            assert expected is not None
        if expected is None:
            expected = shown
        (FOLDER / name).write_bytes(content)
        key = hashlib.sha256(repr(expected.shape).encode() + expected.tobytes()).hexdigest()[:12]
        if key not in pictures:
            pictures[key] = f"{name}.png"
            (FOLDER / f"{name}.png").write_bytes(
                saved(Image.fromarray(expected), format="png", optimize=True))
        listed.append(dict(file=name, picture=pictures[key], tolerance=tolerance))
    (FOLDER / "larger-than-it-says.heic").write_bytes(huge)
    (FOLDER / "expected.json").write_text(json.dumps(listed, indent=0) + "\n")


main()
