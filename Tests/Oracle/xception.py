"""The detectors as PyTorch modules: timm's legacy_xception, and xception-tiny on the same blocks."""

import timm
import torch
from timm.models.xception import Block, SeparableConv2d, Xception
from torch import nn

import deterministic


def xception():
    """Xception with two classes, as published."""
    return timm.create_model("legacy_xception", num_classes=2)


class XceptionTiny(nn.Module):
    """The topology of Xception, narrow, with two middle blocks."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 2, 0, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(16, 32, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.act2 = nn.ReLU(inplace=True)
        self.block1 = Block(32, 64, 2, 2, start_with_relu=False)
        self.block2 = Block(64, 96, 2, 2)
        self.block3 = Block(96, 160, 2, 2)
        self.block4 = Block(160, 160, 3, 1)
        self.block5 = Block(160, 160, 3, 1)
        self.block6 = Block(160, 256, 2, 2, grow_first=False)
        self.conv3 = SeparableConv2d(256, 320, 3, 1, 1)
        self.bn3 = nn.BatchNorm2d(320)
        self.act3 = nn.ReLU(inplace=True)
        self.conv4 = SeparableConv2d(320, 384, 3, 1, 1)
        self.bn4 = nn.BatchNorm2d(384)
        self.act4 = nn.ReLU(inplace=True)
        self.fc = nn.Linear(384, 2)

    def forward_features(self, x):
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.act2(self.bn2(self.conv2(x)))
        for block in (self.block1, self.block2, self.block3, self.block4, self.block5, self.block6):
            x = block(x)
        x = self.act3(self.bn3(self.conv3(x)))
        return self.act4(self.bn4(self.conv4(x)))

    def forward(self, x):
        return self.fc(self.forward_features(x).mean((2, 3)))


RECIPES = {"xception": "separated", "xception-tiny": "random"}


def bare_detector(name):
    return {"xception": xception, "xception-tiny": XceptionTiny}[name]()


def detector(name, dtype=torch.float64, statistics=None):
    """`xception` or `xception-tiny` with the deterministic weights of its recipe."""
    model = bare_detector(name)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    arrays = deterministic.weights(shapes, RECIPES[name], statistics)
    values = {key: torch.from_numpy(value) for key, value in arrays.items()}
    missing, unexpected = model.load_state_dict(values, strict=False)
    assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
    return model.to(dtype)


def statistics(name):
    """Running statistics of a "separated" detector: those of images 0 to 3 at 224, as float32.

    None for the "random" recipe, whose statistics are drawn.
    """
    if RECIPES[name] == "random":
        return None
    model = detector(name).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    images, _ = deterministic.batch(range(4), 224)
    with torch.no_grad():
        model(torch.from_numpy(images).permute(0, 3, 1, 2).double())
    return {
        key: value.float().numpy()
        for key, value in sorted(model.named_buffers())
        if not key.endswith("num_batches_tracked")
    }


def stages(model):
    """The modules whose outputs the goldens look at, by name, in order."""
    blocks = sorted(
        (name for name, _ in model.named_children() if name.startswith("block")),
        key=lambda name: int(name[5:]),
    )
    return ["act2", *blocks, "act3", "act4"]
