"""Writes the golden file of Tests/TrainingTests/OptimizersTests.swift with torch.optim.

    python3 Tests/Oracle/optimizers.py

`optimizers.safetensors` holds the initial weights, twelve gradients, and the weights after the
first and the last step of every rule. From the seventh step on the learning rate is halved.
`clipped.last` are the weights of SGD with momentum where the gradients' norm is clipped to 240 (norms
before that: `clipped.norms`), and `average.last` is the moving average of Adam's weights, of decay 0.9.
`groups.*.last` are the weights where those from 101 on have a quarter of the learning rate, with the
gradients in another order: each of the two groups gets small ones and large ones.
"""

import pathlib

import torch
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).parents[1] / "TrainingTests" / "Golden"
COUNT, STEPS, RATE = 257, 12, 0.01
LARGEST_NORM, DECAY = 240, 0.9
SLOW_FROM, SLOW_RATE = 101, 0.25

RULES = {
    "adam": lambda p: torch.optim.Adam(p, lr=RATE),
    "adam_decay": lambda p: torch.optim.Adam(p, lr=RATE, weight_decay=0.1, betas=(0.5, 0.9), eps=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=RATE, weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=RATE),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9, weight_decay=0.1),
    "sgd_nesterov": lambda p: torch.optim.SGD(
        p, lr=RATE, momentum=0.9, weight_decay=0.1, nesterov=True
    ),
}


def main() -> None:
    generator = torch.Generator().manual_seed(20210621)
    initial = torch.randn(COUNT, generator=generator)
    gradients = torch.randn(STEPS, COUNT, generator=generator)
    # From tiny to large, so that epsilon and its place matter.
    gradients *= torch.logspace(-9, 2, COUNT)
    gradients[:, 0] = 0
    tensors = {"initial": initial, "gradients": gradients}
    for name, make in RULES.items():
        weights = torch.nn.Parameter(initial.clone())
        optimizer = make([weights])
        for step in range(STEPS):
            for group in optimizer.param_groups:
                group["lr"] = RATE if step < 6 else RATE / 2
            weights.grad = gradients[step].clone()
            optimizer.step()
            if step == 0:
                tensors[f"{name}.first"] = weights.detach().clone()
        tensors[f"{name}.last"] = weights.detach().clone()

    order = torch.arange(COUNT) * 100 % COUNT
    for name, make in RULES.items():
        groups = [
            torch.nn.Parameter(part.clone()) for part in (initial[:SLOW_FROM], initial[SLOW_FROM:])
        ]
        rates = [RATE, RATE * SLOW_RATE]
        optimizer = make([{"params": [w], "lr": rate} for w, rate in zip(groups, rates)])
        for step in range(STEPS):
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate if step < 6 else rate / 2
            gradient = gradients[step, order]
            for weights, part in zip(groups, (gradient[:SLOW_FROM], gradient[SLOW_FROM:])):
                weights.grad = part.clone()
            optimizer.step()
        tensors[f"groups.{name}.last"] = torch.cat(groups).detach()

    weights = torch.nn.Parameter(initial.clone())
    optimizer = RULES["sgd_momentum"]([weights])
    norms = []
    for step in range(STEPS):
        weights.grad = gradients[step].clone()
        norms.append(torch.nn.utils.clip_grad_norm_([weights], LARGEST_NORM))
        optimizer.step()
    tensors["clipped.norms"] = torch.stack(norms)
    tensors["clipped.last"] = weights.detach().clone()

    model = torch.nn.Linear(1, COUNT, bias=False)
    model.weight.data = initial.clone()[:, None]
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(DECAY))
    # The first update of AveragedModel is a copy.
    average.update_parameters(model)
    optimizer = RULES["adam"](model.parameters())
    for step in range(STEPS):
        model.weight.grad = gradients[step].clone()[:, None]
        optimizer.step()
        average.update_parameters(model)
    tensors["average.last"] = average.module.weight.detach()[:, 0].clone()
    save_file(tensors, GOLDEN / "optimizers.safetensors")


if __name__ == "__main__":
    main()
