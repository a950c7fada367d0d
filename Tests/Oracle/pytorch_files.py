"""Writes the golden files of Tests/NetworksTests/PyTorchFileTests.swift with PyTorch itself.

    python3 Tests/Oracle/pytorch_files.py [--xception DIR]

With --xception it writes timm's whole `legacy_xception` in every form into a folder instead (some
500 MB), for the test that reads it where RFM_PYTORCH_FILES names that folder.

The older form names storages by their addresses: its files differ from run to run.

Needs torch and numpy; timm and safetensors for --xception. `Golden/PyTorch/expected.json` says of each
file which tensors PyTorch has in it (shape and float32 bit patterns, as `float()` gives them), or which
words an error must have. The classes of modules and foreign objects are of modules that exist nowhere
but here, as people's are.
"""

import argparse
import collections
import enum
import functools
import io
import json
import os
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy
import torch
from torch import nn

GOLDEN = pathlib.Path(__file__).parents[1] / "NetworksTests" / "Golden" / "PyTorch"
EXPECTED: dict[str, dict] = {}
LEGACY = {"_use_new_zipfile_serialization": False}

# In place of the source of each class, which the older form has beside a module saved whole.
torch.serialization.get_source_lines_and_file = lambda c: (
    [f"class {c.__name__}:\n", "    # …\n"],
    1,
    f"{c.__name__.lower()}.py",
)


def foreign(name: str) -> types.ModuleType:
    """A module that can be imported while this runs."""
    package, _, _ = name.rpartition(".")
    sys.modules[package] = types.ModuleType(package)
    sys.modules[name] = types.ModuleType(name)
    return sys.modules[name]


def belongs(module: types.ModuleType):
    """Makes a class one of another module."""

    def move(cls):
        cls.__module__, cls.__qualname__ = module.__name__, cls.__name__
        setattr(module, cls.__name__, cls)
        return cls

    return move


network = foreign("network.models")
project = foreign("project.training")


@belongs(network)
class Unit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)


@belongs(network)
class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rep = nn.Sequential(Unit(2), nn.ReLU(), Unit(2))
        self.register_parameter("absent", None)
        self.register_buffer("grid", torch.arange(3.0))
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.mean = torch.full((2,), 0.5)  # no part of state_dict()
        self.last_linear = nn.Linear(2, 2)


@belongs(project)
class Stopping:
    def __init__(self) -> None:
        self.patience, self.best = 3, None


@belongs(project)
class Mode(enum.Enum):
    MAX = "max"


@belongs(project)
class Box:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.inner = tensor


@belongs(project)
class Command:
    def __reduce__(self):
        return os.system, ("touch pytorch-file-was-run",)


def bits(tensor: torch.Tensor) -> dict:
    values = tensor.detach().float().contiguous()
    return {"shape": list(values.shape), "bits": values.reshape(-1).view(torch.int32).tolist()}


def tensors(value, name: str = "") -> dict:
    """Floating-point tensors by name, as the reader joins names."""
    if isinstance(value, torch.Tensor):
        return {name or "tensor": bits(value)} if value.is_floating_point() else {}
    if isinstance(value, nn.Module):
        value = value.state_dict()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, (list, tuple)):
        parts = enumerate(value)
    else:
        return {}
    found = {}
    for key, part in parts:
        found |= tensors(part, f"{name}.{key}" if name else str(key))
    return found


def save(name: str, value, error: str | None = None, **options) -> None:
    torch.save(value, GOLDEN / name, **options)
    EXPECTED[name] = {"error": error} if error else {"tensors": tensors(value)}


def write(name: str, data: bytes, error: str | None = None, like=None) -> None:
    (GOLDEN / name).write_bytes(data)
    EXPECTED[name] = {"error": error} if error else {"tensors": tensors(like)}


