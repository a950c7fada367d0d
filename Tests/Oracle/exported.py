"""Compares what `rfm export` writes with rfm's own logits, in ONNX Runtime and OpenVINO.

    python Tests/Oracle/exported.py PROGRAM [NETWORK...]

PROGRAM is the rfm that was built. Needs onnx, onnxruntime, openvino, torch, timm, efficientnet_pytorch,
h5py and safetensors. Writes nothing that is kept.

Each network gets the drawn weights of detectors.py, at an even and an odd crop (MesoInception-4 at its
own). Its file must pass onnx.checker with shapes inferred, say in its metadata how it is used, and give,
for batches of one and of three images, the logits that `rfm evaluate` gives of the same images: relative
L2 at most 1e-4, as against PyTorch in double precision. OpenVINO reads the file and gives the same.
"""

import argparse
import csv
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from safetensors.numpy import save_file

import detectors
import deterministic
import xception

IMAGES = [3, 8, 13]
LIMIT = 1e-4


def drawn(name):
    """PyTorch's model in double precision, and the weights under rfm's names."""
    if not name.startswith("xception"):
        return detectors.detector(name)
    model = xception.bare_detector(name)
    state = model.state_dict()
    arrays = detectors.weights({key: tuple(value.shape) for key, value in state.items()})
    values = {key: torch.from_numpy(value) for key, value in arrays.items()}
    model.load_state_dict(values, strict=False)
    return model.to(torch.float64), arrays


def shard(path, crop):
    pixels = np.stack([deterministic.image(number, crop) for number in IMAGES])
    labels = np.asarray(IMAGES, dtype=np.uint8) % 2
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "rfm-shard"
        file.attrs["version"] = 1
        file.create_dataset("images", data=pixels, chunks=(1, crop, crop, 3), fletcher32=True)
        file["labels"] = labels
        file["methods"] = labels
        file.create_dataset("method_names", data=["real", "made"], dtype=h5py.string_dtype())


def run(program, *arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        sys.exit(f"rfm {' '.join(arguments)}: {done.stderr}")


def own_logits(program, folder, use, data):
    run(program, "evaluate", *use, "--data", data, "--output", f"{folder}/scores")
    with open(f"{folder}/scores/scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row["logit_real"]), float(row["logit_fake"])] for row in rows])


def distance(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def compare(program, name, crop):
    model, arrays = drawn(name)
    model.eval()
    images, _ = deterministic.batch(IMAGES, crop)
    images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    with torch.no_grad():
        exact = model(torch.from_numpy(images).to(torch.float64)).numpy()
    with tempfile.TemporaryDirectory() as folder:
        weights, data, path = (f"{folder}/{end}" for end in ("w.safetensors", "d.h5", "m.onnx"))
        save_file(arrays, weights)
        shard(data, crop)
        use = ["--checkpoint", weights, "--model", name, "--crop", str(crop)]
        use += ["--mean", "0.5", "--std", "0.25", "--classes", "real,fake"]
        run(program, "export", *use, "--output", path)
        own = own_logits(program, folder, use, data)
        read = onnx.load(path)
        onnx.checker.check_model(read, full_check=True)
        said = {entry.key: entry.value for entry in read.metadata_props}
        version = said.pop("rfm_version")
        assert read.producer_name == "rfm" and read.producer_version == version
        assert said == {
            "model": name, "crop": str(crop), "mean": "[0.5, 0.5, 0.5]",
            "std": "[0.25, 0.25, 0.25]", "classes": "real,fake",
        }, said  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        compiled = openvino.compile_model(
            openvino.Core().read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )

        def both(batch):
            (runtime,) = session.run(["logits"], {"image": batch})
            return runtime, compiled({"image": batch})["logits"].copy()

        together = both(images)
        single = [both(images[place : place + 1]) for place in range(len(IMAGES))]
        alone = [np.concatenate([one[which] for one in single]) for which in (0, 1)]
        found = {
            "onnxruntime of 3": distance(together[0], own),
            "onnxruntime of 1": distance(alone[0], own),
            "openvino of 3": distance(together[1], own),
            "openvino of 1": distance(alone[1], own),
            "rfm to float64": distance(own, exact),
            "onnxruntime to float64": distance(together[0], exact),
        }
        size = pathlib.Path(path).stat().st_size
    print(
        f"{name} at {crop}, {size >> 20} MiB: "
        + ", ".join(f"{key} {value:.1e}" for key, value in found.items()),
        flush=True,
    )
    return max(found.values()) <= LIMIT


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("network", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    networks = arguments.network or ["xception", "xception-tiny", *detectors.NETWORKS]
    failed = []
    for name in networks:
        for crop in [256] if name == "meso-inception4" else [64, 97]:
            if not compare(arguments.program, name, crop):
                failed.append(f"{name} at {crop}")
    if failed:
        sys.exit(f"more than {LIMIT} apart: {', '.join(failed)}")
    print("all within", LIMIT)


if __name__ == "__main__":
    main()
