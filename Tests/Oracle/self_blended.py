"""Golden values for fakes that are made of one real face, from NumPy, SciPy, OpenCV and Pillow.

    python3 Tests/Oracle/self_blended.py

Written from the paper (Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022,
section 3) and Sources/Faces/Faces.docc/SelfBlending.md, with other libraries' operations throughout; draws
come from the generator that mining.py implements again. Reads a scene of FacesTests/Golden, and writes
self-blended.json beside it: a face, and fakes of it with what was drawn for them.
"""

import base64
import json
import pathlib

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull, Delaunay

from mining import Draws

FOLDER = pathlib.Path(__file__).parent.parent / "FacesTests" / "Golden"
SELF_BLENDING = 13  # purpose of the random stream
SEED, VISIT = 5, 2
WIDTH, HEIGHT, MARGIN = 60, 52, 1.3
RATIOS = [0.25, 0.5, 0.75, 1, 1, 1]


def rounded(values):
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def face():
    """A face cut out with its margin, not square, so that axes can't be exchanged; and its landmarks."""
    scene = json.loads((FOLDER / "faces.json").read_text())["scenes"][0]
    found = scene["rgb"][0]
    left, top, right, bottom = found["box"]
    side = int((right - left) * MARGIN)
    x, y = (left + right) // 2 - side // 2, (top + bottom) // 2 - side // 2
    picture = Image.open(FOLDER / scene["file"]).crop((x, y, x + side, y + side))
    picture = np.asarray(picture.resize((WIDTH, HEIGHT), Image.BILINEAR))
    points = (np.array(found["published"]) - [x, y] + 0.5) * [WIDTH / side, HEIGHT / side] - 0.5
    return picture, points.astype(np.float32), found["box"]


def drawn(sample):
    """What is drawn for a fake, in its order, and the noise of its mask."""
    draws = Draws(SEED, VISIT, sample, SELF_BLENDING)
    within = lambda limit: limit * (2 * draws.uniform() - 1)
    is_shifted = draws.uniform() < 0.3
    shift = [within(20) for _ in range(3)]
    it = {"shift": shift if is_shifted else [0, 0, 0],
          "contrast": 1 + within(0.1), "brightness": within(0.1)}
    if draws.below(2) == 0:
        it["factor"] = 2 if draws.below(2) == 0 else 4
    else:
        it["strength"] = 0.2 + 0.3 * draws.uniform()
        it["lightness"] = 0.5 + 0.5 * draws.uniform()
    it["changes_source"] = draws.below(2) == 0
    it["right"], it["down"] = within(0.03), within(0.015)
    for axis in ["scale_x", "scale_y"]:
        it[axis] = 0.95 + (1 / 0.95 - 0.95) * draws.uniform()
    it["rows"], it["columns"] = 192 + draws.below(65), 192 + draws.below(65)
    it["inset"], it["reach"] = 2 + draws.below(11), 2 + draws.below(11)
    it["softness"] = 5 + draws.below(41)
    it["ratio"] = RATIOS[draws.below(6)]
    stream = Draws(SEED, VISIT, sample, SELF_BLENDING)
    stream.block = 1 << 32
    cells = it["rows"] * it["columns"]
    # The order of the stream is that of the columns' displacement first.
    noise = np.array([stream.word() >> 8 for _ in range(2 * cells)], np.float64) * 2.0**-23 - 1
    return it, noise.reshape(2, it["rows"], it["columns"])


def change(picture, it):
    """Colours, then detail."""
    levels = np.clip(picture.astype(np.float64) + it["shift"], 0, 255)
    levels = np.clip(levels * it["contrast"] + 255 * it["brightness"], 0, 255)
    if "factor" in it:
        size = [int(np.floor(n / it["factor"] + 0.5)) for n in (WIDTH, HEIGHT)]
        small = Image.fromarray(rounded(levels)).resize(size, Image.BILINEAR)
        return np.asarray(small.resize((WIDTH, HEIGHT), Image.BILINEAR))
    # Albumentations' Sharpen is (1 - a) v + a ((8 + l) v - neighbours): of pixels made darker first, so
    # that those of the border, which have no neighbours, are as dark as the others.
    strength, lightness = it["strength"], it["lightness"]
    whole = 1 - strength + strength * lightness
    dark = rounded(levels * whole)
    kernel = np.full((3, 3), -strength / whole)
    kernel[1, 1] = 1 + 8 * strength / whole
    sharp = rounded(cv2.filter2D(dark.astype(np.float64), cv2.CV_64F, kernel))
    result = dark.copy()
    result[1:-1, 1:-1] = sharp[1:-1, 1:-1]
    return result


