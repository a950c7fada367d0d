#!/usr/bin/env python3
"""Small videos and their frames by PyAV (pip install av numpy Pillow; the program ffmpeg encodes).

    python Tests/Oracle/video_frames.py

writes Tests/FacesTests/Golden/Videos: the videos; `frames.json` with every frame's time and the means
of its 8×8 blocks; of each video its middle frame whole, as PNG; and `choices.json`, which frames NumPy's
`linspace` takes. The frames are PyAV's `to_ndarray(format="rgb24")` (PyAV 18.1 with FFmpeg 8.1), turned
as the display matrix says by NumPy. HDR has no SDR frames in PyAV: its reference is the formulas in
`standard`, in float64, on the planes as decoded.
"""

import base64
import io
import json
import pathlib
import struct
import subprocess
import tempfile

import av
import numpy as np
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "FacesTests/Golden/Videos"
WIDTH, HEIGHT, FRAMES = 64, 48, 13


def picture(n, width=WIDTH, height=HEIGHT):
    """A frame that no other one is like: soft colours that move, a disc, and the number in blocks."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 128 + 100 * np.sin((x + 3 * n) / 17 + y / 40)
    green = 128 + 100 * np.sin((y + 2 * n) / 13 - x / 50)
    blue = 128 + 100 * np.sin((x + y - 4 * n) / 23)
    frame = np.stack([red, green, blue], axis=-1)
    disc = (x - (10 + 4 * n) % width) ** 2 + (y - height / 2) ** 2 < 60
    frame[disc] = [230, 40, 60]
    for bit in range(4):
        on = n >> bit & 1
        frame[3:11, 4 + 14 * bit:12 + 14 * bit] = [235, 235, 235] if on else [20, 20, 20]
    frame[height - 10:height - 3, width - 28:width - 10] = [40, 60, 240]  # the picture has an up and a right
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def encode(name, *options, frames=FRAMES, inputs=(), rate="25", width=WIDTH, height=HEIGHT):
    raw = b"".join(picture(n, width, height).tobytes() for n in range(frames))
    command = [
        "ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s",
        f"{width}x{height}", "-r", rate, "-i", "-", *inputs, *options, "-fflags", "+bitexact",
        "-flags:v", "+bitexact", "-map_metadata", "-1", FOLDER / name]
    subprocess.run(command, input=raw, check=True)


def remux(source, name, *options, before=()):
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *before, "-i", FOLDER / source, "-c", "copy", *options,
         "-fflags", "+bitexact", FOLDER / name], check=True)


def turn(source, name, matrix):
    """A copy of an MP4 with a, b, c, d in its track's header."""
    data = bytearray((FOLDER / source).read_bytes())
    # Size, "tkhd", version and flags, version 0: 20 bytes of times and duration, 8 reserved, 8 more.
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (value * 65536 for value in matrix)
    data[place:place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (FOLDER / name).write_bytes(data)


X264 = ("-c:v", "libx264", "-crf", "20", "-x264-params", "keyint=5:min-keyint=5:scenecut=0:bframes=2")
X265 = ("-c:v", "libx265", "-crf", "22", "-x265-params",
        "keyint=5:min-keyint=5:scenecut=0:bframes=2:open-gop=0:log-level=none")


def tagged(matrix, primaries=None, transfer=None, range_="tv", pixels="yuv420p"):
    """Converts by a matrix and says so."""
    return (
        "-vf", f"scale=out_color_matrix={matrix}:out_range={range_},format={pixels}",
        "-colorspace", matrix if matrix != "bt2020" else "bt2020nc", "-color_range", range_,
        *(("-color_primaries", primaries) if primaries else ()),
        *(("-color_trc", transfer) if transfer else ()))


def make_videos():
    encode("h264.mp4", *X264, "-pix_fmt", "yuv420p")
    encode("h264-bt709.mp4", *X264, *tagged("bt709"))
    encode("h264-bt601.mp4", *X264, *tagged("smpte170m"), frames=4)
    # The same samples under tags that are not theirs.
    remux("h264-bt601.mp4", "h264-as-bt709.mp4", "-bsf:v", "h264_metadata=matrix_coefficients=1")
    remux("h264-bt601.mp4", "h264-as-full-range.mp4", "-bsf:v", "h264_metadata=video_full_range_flag=1")
    encode("h264-full-range.mp4", *X264, *tagged("bt709", range_="pc"))
    encode("h264-bt2020.mp4", *X264, *tagged("bt2020"))
    encode("h264-444.mkv", *X264, "-pix_fmt", "yuv444p")
    encode("h264-grey.mp4", *X264, "-pix_fmt", "gray")
    encode("h264-rgb.mkv", "-c:v", "libx264rgb", "-crf", "20")
    encode("h264-interlaced.mp4", *X264, "-pix_fmt", "yuv420p", "-flags", "+ilme+ildct")
    encode("h264-open-gop.mkv", "-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-x264-params",
           "keyint=5:min-keyint=5:scenecut=0:bframes=2:open-gop=1")
    encode("h264-refresh.mp4", "-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-x264-params",
           "keyint=5:intra-refresh=1:scenecut=0")
    encode("h264.ts", *X264, "-pix_fmt", "yuv420p")
    encode("h264.flv", *X264, "-pix_fmt", "yuv420p")
    encode("h264.264", *X264, "-pix_fmt", "yuv420p", "-f", "h264")
    encode("h264-fragments.mp4", *X264, "-pix_fmt", "yuv420p", "-movflags", "frag_keyframe+empty_moov")
    encode("hevc.mp4", *X265, "-pix_fmt", "yuv420p", "-tag:v", "hvc1")
    encode("hevc-open-gop.mkv", "-c:v", "libx265", "-crf", "22", "-pix_fmt", "yuv420p", "-x265-params",
           "keyint=5:min-keyint=5:scenecut=0:bframes=3:open-gop=1:log-level=none")
    encode("hevc-10-bit.mkv", *X265, *tagged("bt2020", "bt2020", "bt2020-10", pixels="yuv420p10le"))
    encode("hevc-10-bit-full-range.mkv", *X265, *tagged("bt709", range_="pc", pixels="yuv420p10le"),
           frames=3)
    encode("vp9.webm", "-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "0", "-g", "5", "-pix_fmt", "yuv420p")
    encode("vp9-odd.webm", "-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "0", "-pix_fmt", "yuv420p",
           frames=4, width=61, height=45)
    encode("vp8.webm", "-c:v", "libvpx", "-crf", "10", "-b:v", "1M", "-g", "8", "-auto-alt-ref", "1",
           "-lag-in-frames", "10")
    encode("av1.mkv", "-c:v", "libaom-av1", "-crf", "30", "-g", "5", "-cpu-used", "6", "-pix_fmt",
           "yuv420p")
    encode("mpeg4.avi", "-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-g", "5")
    encode("mjpeg.mov", "-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p", frames=8)
    encode("mpeg2.ts", "-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "5")
    encode("mpeg2.mpg", "-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "5")
    encode("prores.mov", "-c:v", "prores_ks", "-profile:v", "0", "-pix_fmt", "yuv422p10le", frames=5)
    encode("ffv1.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p", frames=4)
    encode("theora.ogv", "-c:v", "libtheora", "-q:v", "7", "-g", "5", frames=8)
    encode("wmv.wmv", "-c:v", "wmv2", "-q:v", "3", "-g", "5", frames=8)
    encode("animation.gif", frames=4)
    encode("turned-90.mp4", *X264, *tagged("bt709"), frames=3)
    for name, matrix in {
        "turned-90": (0, 1, -1, 0), "turned-180": (-1, 0, 0, -1), "turned-270": (0, -1, 1, 0),
        "mirrored": (-1, 0, 0, 1), "flipped": (1, 0, 0, -1), "transposed": (0, 1, 1, 0),
        "transversed": (0, -1, -1, 0),
    }.items():
        turn("turned-90.mp4", f"{name}.mp4", matrix)
    encode("variable-rate.mp4", "-vf", "setpts='N*N/25/TB/6'", "-vsync", "vfr", *X264, "-pix_fmt",
           "yuv420p", "-video_track_timescale", "1000")
    encode("variable-rate.mkv", "-vf", "select='mod(n\\,3)'", "-vsync", "vfr", *X264, "-pix_fmt",
           "yuv420p")
    encode("one-key.mp4", "-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-x264-params",
           "keyint=5:min-keyint=5:scenecut=0:bframes=2")
    remux("one-key.mp4", "edit-list.mp4", before=("-ss", "0.3"))
    (FOLDER / "one-key.mp4").unlink()
    remux("h264.mp4", "without-times.mkv", "-avoid_negative_ts", "disabled",
          before=("-itsoffset", "-0.2"))
    remux("h264.mp4", "negative-start.mp4", "-avoid_negative_ts", "disabled",
          before=("-itsoffset", "-0.2"))
    encode("one-frame.mp4", *X264, "-pix_fmt", "yuv420p", frames=1)
    encode("anamorphic.mp4", *X264, "-pix_fmt", "yuv420p", "-aspect", "16:9")
    encode("two-streams.mkv", "-map", "0:v", "-map", "0:v", *X264, "-pix_fmt", "yuv420p", frames=6)
    encode("with-sound.mp4", "-map", "0:v", "-map", "1:a", *X264, "-pix_fmt", "yuv420p", "-c:a", "aac",
           "-b:a", "16k", "-shortest", inputs=("-f", "lavfi", "-i", "sine=duration=0.7:sample_rate=8000"))
    # 10 bits at their full width: the signal is what it is, and only its tags say HDR.
    for name, transfer in (("hlg", "arib-std-b67"), ("pq", "smpte2084")):
        encode(f"hdr-{name}.mp4", "-c:v", "libx265", "-crf", "16", "-x265-params", "log-level=none",
               *tagged("bt2020", "bt2020", transfer, pixels="yuv420p10le"), "-tag:v", "hvc1", frames=4)
        encode(f"hdr-{name}-444.mkv", "-c:v", "libx265", "-crf", "12", "-x265-params",
               "log-level=none", *tagged("bt2020", "bt2020", transfer, pixels="yuv444p10le"), frames=4)
    # What is no video.
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "sine=duration=0.3:sample_rate=8000",
         "-c:a", "aac", "-b:a", "16k", "-fflags", "+bitexact", FOLDER / "sound.m4a"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        cover = pathlib.Path(folder) / "cover.jpg"
        Image.fromarray(picture(3)).save(cover)
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-i", FOLDER / "sound.m4a", "-i", cover, "-map", "0",
             "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic", "-fflags", "+bitexact",
             FOLDER / "cover.m4a"], check=True)


# MARK: HDR

def standard(frame):
    """A frame of PQ or HLG as SDR, [height, width, 3] uint8: the steps that Videos.md names."""
    def plane(i):
        part = frame.planes[i]
        rows = np.frombuffer(part, np.uint16).reshape(part.height, part.line_size // 2)
        return rows[:, :part.width].astype(np.float64)
    luma, cb, cr = plane(0), plane(1), plane(2)
    if frame.format.name == "yuv420p10le":
        cb, cr = (half.repeat(2, 0).repeat(2, 1) for half in (cb, cr))
    y = (luma - 64) / 876
    u, v = (cb - 512) / 896, (cr - 512) / 896
    kr, kb = 0.2627, 0.0593
    red = y + 2 * (1 - kr) * v
    blue = y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    signal = np.clip(np.stack([red, green, blue], -1), 0, 1)

    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128

    def eotf(e):
        p = e ** (1 / m2)
        return 10000 * (np.maximum(p - c1, 0) / (c2 - c3 * p)) ** (1 / m1)

    def inverse(light):
        p = (light / 10000) ** m1
        return ((c1 + c2 * p) / (1 + c3 * p)) ** m2

    if frame.color_trc == 16:
        light = eotf(signal)
    else:
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        scene = np.where(signal <= 0.5, signal ** 2 / 3, (np.exp((signal - c) / a) + b) / 12)
        ys = scene @ np.array([0.2627, 0.6780, 0.0593])
        light = 1000 * (ys ** 0.2)[..., None] * scene
    largest = light.max(-1)
    most, maximum = inverse(1000.0), inverse(203.0) / inverse(1000.0)
    e1 = np.minimum(inverse(largest) / most, 1)
    knee = 1.5 * maximum - 0.5
    t = (e1 - knee) / (1 - knee)
    spline = ((2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
              + (-2 * t**3 + 3 * t**2) * maximum)
    mapped = eotf(np.where(e1 < knee, e1, spline) * most)
    light = light * (mapped / np.maximum(largest, 1e-9))[..., None] / 203
    # BT.2020 to BT.709 from the chromaticities of the primaries and D65.
    def to_xyz(primaries):
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
        white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
        return columns * np.linalg.solve(columns, white)
    wide = to_xyz([(0.708, 0.292), (0.170, 0.797), (0.131, 0.046)])
    narrow = to_xyz([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)])
    light = light @ (np.linalg.inv(narrow) @ wide).T
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / 2.4)).astype(np.uint8)


# MARK: Frames

TURNS = {  # by NumPy, rows and columns of the stored picture
    "turned-90.mp4": lambda f: np.rot90(f, -1), "turned-180.mp4": lambda f: np.rot90(f, 2),
    "turned-270.mp4": lambda f: np.rot90(f, 1), "mirrored.mp4": lambda f: f[:, ::-1],
    "flipped.mp4": lambda f: f[::-1], "transposed.mp4": lambda f: f.transpose(1, 0, 2),
    "transversed.mp4": lambda f: f[::-1, ::-1].transpose(1, 0, 2),
}


def block_means(frame):
    height, width = frame.shape[0] // 8, frame.shape[1] // 8
    blocks = frame[:8 * height, :8 * width].reshape(height, 8, width, 8, 3).astype(np.float64)
    return np.rint(blocks.mean((1, 3))).astype(np.uint8)


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for frame in container.decode(stream):
            if path.name.startswith("hdr-"):
                pixels = standard(frame)
            else:
                pixels = frame.to_ndarray(format="rgb24")
            yield frame, TURNS.get(path.name, lambda f: f)(pixels)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    make_videos()
    entries, pictures = [], {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix == ".m4a":
            continue
        frames = list(decoded(path))
        times = [frame.time for frame, _ in frames]
        start = next((time for time in times if time is not None), None)
        middle = len(frames) // 2
        entries.append({
            "file": path.name, "width": frames[0][1].shape[1], "height": frames[0][1].shape[0],
            "times": [None if time is None else round(time - start, 6) for time in times],
            "middle": middle,
            "blocks": [
                base64.b64encode(block_means(pixels).tobytes()).decode() for _, pixels in frames],
        })
        packed = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(frames[middle][1])).save(packed, "PNG", optimize=True)
        name = pictures.setdefault(packed.getvalue(), path.name + ".png")  # many are the same
        path.with_name(name).write_bytes(packed.getvalue())
        entries[-1]["picture"] = name
    text = json.dumps(entries, separators=(",", ":")).replace('{"file"', '\n{"file"')
    (FOLDER / "frames.json").write_text(text + "\n", "utf-8")
    # Which frames are taken: NumPy's own.
    choices = [[total, count, np.linspace(0, total - 1, count, dtype=int).tolist()]
               for total in [1, 2, 3, 17, 31, 32, 33, 100, 301, 450, 1000, 7199]
               for count in [1, 2, 3, 7, 8, 16, 32, 50] if count < total]
    (FOLDER / "choices.json").write_text(json.dumps(choices, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
