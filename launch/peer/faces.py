#!/usr/bin/env python3
"""The usual way to faces of videos, as a peer of `rfm pack --faces detect`: one process, OpenCV decodes,
dlib's frontal detector looks at the image upsampled once, the largest face is squared with a margin of 1.3
and resized. Prints faces a second.

    python3 launch/peer/faces.py [--frames N] VIDEO…

Needs opencv-python-headless and dlib (or dlib-bin) from PyPI.
"""

import argparse
import time

import cv2
import dlib
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("videos", nargs="+")
    arguments = parser.parse_args()
    detector = dlib.get_frontal_face_detector()
    began = time.perf_counter()
    frames = faces = 0
    for path in arguments.videos:
        video = cv2.VideoCapture(path)
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = set(np.linspace(0, count - 1, min(arguments.frames, count), dtype=int).tolist())
        for index in range(count):
            if not video.grab():
                break
            if index not in wanted:
                continue
            image = cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB)
            frames += 1
            found = detector(image, 1)
            if not found:
                continue
            face = max(found, key=lambda box: box.area())
            height, width = image.shape[:2]
            side = int(max(face.width(), face.height()) * 1.3)
            x, y = face.center().x, face.center().y
            left, top = max(0, x - side // 2), max(0, y - side // 2)
            side = min(side, width - left, height - top)
            crop = image[top : top + side, left : left + side]
            cv2.resize(crop, (arguments.size, arguments.size), interpolation=cv2.INTER_AREA)
            faces += 1
    seconds = time.perf_counter() - began
    print(f"{frames} frames, {faces} faces, {faces / seconds:.2f} faces/s")


if __name__ == "__main__":
    main()
