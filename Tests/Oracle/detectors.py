"""Writes the golden files of the networks but Xception from PyTorch in float64.

    python Tests/Oracle/detectors.py [NETWORK...]        (Tests/NetworksTests/Golden/Networks)

needs torch, timm, efficientnet_pytorch and numpy; no weights are downloaded or stored: they are drawn as below, in Swift as
here. NETWORK.json has, for each crop, the images and the losses, and where values start in NETWORK.f32:

    evaluation      logits of each image and their float32 error; FAM of each image
    training        logits; the gradient of every parameter, then every running statistic after the
                    step, each in the order of their sorted names

An array but the logits is kept as its short sketch: the L2 norm, eight projections (as in
deterministic.py), and the relative L2 error of the same array computed by PyTorch in float32,
the largest of several ways to compute it where there are kinks.

The gradient of a network with ReLU or max pooling jumps where an element passes a kink. Of millions of
elements some lie so near that float32 rounding decides, and to which side differs with the order in
which numbers are added. So images are taken of those that the fewest ways to compute in float32
disagree about: the usual one, channels last, without oneDNN, and the images in other orders. Which ways
there are differs with the processor. So images for FAM are chosen by weights moved by a rounding or two as
well: what stays the same then does so in whatever order sums are made.

Weights: tensor i is the i-th of the sorted published names, num_batches_tracked left out, and takes
its own stream; u and v = 2u - 1 are drawn as in deterministic.py:
    more than one dimension     v * float32(sqrt(6 / fan_in) * 0.9)
    *.running_mean  v * 0.1     *.running_var  0.5 + u
    *.gamma  0.2 + 0.2 * u      *.bias  v * 0.2     other vectors  0.5 + u
"""

import argparse
import copy
import json
import math
import pathlib

import numpy as np
import timm
import torch
from torch import nn
from torch.nn import functional

import deterministic

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "NetworksTests" / "Golden" / "Networks"
STEP_COUNT = 10
LEARNING_RATE = 2e-4
CANDIDATES = 6
# Draws of moved weights, and how far they move.
NUDGES = 4
NUDGE = 2.0**-22
# First images of the training batches to choose from, for networks with kinks.
STARTS = range(0, 80, 10)
SMOOTH = {
    "efficientnet-b0", "efficientnet-b4", "tf-efficientnet-b0", "tf-efficientnet-b4",
    "efficientnet-pytorch-b0", "efficientnet-pytorch-b4", "deepfakebench-efficientnet-b4",
    "convnext-tiny",
}  # fmt: skip


