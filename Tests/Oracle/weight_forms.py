"""Xception's weights in the forms in which they are published, from the libraries that publish them.

    python Tests/Oracle/weight_forms.py PRETRAINEDMODELS             writes the golden file of names
    python Tests/Oracle/weight_forms.py PRETRAINEDMODELS --files DIR whole files too, 80 MB each

needs torch, timm, safetensors and numpy, and PRETRAINEDMODELS, the file
pretrainedmodels/models/xception.py of the package pretrainedmodels 0.7.4 (Cadene's; only this file is
run). Tests/NetworksTests/Golden/weight-names.json has for each form the names in the order of its
state dictionary, with their shapes.

timm             legacy_xception: the names that rfm has too
cadene           last_linear in place of fc
faceforensics    TransferModel: the network is its `model`, its head behind a dropout
deepfakebench    the network is the detector's `backbone`, with adjust_channel beside the head
parallel         timm's within DataParallel
compiled         timm's within torch.compile's wrapper
checkpoint       a training: state_dict, an average of the weights, and what Adam remembers

--files writes the same values in each form, as FORM.safetensors and FORM.pth, and as half.safetensors,
bfloat16.safetensors, double.safetensors, legacy.pth (the form before torch 1.6), module.pth (the whole
FaceForensics++ module), and two files with an index in parts/.
"""

import argparse
import importlib.util
import json
import pathlib
import sys

import timm
import torch
from safetensors.torch import save_file
from torch import nn

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "NetworksTests" / "Golden"


def cadene(path):
    spec = importlib.util.spec_from_file_location("cadene_xception", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["cadene_xception"] = module
    spec.loader.exec_module(module)
    network = module.xception(num_classes=1000, pretrained=None)
    network.last_linear = nn.Linear(2048, 2)
    return network


class TransferModel(nn.Module):
    """The parts of FaceForensics++'s model that have weights."""

    def __init__(self, network):
        super().__init__()
        self.modelchoice = "xception"
        self.model = network
        self.model.last_linear = nn.Sequential(nn.Dropout(0.5), nn.Linear(2048, 2))


class Detector(nn.Module):
    """The parts of DeepfakeBench's detector that have weights."""

    def __init__(self, network):
        super().__init__()
        self.backbone = network
        self.backbone.adjust_channel = nn.Sequential(
            nn.Conv2d(2048, 512, 1, 1), nn.BatchNorm2d(512), nn.ReLU(inplace=True)
        )
        self.loss_func = nn.CrossEntropyLoss()


def fill(network):
    """The same random values whatever the layers are called: by their order."""
    generator = torch.Generator().manual_seed(7)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point() or "adjust_channel" in name:
            continue
        if tensor.ndim == 4:
            fan = tensor[0].numel()
            values = torch.randn(tensor.shape, generator=generator) * (2 / fan) ** 0.5
        elif name.endswith("running_var"):
            values = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif tensor.ndim == 2:
            values = torch.randn(tensor.shape, generator=generator) * 0.05
        elif name.endswith("weight"):
            values = 0.8 + 0.4 * torch.rand(tensor.shape, generator=generator)
        else:
            values = 0.05 * torch.randn(tensor.shape, generator=generator)
        # As half precision has them, so that every form has the same.
        tensor.copy_(values.half().float())
    return network


def forms(path):
    timms = fill(timm.create_model("legacy_xception", num_classes=2))
    yield "timm", timms, timms.state_dict()
    network = fill(cadene(path))
    yield "cadene", network, network.state_dict()
    transfer = fill(TransferModel(cadene(path)))
    yield "faceforensics", transfer, transfer.state_dict()
    detector = fill(Detector(cadene(path)))
    yield "deepfakebench", detector, detector.state_dict()
    yield "parallel", None, nn.DataParallel(timms).state_dict()
    yield "compiled", None, torch.compile(timms).state_dict()


def flat(value, prefix=""):
    """A training's checkpoint with names joined by points, tensors alone."""
    if isinstance(value, torch.Tensor):
        yield prefix, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))


def training(network):
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    average = {k: v.clone() * 0.5 for k, v in network.state_dict().items()}
    return {
        "epoch": 3,
        "state_dict": nn.DataParallel(network).state_dict(),
        "state_dict_ema": average,
        "optimizer": optimizer.state_dict(),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pretrainedmodels")
    parser.add_argument("--files", type=pathlib.Path)
    arguments = parser.parse_args()
    golden = {}
    for name, module, tensors in forms(arguments.pretrainedmodels):
        golden[name] = [[key, list(value.shape)] for key, value in tensors.items()]
        if name == "timm":
            # Values stay as they are: the learning rate is 0.
            checkpoint = training(module)
            golden["checkpoint"] = [[k, list(v.shape)] for k, v in flat(checkpoint)]
        if arguments.files:
            folder = arguments.files
            folder.mkdir(parents=True, exist_ok=True)
            tensors = {k: v.clone().contiguous() for k, v in tensors.items()}
            save_file(tensors, folder / f"{name}.safetensors")
            torch.save(tensors, folder / f"{name}.pth")
            if name == "timm":
                torch.save(checkpoint, folder / "checkpoint.pth")
                for kind, dtype in [
                    ("half", torch.float16), ("bfloat16", torch.bfloat16), ("double", torch.float64),
                ]:
                    other = {
                        k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()
                    }
                    save_file(other, folder / f"{kind}.safetensors")
                    torch.save(other, folder / f"{kind}.pth")
                torch.save(
                    tensors, folder / "legacy.pth", _use_new_zipfile_serialization=False
                )
                parts = folder / "parts"
                parts.mkdir(exist_ok=True)
                keys = sorted(tensors)
                files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
                weight_map = {k: files[2 * i // len(keys)] for i, k in enumerate(keys)}
                for file in files:
                    save_file({k: tensors[k] for k in keys if weight_map[k] == file}, parts / file)
                (parts / "model.safetensors.index.json").write_text(
                    json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map})
                )
            if name == "faceforensics":
                torch.save(module, folder / "module.pth")
                torch.save(
                    module, folder / "module-legacy.p", _use_new_zipfile_serialization=False
                )
    lines = [
        f'"{name}":{json.dumps(entries, separators=(",", ":"))}' for name, entries in golden.items()
    ]
    (GOLDEN / "weight-names.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


with torch.no_grad():
    main()