def types_of_numbers() -> dict:
    special = [0.0, -0.0, 1.0, -1.0, 65504.0, 6e-8, 6.1e-5, float("inf"), float("-inf"), 0.1]
    special += [1 + 2**-24, 1 + 3 * 2**-24, 1e-45, 3.4028235677973366e38]
    return {
        "f32": torch.tensor(special, dtype=torch.float32),
        "f16": torch.tensor(special, dtype=torch.float16),
        "bf16": torch.tensor(special, dtype=torch.bfloat16),
        "f64": torch.tensor(special, dtype=torch.float64),
        "scalar": torch.tensor(3.25),
        "empty": torch.zeros(0, 3),
        "bn.num_batches_tracked": torch.tensor(12345678901),
        "mask": torch.tensor([True, False]),
        "ünï.weight": torch.ones(1, 1),
    }


def views() -> dict:
    base = torch.arange(120, dtype=torch.float32).reshape(2, 3, 4, 5) / 7
    half = torch.arange(24, dtype=torch.float16).reshape(4, 6)
    return {
        "base": base,
        "transposed": base.permute(3, 1, 0, 2),
        "slice": base[1, :, 1:3, ::2],
        "row": base[1, 2],
        "last": base.reshape(-1)[-1],
        "diagonal": half.diagonal(),
        "half_t": half.t(),
        "double_t": torch.arange(6, dtype=torch.float64).reshape(2, 3).t(),
        "channels_last": torch.arange(48.0).reshape(2, 3, 2, 4).contiguous(
            memory_format=torch.channels_last
        ),
        "expanded": torch.tensor([1.5, 2.5]).expand(3, 2),
        "nothing": base[:, 3:],
    }


def lightning(net: nn.Module) -> dict:
    optimizer = torch.optim.Adam(net.parameters())
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return {
        "epoch": 3,
        "global_step": numpy.int64(1200),
        "best_auc": numpy.float64(0.97),
        "state_dict": collections.OrderedDict(
            (f"model.{name}", value) for name, value in net.state_dict().items()
        ),
        "optimizer_states": [optimizer.state_dict()],
        "callbacks": {"stopping": Stopping(), "mode": Mode.MAX, "box": Box(torch.ones(2))},
        "hyper_parameters": argparse.Namespace(lr=1e-3, path=pathlib.PurePosixPath("a/b")),
        "loops": {"seen": {1, 2}, "frozen": frozenset({"a"}), "z": 1 + 2j, "big": 1 << 80},
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "size": torch.Size([2, 3]),
        "counts": collections.defaultdict(int, {"a": 1}),
        "log": numpy.arange(3),
        "bytes": b"\x00\xff",
        "none": None,
    }


