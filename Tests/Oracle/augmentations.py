"""Golden values for the augmentations of training images, from SciPy, torchvision, Pillow and OpenCV.

    python3 Tests/Oracle/augmentations.py

Writes Tests/ImagesTests/Golden/augmented.json: pictures after known changes, and what is drawn for some
samples, by the generator that mining.py implements again.
"""

import base64
import io
import json
import math
import pathlib

import cv2
import numpy as np
import torch
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates
from torchvision.transforms import functional

from degradations import picture
from mining import Draws

PATH = pathlib.Path(__file__).parent.parent / "ImagesTests" / "Golden" / "augmented.json"
AUGMENTATION = 12  # purpose of the random stream
SEED, VISIT, PROBABILITY = 5, 3, 0.6
PICTURE = picture()
HEIGHT, WIDTH, _ = PICTURE.shape
Y, X = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
# An ellipse off the middle.
MASK = (((X - 14) / 9) ** 2 + ((Y - 12) / 7) ** 2 < 1).astype(np.uint8) * 255


def rounded(values):
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def by_torchvision(function, argument):
    image = torch.from_numpy(PICTURE.transpose(2, 0, 1).astype(np.float64) / 255)
    return rounded(function(image, argument).numpy().transpose(1, 2, 0) * 255)


def affine(rotation, scale, right, down):
    """OpenCV says which pixel goes where, SciPy reads between pixels without rounding."""
    matrix = cv2.getRotationMatrix2D(((WIDTH - 1) / 2, (HEIGHT - 1) / 2), rotation, scale)
    matrix[:, 2] += [right * WIDTH, down * HEIGHT]
    inverse = cv2.invertAffineTransform(matrix)[::-1]
    linear, offset = inverse[:, 1::-1], inverse[:, 2]
    image = np.stack([
        affine_transform(PICTURE[..., c].astype(np.float64), linear, offset, order=1, mode="mirror")
        for c in range(3)], axis=-1)
    whole = cv2.warpAffine(PICTURE, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REFLECT_101)
    # OpenCV reads at 32nds of a pixel.
    assert np.abs(image - whole).mean() < 1.5, np.abs(image - whole).mean()
    mask = affine_transform(MASK, linear, offset, order=0, mode="mirror")
    return rounded(image), mask


def motion_blur(length, angle):
    places = 2 * math.ceil(length) + 1
    path = np.linspace(-length / 2, length / 2, places)
    mean = np.zeros(PICTURE.shape)
    for t in path:
        where = [Y - t * math.sin(angle), X + t * math.cos(angle)]
        for c in range(3):
            mean[..., c] += map_coordinates(
                PICTURE[..., c].astype(np.float64), where, order=1, mode="mirror") / places
    return rounded(mean)


def jpeg(quality):
    out = io.BytesIO()
    Image.fromarray(PICTURE).save(out, format="jpeg", quality=quality)
    return np.asarray(Image.open(out).convert("RGB"))


def downscale(scale):
    small = (math.floor(WIDTH * scale + 0.5), math.floor(HEIGHT * scale + 0.5))
    image = Image.fromarray(PICTURE).resize(small, Image.BILINEAR)
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.BILINEAR))


def grey():
    return np.repeat(np.asarray(Image.fromarray(PICTURE).convert("L"))[..., None], 3, axis=2)


class AugmentationDraws(Draws):
    """The stream of one augmentation for one sample."""

    def __init__(self, sample, part):
        super().__init__(SEED, VISIT, sample, AUGMENTATION)
        self.block = part << 32

    def between(self, low, high):
        return low + (high - low) * self.uniform()

    def whole(self, low, high):
        return low + self.below(high - low + 1)


def noise(sigma, draws):
    normals = []
    while len(normals) < PICTURE.size:
        radius = math.sqrt(-2 * math.log(1 - draws.uniform()))
        angle = 2 * math.pi * draws.uniform()
        normals += [radius * math.cos(angle), radius * math.sin(angle)]
    return rounded(PICTURE + sigma * np.array(normals[: PICTURE.size]).reshape(PICTURE.shape))


