"""Golden values for faces, from Python's dlib, OpenCV, scikit-image and Pillow.

Draws scenes of the procedural faces of `rfm synthesize` (several sizes, places and tilts, one to three faces,
near the border too) and writes them as JPEG, with what dlib finds in them and how two scripts would crop it:
one after FaceForensics++'s convention, one after DeepfakeBench's.

    rfm synthesize --output build/faces --images-per-class 60 --size 256 --seed 5
    python3 Tests/Oracle/faces.py build/faces [--scenes 24] [--output Tests/FacesTests/Golden]

Any other folder can be compared: RFM_FACE_SCENES=FOLDER launch/test --filter FaceAgreementTests. Landmarks are
those of a model of a few trees that is trained here on made-up points and written beside them, so that tests need
no other, and those of the 68-point model of Debian's libdlib-data (--published FILE), which are compared where it
is installed. `--photographs FILE…` adds pictures of your own.

    python3 Tests/Oracle/faces.py --time PICTURE     the processor time dlib takes for it

Needs h5py numpy Pillow dlib opencv-python-headless scikit-image.
"""

import argparse
import json
import pathlib
import time

import cv2
import dlib
import numpy as np
from PIL import Image
from skimage.transform import estimate_transform

MODEL = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat"
GOLDEN = pathlib.Path(__file__).parent.parent / "FacesTests" / "Golden"
SIZES = [(320, 240), (240, 320), (400, 300), (288, 288), (360, 200)]
CROP = 64


def procedural(folder):
    import h5py

    pictures = []
    for path in sorted(pathlib.Path(folder).glob("*.h5")):
        with h5py.File(path) as shard:
            pictures += list(shard["images"][:])
    return pictures


def scene(pictures, number):
    """One to three faces on an uneven ground, by the number alone."""
    random = np.random.default_rng([2026, number])
    width, height = SIZES[number % len(SIZES)]
    coarse = random.integers(40, 200, (5, 7, 3)).astype(np.uint8)
    ground = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
    count = 1 if number % 3 else random.integers(2, 4)
    for i in range(count):
        face = Image.fromarray(pictures[random.integers(len(pictures))])
        side = int(random.uniform(0.5, 1.0) * min(width, height) / (1 if count == 1 else 1.4))
        tilt = random.uniform(-25, 25) if number % 2 else random.uniform(-6, 6)
        y, x = np.mgrid[0:256, 0:256] / 127.5 - 1
        veil = Image.fromarray((255 * np.clip(4 * (1 - np.hypot(x, y)), 0, 1)).astype(np.uint8))
        face = face.rotate(tilt, Image.BICUBIC).resize((side, side), Image.LANCZOS)
        veil = veil.resize((side, side), Image.BILINEAR)
        # Every fourth scene has them beyond the border.
        beyond = side // 3 if number % 4 == 0 else 0
        left = int(random.integers(-beyond, width - side + beyond + 1))
        top = int(random.integers(-beyond, height - side + beyond + 1))
        if count > 1:
            left = int((i + 0.5) * width / count - side / 2)
        ground.paste(face, (left, top), veil)
    return ground


def layout():
    """68 points about where a face's are, (0, 0) to (1, 1) for its box."""
    turn = np.linspace(np.pi, 0, 17)
    points = [(0.5 + 0.5 * np.cos(a), 0.35 + 0.65 * np.sin(a)) for a in turn]
    points += [(x, 0.2 - 0.04 * np.sin(i)) for i, x in enumerate(np.linspace(0.1, 0.42, 5))]
    points += [(x, 0.2 - 0.04 * np.sin(i)) for i, x in enumerate(np.linspace(0.58, 0.9, 5))]
    points += [(0.5, y) for y in np.linspace(0.3, 0.55, 4)]
    points += [(x, 0.62) for x in np.linspace(0.4, 0.6, 5)]
    for middle in (0.28, 0.72):
        points += [
            (middle - 0.08 * np.cos(a), 0.32 - 0.03 * np.sin(a))
            for a in np.arange(6) * np.pi / 3]
    for width, count in ((0.2, 12), (0.14, 8)):
        points += [
            (0.5 - width * np.cos(a), 0.79 - 0.3 * width * np.sin(a))
            for a in np.arange(count) * 2 * np.pi / count]
    return np.array(points)


def train(pictures, path):
    """A landmark model of few trees, of faces that are where the detector found them, more or less."""
    random = np.random.default_rng(68)
    detector = dlib.get_frontal_face_detector()
    images, faces = [], []
    for picture in pictures[:40]:
        for box in detector(picture, 0)[:1]:
            size = np.array([box.width(), box.height()])
            a, b = random.normal(1, 0.05), random.normal(0, 0.1)
            points = (layout() - 0.5) @ np.array([[a, b], [-b, a]]) + 0.5
            points = points + random.normal(0, 0.03, 2)
            places = np.rint(points * size + [box.left(), box.top()]).astype(int)
            images.append(picture)
            faces.append([dlib.full_object_detection(box, [dlib.point(*p) for p in places])])
    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.tree_depth, options.num_trees_per_cascade_level = 2, 2, 5
    options.feature_pool_size, options.num_test_splits, options.oversampling_amount = 40, 10, 5
    options.nu, options.random_seed, options.num_threads = 0.3, "rfm", 1
    dlib.train_shape_predictor(images, faces, options).save(str(path))