def rezip(source: str, change=lambda name, data: data, method=zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(GOLDEN / source) as old, zipfile.ZipFile(target, "w", method) as new:
        for entry in old.infolist():
            data = change(entry.filename, old.read(entry))
            new.writestr(zipfile.ZipInfo(entry.filename), data, method)
    return target.getvalue()


class OldStorage:
    def __init__(self, key: str, count: int, view=None) -> None:
        self.fields = ("storage", torch.FloatStorage, key, "cpu", count, view)


class OldPickler(pickle.Pickler):
    """As PyTorch wrote before it had its archive: storages by reference, with views."""

    def persistent_id(self, value):
        return value.fields if isinstance(value, OldStorage) else None


def old_file(value, storages: dict[str, list[float]], little: bool = True) -> bytes:
    out = io.BytesIO()
    pickle.dump(0x1950A86A20F9469CFC6C, out, 2)
    pickle.dump(1001, out, 2)
    pickle.dump({"protocol_version": 1001, "little_endian": little, "type_sizes": {}}, out, 2)
    OldPickler(out, 2).dump(value)
    pickle.dump(sorted(storages), out, 2)
    for _, values in sorted(storages.items()):
        out.write(struct.pack(f"<q{len(values)}f", len(values), *values))
    return out.getvalue()


class Call:
    """What is pickled as a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def write_xception(folder: pathlib.Path) -> None:
    import timm
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(5)
    model = timm.create_model("legacy_xception", num_classes=2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    state = model.state_dict()
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file(state, folder / "float.safetensors")
    save_file(half, folder / "half.safetensors")
    for form, options in (("archive", {}), ("legacy", LEGACY)):
        torch.save(state, folder / f"float-{form}.pth", **options)
        torch.save(half, folder / f"half-{form}.pth", **options)
        torch.save(model, folder / f"float-module-{form}.pth", **options)
    last = model.to(memory_format=torch.channels_last).state_dict()
    torch.save(last, folder / "float-channels-last.pth")
    # A class of a module that nobody has.
    type(model).__module__ = "network.gone"
    sys.modules["network.gone"] = types.ModuleType("network.gone")
    sys.modules["network.gone"].Xception = type(model)
    torch.save(model, folder / "float-module-gone.p")


def main() -> None:
    if sys.argv[1:2] == ["--xception"]:
        return write_xception(pathlib.Path(sys.argv[2]))
    GOLDEN.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(5)
    for form, options in (("archive", {}), ("legacy", LEGACY)):
        save(f"{form}-types.pt", types_of_numbers(), **options)
        save(f"{form}-views.pt", views(), **options)
        save(f"{form}-lightning.ckpt", lightning(Net()), **options)
        save(f"{form}-module.p", Net(), **options)
        save(f"{form}-command.pth", {"state_dict": {"w": torch.ones(1)}, "x": Command()},
             "would run posix.system", **options)
    box = EXPECTED["archive-lightning.ckpt"]["tensors"]
    assert not any("box" in name for name in box), box

    save("parallel.pth.tar", {"state_dict": nn.DataParallel(Net()).state_dict(), "best": True})
    save("parallel-module.pth", {"net": nn.DataParallel(Net())})
    save("parameter.pt", nn.Parameter(torch.ones(2, 2)))
    save("list.pt", [torch.ones(1), (torch.zeros(2), {7: torch.ones(3)})])
    for protocol in (3, 4, 5):
        save(f"protocol-{protocol}.pt", {"w": torch.arange(3.0)}, pickle_protocol=protocol)
    save("protocol-4-legacy.pt", {"w": torch.arange(3.0)}, pickle_protocol=4, **LEGACY)
    torch.serialization.set_crc32_options(False)
    save("no-checksums.pt", {"w": torch.arange(3.0)})
    torch.serialization.set_crc32_options(True)
    tagged = torch.arange(3.0)
    tagged.tag = "an attribute"
    save("tagged.pt", {"w": tagged, "b": nn.Buffer(torch.ones(1)), "n": torch.ones(1).to(torch.uint16)})
    script = torch.jit.script(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)))
    torch.jit.save(script, str(GOLDEN / "script.pt"))
    script_names = tensors(dict(script.state_dict()))
    # Its code holds texts of PyTorch's own sources: only what holds tensors is kept.
    with zipfile.ZipFile(GOLDEN / "script.pt") as old:
        entries = {n: old.read(n) for n in old.namelist() if ".debug_pkl" not in n}
    with zipfile.ZipFile(GOLDEN / "script.pt", "w") as new:
        for name, data in entries.items():
            new.writestr(zipfile.ZipInfo(name), b"# code\n" if "/code/" in name else data)
    EXPECTED["script.pt"] = {"tensors": script_names}

    write("deflated.pth", rezip("archive-types.pt"), like=types_of_numbers())
    write("big-endian.pt",
          rezip("archive-types.pt", lambda n, d: b"big" if n.endswith("byteorder") else d),
          "big-endian")
    write("big-endian-legacy.pt", old_file({}, {}, little=False), "big-endian")
    write("lacks-a-storage.pt",
          rezip("archive-types.pt", lambda n, d: d[:-4] if n.endswith("data/0") else d),
          "has 52 bytes, where 14 numbers of float32 were announced")

    rebuild = torch._utils._rebuild_tensor
    flat = [float(n) for n in range(8)]
    write(
        "old-views.pth",
        old_file(
            {
                "a": Call(rebuild, OldStorage("1", 8, None), 2, (2, 2), (3, 1)),
                "b": Call(rebuild, OldStorage("1", 8, ("9", 4, 3)), 1, (2,), (1,)),
                # Python 2's ordered dictionaries.
                "d": Call(collections.OrderedDict, [
                    ["w", Call(rebuild, OldStorage("1", 8, None), 7, (), ())],
                ]),
                "c": Call(nn.Parameter, Call(rebuild, OldStorage("1", 8, None), 0, (8,), (1,))),
            },
            {"1": flat},
        ),
        like={
            "a": torch.tensor([[2.0, 3.0], [5.0, 6.0]]),
            "b": torch.tensor([5.0, 6.0]),
            "c": torch.tensor(flat),
            "d": {"w": torch.tensor(7.0)},
        },
    )

    scale = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    refused = {
        "quantised": ({"conv.weight": scale}, "tensor 'conv.weight' is quantised"),
        "sparse": ({"e": torch.eye(2).to_sparse()}, "tensor 'e' is sparse"),
        "complex": ({"f": torch.ones(2, dtype=torch.complex64)}, "tensor 'f' holds complex numbers"),
        "eight-bits": ({"g": torch.ones(2).to(torch.float8_e4m3fn)}, "tensor 'g' holds 8-bit"),
        "negated": ({"h": torch.ones(2, dtype=torch.complex64).conj().imag}, "tensor 'h' is a conj"),
        "meta": ({"i": torch.ones(2, device="meta")}, "tensor 'i' has no values"),
        "boxed": ({"net": Box(torch.ones(2))}, "tensor 'net' belongs to an object of the class "
                  "project.training.Box"),
        "called": ({"net": functools.partial(print, torch.ones(1))}, "of the class functools.partial"),
        "settings": ({"lr": 0.1, "name": "x"}, "holds no tensor: it is a dictionary of 2 values, "
                     "such as 'lr', 'name'"),
        "object": (Stopping(), "an object of the class project.training.Stopping"),
        "arrays": ({"w": numpy.ones(2)}, "its NumPy arrays are not read"),
    }
    for name, (value, words) in refused.items():
        save(f"{name}.pt", value, words)
    write("pickled.pth", pickle.dumps({"w": torch.ones(2)}), "tensor 'w' was written by pickle.dump")
    write("numbers.pkl", pickle.dumps([1, 2.5, "x"]), "is a pickle of a list of 3 values")

    def archive(names: list[str]) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as new:
            for name in names:
                new.writestr(zipfile.ZipInfo(name), b"" if name.endswith("/") else b"x")
        return target.getvalue()

    arrays = io.BytesIO()
    numpy.savez(arrays, conv=numpy.ones(1))
    write("arrays.npz", arrays.getvalue(), "is an archive of NumPy (.npz) with 1 arrays such as 'conv'")
    write("pictures.zip", archive(["a/", "a/b.jpg", "a/c.jpg"]),
          "is a ZIP archive of 2 files such as 'a/b.jpg', not of torch.save")
    write("packed.zip", archive(["readme.txt", "x/best.pth"]), "'x/best.pth' lies in")
    write("nothing.zip", archive([]), "a ZIP archive of no file")
    write("exported.pt2", archive(["m/archive_format", "m/data/weights/weight_0"]), "torch.export")
    write("keras.keras", archive(["config.json", "model.weights.h5"]), "a model of Keras")
    write("old.tar", b"sys_info".ljust(257, b"\0") + b"ustar\x0000".ljust(255, b"\0"),
          "PyTorch 0.1.10")
    (GOLDEN / "expected.json").write_text(json.dumps(EXPECTED, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
