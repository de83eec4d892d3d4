"""Twenty steps of every PyTorch optimizer, and its learning rate schedules. Stored as test/data/optim-torch.json.

The parameters are a 3x2 matrix and a vector of 2; the loss is sum(tanh(x @ w + b - y)^2) + 0.01 * sum(w^4) in float64 (the
`float32` cases: in float32). Between steps 10 and 11 the learning rate is halved.

    pip install torch==2.11.0 numpy
    python scripts/references/optim_torch.py > test/data/optim-torch.json
"""
import json

import torch
from torch import optim

X = [[0.5, -1.2, 0.3], [1.1, 0.4, -0.7], [-0.6, 0.9, 1.5], [0.2, -0.1, 0.8]]
Y = [[0.3, -0.5], [0.9, 0.1], [-0.4, 0.7], [0.6, -0.2]]
W = [[0.1, -0.3], [0.7, 0.2], [-0.5, 0.4]]
B = [0.05, -0.15]

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.1, "betas": [0.8, 0.95]}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    ("RMSprop", {"lr": 0.02}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.9, "centered": True, "weight_decay": 0.01}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2, "weight_decay": 0.01}),
    ("Adadelta", {"lr": 1.0}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1}),
    ("Adamax", {"lr": 0.05}),
    ("Adamax", {"lr": 0.05, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.05}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "betas": [0.8, 0.9]}),
    ("Adafactor", {"lr": 0.05}),
    ("Adafactor", {"lr": 0.5, "weight_decay": 0.1, "d": 2.0, "beta2_decay": -0.5}),
    ("ASGD", {"lr": 0.05}),
    ("ASGD", {"lr": 0.05, "t0": 5, "lambd": 0.01, "weight_decay": 0.1}),
    ("Rprop", {"lr": 0.05}),
    ("Rprop", {"lr": 0.05, "etas": [0.4, 1.3], "step_sizes": [1e-3, 0.2]}),
    ("LBFGS", {"lr": 0.5, "max_iter": 3}),
    ("LBFGS", {"lr": 1.0, "max_iter": 4, "line_search_fn": "strong_wolfe", "history_size": 3}),
]


def trajectory(name, options, dtype):
    x, y = torch.tensor(X, dtype=dtype), torch.tensor(Y, dtype=dtype)
    w = torch.tensor(W, dtype=dtype, requires_grad=True)
    b = torch.tensor(B, dtype=dtype, requires_grad=True)
    kw = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    opt = getattr(optim, name)([w, b], **kw)

    def loss():
        opt.zero_grad()
        value = ((x @ w + b - y).tanh() ** 2).sum() + 0.01 * (w**4).sum()
        value.backward()
        return value

    losses, params = [], []
    for i in range(20):
        if i == 10:
            opt.param_groups[0]["lr"] *= 0.5
        value = opt.step(loss) if name == "LBFGS" else loss()
        if name != "LBFGS":
            opt.step()
        losses.append(value.item())
        params.append(w.flatten().tolist() + b.tolist())
    state = {}
    if name != "LBFGS":
        for i, s in opt.state_dict()["state"].items():
            state[i] = {k: v.flatten().tolist() if isinstance(v, torch.Tensor) else v for k, v in s.items()}
    groups = [{k: v for k, v in g.items()} for g in opt.state_dict()["param_groups"]]
    return {"name": name, "options": options, "dtype": str(dtype).split(".")[1], "losses": losses, "params": params, "state": state, "param_groups": groups, "repr": repr(opt)}


S = optim.lr_scheduler
SCHEDULES = [
    ("StepLR", [3], {"gamma": 0.5}),
    ("MultiStepLR", [[2, 5, 5, 9]], {"gamma": 0.5}),
    ("ConstantLR", [], {"factor": 0.25, "total_iters": 4}),
    ("LinearLR", [], {"start_factor": 0.5, "end_factor": 0.9, "total_iters": 6}),
    ("ExponentialLR", [0.9], {}),
    ("PolynomialLR", [], {"total_iters": 8, "power": 2.0}),
    ("CosineAnnealingLR", [7], {"eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", [3], {"T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", [0.01, 0.3], {"step_size_up": 3, "step_size_down": 5}),
    ("CyclicLR", [0.01, 0.3], {"step_size_up": 4, "mode": "triangular2", "base_momentum": 0.7, "max_momentum": 0.95}),
    ("CyclicLR", [0.01, 0.3], {"step_size_up": 4, "mode": "exp_range", "gamma": 0.9, "cycle_momentum": False}),
    ("OneCycleLR", [0.3], {"total_steps": 20}),
    ("OneCycleLR", [0.3], {"epochs": 5, "steps_per_epoch": 4, "three_phase": True, "anneal_strategy": "linear"}),
]


def schedule(name, args, kw):
    p = torch.nn.Parameter(torch.zeros(1))
    q = torch.nn.Parameter(torch.zeros(1))
    opt = optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.05}], lr=0.1, momentum=0.9)
    s = getattr(S, name)(opt, *args, **kw)
    rates, momenta = [], []
    for _ in range(20):
        rates.append([g["lr"] for g in opt.param_groups])
        momenta.append(opt.param_groups[0]["momentum"])
        opt.step()
        if len(rates) < 20:
            s.step()
    return {"name": name, "args": args, "kw": kw, "rates": rates, "momenta": momenta}


def special(name, build, metrics=None):
    p = torch.nn.Parameter(torch.zeros(1))
    opt = optim.SGD([p], lr=0.1)
    s = build(opt)
    rates = []
    for i in range(20):
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        s.step(metrics[i]) if metrics else s.step()
    return {"name": name, "rates": rates, "metrics": metrics}


METRICS = [1.0, 0.9, 0.9, 0.91, 0.92, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.79, 0.79, 0.79, 0.79, 0.79, 0.79, 0.79, 0.79, 0.5]
specials = [
    special("LambdaLR", lambda o: S.LambdaLR(o, lambda e: 1 / (1 + e))),
    special("MultiplicativeLR", lambda o: S.MultiplicativeLR(o, lambda e: 0.95)),
    special("SequentialLR", lambda o: S.SequentialLR(o, [S.LinearLR(o, 0.1, total_iters=4), S.ExponentialLR(o, 0.9)], [5])),
    special("ChainedScheduler", lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 2), S.ExponentialLR(o, 0.9)])),
    special("ReduceLROnPlateau", lambda o: S.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1, min_lr=0.02), METRICS),
]
cases = [trajectory(n, o, torch.float64) for n, o in CASES] + [trajectory(n, o, torch.float32) for n, o in [CASES[1], CASES[4], CASES[18]]]
print('{"torch": "%s",\n"x": %s, "y": %s, "w": %s, "b": %s,\n"cases": [' % (torch.__version__, X, Y, W, B))
print(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases))
print('],\n"schedules": [')
print(",\n".join(json.dumps(schedule(*s), separators=(",", ":")) for s in SCHEDULES))
print('],\n"specials": [')
print(",\n".join(json.dumps(s, separators=(",", ":")) for s in specials))
print("]}")
