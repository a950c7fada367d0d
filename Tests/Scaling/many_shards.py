#!/usr/bin/env python3
"""Makes a data set of very many images that take hardly any room: shards whose chunks have their places in the
file, and trees that lead to them, but were never written, so that the file system keeps holes there.

    python3 Tests/Scaling/many_shards.py FOLDER --shards 10000 --images 1000        # 10 million images, 1.2 GB
    python3 Tests/Scaling/many_shards.py FOLDER --shards 5000 --images 40 --side 64 --written

--written stores random pixels with checksums instead, as rfm pack does. A few shards are made, whose labels
differ, and copied under the other names. FOLDER must be empty or not there. Needs h5py.

Images that are holes carry no checksums, and their zeros come from no disk: who reads them verifies no pixel and waits
for nothing. Such a set tells how soon a job begins, what it keeps and how often it reads, but not how many images a
second are read: for that take --written.
"""
import argparse
import errno
import os
import pathlib
import shutil

import h5py
import numpy as np

NAMES = ["real", "blend", "grid", "swap"]
TEMPLATES = 8


def write(path: pathlib.Path, images: int, side: int, seed: int, written: bool, step: int):
    draw = np.random.default_rng(seed)
    methods = draw.choice(4, images, p=[0.4, 0.2, 0.2, 0.2]).astype(np.uint8)
    shape = (images, side, side, 3)
    with h5py.File(path, "w") as f:
        f.attrs["format"], f.attrs["version"] = "rfm-shard", 1
        if written:
            data = f.create_dataset("images", shape, np.uint8, chunks=(step, side, side, 3), fletcher32=True)
            for row in range(images):
                data[row] = draw.integers(0, 256, (side, side, 3), dtype=np.uint8)
        else:
            how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            how.set_chunk((step, side, side, 3))
            how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple(shape)
            h5py.h5d.create(f.id, b"images", h5py.h5t.NATIVE_UINT8, space, how)
        f["labels"] = (methods > 0).astype(np.uint8)
        f["methods"] = methods
        f.create_dataset("method_names", data=NAMES, dtype=h5py.string_dtype())
        sources = [f"video-{seed}-{row // 10}" for row in range(images)]
        f.create_dataset("sources", data=sources, dtype=h5py.string_dtype())


def pieces(file):
    """What a file holds, its holes aside: places and bytes, 16 MiB at a time at the most."""
    place, size = 0, os.fstat(file.fileno()).st_size
    while place < size:
        try:
            place = os.lseek(file.fileno(), place, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole up to the end
            raise
        end = os.lseek(file.fileno(), place, os.SEEK_HOLE)
        piece = os.pread(file.fileno(), min(end - place, 1 << 24), place)
        yield place, piece
        place += len(piece)


def copy_with_holes(source: pathlib.Path, target: pathlib.Path):
    """Copies what is not a hole."""
    with open(source, "rb") as a, open(target, "wb") as b:
        for place, piece in pieces(a):
            b.seek(place)
            b.write(piece)
        b.truncate(source.stat().st_size)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=1000, help="a shard")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=1, help="images a chunk")
    parser.add_argument("--written", action="store_true")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    if any(asked.folder.iterdir()):
        parser.error(f"{asked.folder} is not empty: shards of another set would be taken for this one's")
    for number in range(asked.shards):
        path = asked.folder / f"train-{number:05}.h5"
        if number < TEMPLATES:
            write(path, asked.images, asked.side, number, asked.written, asked.chunk)
        elif asked.written:
            shutil.copyfile(asked.folder / f"train-{number % TEMPLATES:05}.h5", path)
        else:
            copy_with_holes(asked.folder / f"train-{number % TEMPLATES:05}.h5", path)


if __name__ == "__main__":
    main()
