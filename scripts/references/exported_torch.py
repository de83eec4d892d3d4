"""Programs of torch.export and what Python makes of them: results, gradients, buffers. Stored in test/data/files/.

    pip install torch==2.11.0
    python scripts/references/exported_torch.py test/data/files

Writes exported-*.pt2 and exported-results.pt (tensors by name). Stack traces, which name files of the machine that it ran on, are left out.
"""
import collections
import os
import sys
from typing import NamedTuple

import torch
from torch import nn
from torch.export import Dim, export

folder = sys.argv[1]
results = {}


def waves(*shape):
    n = 1
    for s in shape:
        n *= s
    return torch.sin(torch.arange(n) * 1.7).reshape(shape)


def save(program, name):
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn"):
                    node.meta.pop(key, None)
    program._example_inputs = None
    torch.export.save(program, os.path.join(folder, f"exported-{name}.pt2"))


def gradients(program, *args):
    """The result, and the gradients of its weighted sum by the parameters."""
    module = program.module()
    out = module(*args)
    (out * torch.cos(torch.arange(out.numel(), dtype=out.dtype)).reshape(out.shape)).sum().backward()
    return {
        "out": out.detach(),
        "grads": {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None},
        "state": {name: t.detach().clone() for name, t in module.state_dict().items()},
    }


torch.manual_seed(7)

# A perceptron for batches of any size, with tied, transposed and frozen weights.
mlp = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2))
mlp[4].weight = mlp[2].weight
mlp[0].weight = nn.Parameter(waves(3, 4).t())
mlp[5].bias.requires_grad_(False)
program = export(mlp, (waves(5, 3),), dynamic_shapes=({0: Dim("batch", min=2, max=64)},))
save(program, "mlp")
results["mlp"] = gradients(program, waves(5, 3))
results["mlp_7"] = program.module()(waves(7, 3)).detach()


# Convolution and batch norm in training mode: as exported (in-place operators on buffers), and with buffer mutations as outputs.
class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.out = nn.Linear(3 * 4 * 4, 2)
        self.register_buffer("scale", torch.tensor([0.5, 2.0]), persistent=False)

    def forward(self, x):
        return self.out(torch.relu(self.norm(self.conv(x))).flatten(1)) * self.scale


images = waves(4, 1, 6, 6)
program = export(Convolutional(), (images,))
save(program, "training")
results["training"] = gradients(program, images)
program = export(Convolutional(), (images,)).run_decompositions()
assert any(spec.kind == torch.export.graph_signature.OutputKind.BUFFER_MUTATION for spec in program.graph_signature.output_specs)
save(program, "functional")
with torch.no_grad():  # PyTorch itself has no gradients here: copying into the statistics makes what it saved invalid
    module = program.module()
    results["functional"] = {"out": module(images), "state": {name: t.clone() for name, t in module.state_dict().items()}}


# A layer of a transformer, and an LSTM, in float64 and with a dynamic length.
class Sequences(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.lstm = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x):
        y = self.layer(x, src_mask=torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype))
        return self.lstm(y)[0]


program = export(Sequences().double(), (waves(2, 5, 4).double(),))
save(program, "sequences")
results["sequences"] = gradients(program, waves(2, 5, 4).double())


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


torch.utils._pytree._register_namedtuple(Pair, serialized_type_name="reference.Pair")


# Everything else: trees in and out, sizes and numbers, constants, changed arguments, control flow, modes, dtypes.
class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.low = nn.Parameter(waves(3).bfloat16())
        self.table = torch.tensor([[1.0, 2.0, 3.0]])

    def forward(self, x, n, tree, flag, scale=2, *, key):
        self.steps += 1
        y = self.a(x) * scale + self.table + tree["b"][0] - tree["a"]
        rows = torch.zeros(n * 2 + x.shape[0] // 2, 3)
        grid = torch.arange(x.shape[0] * 3, dtype=torch.float32).reshape(x.shape[0], 3)
        chosen = x[:, torch.tensor([0, 2])]
        z = torch.cond(flag.sum() > 0, lambda t: t.sin() + self.a.bias, lambda t: t.cos() - 1, (y,))
        with torch.no_grad():
            frozen = self.a(x).exp()
        with torch.autocast("cpu"):
            cast = self.a(x)
        key.mul_(3)
        last = x[1:].masked_fill(x[1:] > 0.5, float("-inf"))
        mean, variance = torch.var_mean(y, dim=1)
        parts = y.split(1, dim=1)
        ints = torch.arange(4) * 2 + 0.5 * torch.ones(4, dtype=torch.int64)
        return (
            {"z": z, "y": [y, None, 3], 7: Pair(frozen, cast)},
            collections.OrderedDict([("rows", rows), ("grid", grid)]),
            (chosen, key, last, mean, variance, parts[2], ints, self.low * 2),
            x.shape[0] * 2 + n,
            n / 2,
        )


model = Everything()
example = (waves(4, 3), 2, {"a": waves(3), "b": [waves(1)]}, torch.tensor(1), 2)
program = export(
    model,
    example,
    {"key": waves(2)},
    dynamic_shapes={"x": {0: Dim("rows", min=3, max=100)}, "n": Dim.DYNAMIC, "tree": {"a": None, "b": [None]}, "flag": None, "scale": None, "key": None},
)
save(program, "everything")
for name, args in {"everything": example, "everything_5": (waves(5, 3), 3, example[2], torch.tensor(-1), 2)}.items():
    module = program.module()
    key = waves(2)
    first, ordered, values, size, half = module(*args, key=key)
    results[name] = {
        "z": first["z"].detach(), "y": first["y"][0].detach(), "frozen": first[7].first, "cast": first[7].second.detach(),
        "rows": ordered["rows"], "grid": ordered["grid"], "values": [v.detach() for v in values], "size": size, "half": half,
        "key": key, "steps": module.steps.clone(),
    }


# A loop whose length the data decides, and a number read out of a tensor.
class Loops(nn.Module):
    def forward(self, x, limit):
        k, y = torch._higher_order_ops.while_loop(lambda k, y: k < limit, lambda k, y: (k + 1, y * 1.5 + x), (torch.zeros((), dtype=torch.int64), x.clone()))
        return y, k


program = export(Loops(), (waves(3), torch.tensor(4)))
save(program, "loop")
results["loop"] = list(program.module()(waves(3), torch.tensor(4)))


class Reads(nn.Module):
    def forward(self, x, count):
        n = count.item()
        torch._check(n >= 1)
        torch._check(n <= 4)
        return torch.ones(n, dtype=torch.float16).sum() * x.to(torch.float16), x[:, : 2**62], x.to(torch.complex64) * 2j


program = export(Reads(), (waves(2, 2), torch.tensor(3)))
save(program, "reads")
results["reads"] = list(program.module()(waves(2, 2), torch.tensor(3)))


# What jorch does not run, and says so.
class Scans(nn.Module):
    def forward(self, x):
        return torch._higher_order_ops.scan(lambda c, v: (c + v, c * 1.0), torch.zeros(3), x)[0]


save(export(Scans(), (waves(4, 3),)), "refused")

torch.save(results, os.path.join(folder, "exported-results.pt"))