def move(picture, it):
    scale = np.array([it["scale_y"], it["scale_x"]])
    size = np.array([HEIGHT, WIDTH])
    centre = (size - 1) / 2
    offset = centre - (centre + size * [it["down"], it["right"]]) / scale
    return rounded(np.stack([
        ndimage.affine_transform(picture[..., c].astype(np.float64), 1 / scale, offset, order=1,
                                 mode="mirror")
        for c in range(3)], axis=-1))


def soft_mask(inside_face, it, noise):
    """inside_face: tells of points (x, y) whether they lie in the face."""
    rows, columns = it["rows"], it["columns"]
    right, down = (50 * ndimage.gaussian_filter(field, 7) for field in noise)
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    x = (x + right + 0.5) * WIDTH / columns - 0.5
    y = (y + down + 0.5) * HEIGHT / rows - 0.5
    # Back to where the copy was before it was moved.
    cx, cy = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    x = (x - cx - it["right"] * WIDTH) / it["scale_x"] + cx
    y = (y - cy - it["down"] * HEIGHT) / it["scale_y"] + cy
    mask = inside_face(np.stack([x, y], -1)).astype(np.float64)
    # The paper's first Gaussian, whose values below 1 become 0.
    size = 2 * it["inset"] + 1
    padded = np.pad(mask, it["inset"], constant_values=1)
    blurred = cv2.GaussianBlur(padded, (size, size), 0)
    inner = (blurred > 1 - 1e-9)[it["inset"]:-it["inset"], it["inset"]:-it["inset"]]
    assert (inner == (ndimage.minimum_filter(mask, size, mode="constant", cval=1) == 1)).all()
    assert inner.any()
    kernel = cv2.getGaussianKernel(2 * it["reach"] + 1, it["softness"])[:, 0]
    soft = inner.astype(np.float64)
    for axis in (1, 0):
        soft = ndimage.correlate1d(soft, kernel, axis, mode="reflect")
    return cv2.resize(soft / soft.max(), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def blend(picture, inside_face, it, noise):
    changed = change(picture, it)
    source, target = (changed, picture) if it["changes_source"] else (picture, changed)
    mask = soft_mask(inside_face, it, noise)
    share = it["ratio"] * mask[..., None]
    return rounded(share * move(source, it) + (1 - share) * target), mask


def ellipse(centre, radii):
    return lambda points: (((points - centre) / radii) ** 2).sum(-1) <= 1


def text(values):
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def main():
    picture, landmarks, box = face()
    hull = landmarks[ConvexHull(landmarks).vertices].astype(np.float64)
    triangles = Delaunay(hull)
    size = np.array([WIDTH, HEIGHT])
    in_box = ellipse(((0.15 + np.array([0.5, 0.56])) / 1.3) * size - 0.5,
                     np.array([0.48, 0.46]) / 1.3 * size)
    unknown = ellipse(((0.3 + np.array([0.5, 0.56])) / 1.6) * size - 0.5,
                      np.array([0.48, 0.46]) / 1.6 * size)
    extents = {"landmarks": lambda points: triangles.find_simplex(points) >= 0, "box": in_box,
               "unknown": unknown}
    fakes = []
    for sample in range(9):
        it, noise = drawn(sample)
        extent = list(extents)[sample % 3]
        pixels, mask = blend(picture, extents[extent], it, noise)
        fakes.append({"sample": sample, "extent": extent, "drawn": it, "pixels": text(pixels),
                      "mask": text((mask >= 0.5).astype(np.uint8) * 255)})
        print(sample, extent, (mask >= 0.5).mean().round(3), it)
    assert {"factor", "strength"} <= {key for fake in fakes for key in fake["drawn"]}
    assert {fake["drawn"]["changes_source"] for fake in fakes} == {True, False}
    content = {"width": WIDTH, "height": HEIGHT, "picture": text(picture), "box": box,
               "landmarks": [[float(f"{v:.9g}") for v in point] for point in landmarks],
               "hull": hull.tolist(), "fakes": fakes}
    (FOLDER / "self-blended.json").write_text(json.dumps(content, indent=0) + "\n")
    sheet = np.concatenate([picture] + [np.frombuffer(base64.b64decode(f["pixels"]), np.uint8)
                            .reshape(HEIGHT, WIDTH, 3) for f in fakes], 1)
    return sheet


if __name__ == "__main__":
    main()
