#!/usr/bin/env python3
"""Writes the golden shards of FaceShardsTests with h5py: the same six images in every layout that
the format allows, and files that it doesn't allow.

    python3 Tests/Oracle/shards.py Tests/FaceShardsTests/Golden/Shards
"""

import sys
from pathlib import Path

import h5py
import numpy as np

N, H, W = 6, 8, 10
METHODS = [0, 1, 0, 2, 1, 0]
NAMES = ["real", "blend", "grid ü"]
SOURCES = [f"video-{i // 2}" for i in range(N)]
PATHS = [f"a/Zürich {i}.png" for i in range(N)]


def images() -> np.ndarray:
    i, y, x, c = np.ogrid[:N, :H, :W, :3]
    return ((i * 37 + y * 11 + x * 5 + c * 71) % 256).astype(np.uint8)


def masks() -> np.ndarray:
    m = np.zeros((N, H, W), np.uint8)
    for i, method in enumerate(METHODS):
        if method:
            m[i, 2:5, i : i + 3] = 255
    return m


def columns(f, *, integers=np.uint8, strings="variable", **how):
    methods = np.array(METHODS)
    f.create_dataset("labels", data=(methods > 0).astype(integers), **how)
    f.create_dataset("methods", data=methods.astype(integers), **how)
    for name, values in [("method_names", NAMES), ("sources", SOURCES), ("paths", PATHS)]:
        if strings == "variable":
            f.create_dataset(name, data=values, dtype=h5py.string_dtype())
        elif strings == "fixed":
            encoded = [v.encode() for v in values]
            kind = h5py.string_dtype("utf-8", max(map(len, encoded)))
            f.create_dataset(name, data=np.array(encoded, kind))
        else:
            kind = h5py.h5t.C_S1.copy()
            kind.set_size(24)
            kind.set_strpad(strings)
            kind.set_cset(h5py.h5t.CSET_UTF8)
            space = h5py.h5s.create_simple((len(values),))
            dataset = h5py.h5d.create(f.id, name.encode(), kind, space)
            pad = b" " if strings == h5py.h5t.STR_SPACEPAD else b"\0"
            data = np.array([v.encode().ljust(24, pad) for v in values], "S24")
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, data, mtype=kind)


def attributes(f, name="rfm-shard", version=1):
    f.attrs["format"] = name
    f.attrs["version"] = version


def write(folder: Path):
    # As the format says.
    with h5py.File(folder / "as-written.h5", "w") as f:
        attributes(f)
        f.create_dataset("images", data=images(), chunks=(1, H, W, 3), fletcher32=True)
        columns(f)
        f.create_dataset("masks", data=masks(), chunks=(1, H, W), fletcher32=True, compression="gzip")
    # In one piece, wide integers, no options, the attributes as NumPy scalars.
    with h5py.File(folder / "contiguous.h5", "w") as f:
        attributes(f, np.bytes_("rfm-shard"), np.int64(1))
        f.create_dataset("images", data=images())
        columns(f, integers=np.int64)
    # Several images a chunk that does not divide them, compressed, strings of fixed length.
    with h5py.File(folder / "compressed.h5", "w") as f:
        attributes(f, version=np.uint8(1))
        f.create_dataset(
            "images", data=images(), chunks=(4, 5, W, 3), compression="gzip", shuffle=True,
            fletcher32=True, maxshape=(None, H, W, 3))
        columns(f, integers=">i4", strings="fixed", chunks=(4,), compression="gzip")
    # The newest file layout, space-padded strings, attributes that are lists of one.
    with h5py.File(folder / "latest.h5", "w", libver=("v110", "v110")) as f:
        attributes(f, ["rfm-shard"], [1])
        f.create_dataset("images", data=images(), chunks=True, maxshape=(None, H, W, 3))
        columns(f, integers=np.int8, strings=h5py.h5t.STR_SPACEPAD)
    # A filter that only h5py has (left away where it does not shrink a chunk).
    with h5py.File(folder / "unknown-filter.h5", "w") as f:
        attributes(f)
        f.create_dataset("images", data=0 * images(), chunks=(1, H, W, 3), compression="lzf")
        columns(f)
    # Data in other files, which a file from anywhere must not make us read. They are there.
    with h5py.File(folder / "external-storage.h5", "w") as f:
        attributes(f)
        f.create_dataset(
            "images", (N, H, W, 3), np.uint8, external=[("contiguous.h5", 0, N * H * W * 3)])
        columns(f)
    with h5py.File(folder / "external-link.h5", "w") as f:
        attributes(f)
        f["images"] = h5py.ExternalLink("contiguous.h5", "/images")
        columns(f)
    with h5py.File(folder / "external-link-behind.h5", "w") as f:
        attributes(f)
        f["elsewhere"] = h5py.ExternalLink("contiguous.h5", "/")
        f["images"] = h5py.SoftLink("/elsewhere/images")
        columns(f)
    with h5py.File(folder / "virtual.h5", "w", libver=("v110", "v110")) as f:
        attributes(f)
        layout = h5py.VirtualLayout((N, H, W, 3), np.uint8)
        layout[:] = h5py.VirtualSource("contiguous.h5", "images", (N, H, W, 3))
        f.create_virtual_dataset("images", layout)
        columns(f)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
