"""Files that Python writes and jorch must read. Stored in test/data/files/.

    pip install torch==2.11.0 numpy safetensors
    python scripts/references/files_torch.py test/data/files
"""
import collections
import json
import os
import struct
import sys

import numpy as np
import torch
from torch import nn

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
at = lambda name: os.path.join(folder, name)

kinds = {}
for dtype in ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128"]:
    kinds[dtype] = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(torch, dtype))
kinds["complex64"] = kinds["complex64"] * (1 + 2j)
base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
tied = torch.arange(4, dtype=torch.float32)
torch.save(
    {
        "kinds": kinds,
        "transposed": base.t(),
        "strided": base[1:, ::2],
        "expanded": torch.tensor([[7.0]]).expand(2, 3),
        "conj": kinds["complex64"].conj(),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 2),
        "tied": [tied, tied],
        "view": tied[1:3],
        "parameter": nn.Parameter(torch.ones(2)),
        "plain": {"int": 5, "negative": -7, "big": 2**40, "huge": 2**70, "float": 0.1, "text": "grüße", "none": None, "flag": True, "tuple": (1, "a"), "bytes": b"\x00\xff", "set": {1, 2}, "complex": 1 + 2j, "size": torch.Size([2, 3]), "dtype": torch.bfloat16, "device": torch.device("cpu")},
        "by_number": {0: "zero", 1: "one"},
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
    },
    at("kinds.pt"),
)

torch.manual_seed(3)
net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
opt = torch.optim.AdamW(net.parameters(), lr=0.05)
x = torch.sin(torch.arange(15) * 1.7).reshape(5, 3)
y = torch.cos(torch.arange(10) * 1.3).reshape(5, 2)


def step():
    opt.zero_grad()
    loss = (net(x) - y).pow(2).sum()
    loss.backward()
    opt.step()
    return loss.item()


for _ in range(3):
    step()
torch.save({"model": net.state_dict(), "optimizer": opt.state_dict(), "step": 3}, at("training.pt"))
losses = [step() for _ in range(5)]

np.save(at("fortran.npy"), np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)))
np.save(at("scalar.npy"), np.array(True))
np.savez_compressed(at("several.npz"), a=np.arange(1000, dtype=np.int16), b=np.full((2, 2), 1 + 2j), c=np.float16([0.5, 1.5]))

# safetensors, written by hand as its description says: no library needed.
header, data = {"__metadata__": {"format": "pt"}}, b""
names = {"float32": "F32", "bfloat16": "BF16", "int64": "I64", "bool": "BOOL", "float16": "F16", "uint16": "U16"}
for dtype, code in names.items():
    raw = kinds[dtype].contiguous().view(torch.uint8).numpy().tobytes()
    header[dtype] = {"dtype": code, "shape": [2, 3], "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(header).encode()
open(at("kinds.safetensors"), "wb").write(struct.pack("<Q", len(text)) + text + data)
json.dump({"torch": torch.__version__, "losses": losses}, open(at("training.json"), "w"))
