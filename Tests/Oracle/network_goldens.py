"""Writes the golden files of the network tests from PyTorch in float64 (Tests/NetworksTests/Golden).

    python Tests/Oracle/network_goldens.py [CASE...]

needs torch, timm and numpy; no weights are downloaded or stored (see deterministic.py). A case is
CASE.json, an index, beside CASE.f32, little-endian float32 values. The index names each array with
its shape, where its values start in the .f32 file and how many there are: all of the array
("whole"), or its sketch. float32Error is the relative L2 error of the same number computed by
PyTorch in float32, which says how much of a tolerance rounding alone uses up. MODEL.json has the
published names and shapes and the recipe of the weights, MODEL.f32 the running statistics of a
"separated" model in the order of their sorted names.

Arrays, layouts NHWC and, for parameters, the published ones:
    evaluation/logits [B, 2]           running statistics
    evaluation/attention/N [H, W]      FAM of image N, max over channels of |d(z1 - z0)/dx|
    evaluation/input_gradient/N        d(z1 - z0)/dx of image N [H, W, 3]
    evaluation/cam [B, 2, h, w]        sum over channels of fc weight times last feature map
    evaluation/stage/NAME              output of a stage, the whole batch
    training/logits [B, 2]             batch statistics
    training/stage/NAME, training/stage_gradient/NAME
    training/gradient/PARAMETER        of the mean cross-entropy
    training/running/BUFFER            running statistics after the step (momentum 0.1, unbiased)
Scalars: training/loss, and for image N evaluation/most_sensitive/N, the row-major index of FAM's
maximum, and evaluation/sensitivity_margin/N, how much the next pixel is below it, relatively.
steps.json has the losses of ten Adam steps on sequential batches, in float64 and float32: step s
trains on images s * batch ..< (s + 1) * batch.
"""

import argparse
import copy
import json
import pathlib

import numpy as np
import torch
from torch.nn import functional

import deterministic
from xception import RECIPES, detector, stages, statistics

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "NetworksTests" / "Golden"

# name: (model, crop, images in evaluation, images in training), the images that separation.py
# found farthest from kinks.
CASES = {
    "xception-tiny-96": ("xception-tiny", 96, [35, 6, 1, 50, 11, 52], range(216, 222)),
    "xception-tiny-97": ("xception-tiny", 97, [13, 6], range(51, 54)),
    "xception-224": ("xception", 224, [11, 9], range(46, 48)),
}
STEPS = {"xception-tiny-96": ("xception-tiny", 96, 6), "xception-96": ("xception", 96, 4)}
STEP_COUNT = 10
LEARNING_RATE = 2e-4


def nhwc(tensor):
    return tensor.detach().permute(0, 2, 3, 1).contiguous().numpy()


def nchw(images, dtype):
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(dtype)


def watch(model, into):
    def hook(name):
        def keep(_, __, output):
            output.retain_grad()
            into[name] = output

        return keep

    return [getattr(model, name).register_forward_hook(hook(name)) for name in stages(model)]


def evaluation(model, crop, numbers):
    """Arrays of a forward and FAM's backward with running statistics: name -> array."""
    dtype = model.fc.weight.dtype
    images, _ = deterministic.batch(numbers, crop)
    model.eval()
    outputs = {}
    hooks = watch(model, outputs)
    inputs = nchw(images, dtype).requires_grad_(True)
    logits = model(inputs)
    for hook in hooks:
        hook.remove()
    (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), inputs)
    gradient = nhwc(gradient)
    attention = np.abs(gradient).max(axis=3)
    arrays = {"evaluation/logits": logits.detach().numpy()}
    for n in range(len(numbers)):
        arrays[f"evaluation/attention/{n}"] = attention[n]
        arrays[f"evaluation/input_gradient/{n}"] = gradient[n]
    features = outputs["act4"].detach()
    cam = torch.einsum("kc,bchw->bkhw", model.fc.weight.detach(), features)
    arrays["evaluation/cam"] = cam.numpy()
    for name, output in outputs.items():
        arrays[f"evaluation/stage/{name}"] = nhwc(output)
    return arrays


def training(model, crop, numbers):
    """Arrays of one training forward and backward, and the loss."""
    dtype = model.fc.weight.dtype
    images, labels = deterministic.batch(numbers, crop)
    model.train()
    outputs = {}
    hooks = watch(model, outputs)
    logits = model(nchw(images, dtype))
    for hook in hooks:
        hook.remove()
    loss = functional.cross_entropy(logits, torch.from_numpy(labels))
    loss.backward()
    arrays = {"training/logits": logits.detach().numpy()}
    for name, output in outputs.items():
        arrays[f"training/stage/{name}"] = nhwc(output)
        arrays[f"training/stage_gradient/{name}"] = nhwc(output.grad)
    for name, parameter in model.named_parameters():
        arrays[f"training/gradient/{name}"] = parameter.grad.numpy()
    for name, buffer in model.named_buffers():
        if not name.endswith("num_batches_tracked"):
            arrays[f"training/running/{name}"] = buffer.numpy()
    return arrays, loss.item()


