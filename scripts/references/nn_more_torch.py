"""Lazy layers, module hooks, parametrizations and what else torch.nn has, for test/nn/more.test.ts.

    python scripts/references/nn_more_torch.py > test/data/nn-more-torch.json
"""
import json
import torch
from torch import nn
from torch.nn.utils import parametrizations as P


def flat(t):
    return None if t is None else [float(v) for v in t.detach().reshape(-1)]


def numbers(*shape):
    """sin(1), sin(2), ...: the same numbers without a file."""
    n = 1
    for s in shape:
        n *= s
    return torch.arange(1, n + 1, dtype=torch.float64).sin().float().reshape(shape)


LAZY = [
    ("LazyLinear", [4], {}, [2, 3]),
    ("LazyLinear", [4], {"bias": False}, [2, 5, 3]),
    ("LazyConv1d", [4, 3], {"padding": 1}, [2, 6, 7]),
    ("LazyConv1d", [4, 3], {}, [6, 7]),
    ("LazyConv2d", [4, 3], {"groups": 2, "bias": False}, [2, 6, 5, 5]),
    ("LazyConv3d", [2, 2], {"stride": 2}, [1, 3, 4, 4, 4]),
    ("LazyConvTranspose1d", [4, 3], {}, [2, 6, 7]),
    ("LazyConvTranspose2d", [4, 3], {"groups": 2, "stride": 2, "output_padding": 1}, [2, 6, 4, 4]),
    ("LazyConvTranspose3d", [2, 2], {}, [1, 3, 3, 3, 3]),
    ("LazyBatchNorm1d", [], {}, [5, 3]),
    ("LazyBatchNorm2d", [], {"affine": False}, [2, 3, 4, 4]),
    ("LazyBatchNorm3d", [], {"track_running_stats": False}, [2, 3, 2, 2, 2]),
    ("LazyInstanceNorm1d", [], {}, [2, 3, 5]),
    ("LazyInstanceNorm2d", [], {"affine": False, "track_running_stats": False}, [2, 3, 4, 4]),
    ("LazyInstanceNorm3d", [], {}, [2, 3, 2, 2, 2]),
]


def lazy():
    cases = []
    for name, args, kw, shape in LAZY:
        torch.manual_seed(21)
        layer = getattr(nn, name)(*args, **kw)
        before = {"repr": repr(layer), "names": list(layer.state_dict())}
        out = layer(numbers(*shape))
        if out.requires_grad:
            out.mul(numbers(*out.shape)).sum().backward()
        cases.append(
            {
                "name": name,
                "args": args,
                "kw": kw,
                "shape": shape,
                "before": before,
                "after": {"repr": repr(layer), "state": {k: [list(v.shape), flat(v)] for k, v in layer.state_dict().items()}},
                "output": flat(out),
                "grads": {k: flat(p.grad) for k, p in layer.named_parameters()},
            }
        )
    return cases


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 4)
        self.b = nn.Linear(3, 4)

    def forward(self, x, y, *, scale=1.0):
        return self.a(x) * scale, torch.tanh(self.b(y))


def hooks():
    """What hooks see, in order, and the gradients that come out when they change some."""
    result = {}
    for change in (False, True):
        torch.manual_seed(4)
        net = Two()
        log = []

        def backward(module, grad_input, grad_output):
            log.append(["full", [flat(g) for g in grad_input], [flat(g) for g in grad_output]])
            return tuple(None if g is None else g * 2 for g in grad_input) if change else None

        def backward_pre(module, grad_output):
            log.append(["pre", [flat(g) for g in grad_output]])
            return tuple(None if g is None else g * 3 for g in grad_output) if change else None

        def forward_pre(module, args, kwargs):
            log.append(["forward_pre", len(args), kwargs])
            return (args, {"scale": kwargs["scale"] * 2}) if change else None

        def forward(module, args, kwargs, output):
            log.append(["forward", len(args), kwargs])

        net.register_full_backward_hook(backward)
        net.register_full_backward_pre_hook(backward_pre)
        net.register_forward_pre_hook(forward_pre, with_kwargs=True)
        net.register_forward_hook(forward, with_kwargs=True)
        x, y = numbers(2, 3).requires_grad_(), numbers(2, 3) * 2
        out = net(x, y, scale=0.5)
        (out[0].pow(2).sum() + out[1].sum()).backward()
        result["changed" if change else "plain"] = {
            "log": log,
            "x": flat(x.grad),
            "grads": {k: flat(p.grad) for k, p in net.named_parameters()},
        }
    return result