class VGG(nn.Module):
    """vgg16_bn's convolutions with the average of its last map and one linear layer."""

    def __init__(self):
        super().__init__()
        self.features = timm.create_model("vgg16_bn", num_classes=2).features
        self.fc = nn.Linear(512, 2)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class Package(nn.Module):
    """efficientnet_pytorch's network under timm's names, which are rfm's."""

    def __init__(self, size, stem=None):
        super().__init__()
        from efficientnet_pytorch import EfficientNet

        self.inner = EfficientNet.from_name(f"efficientnet-{size}", num_classes=2)
        self.inner._dropout = nn.Identity()
        self.inner._global_params = self.inner._global_params._replace(drop_connect_rate=None)
        if stem is not None:
            self.inner._conv_stem = stem
        depth = {"b0": 1.0, "b4": 1.8}[size]
        repeats = [math.ceil(count * depth) for count in (1, 2, 2, 3, 3, 4, 1)]
        self.table = {
            "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
            "_fc": "classifier",
        }  # fmt: skip
        number = 0
        for stage, count in enumerate(repeats):
            for block in range(count):
                parts = {
                    "_depthwise_conv": "conv_dw", "_se_reduce": "se.conv_reduce",
                    "_se_expand": "se.conv_expand",
                }  # fmt: skip
                if stage == 0:
                    parts |= {"_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
                else:
                    parts |= {
                        "_expand_conv": "conv_pw", "_bn0": "bn1", "_bn1": "bn2",
                        "_project_conv": "conv_pwl", "_bn2": "bn3",
                    }  # fmt: skip
                for other, own in parts.items():
                    self.table[f"_blocks.{number}.{other}"] = f"blocks.{stage}.{block}.{own}"
                number += 1

    def forward(self, x):
        return self.inner(x)


def own_name(model, key):
    """What rfm calls a parameter or buffer of the model."""
    if not isinstance(model, Package):
        return key
    layer, kind = key.removeprefix("inner.").rsplit(".", 1)
    return f"{model.table[layer]}.{kind}"


class MesoInception4(nn.Module):
    """Afchar et al. 2018 with the names, and the order of layers, of DeepfakeBench's PyTorch version."""

    def __init__(self):
        super().__init__()
        inputs = 3
        for number, (a, b, c, d) in ((1, (1, 4, 4, 2)), (2, (2, 4, 4, 2))):
            name = f"Incption{number}"
            setattr(self, f"{name}_conv1", nn.Conv2d(inputs, a, 1, bias=False))
            for branch, (width, dilation) in enumerate(((b, 1), (c, 2), (d, 3))):
                first = nn.Conv2d(inputs, width, 1, bias=False)
                second = nn.Conv2d(
                    width, width, 3, padding=dilation, dilation=dilation, bias=False
                )
                setattr(self, f"{name}_conv{branch + 2}_1", first)
                setattr(self, f"{name}_conv{branch + 2}_2", second)
            inputs = a + b + c + d
            setattr(self, f"{name}_bn", nn.BatchNorm2d(inputs))
        self.conv1 = nn.Conv2d(12, 16, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 5, padding=2, bias=False)
        self.fc1 = nn.Linear(16 * 8 * 8, 16)
        self.fc2 = nn.Linear(16, 2)

    def inception(self, name, x):
        parts = [getattr(self, f"{name}_conv1")(x)]
        for branch in (2, 3, 4):
            first = getattr(self, f"{name}_conv{branch}_1")(x)
            parts.append(getattr(self, f"{name}_conv{branch}_2")(first))
        x = getattr(self, f"{name}_bn")(torch.cat(parts, 1))
        return functional.max_pool2d(x, 2)

    def forward(self, x):
        x = self.inception("Incption2", self.inception("Incption1", x))
        x = functional.max_pool2d(self.bn1(functional.relu(self.conv1(x))), 2)
        x = functional.max_pool2d(self.bn1(functional.relu(self.conv2(x))), 4)
        return self.fc2(functional.leaky_relu(self.fc1(x.flatten(1)), 0.1))


NETWORKS = {
    "resnet18": lambda: timm.create_model("resnet18", num_classes=2),
    "resnet34": lambda: timm.create_model("resnet34", num_classes=2),
    "resnet50": lambda: timm.create_model("resnet50", num_classes=2),
    "efficientnet-b0": lambda: timm.create_model("efficientnet_b0", num_classes=2),
    "efficientnet-b4": lambda: timm.create_model("efficientnet_b4", num_classes=2),
    "tf-efficientnet-b0": lambda: timm.create_model("tf_efficientnet_b0", num_classes=2),
    "tf-efficientnet-b4": lambda: timm.create_model("tf_efficientnet_b4", num_classes=2),
    "efficientnet-pytorch-b0": lambda: Package("b0"),
    "efficientnet-pytorch-b4": lambda: Package("b4"),
    "deepfakebench-efficientnet-b4": lambda: Package("b4", nn.Conv2d(3, 48, 3, 2, bias=False)),
    "mobilenet-v2": lambda: timm.create_model("mobilenetv2_100", num_classes=2),
    "vgg16-bn": VGG,
    "convnext-tiny": lambda: timm.create_model("convnext_tiny", num_classes=2),
    "meso-inception4": MesoInception4,
}
# Crop: images of a training step.
CROPS = {64: 4, 97: 3, 128: 2}


def weights(shapes):
    result = {}
    for index, name in enumerate(deterministic.published_names(shapes)):
        shape = tuple(shapes[name])
        draws = deterministic.words(index, int(np.prod(shape))) >> np.uint32(8)
        u = draws.astype(np.float32) / np.float32(2**24)
        v = np.float32(2) * u - np.float32(1)
        if len(shape) > 1:
            values = v * np.float32(math.sqrt(6.0 / int(np.prod(shape[1:]))) * 0.9)
        elif name.endswith(".running_mean"):
            values = v * np.float32(0.1)
        elif name.endswith(".gamma"):
            values = np.float32(0.2) + np.float32(0.2) * u
        elif name.endswith(".bias"):
            values = v * np.float32(0.2)
        else:
            values = np.float32(0.5) + u
        result[name] = values.reshape(shape)
    return result


def detector(name, dtype=torch.float64):
    model = NETWORKS[name]()
    state = model.state_dict()
    arrays = weights({own_name(model, key): tuple(value.shape) for key, value in state.items()})
    values = {
        key: torch.from_numpy(arrays[own_name(model, key)])
        for key in state
        if not key.endswith("num_batches_tracked")
    }
    missing, unexpected = model.load_state_dict(values, strict=False)
    assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
    return model.to(dtype), arrays


def sketch(array):
    """Norm and eight projections."""
    values = np.asarray(array, dtype=np.float64).reshape(-1)
    bits = deterministic.words(deterministic.SIGN_STREAM, values.size)
    signs = [1.0 - 2.0 * ((bits >> np.uint32(k)) & np.uint32(1)) for k in range(8)]
    return [np.linalg.norm(values)] + [np.dot(values, sign) for sign in signs]


def error(single, array):
    norm = np.linalg.norm(array)
    return float(np.linalg.norm(single - array) / norm) if norm > 0 else 0.0


def nchw(images, dtype):
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(dtype)


def evaluation(model, dtype, crop, numbers, layout=torch.contiguous_format):
    images, _ = deterministic.batch(numbers, crop)
    model.eval()
    inputs = nchw(images, dtype).to(memory_format=layout).requires_grad_(True)
    logits = model.to(memory_format=layout)(inputs)
    (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), inputs)
    attention = gradient.permute(0, 2, 3, 1).abs().amax(3).numpy()
    return logits.detach().numpy(), attention


