"""Finds images whose goldens float32 can reach: no ReLU or pooling window close to its kink.

    python Tests/Oracle/separation.py MODEL CROP evaluation|training BATCH FIRST COUNT

For each candidate batch (evaluation: each image), how many ReLU inputs are within three float32
errors of zero, or windows whose two largest inputs are as close to each other; and the closest of
all. The unit is the root-mean-square float32 error of that channel in PyTorch. Best first.
"""

import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import deterministic
import xception


def kinks(model, inputs):
    """Runs the model and returns the inputs of its ReLUs and poolings, in order."""
    seen = []

    def keep(module, arguments):
        seen.append((isinstance(module, nn.MaxPool2d), arguments[0].detach().clone()))

    hooks = [
        module.register_forward_pre_hook(keep)
        for module in model.modules()
        if isinstance(module, (nn.ReLU, nn.MaxPool2d))
    ]
    with torch.no_grad():
        model(inputs)
    for hook in hooks:
        hook.remove()
    return seen


def separation(model, single, images):
    """For each image: elements within three float32 errors of a kink, and the smallest distance."""
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    smallest = torch.full((len(images),), float("inf"), dtype=torch.float64)
    close = torch.zeros(len(images), dtype=torch.int64)
    narrow = kinks(single, inputs)
    for (is_pool, exact), (_, rounded) in zip(kinks(model, inputs.double()), narrow):
        error = (rounded.double() - exact).square().mean((0, 2, 3), keepdim=True).sqrt()
        if is_pool:
            padded = functional.pad(exact, (1, 1, 1, 1), value=-1e30)
            windows = padded.unfold(2, 3, 2).unfold(3, 3, 2).flatten(4)
            top = windows.topk(2, dim=4).values
            distance = (top[..., 0] - top[..., 1]) / (error * 2**0.5)
        else:
            distance = exact.abs() / error
        smallest = torch.minimum(smallest, distance.flatten(1).min(1).values)
        close += (distance.flatten(1) < 3).sum(1)
    return close, smallest


def main():
    name, crop, mode, size, first, count = sys.argv[1:]
    crop, size, first, count = int(crop), int(size), int(first), int(count)
    torch.set_num_threads(2)
    statistics = xception.statistics(name)
    model = xception.detector(name, statistics=statistics).train(mode == "training")
    single = xception.detector(name, torch.float32, statistics).train(mode == "training")
    found = []
    for start in range(first, first + count, size):
        images, _ = deterministic.batch(range(start, start + size), crop)
        close, smallest = separation(model, single, images)
        if mode == "training":
            found.append((close.sum().item(), -smallest.min().item(), start))
        else:
            found += [(close[n].item(), -smallest[n].item(), start + n) for n in range(size)]
    for close, smallest, number in sorted(found)[:12]:
        print(f"{mode} {name} {crop}: image {number}: {close} close, the closest {-smallest:.2f}")


if __name__ == "__main__":
    main()
