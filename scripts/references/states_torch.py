"""State dicts between Python and jorch, in every format and in both directions. Stored in test/data/files/.

    pip install torch==2.11.0 numpy safetensors
    python scripts/references/states_torch.py write test/data/files       # state.pt, state.safetensors, state.npz
    node dist/test/io/write-states.js jorch-files                         # what jorch writes of the same state
    python scripts/references/states_torch.py check jorch-files test/data/files/state.json
"""
import hashlib
import json
import os
import sys

import numpy as np
import safetensors.torch
import torch
from torch import nn


class Holder(nn.Module):
    """Tied and transposed weights, and a buffer of every dtype that a state dict may hold."""

    def __init__(self):
        super().__init__()
        waves = torch.sin(torch.arange(12) * 1.7)
        self.first = nn.Linear(3, 4)
        self.first.weight = nn.Parameter(waves.reshape(3, 4).t())
        self.first.bias = nn.Parameter(waves[::3])
        self.second = nn.Linear(3, 4)
        self.second.weight = self.first.weight
        self.second.bias = nn.Parameter(waves[1::3].half())
        for dtype in ["float64", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64", "complex128"]:
            self.register_buffer("b_" + dtype, (torch.arange(6) - (0 if dtype == "uint8" else 2)).to(getattr(torch, dtype)).reshape(2, 3))
        self.b_complex64.mul_(1 - 2j)
        self.register_buffer("scalar", torch.tensor(2.5))
        self.register_buffer("empty", torch.zeros(0, 2))


state = Holder().state_dict()
# What the other two formats do not hold.
FORMATS = {
    "pt": state,
    "safetensors": {k: v for k, v in state.items() if v.dtype != torch.complex128},
    "npz": {k: v for k, v in state.items() if v.dtype != torch.bfloat16},
}


def read(path, format):
    if format == "pt":
        return torch.load(path, weights_only=True)
    if format == "safetensors":
        return safetensors.torch.load_file(path)
    return {name: torch.from_numpy(a) for name, a in np.load(path).items()}


if sys.argv[1] == "write":
    at = lambda name: os.path.join(sys.argv[2], name)
    torch.save(state, at("state.pt"))
    # Tied weights twice, as save_model would not: a state dict that names both is read with strict=True.
    safetensors.torch.save_file({k: v.contiguous().clone() for k, v in FORMATS["safetensors"].items()}, at("state.safetensors"))
    np.savez(at("state.npz"), **{k: v.numpy() for k, v in FORMATS["npz"].items()})
else:
    result = {"made_by": "scripts/references/states_torch.py", "torch": torch.__version__, "sha256": {}}
    for format, expected in FORMATS.items():
        path = os.path.join(sys.argv[2], f"state.{format}")
        found = read(path, format)
        assert set(found) == set(expected), (format, set(found) ^ set(expected))
        for name, t in expected.items():
            assert found[name].dtype == t.dtype and torch.equal(found[name], t), (format, name)
        model = Holder()
        for p in model.parameters():
            nn.init.zeros_(p)
        if format != "npz":
            model.load_state_dict(found, strict=format == "pt")
            assert torch.equal(model.first.weight, state["first.weight"])
        result["sha256"][format] = hashlib.sha256(open(path, "rb").read()).hexdigest()
        if format == "pt":
            assert found["first.weight"].data_ptr() == found["second.weight"].data_ptr(), "tied"
    json.dump(result, open(sys.argv[3], "w"), indent=1)
