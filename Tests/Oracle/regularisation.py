"""Writes the golden files of dropout, stochastic depth and label smoothing from PyTorch in float64.

    python Tests/Oracle/regularisation.py [NETWORK...]    (Tests/NetworksTests/Golden/Regularisation)

needs what detectors.py needs. One training step with 0.3 of the head's inputs left out, residual branches
left out at timm's own rates for 0.2 (which are looked up in timm's modules), and labels smoothed by 0.1.

Masks are drawn as rfm draws them, from the sample's own stream: philox4x32-10 of the counter

    (block, identifier, purpose << 16, visit)        key (SEED, 0)

purpose 6 for dropout and 11 for stochastic depth; u = (word >> 8) / 2^24. Element c of the head's inputs
and residual branch b take the c-th and the b-th u, and stay where it is at least the rate.

NETWORK.json names images, keys and losses; NETWORK.f32 has the logits, then every parameter's gradient in
the order of sorted names, each as its sketch (see detectors.py) and the relative error of PyTorch's own
float32.
"""

import argparse
import json
import pathlib

import numpy as np
import timm
import torch
from timm.layers import DropPath
from torch.nn import functional

import detectors
import deterministic
import xception

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "NetworksTests" / "Golden" / "Regularisation"
SEED = 7
DROPOUT, DROP_PATH, SMOOTHING = 0.3, 0.2, 0.1
DROPOUT_PURPOSE, DROP_PATH_PURPOSE = 6, 11
TIMM = {"resnet18": "resnet18", "efficientnet-b0": "efficientnet_b0"}


def keys(numbers):
    """Identifier and visit of each image."""
    return [1000 + 7 * n for n in numbers], [n % 3 for n in numbers]


def uniform(identifier, visit, purpose, count):
    blocks = np.arange((count + 3) // 4)
    words = deterministic.philox(blocks, identifier, purpose << 16, visit, SEED, 0).reshape(-1)
    return (words[:count] >> np.uint32(8)).astype(np.float64) / 2**24


def masks(numbers, purpose, rates):
    """[images, draws]: 0, or what is left grown by as much."""
    rates = np.asarray(rates, dtype=np.float64)
    rows = [uniform(i, v, purpose, rates.size) >= rates for i, v in zip(*keys(numbers))]
    return torch.from_numpy(np.stack(rows) / (1 - rates))


def residual_blocks(model):
    """Blocks with something that goes past them, in forward order."""
    if hasattr(model, "layer1"):
        return [block for i in range(1, 5) for block in getattr(model, f"layer{i}")]
    return [block for stage in model.blocks for block in stage if block.has_skip]


class Mask(torch.nn.Module):
    def __init__(self, factors):
        super().__init__()
        self.factors = factors

    def forward(self, x):
        return x * self.factors.reshape(-1, *[1] * (x.ndim - 1)).to(x.dtype)


def build(name, dtype):
    if name == "xception-tiny":
        return xception.detector(name, dtype)
    model, _ = detectors.detector(name, dtype)
    return model


def branch_rates(name):
    """timm's own."""
    if name == "xception-tiny":
        return []
    model = timm.create_model(TIMM[name], num_classes=2, drop_path_rate=DROP_PATH)
    paths = [getattr(block, "drop_path", None) for block in residual_blocks(model)]
    return [path.drop_prob if isinstance(path, DropPath) else 0.0 for path in paths]


def step(name, dtype, crop, numbers, layout=torch.contiguous_format):
    model = build(name, dtype).to(memory_format=layout).train()
    rates = branch_rates(name)
    if rates:
        factors = masks(numbers, DROP_PATH_PURPOSE, rates)
        for b, block in enumerate(residual_blocks(model)):
            block.drop_path = Mask(factors[:, b])
    head = model.fc if hasattr(model, "fc") else model.classifier
    mask = masks(numbers, DROPOUT_PURPOSE, [DROPOUT] * head.in_features).to(dtype)
    head.register_forward_pre_hook(lambda _, inputs: (inputs[0] * mask,))
    images, labels = deterministic.batch(numbers, crop)
    logits = model(detectors.nchw(images, dtype).to(memory_format=layout))
    loss = functional.cross_entropy(logits, torch.from_numpy(labels), label_smoothing=SMOOTHING)
    loss.backward()
    gradients = {key: p.grad.numpy() for key, p in model.named_parameters()}
    return loss.item(), logits.detach().numpy(), dict(sorted(gradients.items()))


def write(name):
    crop, count = (96, 6) if name == "xception-tiny" else (64, 4)
    # Images of which PyTorch's float32 is surest; see detectors.py.
    starts = [216] if name == "xception-tiny" else [0] if name in detectors.SMOOTH else range(0, 80, 10)
    best = None
    for first in starts:
        numbers = list(range(first, first + count))
        loss, logits, exact = step(name, torch.float64, crop, numbers)
        single, _, usual = step(name, torch.float32, crop, numbers)
        ways = [usual]
        if name not in detectors.SMOOTH:
            ways.append(step(name, torch.float32, crop, numbers, torch.channels_last)[2])
            ways.append(step(name, torch.float32, crop, numbers[::-1])[2])
            with torch.backends.mkldnn.flags(enabled=False):
                ways.append(step(name, torch.float32, crop, numbers)[2])
            for turn in range(1, count):
                order = numbers[turn:] + numbers[:turn]
                ways.append(step(name, torch.float32, crop, order)[2])
        moved = max(
            float(np.median([detectors.error(way[k], exact[k]) for k in way])) for way in ways
        )
        if best is None or moved < best[0]:
            best = (moved, numbers, loss, single, logits, exact, ways)
    moved, numbers, loss, single, logits, exact, ways = best
    values = list(logits.reshape(-1))
    for key, array in exact.items():
        errors = [detectors.error(way[key], array) for way in ways]
        values += [*detectors.sketch(array), max(errors)]
    identifiers, visits = keys(numbers)
    rates = branch_rates(name)
    index = {
        "crop": crop,
        "images": numbers,
        "seed": SEED,
        "identifiers": identifiers,
        "visits": visits,
        "dropout": DROPOUT,
        "dropPath": DROP_PATH if rates else 0,
        "labelSmoothing": SMOOTHING,
        "rates": rates,
        "loss": loss,
        "float32Loss": single,
    }
    print(name, "gradients", moved, index)
    GOLDEN.mkdir(exist_ok=True, parents=True)
    (GOLDEN / f"{name}.json").write_text(json.dumps(index, indent=1) + "\n")
    (GOLDEN / f"{name}.f32").write_bytes(np.asarray(values, dtype="<f4").tobytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network", nargs="*", default=["resnet18", "efficientnet-b0", "xception-tiny"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for network in arguments.network:
        write(network)
