#!/usr/bin/env python3
"""Writes the golden shards of FaceShardsTests with h5py: the same six images in every layout that
the format allows and with every kind of labels and masks that people write, and files that it doesn't
allow.

    python3 Tests/Oracle/shards.py Tests/FaceShardsTests/Golden/Shards
"""

import os
import signal
import sys
import zlib
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


def stored_as(f, name: str, kind, values: np.ndarray):
    """A dataset of a type that NumPy has no name for."""
    space = h5py.h5s.create_simple(values.shape)
    dataset = h5py.h5d.create(f.id, name.encode(), kind, space)
    values = np.ascontiguousarray(values, np.uint8)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values, mtype=kind)


def enumeration(**members: int):
    return h5py.enum_dtype(members, basetype=np.uint8)


def dialect(path: Path, labels=None, methods=None, masks=None, version=1, **how):
    """The six images with other labels, methods or masks: arrays, or what writes them."""
    with h5py.File(path, "w", **how) as f:
        attributes(f, version=version)
        f["images"] = images()
        f.create_dataset("method_names", data=NAMES, dtype=h5py.string_dtype())
        f.create_dataset("sources", data=SOURCES, dtype=h5py.string_dtype())
        f.create_dataset("paths", data=PATHS, dtype=h5py.string_dtype())
        for name, values in [
            ("labels", LABELS if labels is None else labels),
            ("methods", np.array(METHODS, np.uint8) if methods is None else methods),
            ("masks", masks),
        ]:
            if callable(values):
                values(f, name)
            elif values is not None:
                f[name] = values


LABELS = (np.array(METHODS) > 0).astype(np.uint8)
B8 = h5py.h5t.STD_B8LE


def write_dialects(folder: Path):
    # What a comparison makes: booleans, which are an enumeration FALSE, TRUE of int8.
    dialect(folder / "booleans.h5", LABELS > 0, np.array(METHODS, ">i8"), masks() > 0)
    # Booleans of PyTables and HDF5.jl.
    dialect(
        folder / "bit-fields.h5", lambda f, n: stored_as(f, n, B8, LABELS),
        lambda f, n: stored_as(f, n, B8, np.array(METHODS)),
        lambda f, n: stored_as(f, n, B8, masks() // 255))
    # Names that count, whatever their numbers; methods too.
    dialect(
        folder / "names.h5", LABELS.astype(enumeration(real=0, fake=1)),
        np.array([[2, 1, 0][m] for m in METHODS], enumeration(**{"grid ü": 0, "blend": 1, "real": 2})))
    dialect(folder / "names-reversed.h5", (1 - LABELS).astype(enumeration(Fake=0, REAL=1)))
    dialect(
        folder / "name-unknown.h5",
        np.array(METHODS, np.uint8).astype(enumeration(real=0, fake=1, swapped=2)))
    # What Keras wants and np.zeros gives; masks of ones with an axis for the colour.
    dialect(
        folder / "columns.h5", LABELS.astype(np.float64)[:, None], np.array(METHODS, ">u2")[:, None],
        (masks() // 255)[..., None], version=np.array([[1]], ">u2"))
    dialect(folder / "half-precision.h5", LABELS.astype(np.float16), np.array(METHODS, np.float32),
            version=1.0)
    dialect(folder / "soft-labels.h5", np.where(LABELS > 0, 0.95, 0.05))
    dialect(folder / "one-hot.h5", np.eye(2, dtype=np.uint8)[LABELS])
    dialect(folder / "texts.h5", np.array([b"fake" if label else b"real" for label in LABELS]))
    # Masks that were JPEG files: small values everywhere, also of real images.
    edges = masks().astype(int) + (np.arange(N * H * W).reshape(N, H, W) * 7) % 12
    edges = np.where(masks() > 0, np.clip(masks().astype(int) - edges % 64, 128, 255), edges)
    dialect(folder / "masks-with-edges.h5", masks=edges.astype(np.uint8))
    dialect(folder / "masks-of-100.h5", masks=(masks() // 255 * 100))
    dialect(folder / "masks-of-int16.h5", masks=masks().astype(np.int16))
    # A block for other programs in front.
    dialect(folder / "user-block.h5", masks=masks() // 255, userblock_size=1024)
    dialect(folder / "user-block-latest.h5", userblock_size=512, libver="latest")
    # All images in one chunk, with its masks.
    with h5py.File(folder / "one-chunk.h5", "w") as f:
        attributes(f)
        f.create_dataset("images", data=images(), chunks=(N, H, W, 3), compression="gzip")
        f.create_dataset("masks", data=masks(), chunks=(4, H, 3), compression="gzip")
        columns(f)
    # A chunk that inflates to less than it must, with and without a checksum, or to far more.
    for name, pixels, checksum in [("short", 100, False), ("short-checked", 100, True),
                                   ("long", 1 << 20, False)]:
        with h5py.File(folder / f"chunk-{name}.h5", "w") as f:
            attributes(f)
            d = f.create_dataset("images", data=images(), chunks=(1, H, W, 3), compression="gzip",
                                 fletcher32=checksum)
            # Bit 1 leaves out the checksum, which would have to fit.
            d.id.write_direct_chunk((2, 0, 0, 0), zlib.compress(bytes(pixels)), 2 if checksum else 0)
            columns(f)
    # Labels that only h5py reads (more of them than are kept as they are).
    dialect(
        folder / "lzf-labels.h5",
        lambda f, n: f.create_dataset(n, data=LABELS, chunks=(4096,), maxshape=(None,),
                                      compression="lzf"))
    # Writers that were killed: with and without what they had written so far.
    for name, library, flushes in [
        ("unfinished.h5", "earliest", True), ("unfinished-latest.h5", "latest", True),
        ("unfinished-at-once.h5", "latest", False),
    ]:
        writer = os.fork()
        if writer == 0:
            f = h5py.File(folder / name, "w", libver=library)
            attributes(f)
            if flushes:
                f.flush()
            # Contiguous, so not kept back.
            f["images"] = images()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(writer, 0)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
    write_dialects(Path(sys.argv[1]))
