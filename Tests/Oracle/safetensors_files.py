"""Writes the golden files of Tests/NetworksTests/SafetensorsTests.swift with the Python package.

    python3 Tests/Oracle/safetensors_files.py

Needs torch and safetensors. `safetensors-float32.safetensors` holds what the Swift writer must
reproduce byte for byte; `safetensors-mixed.safetensors` has every type that is read, and
`safetensors-mixed.json` the float32 bit patterns that reading must give.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).parents[1] / "NetworksTests" / "Golden"


def main() -> None:
    ramp = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 7 - 1
    save_file(
        {
            "fc.weight": ramp,
            "bn1.running_mean": torch.tensor([1.5, -2.25, 1e-30]),
            "scalar": torch.tensor(3.0),
            'a "name" with \\ and ünïcode': torch.tensor([[0.5]]),
            "empty": torch.zeros(0, 3),
        },
        GOLDEN / "safetensors-float32.safetensors",
        metadata={"format": "pt"},
    )

    special = [0.0, -0.0, 1.0, -1.0, 65504.0, 6e-8, 6.1e-5, float("inf"), float("-inf"), 0.1]
    mixed = {
        "f32": torch.tensor(special, dtype=torch.float32),
        "f16": torch.tensor(special, dtype=torch.float16),
        "bf16": torch.tensor(special, dtype=torch.bfloat16),
        "f64": torch.tensor(special, dtype=torch.float64),
        "num_batches_tracked": torch.tensor(12345678901, dtype=torch.int64),
        "small": torch.tensor([[-1, 2], [3, -128]], dtype=torch.int8),
    }
    save_file(mixed, GOLDEN / "safetensors-mixed.safetensors")
    bits = {
        name: tensor.float().view(torch.int32).tolist()
        for name, tensor in mixed.items()
        if tensor.is_floating_point()
    }
    (GOLDEN / "safetensors-mixed.json").write_text(json.dumps(bits) + "\n")


if __name__ == "__main__":
    main()
