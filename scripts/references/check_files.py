"""Reads a checkpoint that jorch wrote, with torch.load(weights_only=True), and prints what test/io/checkpoint.test.ts compares.

    python scripts/references/check_files.py written.pt
"""
import json
import sys

import torch


def describe(v):
    if isinstance(v, torch.Tensor):
        data = torch.view_as_real(v) if v.is_complex() else v
        return {"tensor": str(v.dtype).split(".")[1], "shape": list(v.shape), "parameter": isinstance(v, torch.nn.Parameter), "data": data.detach().double().flatten().tolist()}
    if isinstance(v, dict):
        return {f"{type(k).__name__}:{k}": describe(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [describe(x) for x in v]
    if isinstance(v, bytes):
        return {"bytes": list(v)}
    return v


value = torch.load(sys.argv[1], weights_only=True)
print(json.dumps({"value": describe(value), "tied": value["tied"][0].data_ptr() == value["tied"][1].data_ptr()}))