def holes(draws, count, side):
    result = []
    for _ in range(draws.whole(*count)):
        height, width = (max(1, math.floor(draws.between(*side) * n + 0.5))
                         for n in (HEIGHT, WIDTH))
        top = draws.below(HEIGHT - height + 1)
        result.append([top, draws.below(WIDTH - width + 1), height, width])
    return result


def dropout(rectangles):
    image = PICTURE.copy()
    for top, left, height, width in rectangles:
        image[top:top + height, left:left + width] = 0
    return image


# What each draws from its standard ranges, in order, once the image is chosen.
STANDARD = {
    "affine": lambda d: [d.between(-10, 10), d.between(0.9, 1.1), d.between(-0.05, 0.05),
                         d.between(-0.05, 0.05)],
    "brightness": lambda d: [d.between(-0.2, 0.2)],
    "contrast": lambda d: [d.between(0.8, 1.2)],
    "gamma": lambda d: [d.between(0.8, 1.25)],
    "saturation": lambda d: [d.between(0.7, 1.3)],
    "hue": lambda d: [d.between(-0.05, 0.05)],
    "grey": lambda d: [],
    "gaussian_blur": lambda d: [d.between(0.3, 1.5)],
    "motion_blur": lambda d: [d.between(2, 8), math.pi * d.uniform()],
    "noise": lambda d: [d.between(1, 8)],
    "sharpen": lambda d: [d.between(0.5, 2.5)],
    "downscale": lambda d: [d.between(0.4, 0.9)],
    "jpeg": lambda d: [d.whole(40, 100)],
    "coarse_dropout": lambda d: [n for hole in holes(d, (1, 4), (0.05, 0.2)) for n in hole],
}


def drawn():
    for part, (name, draw) in enumerate(STANDARD.items()):
        for sample in range(6):
            draws = AugmentationDraws(sample, part)
            values = draw(draws) if draws.uniform() < PROBABILITY else None
            yield dict(augmentation=name, sample=sample, values=values)


def changed():
    def case(name, values, pixels, mask=None):
        coded = {"pixels": pixels} if mask is None else {"pixels": pixels, "mask": mask}
        return dict(augmentation=name, values=values) | {
            key: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            for key, array in coded.items()}

    for values in [(7.5, 1.1, 0.04, -0.03), (-28, 0.7, -0.2, 0.1), (180, 2.5, 0, 0.6)]:
        yield case("affine", values, *affine(*values))
    for name, function, arguments in [
        ("brightness", lambda v: rounded(PICTURE.astype(np.float64) + 255 * v), [0.13, -0.3]),
        ("contrast", lambda v: by_torchvision(functional.adjust_contrast, v), [0.6, 1.37]),
        ("gamma", lambda v: by_torchvision(functional.adjust_gamma, v), [0.7, 1.9]),
        ("saturation", lambda v: by_torchvision(functional.adjust_saturation, v), [0, 1.6]),
        ("hue", lambda v: by_torchvision(functional.adjust_hue, v), [0.05, -0.31, 0.5]),
        ("gaussian_blur", lambda v: rounded(
            gaussian_filter(PICTURE.astype(np.float64), (v, v, 0))), [0.8]),
        ("sharpen", lambda v: by_torchvision(
            functional.adjust_sharpness, 1 + v), [0.7, 3.9]),
        ("downscale", downscale, [0.6]),
        ("jpeg", jpeg, [45]),
    ]:
        for argument in arguments:
            yield case(name, [argument], function(argument))
    yield case("grey", [], grey())
    for values in [(5.3, 0.4), (11, 2.2), (2, 0)]:
        yield case("motion_blur", values, motion_blur(*values))
    # These draw on: the sample's own stream, from its beginning.
    draws = AugmentationDraws(0, 9)
    draws.uniform()
    sigma = draws.between(1, 8)
    yield case("noise", [sigma], noise(sigma, draws))
    draws = AugmentationDraws(0, 13)
    draws.uniform()
    rectangles = holes(draws, (1, 4), (0.05, 0.2))
    yield case("coarse_dropout", [n for hole in rectangles for n in hole], dropout(rectangles))


if __name__ == "__main__":
    golden = dict(
        mask=base64.b64encode(MASK.tobytes()).decode(), drawn=list(drawn()), changed=list(changed()))
    PATH.write_text(json.dumps(golden, indent=0) + "\n")
    print(PATH, PATH.stat().st_size)
