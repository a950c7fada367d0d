"""Writes the golden files of truncated networks and patch heads from PyTorch in float64.

    python Tests/Oracle/patches.py [CASE...]        (Tests/NetworksTests/Golden/Patches)

needs what detectors.py needs, and draws weights and images as it does. A patch detector (Chai et al. 2020)
ends behind a stage in a 1x1 convolution: two logits at each position. Its loss is the mean cross-entropy
over positions, its score the mean of softmax over positions, and its attention the gradient of the mean
over positions of fake - real logit. Images are those that stay farthest from the kinks of ReLU and pooling
while weights are moved a little. CASE.json has what detectors.py's files have; CASE.f32 for each crop

    evaluation      of each image the score's logit, log(p / (1 - p)), and its float32 error; sketches of
                    the logits at all positions [H, W, 2] and of FAM
    training        the gradient of every parameter, then every running statistic after the step
"""

import argparse
import json
import pathlib

import numpy as np
import timm
import torch
from torch import nn
from torch.nn import functional

import detectors
import deterministic

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "NetworksTests" / "Golden" / "Patches"
CROPS = {64: 4, 97: 3}
CANDIDATES = 12
# How far weights are moved to see which images have an element near a kink.
JITTER = 5e-7
# Layers in the order of the forward pass, the last of them cut behind a place of its own.
CASES = {
    "resnet18-layer1-patch": (
        "resnet18", ["conv1", "bn1", "act1", "maxpool", "layer1"], None, "fc", 64
    ),
    "resnet18-layer2-patch": (
        "resnet18", ["conv1", "bn1", "act1", "maxpool", "layer1", "layer2"], None, "fc", 128
    ),
    "resnet18-layer3-linear": (
        "resnet18", ["conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3"], None, "fc", 256
    ),
    "efficientnet-b0-blocks.2-patch": (
        "efficientnet_b0", ["conv_stem", "bn1", "blocks"], 3, "classifier", 40
    ),
    "xception-block2-patch": (
        "legacy_xception",
        ["conv1", "bn1", "act1", "conv2", "bn2", "act2", "block1", "block2"], None, "fc", 256,
    ),
}  # fmt: skip
SMOOTH = {"efficientnet-b0-blocks.2-patch"}


class Truncated(nn.Module):
    def __init__(self, case):
        super().__init__()
        name, layers, cut, head, width = CASES[case]
        model = timm.create_model(name)
        self.order = layers
        self.is_patch = case.endswith("patch")
        for layer in layers:
            module = getattr(model, layer)
            setattr(self, layer, module[:cut] if cut and layer == layers[-1] else module)
        self.head_name = head
        setattr(self, head, nn.Conv2d(width, 2, 1) if self.is_patch else nn.Linear(width, 2))

    def forward(self, x):
        """[N, 2, H, W]."""
        for layer in self.order:
            x = getattr(self, layer)(x)
        head = getattr(self, self.head_name)
        return head(x) if self.is_patch else head(x.mean((2, 3)))[:, :, None, None]


def build(case, dtype):
    model = Truncated(case)
    state = model.state_dict()
    arrays = detectors.weights({key: tuple(value.shape) for key, value in state.items()})
    missing, unexpected = model.load_state_dict(
        {key: torch.from_numpy(array) for key, array in arrays.items()}, strict=False
    )
    assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
    return model.to(dtype), arrays


def score(logits):
    """[N]: log(p / (1 - p)) of the mean of softmax."""
    count = logits[0, 0].numel()
    parts = functional.log_softmax(logits, 1).flatten(2).logsumexp(2) - np.log(count)
    return parts[:, 1] - parts[:, 0]


def evaluation(case, dtype, crop, numbers, layout=torch.contiguous_format, jitter=None):
    model = build(case, dtype)[0].to(memory_format=layout).eval()
    if jitter is not None:
        draws = torch.Generator().manual_seed(jitter)
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1 + JITTER * torch.randn(p.shape, generator=draws, dtype=dtype))
    images, _ = deterministic.batch(numbers, crop)
    inputs = detectors.nchw(images, dtype).to(memory_format=layout).requires_grad_(True)
    logits = model(inputs)
    (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).mean((1, 2)).sum(), inputs)
    attention = gradient.permute(0, 2, 3, 1).abs().amax(3).numpy()
    maps = logits.detach().permute(0, 2, 3, 1).contiguous()
    return score(logits.detach()).numpy(), maps.numpy(), attention


