"""Weights, images and sketches that Python and Swift derive from Philox instead of sharing files.

The Swift twin is Tests/NetworksTests/OracleWeights.swift. Everything below is defined by integers
and single float32 roundings, so that both sides hold bitwise the same numbers:

stream(i)     32-bit words philox4x32-10(counter=(block, i, 0, 0x9e3779b9), key=(SEED, 0)) for
              block = 0, 1, 2, ..., the four words of a block in order.
uniform       u = (word >> 8) / 2^24.
weights       tensor i is the i-th of the sorted published names, num_batches_tracked left out. Each
              value takes one word, in the published (PyTorch) order of the tensor; v = 2u - 1:
                convolution, pointwise and fc weights   v * float32(sqrt(6 / fan_in) * gain)
                fc.bias                                 v * 0.1
              gain is 0.9, and 0.6 for pointwise weights. Batch norms have two recipes. "random":
                weight         0.5 + u, half of that if it closes a block without a shortcut
                bias           v * 0.2
                running_mean   v * 0.1
                running_var    0.5 + u
              "separated" keeps the inputs of ReLU away from zero, see below:
                weight         0.5 + u / 2, a quarter of that if it closes a block
                bias           sign(v) * (2.5 + |v|), sign(v) * (4 + |v|) in shortcuts, v * 0.2 if
                               it closes a block
                running_mean, running_var   from a file of their own: measured on four images
              A batch norm closes a block if it is the last of the block's `rep`.
images        image n takes stream 10_000 + n: first the coarse words, a grid of
              ceil(size / 16)^2 cells of 3 channels, then the fine words, one a value, both in row,
              column, channel order. pixel = (3 * (coarse >> 24) + (fine >> 24)) / 4 in integers.
              Network input: (float32(pixel) / 255 - 0.5) / 0.25. Label of image n: n % 2.
sketch        what a golden keeps of an array: all of it if it has at most 256 values, else its L2
              norm, 16 projections and 32 samples. Projection k adds up the values, negated where bit
              k of the value's word of stream 20_000 is set. The index of sample k is
              (word k of stream 30_000 * count) >> 32. The root mean square over k of the
              difference of two arrays' projections estimates the L2 norm of their difference.

Why "separated": the gradient of a network with ReLU and max pooling jumps where an input of ReLU
passes zero or two inputs of a pooling window are equal. A deep network of ordinary random weights
has so many elements that float32 rounding always pushes some of them across, whoever computes it:
each moves the gradient by up to a percent, and a comparison within 1e-3 would test luck. With the
biases above few elements are near zero (some still are on either side within a channel), and the
images are chosen (see network_goldens.py) so that the nearest is several rounding errors away.
"""

import math

import numpy as np

SEED = 5
IMAGE_STREAM = 10_000
SIGN_STREAM = 20_000
SAMPLE_STREAM = 30_000
WHOLE = 256
PROJECTIONS = 16
SAMPLES = 32


