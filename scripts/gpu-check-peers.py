"""Times what bench/gpu.ts times, with JAX (jit) and PyTorch (eager, compile), on the same GPU: JSON on stdout.

gpu-check-peers.py SHAPES [--cpu]: SHAPES is the JSON that bench/gpu.ts's shapes() gives. Full float32 precision everywhere, as jorch computes.
"""
import json
import sys
import time

shapes = json.loads(sys.argv[1])
on_cpu = "--cpu" in sys.argv
results = {}


def best(run, wait, calls):
    wait(run())
    result = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(calls):
            last = run()
        wait(last)
        result = min(result, (time.perf_counter() - started) / calls * 1e3)
    return result


def with_jax():
    import os

    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_default_matmul_precision", "highest")
    key = jax.random.key(0)
    normal = lambda *s: jax.random.normal(key, s, jnp.float32)
    m, c, b = shapes["mlp"], shapes["conv"], shapes["block"]

    def step_of(loss):
        def step(params):
            value, grads = jax.value_and_grad(loss)(params)
            return value, jax.tree.map(lambda p, g: p - 1e-3 * g, params, grads)

        return jax.jit(step, donate_argnums=0)

    def stepper(loss, params):
        step, state = step_of(loss), {"p": params}

        def run():
            value, state["p"] = step(state["p"])
            return value

        return run

    x = normal(m["batch"], m["width"])

    def mlp(ws):
        h = x
        for w in ws:
            h = jax.nn.relu(h @ w)
        return (h * h).mean()

    images = normal(c["batch"], 3, c["size"], c["size"])

    def conv(ws):
        h = images
        for w in ws:
            h = jax.nn.relu(jax.lax.conv_general_dilated(h, w, (1, 1), "SAME"))
        return (h * h).mean()

    tokens = normal(b["batch"], b["length"], b["width"])
    width, heads = b["width"], b["heads"]

    def norm(t):
        mean = t.mean(-1, keepdims=True)
        return (t - mean) * jax.lax.rsqrt(((t - mean) ** 2).mean(-1, keepdims=True) + 1e-5)

    def block(ws):
        qkv, out, up, down = ws
        p = (norm(tokens) @ qkv).reshape(b["batch"], b["length"], 3, heads, width // heads)
        q, k, v = (p[:, :, i].swapaxes(1, 2) for i in range(3))
        a = jax.nn.softmax(q @ k.swapaxes(-1, -2) * (width // heads) ** -0.5, -1)
        h = tokens + (a @ v).swapaxes(1, 2).reshape(tokens.shape) @ out
        y = h + jax.nn.gelu(norm(h) @ up, approximate=False) @ down
        return (y * y).mean()

    wait = lambda t: t.block_until_ready()
    plus, small = jax.jit(lambda t: t + 1), jnp.zeros(16)
    ch = c["channels"]
    return {
        "mlp training step": best(stepper(mlp, [0.02 * normal(m["width"], m["width"]) for _ in range(m["depth"])]), wait, 20),
        "conv training step": best(stepper(conv, [0.02 * normal(ch, 3, 3, 3), 0.02 * normal(ch, ch, 3, 3), 0.02 * normal(ch, ch, 3, 3)]), wait, 20),
        "transformer block forward and backward": best(
            stepper(block, [0.02 * normal(width, 3 * width), 0.02 * normal(width, width), 0.02 * normal(width, 4 * width), 0.02 * normal(4 * width, width)]), wait, 20
        ),
        "x + 1, 16 elements": best(lambda: plus(small), wait, 1000),
    }


def with_torch(compiled):
    import torch
    import torch.nn.functional as F

    device = "cpu" if on_cpu else "cuda"
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    m, c, b = shapes["mlp"], shapes["conv"], shapes["block"]
    leaf = lambda *s: (0.02 * torch.randn(s, device=device)).requires_grad_(True)
    wrap = torch.compile if compiled else (lambda f: f)

    def stepper(loss, params):
        def step():
            value = loss(params)
            grads = torch.autograd.grad(value, params)
            with torch.no_grad():
                for p, g in zip(params, grads):
                    p.sub_(1e-3 * g)
            return value.detach()

        loss = wrap(loss)
        return step

    x = torch.randn(m["batch"], m["width"], device=device)

    def mlp(ws):
        h = x
        for w in ws:
            h = (h @ w).relu()
        return h.square().mean()

    images = torch.randn(c["batch"], 3, c["size"], c["size"], device=device)

    def conv(ws):
        h = images
        for w in ws:
            h = F.conv2d(h, w, padding=1).relu()
        return h.square().mean()

    tokens = torch.randn(b["batch"], b["length"], b["width"], device=device)
    width, heads = b["width"], b["heads"]

    def block(ws):
        qkv, out, up, down = ws
        p = (F.layer_norm(tokens, [width]) @ qkv).reshape(b["batch"], b["length"], 3, heads, width // heads)
        q, k, v = (p[:, :, i].transpose(1, 2) for i in range(3))
        a = (q @ k.transpose(-1, -2) * (width // heads) ** -0.5).softmax(-1)
        h = tokens + (a @ v).transpose(1, 2).reshape(tokens.shape) @ out
        return (h + F.gelu(F.layer_norm(h, [width]) @ up) @ down).square().mean()

    wait = (lambda t: None) if on_cpu else (lambda t: torch.cuda.synchronize())
    plus, small = wrap(lambda t: t + 1), torch.zeros(16, device=device)
    ch = c["channels"]
    return {
        "mlp training step": best(stepper(mlp, [leaf(m["width"], m["width"]) for _ in range(m["depth"])]), wait, 20),
        "conv training step": best(stepper(conv, [leaf(ch, 3, 3, 3), leaf(ch, ch, 3, 3), leaf(ch, ch, 3, 3)]), wait, 20),
        "transformer block forward and backward": best(
            stepper(block, [leaf(width, 3 * width), leaf(width, width), leaf(width, 4 * width), leaf(4 * width, width)]), wait, 20
        ),
        "x + 1, 16 elements": best(lambda: plus(small), wait, 1000),
    }


for name, run in [("jax.jit", with_jax), ("torch eager", lambda: with_torch(False)), ("torch.compile", lambda: with_torch(True))]:
    try:
        results[name] = run()
    except Exception as error:  # a peer that is not there, or fails, is told; the others count
        results[name] = {"error": f"{type(error).__name__}: {error}"[:500]}
print(json.dumps(results))