def training(case, dtype, crop, numbers, layout=torch.contiguous_format):
    model = build(case, dtype)[0].to(memory_format=layout).train()
    images, labels = deterministic.batch(numbers, crop)
    logits = model(detectors.nchw(images, dtype).to(memory_format=layout))
    target = torch.from_numpy(labels)[:, None, None].expand(-1, *logits.shape[2:])
    loss = functional.cross_entropy(logits, target)
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in model.named_parameters()}
    running = {n: b.numpy() for n, b in model.named_buffers() if ".running_" in n}
    return loss.item(), dict(sorted(gradients.items())), dict(sorted(running.items()))


def ways(case, run, numbers):
    """What `run` gives in float32, computed in other ways, for a network with kinks."""
    results = [run(numbers, torch.contiguous_format)]
    if case in SMOOTH:
        return results
    results += [run(numbers, torch.channels_last), run(numbers[::-1], torch.contiguous_format)]
    with torch.backends.mkldnn.flags(enabled=False):
        results.append(run(numbers, torch.contiguous_format))
    return results


def write(case):
    values, cases = [], []
    for crop, count in CROPS.items():
        start = len(values)
        numbers = list(range(CANDIDATES))
        scores, maps, attention = evaluation(case, torch.float64, crop, numbers)

        def attend(order, layout):
            found = evaluation(case, torch.float32, crop, order, layout)
            return {n: [part[place] for part in found] for place, n in enumerate(order)}

        others = ways(case, attend, numbers)
        worst = [max(detectors.error(way[n][2], attention[n]) for way in others) for n in numbers]
        near = list(worst)
        for seed in range(4) if case not in SMOOTH else []:
            moved = evaluation(case, torch.float64, crop, numbers, jitter=seed)[2]
            near = [max(near[n], detectors.error(moved[n], attention[n])) for n in numbers]
        chosen = sorted(numbers, key=lambda n: near[n])[:2]
        for n in chosen:
            single = others[0][n]
            values += [scores[n], abs(single[0] - scores[n])]
            values += [*detectors.sketch(maps[n]), detectors.error(single[1], maps[n])]
            values += [*detectors.sketch(attention[n]), worst[n]]

        best = None
        for first in range(0, 60, 10) if case not in SMOOTH else [0]:
            numbers = list(range(first, first + count))
            exact = training(case, torch.float64, crop, numbers)

            def train(order, layout):
                return training(case, torch.float32, crop, order, layout)

            found = ways(case, train, numbers)
            moved = max(
                float(np.median([detectors.error(way[1][k], exact[1][k]) for k in exact[1]]))
                for way in found
            )
            if best is None or moved < best[0]:
                best = (moved, first, exact, found)
        moved, first, (loss, gradients, running), found = best
        for place, group in ((1, gradients), (2, running)):
            for key, array in group.items():
                errors = [detectors.error(way[place][key], array) for way in found]
                values += [*detectors.sketch(array), max(errors)]
        cases.append(
            {
                "crop": crop,
                "evaluationImages": chosen,
                "mostSensitive": [int(attention[n].argmax()) for n in chosen],
                "trainingImages": list(range(first, first + count)),
                "loss": loss,
                "float32Loss": found[0][0],
                "offset": start,
            }
        )
        print(case, crop, [worst[n] for n in chosen], [near[n] for n in chosen], moved, first, loss)
    arrays = build(case, torch.float32)[1]
    index = {"weightsChecksum": detectors.checksum(arrays), "cases": cases}
    GOLDEN.mkdir(exist_ok=True, parents=True)
    (GOLDEN / f"{case}.json").write_text(json.dumps(index, indent=1) + "\n")
    (GOLDEN / f"{case}.f32").write_bytes(np.asarray(values, dtype="<f4").tobytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("case", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for case in arguments.case:
        write(case)
