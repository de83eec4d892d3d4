"""The public names of torch.nn, torch.optim, torch.utils.data and torch.amp: python scripts/references/names_torch.py > test/data/nn-names-torch.json"""
import inspect
import json
import types

import torch
import torch.amp
import torch.nn.utils.parametrizations
import torch.nn.utils.parametrize
import torch.nn.utils.rnn
import torch.optim.lr_scheduler
import torch.optim.swa_utils
import torch.utils.data

MODULES = [
    "torch.nn", "torch.nn.functional", "torch.nn.utils", "torch.nn.init", "torch.nn.utils.parametrizations", "torch.nn.utils.parametrize",
    "torch.nn.utils.rnn", "torch.optim", "torch.optim.lr_scheduler", "torch.optim.swa_utils", "torch.utils.data", "torch.amp",
]


def is_own(value):
    """A class or function of torch's, not something that the module has imported."""
    if isinstance(value, types.ModuleType) or not callable(value):
        return False
    origin = getattr(value, "__module__", None) or ""
    return origin.startswith("torch") and not origin.startswith(("torch.overrides", "torch._jit", "torch.types"))


def names(path):
    module = eval(path)
    listed = getattr(module, "__all__", None)
    found = [n for n in dir(module) if not n.startswith("_") and is_own(getattr(module, n))]
    prefix = {"torch.optim.lr_scheduler", "torch.optim.swa_utils", "torch.nn.utils.parametrizations", "torch.nn.utils.parametrize", "torch.nn.utils.rnn"}
    if path in prefix:
        found = [n for n in found if (listed is None and getattr(getattr(module, n), "__module__", "") == path) or (listed is not None and n in listed)]
    return sorted(found)


result = {path: names(path) for path in MODULES}
result["torch.nn.Module"] = sorted(n for n, v in inspect.getmembers(torch.nn.Module, callable) if not n.startswith("_"))
print(json.dumps(result, indent=1))