def training(model, dtype, crop, numbers, layout=torch.contiguous_format):
    images, labels = deterministic.batch(numbers, crop)
    model = copy.deepcopy(model).to(memory_format=layout).train()
    logits = model(nchw(images, dtype).to(memory_format=layout))
    loss = functional.cross_entropy(logits, torch.from_numpy(labels))
    loss.backward()
    arrays = {own_name(model, name): p.grad.numpy() for name, p in model.named_parameters()}
    running = {
        own_name(model, name): value.numpy()
        for name, value in model.named_buffers()
        if ".running_" in name
    }
    arrays, running = dict(sorted(arrays.items())), dict(sorted(running.items()))
    return loss.item(), logits.detach().numpy(), arrays, running


def other_ways(name, run, numbers):
    """What `run` gives in float32, computed in other ways, for a network with kinks."""
    if name in SMOOTH:
        return []
    results = [run(numbers, torch.channels_last), run(numbers[::-1], torch.contiguous_format)]
    with torch.backends.mkldnn.flags(enabled=False):
        results.append(run(numbers, torch.contiguous_format))
    return results


def nudged(model, seed):
    """The same weights but for a rounding or two."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = 2 * torch.rand(parameter.shape, generator=generator) - 1
            parameter.mul_(1 + NUDGE * noise)
    return model


def losses(name, crop, count, dtype, layout=torch.contiguous_format):
    model = detector(name, dtype)[0].to(memory_format=layout).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    result = []
    for step in range(STEP_COUNT):
        images, labels = deterministic.batch(range(step * count, (step + 1) * count), crop)
        inputs = nchw(images, dtype).to(memory_format=layout)
        loss = functional.cross_entropy(model(inputs), torch.from_numpy(labels))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return result


def write(name):
    wide, arrays = detector(name)
    narrow, _ = detector(name, torch.float32)
    values, cases = [], []
    crops = {256: 2} if name == "meso-inception4" else CROPS
    for crop, count in crops.items():
        start = len(values)
        numbers = list(range(CANDIDATES))
        logits, attention = evaluation(copy.deepcopy(wide), torch.float64, crop, numbers)
        single = evaluation(copy.deepcopy(narrow), torch.float32, crop, numbers)
        errors = [error(single[1][n], attention[n]) for n in numbers]
        worst = list(errors)

        def attend(order, layout):
            found = evaluation(copy.deepcopy(narrow), torch.float32, crop, order, layout)[1]
            return {number: found[place] for place, number in enumerate(order)}

        for other in other_ways(name, attend, numbers):
            worst = [max(worst[n], error(other[n], attention[n])) for n in numbers]
        moved_by = list(worst)
        for seed in range(NUDGES if name not in SMOOTH else 0):
            found = evaluation(nudged(narrow, seed), torch.float32, crop, numbers)[1]
            moved_by = [max(moved_by[n], error(found[n], attention[n])) for n in numbers]
        chosen = sorted(numbers, key=lambda n: moved_by[n])[:2]
        most = []
        for n in chosen:
            values += [*logits[n], error(single[0][n], logits[n])]
        for n in chosen:
            values += [*sketch(attention[n]), worst[n]]
            most.append(int(attention[n].argmax()))

        losses_seen = {}

        def train(order, layout):
            found = training(narrow, torch.float32, crop, order, layout)
            losses_seen.setdefault(frozenset(order), []).append(found[0])
            return found[2]

        best = None
        for first in STARTS if name not in SMOOTH else [0]:
            numbers = list(range(first, first + count))
            exact = training(wide, torch.float64, crop, numbers)
            usual = training(narrow, torch.float32, crop, numbers)
            ways = [usual[2], *other_ways(name, train, numbers)]
            # The median over parameters, since some gradients are nothing but rounding.
            moved = max(
                float(np.median([error(way[key], exact[2][key]) for key in way])) for way in ways
            )
            if best is None or moved < best[0]:
                best = (moved, first, exact, usual, ways)
        moved, first, exact, usual, ways = best
        if name not in SMOOTH:
            # More orders of addition: few elements decide, and one way more may find one more.
            numbers = list(range(first, first + count))
            for turn in range(1, count):
                order = numbers[turn:] + numbers[:turn]
                ways.append(train(order, torch.contiguous_format))
                ways.append(train(order[::-1], torch.channels_last))
        loss, train_logits, gradients, running = exact
        # The one that leaves the exact one the most, like the gradients.
        seen = [usual[0], *losses_seen.get(frozenset(range(first, first + count)), [])]
        single_loss = max(seen, key=lambda value: abs(value - loss))
        single_running = usual[3]
        values += list(train_logits.reshape(-1))
        for group, others in ((gradients, ways), (running, [single_running])):
            for key, array in group.items():
                values += [*sketch(array), max(error(way[key], array) for way in others)]
        cases.append(
            {
                "crop": crop,
                "evaluationImages": chosen,
                "mostSensitive": most,
                "trainingImages": list(range(first, first + count)),
                "loss": loss,
                "float32Loss": single_loss,
                "offset": start,
            }
        )
        print(name, crop, "attention", [(worst[n], moved_by[n]) for n in chosen], "gradients", moved, first)
    crop, count = (256, 2) if name == "meso-inception4" else (64, 4)
    exact = losses(name, crop, count, torch.float64)
    runs = [losses(name, crop, count, torch.float32)]
    if name not in SMOOTH:
        runs.append(losses(name, crop, count, torch.float32, torch.channels_last))
        with torch.backends.mkldnn.flags(enabled=False):
            runs.append(losses(name, crop, count, torch.float32))
    # The one that leaves the exact run the most.
    farthest = max(runs, key=lambda run: sum((a - b) ** 2 for a, b in zip(run, exact)))
    index = {
        "weightsChecksum": checksum(arrays),
        "cases": cases,
        "steps": {
            "crop": crop,
            "batch": count,
            "learningRate": LEARNING_RATE,
            "losses": exact,
            "float32Losses": farthest,
        },
    }
    print(name, index["steps"])
    GOLDEN.mkdir(exist_ok=True, parents=True)
    (GOLDEN / f"{name}.json").write_text(json.dumps(index, indent=1) + "\n")
    (GOLDEN / f"{name}.f32").write_bytes(np.asarray(values, dtype="<f4").tobytes())


def checksum(arrays):
    """As in network_goldens.py."""
    total, place = 0, 1
    for name in sorted(arrays):
        bits = arrays[name].reshape(-1).view(np.uint32).astype(np.uint64)
        places = np.arange(place, place + bits.size, dtype=np.uint64)
        total = (total + int(np.sum(bits * places, dtype=np.uint64))) % 2**64
        place += bits.size
    return str(total)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network", nargs="*", default=list(NETWORKS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for network in arguments.network:
        write(network)