def parametrized():
    cases = []
    for what, make, kw, shape in [
        ("spectral_norm", lambda: nn.Linear(4, 3), {}, [2, 4]),
        ("spectral_norm", lambda: nn.Conv2d(2, 3, 3), {"n_power_iterations": 2}, [1, 2, 5, 5]),
        ("spectral_norm", lambda: nn.ConvTranspose2d(2, 3, 3), {}, [1, 2, 4, 4]),
        ("orthogonal", lambda: nn.Linear(4, 4), {}, [2, 4]),
        ("orthogonal", lambda: nn.Linear(5, 3), {}, [2, 5]),
        ("orthogonal", lambda: nn.Linear(3, 5), {"orthogonal_map": "matrix_exp"}, [2, 3]),
        ("orthogonal", lambda: nn.Linear(4, 4), {"orthogonal_map": "cayley"}, [2, 4]),
        ("orthogonal", lambda: nn.Linear(3, 5), {"orthogonal_map": "householder", "use_trivialization": False}, [2, 3]),
        ("orthogonal", lambda: nn.Linear(4, 4), {"use_trivialization": False}, [2, 4]),
        ("weight_norm", lambda: nn.Linear(4, 3), {}, [2, 4]),
        ("weight_norm", lambda: nn.Conv2d(2, 3, 3), {"dim": 1}, [1, 2, 5, 5]),
    ]:
        torch.manual_seed(8)
        layer = getattr(P, what)(make(), **kw)
        initial = {k: [list(v.shape), flat(v)] for k, v in layer.state_dict().items()}
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            out = layer(numbers(*shape))
            loss = (out - numbers(*out.shape)).pow(2).sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        layer.eval()
        cases.append(
            {
                "what": what,
                "layer": type(layer).__mro__[1].__name__,
                "kw": kw,
                "shape": shape,
                "initial": initial,
                "losses": losses,
                "weight": flat(layer.weight),
                "repr": repr(layer),
            }
        )
    return cases


def adaptive():
    cases = []
    for bias in (False, True):
        torch.manual_seed(2)
        layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=bias)
        x = numbers(6, 8).requires_grad_()
        target = torch.tensor([0, 3, 5, 9, 12, 19])
        out, loss = layer(x, target)
        loss.backward()
        cases.append(
            {
                "bias": bias,
                "repr": repr(layer),
                "names": list(layer.state_dict()),
                "output": flat(out),
                "loss": loss.item(),
                "grad": flat(x.grad),
                "log_prob": flat(layer.log_prob(x)),
                "predict": layer.predict(x).tolist(),
            }
        )
    return cases


def fused():
    torch.manual_seed(6)
    conv, bn = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3)
    linear, bn1 = nn.Linear(4, 3), nn.BatchNorm1d(3)
    for m in (bn, bn1):
        m.running_mean.copy_(numbers(3))
        m.running_var.copy_(numbers(3).abs() + 0.5)
        m.weight.data.copy_(numbers(3) + 2)
    a = nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), bn.eval())
    b = nn.utils.fusion.fuse_linear_bn_eval(linear.eval(), bn1.eval())
    return {"conv": [flat(a.weight), flat(a.bias)], "linear": [flat(b.weight), flat(b.bias)]}


print(
    json.dumps(
        {"lazy": lazy(), "hooks": hooks(), "parametrized": parametrized(), "adaptive": adaptive(), "fused": fused()}
    )
)
