"""The benched functions in torch, for eager, torch.compile and torchax alike: name -> (kind, function, its arguments)."""

import torch
import torch.nn.functional as F


def nested(layers):
    return [(t["w"] + 1, {"sum": t["rest"][0] + t["rest"][1]["b"]}) for t in layers]


def seed(x):
    return (torch.sin(x) + torch.exp(2 * x)).sum()


def rosen(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def logreg(w, X, y):
    z = X @ w
    return (F.softplus(z) - y * z).sum() + 0.5 * (w * w).sum()


def gp(theta, X, y):
    l2, s2, n2 = torch.exp(2 * theta).unbind(0)
    d2 = ((X[:, None, :] - X[None, :, :]) ** 2).sum(-1)
    K = s2 * torch.exp(-0.5 * d2 / l2) + n2 * torch.eye(X.shape[0], dtype=X.dtype, device=X.device)
    L = torch.linalg.cholesky(K)
    a = torch.linalg.solve_triangular(L, y[:, None], upper=False)
    return 0.5 * (a * a).sum() + torch.log(torch.diagonal(L)).sum()


def chain(x):
    for _ in range(20):
        x = x * 1.01
        x = x + 0.05
        x = torch.sin(x)
        x = torch.square(x)  # written x * x, inductor inlines 2**20 sines and never ends
        x = 1.0 - x
    return x


def mlp(p, x):
    for k in range(3):
        x = F.linear(x, p[2 * k], p[2 * k + 1])
        if k < 2:
            x = F.relu(x)
    return x


def mlp_loss(p, x, y):
    return F.cross_entropy(mlp(p, x), y)


def block(p, x):
    l1w, l1b, qw, qb, ow, ob, l2w, l2b, f1w, f1b, f2w, f2b = p
    B, S, D = x.shape
    h = F.layer_norm(x, (D,), l1w, l1b)
    q, k, v = F.linear(h, qw, qb).view(B, S, 3, 4, D // 4).permute(2, 0, 3, 1, 4).unbind(0)
    o = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, S, D)
    x = x + F.linear(o, ow, ob)
    h = F.layer_norm(x, (D,), l2w, l2b)
    return x + F.linear(F.gelu(F.linear(h, f1w, f1b)), f2w, f2b)


def block_loss(p, x):
    return block(p, x).pow(2).mean()


def net(p, s, x, train):
    def layer(h, k, stride=1):
        h = F.conv2d(h, p[3 * k], stride=stride, padding=1)
        return F.relu(F.batch_norm(h, s[2 * k], s[2 * k + 1], p[3 * k + 1], p[3 * k + 2], train, 0.1, 1e-5))

    h = layer(x, 0)
    h = h + layer(h, 1)
    return F.linear(layer(h, 2, 2).mean((2, 3)), p[9], p[10])


def rnn(W, U, b, h, xs):
    for x in xs.unbind(0):
        h = torch.tanh(W @ h + U @ x + b)
    return h


def newton(a):
    x = torch.ones_like(a)
    for _ in range(1000):
        x = 0.5 * (x + a / x)
    return x


BLOCK = "ln1_w ln1_b qkv_w qkv_b out_w out_b ln2_w ln2_b fc1_w fc1_b fc2_w fc2_b".split()


def cases(d):
    """d(group) gives the tensors of a group by name. Kinds: value, grad (in the first argument), hess, adam and sgd (training steps)."""
    mlp_p = lambda g: [g[f"{n}{k}"] for k in range(3) for n in ("W", "b")]
    conv_p = lambda g: [g[f"{n}{k}"] for k in range(3) for n in ("c", "g", "be")] + [g["fw"], g["fb"]]
    conv_s = lambda g: [g[f"{n}{k}"].clone() for k in range(3) for n in ("rm", "rv")]
    trained = lambda s: lambda p, x, y: F.cross_entropy(net(p, s, x, True), y)
    of = lambda name, *keys: tuple(d(name)[k] for k in keys)
    table = {
        "dispatch.1": lambda: ("value", lambda x: x + 1, of("dispatch", "x")),
        "dispatch.10": lambda: ("value", lambda *xs: [x + 1 for x in xs], tuple(d("dispatch")["xs"][:10])),
        "dispatch.nested": lambda: ("value", nested, ([{"w": x + 0, "rest": (x + 0, {"b": x + 0})} for x in d("dispatch")["xs"][:10]],)),
        "dispatch.100": lambda: ("value", lambda t: {k: x + 1 for k, x in t.items()}, ({f"p{i}": x.clone() for i, x in enumerate(d("dispatch")["xs"])},)),
        "logreg.vg": lambda: ("grad", logreg, of("logreg", "w", "X", "y")),
        "logreg.hess": lambda: ("hess", logreg, of("logreg", "w", "X", "y")),
        "gp.vg": lambda: ("grad", gp, of("gp", "theta", "X", "y")),
        "mlp.fwd": lambda: ("value", mlp, (mlp_p(d("mlp")), d("mlp")["x"])),
        "mlp.step": lambda: ("adam", mlp_loss, (mlp_p(d("mlp")), *of("mlp", "x", "y"))),
        "tblock.fwd": lambda: ("value", block, ([d("tblock")[k] for k in BLOCK], d("tblock")["x"])),
        "tblock.fwdbwd": lambda: ("grad", block_loss, ([d("tblock")[k] for k in BLOCK], d("tblock")["x"])),
        "conv.fwd": lambda: ("value", lambda p, s, x: net(p, s, x, False), (conv_p(d("conv")), conv_s(d("conv")), d("conv")["x"])),
        "conv.step": lambda: ("sgd", trained(conv_s(d("conv"))), (conv_p(d("conv")), *of("conv", "x", "y"))),
        "loop.rnn.fwd": lambda: ("value", rnn, of("loop", "W", "U", "b", "h0", "xs")),
        "loop.rnn.grad": lambda: ("grad", lambda p, h, xs: rnn(*p, h, xs).pow(2).sum(), (list(of("loop", "W", "U", "b")), *of("loop", "h0", "xs"))),
        "loop.newton": lambda: ("value", newton, of("loop", "a")),
    }
    for n in ("10", "1000"):
        table[f"seed.value.{n}"] = lambda n=n: ("value", seed, of("seed", f"x{n}"))
        table[f"seed.vg.{n}"] = lambda n=n: ("grad", seed, of("seed", f"x{n}"))
    for n in ("100", "1000", "10000"):
        table[f"rosen.vg.{n}"] = lambda n=n: ("grad", rosen, of("rosen", f"x{n}"))
    for n in ("16", "1e6"):
        table[f"chain.{n}"] = lambda n=n: ("value", chain, of("chain", f"x{n}"))
    return table
