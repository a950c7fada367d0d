"""Golden values for image decoding and resizing, from Pillow.

Writes small image files of every kind to Tests/FaceShardsTests/Golden/Images, what Pillow makes of
them to decoded.json there, and Pillow's bilinear resizing of a pattern to resized.json.

    python3 Tests/Oracle/images.py
"""

import base64
import io
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

FOLDER = pathlib.Path(__file__).parent.parent / "FaceShardsTests" / "Golden" / "Images"
WIDTH, HEIGHT = 23, 17


def pattern(width, height):
    """The same integers as `pattern` in ImageResizeTests.swift."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return ((x * x * 7 + y * x * 13 + c * 91 + ((x * y) ^ (x + y)) * 5) & 255).astype(np.uint8)


def smooth(width=WIDTH, height=HEIGHT):
    y, x = np.mgrid[0:height, 0:width]
    red = 128 + 100 * np.sin(x / 5.0 + y / 9.0)
    green = 128 + 100 * np.cos(x / 7.0 - y / 4.0)
    blue = 255.0 * x / width
    return np.clip(np.stack([red, green, blue], -1), 0, 255).astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, depth, colour, interlace=False, before=()):
    """`samples` [height, width, channels] of `depth` bits, by the specification, unfiltered."""
    height, width, channels = samples.shape

    def rows(part):
        out = b""
        for row in part:
            out += b"\0"
            flat = row.reshape(-1)
            if depth == 16:
                out += flat.astype(">u2").tobytes()
            elif depth == 8:
                out += flat.astype(np.uint8).tobytes()
            else:
                bits = np.unpackbits(flat.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
                out += np.packbits(bits.reshape(-1)).tobytes()
        return out

    if interlace:
        data = b""
        for x, y, dx, dy in [
            (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
            (0, 1, 1, 2)]:
            part = samples[y::dy, x::dx]
            if part.size:
                data += rows(part)
    else:
        data = rows(samples)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlace))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(*c) for c in before)
            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def exif(orientation, order="<"):
    mark = b"II" if order == "<" else b"MM"
    return (mark + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", 2)
            + struct.pack(order + "HHII", 0x0100, 4, 1, WIDTH)
            + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
            + struct.pack(order + "I", 0))


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


files = {}  # name: (bytes, expected pixels where Pillow's own are of no use)
rgb = smooth()
picture = Image.fromarray(rgb)
for name, options in {
    "444": dict(subsampling=0, quality=90), "420": dict(subsampling=2, quality=75),
    "422": dict(subsampling=1, quality=80), "progressive": dict(progressive=True, quality=85),
    "restarts": dict(restart_marker_blocks=1),
}.items():
    files[f"jpeg-{name}.jpg"] = (saved(picture, format="jpeg", **options), None)
files["jpeg-grey.jpg"] = (saved(picture.convert("L"), format="jpeg"), None)
files["jpeg-cmyk.jpg"] = (saved(picture.convert("CMYK"), format="jpeg", quality=90), None)
for orientation in range(1, 9):
    files[f"jpeg-orientation-{orientation}.jpg"] = (
        saved(picture, format="jpeg", subsampling=0,
              exif=b"Exif\0\0" + exif(orientation, "<>"[orientation % 2])), None)

grey16 = (np.arange(HEIGHT * WIDTH, dtype=np.uint32) * 163 % 65536).reshape(HEIGHT, WIDTH, 1)
rgb16 = (rgb.astype(np.uint32) * 257 + np.arange(WIDTH)[None, :, None] * 11) % 65536
ramp = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1)
alpha = (ramp * 5 % 256).astype(np.uint8)
palette = [(b"PLTE", bytes((i * 37 + 11 * c) % 256 for i in range(256) for c in range(3)))]
for interlace in (False, True):
    tail = "-interlaced.png" if interlace else ".png"
    for depth in (1, 2, 4, 8):
        files[f"png-grey-{depth}{tail}"] = (png(ramp % (1 << depth), depth, 0, interlace), None)
        some = [(b"PLTE", palette[0][1][: 3 << depth]), (b"tRNS", bytes([0, 128][: 1 << depth]))]
        files[f"png-palette-{depth}{tail}"] = (
            png(ramp % (1 << depth), depth, 3, interlace, some), None)
    # Pillow reads 16-bit grey as integers and clips them; the high byte is what it takes in RGB.
    files[f"png-grey-16{tail}"] = (
        png(grey16, 16, 0, interlace), (grey16 >> 8).astype(np.uint8).repeat(3, 2))
    files[f"png-rgb-8{tail}"] = (png(rgb, 8, 2, interlace), None)
    files[f"png-rgb-16{tail}"] = (png(rgb16, 16, 2, interlace), None)
    files[f"png-grey-alpha-8{tail}"] = (
        png(np.concatenate([rgb[..., :1], alpha], 2), 8, 4, interlace), None)
    files[f"png-grey-alpha-16{tail}"] = (
        png(np.concatenate([grey16, rgb16[..., :1]], 2), 16, 4, interlace), None)
    files[f"png-rgba-8{tail}"] = (png(np.concatenate([rgb, alpha], 2), 8, 6, interlace), None)
    files[f"png-rgba-16{tail}"] = (
        png(np.concatenate([rgb16, grey16], 2), 16, 6, interlace), None)
files["png-rgb-key.png"] = (png(rgb, 8, 2, before=[(b"tRNS", b"\0\1\0\2\0\3")]), None)
files["png-orientation-6.png"] = (png(rgb, 8, 2, before=[(b"eXIf", exif(6, ">"))]), None)


def pnm(kind, samples, maximum=None, comment=False):
    height, width = samples.shape[:2]
    header = f"P{kind}\n" + ("# a comment\n" if comment else "") + f"{width} {height}\n"
    if maximum:
        header += f"{maximum}\n"
    if kind == 4:
        body = b"".join(np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in samples)
    elif kind in (1, 2, 3):
        body = "\n".join(" ".join(str(v) for v in row.reshape(-1)) for row in samples).encode() + b"\n"
    else:
        body = samples.astype(">u2" if maximum > 255 else np.uint8).tobytes()
    return header.encode() + body


bits = ramp * 7 // 3 % 2
files["pnm-1.pbm"] = (pnm(1, bits, comment=True), None)
files["pnm-4.pbm"] = (pnm(4, bits), None)
files["pnm-2.pgm"] = (pnm(2, ramp % 256, 255, comment=True), None)
files["pnm-3.ppm"] = (pnm(3, rgb, 255), None)
files["pnm-5.pgm"] = (pnm(5, ramp % 256, 255, comment=True), None)
files["pnm-6.ppm"] = (pnm(6, rgb, 255), None)
files["pnm-5-maximum-100.pgm"] = (pnm(5, ramp % 101, 100), None)
files["pnm-6-maximum-1023.ppm"] = (pnm(6, rgb16 % 1024, 1023), None)
files["pnm-6-maximum-65535.ppm"] = (pnm(6, rgb16, 65535), None)
# Pillow reads 16-bit grey as integers and clips them.
files["pnm-5-maximum-65535.pgm"] = (
    pnm(5, grey16, 65535), np.floor(grey16 / 257 + 0.5).astype(np.uint8).repeat(3, 2))

FOLDER.mkdir(parents=True, exist_ok=True)
decoded = []
for name, (content, expected) in sorted(files.items()):
    (FOLDER / name).write_bytes(content)
    if expected is None:
        image = Image.open(io.BytesIO(content))
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    decoded.append(dict(file=name, width=expected.shape[1], height=expected.shape[0],
                        pixels=base64.b64encode(expected.tobytes()).decode()))
(FOLDER / "decoded.json").write_text(json.dumps(decoded, indent=0) + "\n")

resized = []
for source, target in [
    ((61, 61), (32, 32)), ((61, 47), (20, 33)), ((16, 16), (40, 37)), ((200, 150), (7, 5)),
    ((5, 5), (5, 9)), ((9, 4), (3, 4)), ((1, 1), (4, 4)), ((300, 2), (31, 2)), ((2, 301), (3, 1)),
    ((256, 256), (64, 64)), ((97, 83), (96, 84)),
    ((20, 101), (22, 90)), ((60, 50), (20, 60)), ((2, 30), (3, 29))]:
    image = Image.fromarray(pattern(*source)).resize(target, Image.BILINEAR)
    resized.append(dict(
        source=source, width=target[0], height=target[1],
        pixels=base64.b64encode(np.asarray(image).tobytes()).decode()))
(FOLDER / "resized.json").write_text(json.dumps(resized, indent=0) + "\n")
