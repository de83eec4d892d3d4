"""A TorchScript program of many kinds and what Python makes of it: results, gradients, state. Stored in test/data/files/.

    pip install torch==2.11.0
    python scripts/references/script_torch.py test/data/files

Writes script.pt (the program) and script-results.pt (tensors by name). Paths of the machine that it ran on are taken out of the archive.
"""
import os
import sys
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

folder = sys.argv[1]
at = lambda name: os.path.join(folder, name)


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.dropout = nn.Dropout(0.0)
        self.out = nn.Linear(3 * 4 * 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.dropout(F.relu(self.norm(self.conv(x)))).flatten(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight  # tied

    def forward(self, x: Tensor, state: Optional[Tuple[Tensor, Tensor]] = None) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        y, state = self.lstm(x, state)
        return self.second(torch.tanh(self.first(y))), state


class Pair(NamedTuple):
    mean: Tensor
    count: int


class Structures(nn.Module):
    def forward(
        self, x: Tensor, opts: Dict[str, Tensor], pair: Tuple[int, float], names: List[str], flag: Optional[bool] = None, more: Optional[List[Tensor]] = None
    ) -> Tuple[Dict[str, List[Tensor]], Pair, Dict[int, str], Optional[Tensor], Tuple[str, bool, float, complex]]:
        total = x * pair[0] + pair[1]
        for name in names:
            total = total + opts[name]
        if more is not None:
            for t in more:
                total = total + t
        first = {"total": [total, x], "none": [x][1:]}
        numbers = {1: "one", 2: "_".join(names)}
        return first, Pair(total.mean(), len(names)), numbers, (x if flag is not None and flag else None), ("text", flag is None, pair[1] / 3, complex(1, pair[1]))


class Stateful(nn.Module):
    hidden: Tensor
    last: Optional[Tensor]

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(3))
        self.hidden = torch.zeros(2, 3)
        self.last = None
        self.calls = 0
        self.scale = 2.0
        self.cache: List[Tensor] = [torch.zeros(1)]

    def forward(self, x: Tensor) -> Tensor:
        self.steps.add_(1)
        self.mean = self.mean * 0.5 + x.mean(0) * 0.5
        before = self.hidden
        self.hidden = torch.tanh(before + x)
        return before + self.hidden * self.scale

    @torch.jit.export
    def counted(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.calls

    @torch.jit.export
    def remembered(self, x: Tensor) -> Tensor:
        last = self.last
        self.last = x
        return x if last is None else x + last

    @torch.jit.export
    def cached(self, x: Tensor) -> Tensor:
        self.cache.append(x)
        return torch.stack(self.cache, 0).sum(0)

    @torch.jit.export
    def reset(self):
        self.hidden = torch.zeros(2, 3)
        self.calls = 0


class Factories(nn.Module):
    def forward(self, x: Tensor, n: int) -> Tensor:
        y = torch.zeros(n, x.shape[1])
        y[0] = x[0]
        table = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        table[1] = x[1] * 2
        row = torch.arange(x.shape[1], dtype=x.dtype, device=x.device)
        same = torch.full_like(x, 0.5)
        eye = torch.eye(3, device=torch.device("cpu"))
        for i in range(n):
            y[i] += row * i
        while n > 1:
            n = n // 2
            y = y + n
        return (y.cpu() @ eye).sum(0) + table.sum(0) + same[0] + torch.ones([3], dtype=torch.int64)

    @torch.jit.export
    def random(self, x: Tensor) -> Tensor:
        return torch.rand([1000]) + x.sum() * 0

    @torch.jit.export
    def forked(self, x: Tensor) -> Tensor:
        future = torch.jit.fork(doubled, x)
        return torch.jit.wait(future) + x


def doubled(x: Tensor) -> Tensor:
    return x * 2


class Decides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            return x * 2
        return x - 1

    @torch.jit.export
    def refuses(self, x: Tensor, n: int) -> Tensor:
        if n < 0:
            raise ValueError("n must not be negative, got {}".format(n))
        return x.view(n, n)

    @torch.jit.export
    def selects(self, x: Tensor) -> Tensor:
        return x[x > 0]

    @torch.jit.export
    def without_grad(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = x.exp()
        return y * x


class Traced(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        y = self.linear(x).reshape(x.shape[0] * x.shape[1])
        return y.to(torch.float64).to("cpu") + torch.zeros(y.shape[0], device="cpu") + torch.ones(x.shape[0] * 3)


class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolutional = Convolutional()
        self.recurrent = Recurrent()
        self.structures = Structures()
        self.stateful = Stateful()
        self.factories = Factories()
        self.decides = Decides()
        self.traced = torch.jit.trace(Traced(), torch.ones(2, 3))
        # A name that JavaScript objects have.
        self.odd = nn.ModuleDict({"constructor": nn.Linear(2, 2)})

    def forward(self, x: Tensor) -> Tensor:
        return self.convolutional(x)


def waves(*shape: int) -> Tensor:
    n = 1
    for s in shape:
        n *= s
    return torch.sin(torch.arange(n) * 1.7).reshape(shape)


torch.manual_seed(5)
model = torch.jit.script(Everything())
model.save(at("script.pt"))
reader = torch._C.PyTorchFileReader(at("script.pt"))
records = {name: reader.get_record(name) for name in reader.get_all_records() if not name.endswith(".debug_pkl")}
del reader
writer = torch._C.PyTorchFileWriter(at("script.pt"))
for name, record in records.items():
    if name != "version" and not name.startswith(".data/"):
        writer.write_record(name, record, len(record))
writer.write_end_of_file()

torch._C._jit_set_profiling_executor(False)
model = torch.jit.load(at("script.pt"))
results: Dict[str, object] = {}


def gradients(module, run):
    """The result of run(), and the gradients of its weighted sum by the module's parameters."""
    module.zero_grad()
    out = run()
    (out * torch.cos(torch.arange(out.numel(), dtype=out.dtype)).reshape(out.shape)).sum().backward()
    return {"out": out.detach(), "grads": {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}}


images = waves(4, 1, 6, 6)
results["training"] = gradients(model.convolutional, lambda: model.convolutional(images))
results["after_training"] = {name: t.detach().clone() for name, t in model.convolutional.state_dict().items()}
model.eval()
results["eval"] = gradients(model.convolutional, lambda: model(images))
sequence = waves(2, 5, 3)
results["recurrent"] = gradients(model.recurrent, lambda: model.recurrent(sequence)[0])
hidden = model.recurrent(sequence, (waves(1, 2, 4), waves(1, 2, 4) * 0.5))[1]
results["recurrent_state"] = [t.detach() for t in hidden]
x = waves(2, 3)
first, pair, numbers, chosen, plain = model.structures(x, {"a": x * 2, "b": x + 1}, (2, 0.5), ["a", "b"], True, [x])
results["structures"] = [first, [pair.mean, pair.count], numbers, chosen, list(plain)]
results["stateful"] = [model.stateful(x * (i + 1)) for i in range(3)]
results["stateful_after"] = [model.stateful.steps.clone(), model.stateful.mean, model.stateful.hidden]
results["counted"] = [model.stateful.counted(x) for _ in range(2)]
results["remembered"] = [model.stateful.remembered(x) for _ in range(2)]
results["cached"] = model.stateful.cached(torch.ones(1))
results["factories"] = model.factories(x, 5)
results["forked"] = model.factories.forked(x)
results["decides"] = [model.decides(x), model.decides(x - 5)]
results["selects"] = model.decides.selects(x)
leaf = x.clone().requires_grad_()
model.decides.without_grad(leaf).sum().backward()
results["without_grad"] = leaf.grad
results["traced"] = gradients(model.traced, lambda: model.traced(waves(3, 3)))
torch.save(results, at("script-results.pt"))
