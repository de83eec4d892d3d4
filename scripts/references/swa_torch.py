"""Muon, AveragedModel, SWALR and update_bn in PyTorch: python scripts/references/swa_torch.py > test/data/swa-torch.json"""
import json
import torch
from torch import nn
from torch.optim import swa_utils as S


def flat(t):
    return [float(v) for v in t.detach().reshape(-1)]


def numbers(*shape):
    n = 1
    for s in shape:
        n *= s
    return torch.arange(1, n + 1, dtype=torch.float64).sin().float().reshape(shape)


def muon(options, shape):
    w = nn.Parameter(numbers(*shape))
    o = torch.optim.Muon([w], **options)
    rows = []
    for i in range(6):
        o.zero_grad()
        ((numbers(5, shape[0]) @ w).tanh() - 0.3).pow(2).sum().backward()
        o.step()
        rows.append(flat(w))
    return {"options": options, "shape": shape, "rows": rows}


def swa(kind):
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    o = torch.optim.SGD(net.parameters(), lr=0.1)
    make = {"swa": {}, "ema": {"multi_avg_fn": S.get_ema_multi_avg_fn(0.9)}, "ema_buffers": {"avg_fn": S.get_ema_avg_fn(0.8), "use_buffers": True}}
    averaged = S.AveragedModel(net, **make[kind])
    schedule = S.SWALR(o, swa_lr=0.02, anneal_epochs=4, anneal_strategy="cos" if kind == "swa" else "linear")
    rates = []
    x = numbers(8, 3)
    for i in range(7):
        rates.append(o.param_groups[0]["lr"])
        o.zero_grad()
        (net(x * (i + 1)) - 1).pow(2).mean().backward()
        o.step()
        averaged.update_parameters(net)
        schedule.step()
    state = {k: flat(v) for k, v in averaged.state_dict().items()}
    S.update_bn([x, x * 2 + 1], averaged)
    return {"kind": kind, "rates": rates, "state": state, "after": {k: flat(v) for k, v in averaged.named_buffers()}}


print(
    json.dumps(
        {
            "muon": [muon({"lr": 0.05}, [3, 4]), muon({"lr": 0.02, "nesterov": False, "weight_decay": 0.0, "adjust_lr_fn": "match_rms_adamw"}, [4, 2])],
            "swa": [swa("swa"), swa("ema"), swa("ema_buffers")],
        }
    )
)