def corners(box):
    return [box.left(), box.top(), box.right(), box.bottom()]


def found(detector, models, levels, pixels):
    boxes, scores, _ = detector.run(levels, 1, 0.0)
    return [
        {"box": corners(box), "score": score}
        | {
            name: [[p.x, p.y] for p in model(pixels, box).parts()]
            for name, model in models.items()
        }
        for box, score in zip(boxes, scores)
    ]


def unaligned(pixels, box, size, margin=1.3):
    """The square that FaceForensics++ classifies, and as its transformation resizes it (Pillow)."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = box
    side = int(margin * max(right - left, bottom - top))
    x = max(0, (left + right) // 2 - side // 2)
    y = max(0, (top + bottom) // 2 - side // 2)
    side = min(side, width - x, height - y)
    part = Image.fromarray(pixels[y : y + side, x : x + side])
    return np.asarray(part.resize((size, size), Image.BILINEAR))


def aligned(pixels, landmarks, size, margin=1.3):
    """A face as DeepfakeBench aligns it: five landmarks onto ArcFace's, with a margin around."""
    template = np.array([
        [38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
        [70.7299, 92.2041]])
    goals = (template / 112 + (margin - 1) / 2) * size / margin
    points = np.array(landmarks, np.float64)[[37, 44, 30, 49, 55]]
    transform = estimate_transform("similarity", points, goals)
    return cv2.warpAffine(pixels, transform.params[:2], (size, size))


def measured(path):
    detector = dlib.get_frontal_face_detector()
    pixels = np.asarray(Image.open(path).convert("RGB"))
    for name, levels in (("rgb", pixels), ("grey", cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))):
        times = []
        for _ in range(11):
            start = time.process_time()
            boxes = detector(levels, 1)
            times.append(1000 * (time.process_time() - start))
        print(
            f"{name} {pixels.shape[1]}×{pixels.shape[0]}: {len(boxes)} faces, median "
            f"{np.median(times):.1f} ms, fastest {min(times):.1f} ms (dlib {dlib.__version__})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", nargs="?")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--output", type=pathlib.Path, default=GOLDEN)
    parser.add_argument("--published", default=MODEL)
    parser.add_argument("--photographs", nargs="*", default=[])
    parser.add_argument("--time")
    arguments = parser.parse_args()
    if arguments.time:
        return measured(arguments.time)
    pictures = procedural(arguments.shards)
    detector = dlib.get_frontal_face_detector()
    arguments.output.mkdir(parents=True, exist_ok=True)
    train(pictures, arguments.output / "landmarks.dat")
    models = {
        "small": dlib.shape_predictor(str(arguments.output / "landmarks.dat")),
        "published": dlib.shape_predictor(arguments.published),
    }
    scenes, crops = [], []
    for number in range(arguments.scenes + len(arguments.photographs)):
        name = f"scene-{number:03d}.jpg"
        if number < arguments.scenes:
            picture = scene(pictures, number)
        else:
            picture = Image.open(arguments.photographs[number - arguments.scenes]).convert("RGB")
        picture.save(arguments.output / name, quality=85, subsampling=2)
        pixels = np.asarray(Image.open(arguments.output / name))
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        one = {
            "file": name,
            "rgb": found(detector, models, pixels, pixels),
            "grey": found(detector, {}, grey, pixels),
        }
        # The crops are stored as one picture: to the left unaligned, to the right aligned.
        for index, face in enumerate(one["rgb"]):
            # Among those committed, a few for the size.
            if arguments.output == GOLDEN and (number % 3 or index):
                continue
            one.setdefault("crops", []).append(index)
            crops.append(np.hstack([
                unaligned(pixels, face["box"], CROP),
                aligned(pixels, face["small"], CROP)]))
        scenes.append(one)
    Image.fromarray(np.vstack(crops)).save(arguments.output / "crops.png", optimize=True)
    text = {"dlib": dlib.__version__, "crop": CROP, "scenes": scenes}
    (arguments.output / "faces.json").write_text(json.dumps(text, separators=(",", ":")) + "\n")
    print(
        f"{len(scenes)} scenes, {sum(len(one['rgb']) for one in scenes)} faces in colour, "
        f"{sum(len(one['grey']) for one in scenes)} in grey, {len(crops)} crops")


if __name__ == "__main__":
    main()
