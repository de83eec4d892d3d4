"""The benched functions in jax: the table of torch_cases.py, loops as lax.scan and fori_loop."""

import jax
import jax.numpy as jnp
from jax import lax


def nested(layers):
    return [(t["w"] + 1, {"sum": t["rest"][0] + t["rest"][1]["b"]}) for t in layers]


def seed(x):
    return (jnp.sin(x) + jnp.exp(2 * x)).sum()


def rosen(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def logreg(w, X, y):
    z = X @ w
    return (jax.nn.softplus(z) - y * z).sum() + 0.5 * (w * w).sum()


def gp(theta, X, y):
    l2, s2, n2 = jnp.exp(2 * theta)
    d2 = ((X[:, None, :] - X[None, :, :]) ** 2).sum(-1)
    K = s2 * jnp.exp(-0.5 * d2 / l2) + n2 * jnp.eye(X.shape[0], dtype=X.dtype)
    L = jnp.linalg.cholesky(K)
    a = jax.scipy.linalg.solve_triangular(L, y, lower=True)
    return 0.5 * (a * a).sum() + jnp.log(jnp.diagonal(L)).sum()


def chain(x):
    for _ in range(20):
        x = x * 1.01
        x = x + 0.05
        x = jnp.sin(x)
        x = x * x
        x = 1.0 - x
    return x


def mlp(p, x):
    for k in range(3):
        x = x @ p[2 * k].T + p[2 * k + 1]
        if k < 2:
            x = jax.nn.relu(x)
    return x


def cross_entropy(z, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1).mean()


def mlp_loss(p, x, y):
    return cross_entropy(mlp(p, x), y)


def layer_norm(x, w, b):
    m = x.mean(-1, keepdims=True)
    v = ((x - m) ** 2).mean(-1, keepdims=True)
    return (x - m) * lax.rsqrt(v + 1e-5) * w + b


def block(p, x):
    l1w, l1b, qw, qb, ow, ob, l2w, l2b, f1w, f1b, f2w, f2b = p
    B, S, D = x.shape
    h = layer_norm(x, l1w, l1b)
    q, k, v = jnp.moveaxis((h @ qw.T + qb).reshape(B, S, 3, 4, D // 4), 2, 0)
    o = jax.nn.dot_product_attention(q, k, v).reshape(B, S, D)
    x = x + o @ ow.T + ob
    h = layer_norm(x, l2w, l2b)
    return x + jax.nn.gelu(h @ f1w.T + f1b, approximate=False) @ f2w.T + f2b


def block_loss(p, x):
    return (block(p, x) ** 2).mean()


def wide(a):
    return a[None, :, None, None]


def conv(x, w, stride):
    return lax.conv_general_dilated(x, w, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NCHW", "OIHW", "NCHW"))


def net(p, s, x, train):
    """The answer and the new running statistics."""
    new = []

    def layer(h, k, stride=1):
        h = conv(h, p[3 * k], stride)
        m, v = s[2 * k], s[2 * k + 1]
        if train:
            n = h.size // h.shape[1]
            m = h.mean((0, 2, 3))
            v = ((h - wide(m)) ** 2).mean((0, 2, 3))
            new.extend([0.9 * s[2 * k] + 0.1 * m, 0.9 * s[2 * k + 1] + 0.1 * n / (n - 1) * v])
        return jax.nn.relu((h - wide(m)) * wide(lax.rsqrt(v + 1e-5) * p[3 * k + 1]) + wide(p[3 * k + 2]))

    h = layer(x, 0)
    h = h + layer(h, 1)
    return layer(h, 2, 2).mean((2, 3)) @ p[9].T + p[10], new


def net_loss(p, s, x, y):
    z, new = net(p, s, x, True)
    return cross_entropy(z, y), new


def rnn(W, U, b, h0, xs):
    return lax.scan(lambda h, x: (jnp.tanh(W @ h + U @ x + b), None), h0, xs)[0]


def newton(a):
    return lax.fori_loop(0, 1000, lambda i, x: 0.5 * (x + a / x), jnp.ones_like(a))


def adam(p, m, v, t, g, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    m = [b1 * a + (1 - b1) * b for a, b in zip(m, g)]
    v = [b2 * a + (1 - b2) * b * b for a, b in zip(v, g)]
    c1, c2 = 1 - b1**t, 1 - b2**t
    return [a - lr / c1 * b / (jnp.sqrt(c) / jnp.sqrt(c2) + eps) for a, b, c in zip(p, m, v)], m, v


def adam_step(state, x, y):
    p, m, v, t = state
    loss, g = jax.value_and_grad(mlp_loss)(p, x, y)
    p, m, v = adam(p, m, v, t, g)
    return (p, m, v, t + 1), loss


def sgd_step(state, x, y):
    p, s, m = state
    (loss, s), g = jax.value_and_grad(net_loss, has_aux=True)(p, s, x, y)
    m = [0.9 * a + b for a, b in zip(m, g)]
    return ([a - 0.1 * b for a, b in zip(p, m)], s, m), loss


BLOCK = "ln1_w ln1_b qkv_w qkv_b out_w out_b ln2_w ln2_b fc1_w fc1_b fc2_w fc2_b".split()


def cases(d):
    """As torch_cases.cases; training steps are functions of a state and the batch."""
    mlp_p = lambda g: [g[f"{n}{k}"] for k in range(3) for n in ("W", "b")]
    conv_p = lambda g: [g[f"{n}{k}"] for k in range(3) for n in ("c", "g", "be")] + [g["fw"], g["fb"]]
    conv_s = lambda g: [g[f"{n}{k}"] for k in range(3) for n in ("rm", "rv")]
    zeros = lambda p: [jnp.zeros_like(a) for a in p]
    of = lambda name, *keys: tuple(d(name)[k] for k in keys)
    table = {
        "dispatch.1": lambda: ("value", lambda x: x + 1, of("dispatch", "x")),
        "dispatch.10": lambda: ("value", lambda *xs: [x + 1 for x in xs], tuple(d("dispatch")["xs"][:10])),
        "dispatch.nested": lambda: ("value", nested, ([{"w": x + 0, "rest": (x + 0, {"b": x + 0})} for x in d("dispatch")["xs"][:10]],)),
        "dispatch.100": lambda: ("value", lambda t: {k: x + 1 for k, x in t.items()}, ({f"p{i}": x for i, x in enumerate(d("dispatch")["xs"])},)),
        "logreg.vg": lambda: ("grad", logreg, of("logreg", "w", "X", "y")),
        "logreg.hess": lambda: ("hess", logreg, of("logreg", "w", "X", "y")),
        "gp.vg": lambda: ("grad", gp, of("gp", "theta", "X", "y")),
        "mlp.fwd": lambda: ("value", mlp, (mlp_p(d("mlp")), d("mlp")["x"])),
        "mlp.step": lambda: ("step", adam_step, ((mlp_p(d("mlp")), zeros(mlp_p(d("mlp"))), zeros(mlp_p(d("mlp"))), jnp.float32(1)), *of("mlp", "x", "y"))),
        "tblock.fwd": lambda: ("value", block, ([d("tblock")[k] for k in BLOCK], d("tblock")["x"])),
        "tblock.fwdbwd": lambda: ("grad", block_loss, ([d("tblock")[k] for k in BLOCK], d("tblock")["x"])),
        "conv.fwd": lambda: ("value", lambda p, s, x: net(p, s, x, False)[0], (conv_p(d("conv")), conv_s(d("conv")), d("conv")["x"])),
        "conv.step": lambda: ("step", sgd_step, ((conv_p(d("conv")), conv_s(d("conv")), zeros(conv_p(d("conv")))), *of("conv", "x", "y"))),
        "loop.rnn.fwd": lambda: ("value", rnn, of("loop", "W", "U", "b", "h0", "xs")),
        "loop.rnn.grad": lambda: ("grad", lambda p, h, xs: (rnn(*p, h, xs) ** 2).sum(), (list(of("loop", "W", "U", "b")), *of("loop", "h0", "xs"))),
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
