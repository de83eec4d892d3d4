"""The training steps of bench/training.ts in JAX, every one a single jax.jit with donated state. Reads lines "NAME SECONDS" and answers with the
median of one step in microseconds; started by bench/training.ts, which takes turns with it."""
import statistics
import sys
import time

import jax
import jax.numpy as jnp
from jax import lax

key = jax.random.PRNGKey(0)


def dense(key, n, m):
    bound = n**-0.5
    k1, k2 = jax.random.split(key)
    return {
        "w": jax.random.uniform(k1, (m, n), minval=-bound, maxval=bound),
        "b": jax.random.uniform(k2, (m,), minval=-bound, maxval=bound),
    }


def conv(key, n, m):
    bound = (n * 9) ** -0.5
    k1, k2 = jax.random.split(key)
    return {
        "w": jax.random.uniform(k1, (m, n, 3, 3), minval=-bound, maxval=bound),
        "b": jax.random.uniform(k2, (m,), minval=-bound, maxval=bound),
        "scale": jnp.ones(m),
        "shift": jnp.zeros(m),
    }


def linear(p, x):
    return x @ p["w"].T + p["b"]


def cross_entropy(logits, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


def adam_state(params):
    zeros = lambda: jax.tree.map(jnp.zeros_like, params)
    return {"t": jnp.zeros(()), "m": zeros(), "v": zeros()}


def adam(params, grads, state, lr=1e-3, decay=0.0, b1=0.9, b2=0.999, eps=1e-8):
    t = state["t"] + 1
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state["m"], grads)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state["v"], grads)
    c1, c2 = 1 - b1**t, jnp.sqrt(1 - b2**t)
    new = jax.tree.map(lambda p, m, v: p * (1 - lr * decay) - lr / c1 * m / (jnp.sqrt(v) / c2 + eps), params, m, v)
    return new, {"t": t, "m": m, "v": v}


def small():
    k = jax.random.split(key, 5)
    params = [dense(k[0], 4, 16), dense(k[1], 16, 16), dense(k[2], 16, 1)]
    x, y = jax.random.normal(k[3], (32, 4)), jax.random.normal(k[4], (32, 1))

    def loss(params, x, y):
        a, b, c = params
        return ((linear(c, jnp.tanh(linear(b, jnp.tanh(linear(a, x))))) - y) ** 2).mean()

    def step(carry, x, y):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params, x, y)
        return adam(params, grads, state), value

    return step, (params, adam_state(params)), (x, y)


def mlp():
    k = jax.random.split(key, 5)
    params = [dense(k[0], 784, 512), dense(k[1], 512, 256), dense(k[2], 256, 10)]
    x, y = jax.random.normal(k[3], (128, 784)), jax.random.randint(k[4], (128,), 0, 10)

    def loss(params, x, y):
        a, b, c = params
        return cross_entropy(linear(c, jax.nn.relu(linear(b, jax.nn.relu(linear(a, x))))), y)

    def step(carry, x, y):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params, x, y)
        return adam(params, grads, state), value

    return step, (params, adam_state(params)), (x, y)


def digits():
    k = jax.random.split(key, 6)
    params = {"c": [conv(k[0], 1, 32), conv(k[1], 32, 32), conv(k[2], 32, 64)], "out": dense(k[3], 256, 10)}
    stats = [(jnp.zeros(n), jnp.ones(n)) for n in (32, 32, 64)]
    x, y = jax.random.uniform(k[4], (32, 1, 8, 8)), jax.random.randint(k[5], (32,), 0, 10)

    def block(p, stat, x):
        x = lax.conv_general_dilated(x, p["w"], (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
        x = x + p["b"][:, None, None]
        mean = x.mean((0, 2, 3))
        var = x.var((0, 2, 3))
        n = x.size // x.shape[1]
        new = (0.9 * stat[0] + 0.1 * mean, 0.9 * stat[1] + 0.1 * var * n / (n - 1))
        x = (x - mean[:, None, None]) * lax.rsqrt(var + 1e-5)[:, None, None]
        return jax.nn.relu(x * p["scale"][:, None, None] + p["shift"][:, None, None]), new

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def dropout(key, x, p):
        return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)

    def loss(params, stats, key, x, y):
        k1, k2 = jax.random.split(key)
        new = []
        for i in range(3):
            x, s = block(params["c"][i], stats[i], x)
            new.append(s)
            if i == 1:
                x = dropout(k1, pool(x), 0.25)
        x = dropout(k2, pool(x).reshape(x.shape[0], -1), 0.5)
        logits = linear(params["out"], x)
        return cross_entropy(logits, y), (new, (logits.argmax(1) == y).sum())

    def step(carry, x, y):
        params, state, stats, key = carry
        key, own = jax.random.split(key)
        (value, (stats, right)), grads = jax.value_and_grad(loss, has_aux=True)(params, stats, own, x, y)
        norm = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(grads)))
        grads = jax.tree.map(lambda g: g * jnp.minimum(1, 1 / (norm + 1e-6)), grads)
        params, state = adam(params, grads, state, decay=0.05)
        return (params, state, stats, key), (value, right)

    return step, (params, adam_state(params), stats, key), (x, y)


running = {}


def measure(name, seconds):
    if name not in running:
        step, carry, data = globals()[name]()
        running[name] = [jax.jit(step, donate_argnums=0), carry, data]
        for _ in range(3):
            running[name][1], value = running[name][0](running[name][1], *data)
    fast, carry, data = running[name]
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        carry, value = fast(carry, *data)
        jax.block_until_ready((carry, value))
        times.append(time.perf_counter() - start)
    running[name][1] = carry
    return statistics.median(times) * 1e6


for line in sys.stdin:
    name, seconds = line.split()
    print(measure(name, float(seconds)), flush=True)