def philox(c0, c1, c2, c3, k0, k1):
    """philox4x32-10 (Salmon et al. 2011) of counters (c0[n], c1, c2, c3): words [n, 4]."""
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    c0 = np.asarray(c0, dtype=np.uint64)
    c1, c2, c3 = (np.full_like(c0, c) for c in (c1, c2, c3))
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c0
        p1 = np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (p1 >> shift) ^ c1 ^ np.uint64(k0),
            p1 & mask,
            (p0 >> shift) ^ c3 ^ np.uint64(k1),
            p0 & mask,
        )
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def words(stream, count):
    blocks = np.arange((count + 3) // 4)
    return philox(blocks, stream, 0, 0x9E3779B9, SEED, 0).reshape(-1)[:count]


def published_names(shapes):
    return sorted(name for name in shapes if not name.endswith("num_batches_tracked"))


def weights(shapes, recipe, statistics=None):
    """shapes: published name -> shape. Returns published name -> float32 array."""
    result = {}
    for index, name in enumerate(published_names(shapes)):
        shape = tuple(shapes[name])
        u = (words(index, int(np.prod(shape))) >> np.uint32(8)).astype(np.float32)
        u /= np.float32(2**24)
        v = np.float32(2) * u - np.float32(1)
        if len(shape) > 1:
            gain = 0.6 if name.endswith("pointwise.weight") else 0.9
            values = v * np.float32(math.sqrt(6.0 / int(np.prod(shape[1:]))) * gain)
        elif name == "fc.bias":
            values = v * np.float32(0.1)
        elif recipe == "random":
            values = random_normalisation(name, u, v, shapes)
        else:
            values = separated_normalisation(name, u, v, shapes, statistics)
        result[name] = values.reshape(shape)
    return result


def random_normalisation(name, u, v, shapes):
    if name.endswith(".running_mean"):
        return v * np.float32(0.1)
    if name.endswith(".running_var"):
        return np.float32(0.5) + u
    if name.endswith(".bias"):
        return v * np.float32(0.2)
    has_shortcut = f"{name.split('.')[0]}.skip.weight" in shapes
    halved = closes_block(name, shapes) and not has_shortcut
    return (np.float32(0.5) + u) * np.float32(0.5 if halved else 1)


def separated_normalisation(name, u, v, shapes, statistics):
    if ".running_" in name:
        return u if statistics is None else statistics[name]
    if name.endswith(".bias"):
        if closes_block(name, shapes):
            return v * np.float32(0.2)
        least = np.float32(4 if ".skipbn." in name else 2.5)
        return np.where(v < 0, -(least + np.abs(v)), least + np.abs(v))
    quarter = closes_block(name, shapes)
    return (np.float32(0.5) + np.float32(0.5) * u) * np.float32(0.25 if quarter else 1)


def closes_block(name, shapes):
    """Whether the batch norm that `name` belongs to is the last of its block's `rep`."""
    parts = name.split(".")
    if parts[1] != "rep":
        return False
    prefix = f"{parts[0]}.rep."
    last = max(int(other.split(".")[2]) for other in shapes if other.startswith(prefix))
    return int(parts[2]) == last


def image(number, size):
    """uint8 [size, size, 3]."""
    cells = (size + 15) // 16
    coarse_count = cells * cells * 3
    stream = words(IMAGE_STREAM + number, coarse_count + size * size * 3) >> np.uint32(24)
    coarse = stream[:coarse_count].reshape(cells, cells, 3)
    fine = stream[coarse_count:].reshape(size, size, 3)
    position = np.arange(size) // 16
    return ((3 * coarse[position][:, position] + fine) // 4).astype(np.uint8)


def batch(numbers, size):
    """float32 [B, size, size, 3], normalised, and labels int64 [B], of the images `numbers`."""
    pixels = np.stack([image(number, size) for number in numbers]).astype(np.float32)
    values = (pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.25)
    return values, np.asarray(numbers, dtype=np.int64) % 2


_signs = np.empty(0, dtype=np.uint32)


def sketch(array):
    """The numbers a golden keeps of an array, float64 [<= 256] or [1 + 16 + 32]."""
    global _signs
    values = np.asarray(array, dtype=np.float64).reshape(-1)
    if values.size <= WHOLE:
        return values
    if _signs.size < values.size:
        _signs = words(SIGN_STREAM, values.size)
    bits = _signs[: values.size]
    projections = [
        np.dot(values, 1.0 - 2.0 * ((bits >> np.uint32(k)) & np.uint32(1)))
        for k in range(PROJECTIONS)
    ]
    draws = words(SAMPLE_STREAM, SAMPLES).astype(np.uint64)
    indices = ((draws * np.uint64(values.size)) >> np.uint64(32)).astype(np.int64)
    return np.concatenate([[np.linalg.norm(values)], projections, values[indices]])


def check_philox():
    """The known answers of Random123's kat_vectors."""
    answers = {
        (0, 0, 0, 0, 0, 0): "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        (0xFFFFFFFF,) * 6: "408f276d 41c83b0e a20bc7c6 6d5451fd",
    }
    for (c0, *rest), answer in answers.items():
        assert " ".join(f"{word:08x}" for word in philox([c0], *rest)[0]) == answer
