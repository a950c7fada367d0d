"""Golden values for image decoding and resizing, from Pillow.

Writes small image files of every kind to Tests/ImagesTests/Golden, what Pillow makes of
them to decoded.json there, and Pillow's bilinear resizing of a pattern to resized.json.

    python3 Tests/Oracle/images.py

Needs jpegtran (Debian: libjpeg-turbo-progs), which codes a JPEG in ways that Pillow does not.
"""

import base64
import io
import json
import pathlib
import struct
import subprocess
import tempfile
import zlib

import numpy as np
from PIL import Image, ImageOps

FOLDER = pathlib.Path(__file__).parent.parent / "ImagesTests" / "Golden"
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


def png(samples, depth, colour, interlace=False, before=(), after=()):
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
            + chunk(b"IDAT", zlib.compress(data)) + b"".join(chunk(*c) for c in after)
            + chunk(b"IEND", b""))


def exif(orientation, order="<"):
    mark = b"II" if order == "<" else b"MM"
    return (mark + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", 2)
            + struct.pack(order + "HHII", 0x0100, 4, 1, WIDTH)
            + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
            + struct.pack(order + "I", 0))


def segments(content, *added, without=()):
    """The JPEG with segments (marker, bytes) after its first marker, and without others."""
    position, kept = 2, b""
    while content[position + 1] != 0xDA:
        length = struct.unpack(">H", content[position + 2 : position + 4])[0]
        if content[position + 1] not in without:
            kept += content[position : position + 2 + length]
        position += 2 + length
    new = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data
                   for marker, data in added)
    return content[:2] + new + kept + content[position:]


def named(content, identifiers):
    """The JPEG with other component identifiers."""
    changed = bytearray(content)
    frame, scan = content.find(b"\xff\xc0"), content.find(b"\xff\xda")
    for i, identifier in enumerate(identifiers):
        changed[frame + 10 + 3 * i] = changed[scan + 5 + 2 * i] = identifier
    return bytes(changed)


def coded(content, *options, scans=None):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as script:
        if scans:
            script.write(scans)
            script.flush()
            options += ("-scans", script.name)
        return subprocess.run(["jpegtran", *options], input=content, capture_output=True,
                              check=True).stdout


def xmp(orientation, element=False):
    if element:
        inside = f"><tiff:Orientation>{orientation}</tiff:Orientation></rdf:Description>"
    else:
        inside = f' tiff:Orientation="{orientation}"/>'
    return ('<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>'
            '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
            f"{inside}</rdf:RDF></x:xmpmeta>").encode()


def profile(data):
    """As ImageMagick writes it: the kind, the number of bytes, lines of 36 bytes."""
    digits = data.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return f"\nexif\n{len(data):8}\n{lines}\n".encode()


def international(key, text, compressed=False):
    return (b"iTXt", key + b"\0" + bytes([compressed, 0]) + b"\0\0"
            + (zlib.compress(text) if compressed else text))


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

# Colour spaces told by Adobe's marker, by names of components, or not at all.
plain = saved(picture, format="jpeg", subsampling=0, quality=90)
inks = saved(picture.convert("CMYK"), format="jpeg", quality=90)
files["jpeg-cmyk-no-marker.jpg"] = (segments(inks, without=[0xEE]), None)
for transform in (0, 2):
    adobe = b"Adobe\0\x64\0\0\0\0" + bytes([transform])
    files[f"jpeg-inks-adobe-{transform}.jpg"] = (
        segments(inks, (0xEE, adobe), without=[0xEE]), None)
    files[f"jpeg-rgb-adobe-{transform}.jpg"] = (
        segments(plain, (0xEE, adobe), without=[0xE0]), None)
for identifiers in (b"RGB", b"\0\1\2"):
    files[f"jpeg-names-{identifiers.hex()}.jpg"] = (
        named(segments(plain, without=[0xE0]), identifiers), None)
# Processes that Pillow reads and does not write.
files["jpeg-arithmetic.jpg"] = (coded(plain, "-arithmetic"), None)
files["jpeg-scans.jpg"] = (coded(plain, scans="0;\n1;\n2;\n"), None)

# Where else an orientation may stand, and what goes before what.
header, packet = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
none = exif(6).replace(struct.pack("<HH", 0x0112, 3), struct.pack("<HH", 0x0113, 3))
late = exif(8, ">")
for name, added in {
    "xmp-6": [packet + xmp(6)], "xmp-8-element": [packet + xmp(8, True)],
    "xmp-9": [packet + xmp(9)], "xmp-twice": [packet + xmp(3), packet + xmp(6)],
    "xmp-extension": [b"http://ns.adobe.com/xmp/extension/\0" + xmp(6)],
    "exif-1-xmp-6": [packet + xmp(6), header + exif(1)],
    "exif-0-xmp-6": [header + exif(0), packet + xmp(6)],
    "exif-none-xmp-6": [header + none, packet + xmp(6)],
    "exif-continued": [header + late[:30], header + late[30:]],
    "exif-twice": [header + exif(3), header + exif(6)], "exif-two-headers": [header * 2 + late],
}.items():
    files[f"jpeg-{name}-orientation.jpg"] = (
        segments(plain, *((0xE1, content) for content in added)), None)
key, raw = b"XML:com.adobe.xmp", b"Raw profile type exif"
for name, (before, after) in {
    "xmp-6": ([international(key, xmp(6))], []),
    "xmp-7-compressed": ([international(key, xmp(7, True), True)], []),
    "xmp-5-after": ([], [international(key, xmp(5))]),
    "profile-6": ([(b"tEXt", raw + b"\0" + profile(header + exif(6)))], []),
    "profile-8-compressed": (
        [(b"zTXt", raw + b"\0\0" + zlib.compress(profile(header + exif(8, ">"))))], []),
    "profile-3-after": ([], [(b"tEXt", raw + b"\0" + profile(header + exif(3)))]),
    "profile-6-xmp-8": (
        [international(key, xmp(8)), (b"tEXt", raw + b"\0" + profile(header + exif(6)))], []),
    "profile-none-xmp-8": (
        [international(key, xmp(8)), (b"tEXt", raw + b"\0" + profile(header + none))], []),
    "exif-1-profile-6": (
        [(b"tEXt", raw + b"\0" + profile(header + exif(6))), (b"eXIf", exif(1))], []),
    "exif-twice": ([(b"eXIf", exif(3))], [(b"eXIf", exif(6))]),
    "profile-app1": ([(b"tEXt", b"Raw profile type APP1\0" + profile(header + exif(6)))], []),
    "comment": ([(b"tEXt", b"Comment\0" + xmp(6))], []),
}.items():
    files[f"png-{name}-orientation.png"] = (png(rgb, 8, 2, before=before, after=after), None)

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
for name, added in {
    "gamma": [(b"gAMA", struct.pack(">I", 100000)), (b"sBIT", bytes([5, 6, 5]))],
    "background": [(b"bKGD", b"\0\1\0\2\0\3")],
}.items():
    files[f"png-rgb-8-{name}.png"] = (png(rgb, 8, 2, before=added), None)
files["png-grey-8-key.png"] = (png(ramp % 256, 8, 0, before=[(b"tRNS", b"\0\x10")]), None)
files["png-palette-4-short.png"] = (
    png(ramp % 16, 4, 3, before=[(b"PLTE", palette[0][1][:15])]), None)
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