def write_case(name):
    model_name, crop, evaluated, trained = CASES[name]
    evaluated, trained = list(evaluated), list(trained)
    running = statistics(model_name)
    model = detector(model_name, statistics=running)
    single = detector(model_name, torch.float32, running)
    arrays = evaluation(copy.deepcopy(model), crop, evaluated)
    single_arrays = evaluation(copy.deepcopy(single), crop, evaluated)
    trained_arrays, loss = training(model, crop, trained)
    single_trained, single_loss = training(single, crop, trained)
    arrays.update(trained_arrays)
    single_arrays.update(single_trained)

    scalars = {"training/loss": loss, "training/loss_float32": single_loss}
    for n in range(len(evaluated)):
        attention = arrays[f"evaluation/attention/{n}"].reshape(-1)
        order = np.argsort(-attention, kind="stable")[:2]
        scalars[f"evaluation/most_sensitive/{n}"] = int(order[0])
        margin = 1 - attention[order[1]] / attention[order[0]]
        scalars[f"evaluation/sensitivity_margin/{n}"] = float(margin)
    whole = {"evaluation/logits", "evaluation/cam", "evaluation/attention/0", "training/logits"}
    index, values, offset = {}, [], 0
    for key, array in arrays.items():
        kept = array.reshape(-1) if key in whole else deterministic.sketch(array)
        error = np.linalg.norm(single_arrays[key] - array) / np.linalg.norm(array)
        index[key] = {
            "shape": list(array.shape),
            "offset": offset,
            "count": kept.size,
            "whole": bool(kept.size == array.size),
            "float32Error": float(f"{error:.2e}"),
        }
        values.append(kept.astype("<f4"))
        offset += kept.size
    case = {
        "model": model_name,
        "crop": crop,
        "evaluationImages": evaluated,
        "trainingImages": trained,
        "scalars": scalars,
        "imagesChecksum": checksum({"": deterministic.batch(trained, crop)[0]}),
    }
    write_index(name, case, "arrays", index)
    (GOLDEN / f"{name}.f32").write_bytes(np.concatenate(values).tobytes())
    for group in ("evaluation", "training"):
        worst = max((value["float32Error"], key) for key, value in index.items()
                    if key.startswith(group))
        print(name, group, "largest float32 error", worst)
    print(name, scalars)


def write_index(name, head, group, entries):
    """JSON with one entry a line, so that a changed golden is a readable difference."""
    GOLDEN.mkdir(exist_ok=True)
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    rows = [f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
    lines.append(f'  "{group}": {{\n' + ",\n".join(rows) + "\n  }")
    (GOLDEN / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def write_model(name):
    running = statistics(name)
    state = detector(name, torch.float32, running).state_dict()
    values = {
        key: state[key].numpy() for key in deterministic.published_names(state.keys())
    }
    head = {"recipe": RECIPES[name], "weightsChecksum": checksum(values)}
    write_index(name, head, "shapes", {key: list(value.shape) for key, value in values.items()})
    if running is not None:
        data = np.concatenate([running[key].astype("<f4") for key in sorted(running)])
        (GOLDEN / f"{name}.f32").write_bytes(data.tobytes())


def checksum(arrays):
    """The sum, modulo 2^64, of each value's bits times its place in the sorted arrays, plus one."""
    total, place = 0, 1
    for name in sorted(arrays):
        bits = arrays[name].reshape(-1).view(np.uint32).astype(np.uint64)
        places = np.arange(place, place + bits.size, dtype=np.uint64)
        total = (total + int(np.sum(bits * places, dtype=np.uint64))) % 2**64
        place += bits.size
    return str(total)


def losses(model_name, crop, count, dtype):
    """Losses of ten Adam steps."""
    model = detector(model_name, dtype, statistics(model_name)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    result = []
    for step in range(STEP_COUNT):
        images, labels = deterministic.batch(range(step * count, (step + 1) * count), crop)
        loss = functional.cross_entropy(model(nchw(images, dtype)), torch.from_numpy(labels))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return result


def write_steps():
    runs = {}
    for name, (model_name, crop, count) in STEPS.items():
        runs[name] = {
            "model": model_name,
            "crop": crop,
            "batch": count,
            "learningRate": LEARNING_RATE,
            "losses": losses(model_name, crop, count, torch.float64),
            "float32Losses": losses(model_name, crop, count, torch.float32),
        }
        print(name, runs[name])
    (GOLDEN / "steps.json").write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("case", nargs="*", default=[*RECIPES, *CASES, "steps"])
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    deterministic.check_philox()
    for case in arguments.case:
        if case == "steps":
            write_steps()
        elif case in RECIPES:
            write_model(case)
        else:
            write_case(case)
