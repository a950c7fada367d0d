"""Golden values for the degradations of test images, from Pillow, SciPy and NumPy.

    python3 Tests/Oracle/degradations.py

Writes Tests/ImagesTests/Golden/degraded.json. JPEG and resizing are Pillow's, blur is
SciPy's, and noise is drawn by the generator that mining.py implements again.
"""

import base64
import io
import json
import math
import pathlib

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from mining import Draws

PATH = (pathlib.Path(__file__).parent.parent / "ImagesTests" / "Golden"
        / "degraded.json")
WIDTH, HEIGHT = 37, 29
DEGRADATION = 10  # purpose of the random stream
SAMPLE = 1234567


def picture():
    """The same integers as `picture` in DegradationTests.swift."""
    y, x, c = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), np.arange(3), indexing="ij")
    return (np.abs((x * 5 + y * 3 + c * 40) % 200 - 100) + 100 + x * y % 7 * 8).astype(np.uint8)


def jpeg(quality):
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, format="jpeg", quality=quality)
    return np.asarray(Image.open(out).convert("RGB"))


def rounded(values):
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def blur(sigma):
    return rounded(gaussian_filter(picture().astype(np.float64), (sigma, sigma, 0)))


def noise(sigma):
    draws, normals = Draws(0, 0, SAMPLE, DEGRADATION), []
    while len(normals) < picture().size:
        radius = math.sqrt(-2 * math.log(1 - draws.uniform()))
        angle = 2 * math.pi * draws.uniform()
        normals += [radius * math.cos(angle), radius * math.sin(angle)]
    normals = np.array(normals[: picture().size]).reshape(picture().shape)
    return rounded(picture() + sigma * normals)


def resize(scale):
    small = (math.floor(WIDTH * scale + 0.5), math.floor(HEIGHT * scale + 0.5))
    image = Image.fromarray(picture()).resize(small, Image.BILINEAR)
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.BILINEAR))


if __name__ == "__main__":
    cases = []
    for name, function, strengths in [
        ("jpeg", jpeg, [90, 70, 50, 30]), ("blur", blur, [0.5, 1.0, 2.0, 9.0]),
        ("noise", noise, [2.0, 5.0, 10.0]), ("resize", resize, [0.75, 0.5])]:
        for strength in strengths:
            pixels = function(strength)
            cases.append(dict(
                degradation=f"{name}={strength}", pixels=base64.b64encode(pixels.tobytes()).decode()))
    PATH.write_text(json.dumps(cases, indent=0) + "\n")
    print(PATH, PATH.stat().st_size)
