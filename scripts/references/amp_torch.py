"""GradScaler's and autocast's trajectories in PyTorch, for test/amp: python scripts/references/amp_torch.py > test/data/amp-torch.json

A regression whose loss is so large at some steps that scaled gradients overflow float32: those steps are left out, the scale goes down and up again.
"""
import json
import torch

STEPS = 16
torch.manual_seed(5)
x = torch.randn(12, 3)
y = torch.randn(12, 2)
w0 = torch.randn(3, 2)
OVERFLOW = {3: 1e37, 4: 1e37, 9: 1e37}


def flat(t):
    return [float(v) for v in t.detach().reshape(-1)]


def run(make, scaler_options, unscale):
    w = torch.nn.Parameter(w0.clone())
    optimizer = make([w])
    scaler = torch.amp.GradScaler("cpu", **scaler_options)
    rows = []
    for i in range(STEPS):
        factor = OVERFLOW.get(i, 1.0)
        loss = (x @ w - y).pow(2).mean() * factor
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        if unscale:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([w], 0.5)
        scaler.step(optimizer)
        scaler.update()
        rows.append({"w": flat(w), "scale": scaler.get_scale(), "tracker": scaler.state_dict()["_growth_tracker"]})
    return {"scaler": scaler_options, "unscale": unscale, "rows": rows, "state": scaler.state_dict()}


def autocast_run(dtype):
    torch.manual_seed(9)
    net = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    losses, dtypes = [], None
    for _ in range(20):
        with torch.autocast("cpu", dtype=dtype):
            out = net(x)
            loss = torch.nn.functional.mse_loss(out, y)
        dtypes = [str(out.dtype)[6:], str(loss.dtype)[6:]]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "dtypes": dtypes}


options = {"init_scale": 2.0**16, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 3}
cases = [
    {"name": "SGD", "options": {"lr": 0.1, "momentum": 0.9}, **run(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), options, False)},
    {"name": "SGD", "options": {"lr": 0.1, "momentum": 0.9}, **run(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), options, True)},
    {"name": "Adam", "options": {"lr": 0.05}, **run(lambda p: torch.optim.Adam(p, lr=0.05), options, False)},
    {"name": "NAdam", "options": {"lr": 0.05}, **run(lambda p: torch.optim.NAdam(p, lr=0.05), {"growth_interval": 2}, True)},
]
print(
    json.dumps(
        {
            "x": x.tolist(),
            "y": y.tolist(),
            "w": w0.tolist(),
            "overflow": {str(k): v for k, v in OVERFLOW.items()},
            "cases": cases,
            "autocast": {name: autocast_run(getattr(torch, name)) for name in ("bfloat16", "float16")},
        }
    )
)
