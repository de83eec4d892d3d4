"""The peers of bench/optimize.ts: SciPy over torch or jax.jit, and jitted jax.scipy, whichever this Python has.

Minimises Rosenbrock's function of N float64 variables from x = 2. Prints a line of JSON per peer and problem:
{"peer", "method", "n", "ms" (median), "nit", "nfev", "fun"}. Arguments: METHOD:N:REPEATS ...
"""

import json
import statistics
import sys
import time

import numpy as np


def measure(peer, method, n, repeats, run, prepare):
    """`run` answers (nit, nfev, fun); `prepare`, which compiles, is not counted."""
    prepare()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        nit, nfev, fun = run()
        times.append((time.perf_counter() - start) * 1e3)
    row = {"peer": peer, "method": method, "n": n, "ms": statistics.median(times)}
    print(json.dumps({**row, "nit": int(nit), "nfev": int(nfev), "fun": float(fun)}), flush=True)


def scipy_run(value_and_gradient, method, n):
    from scipy.optimize import minimize

    def run(**options):
        result = minimize(value_and_gradient, np.full(n, 2.0), jac=True, method=method, options=options)
        return result.nit, result.nfev, result.fun

    return run, lambda: run(maxiter=1)


def torch_objective():
    import torch

    def both(x):
        t = torch.from_numpy(x).requires_grad_()
        next, here = t[1:], t[:-1]
        value = (100 * (next - here**2) ** 2 + (1 - here) ** 2).sum()
        (gradient,) = torch.autograd.grad(value, t)
        return value.item(), gradient.numpy()

    return both


def jax_function():
    import jax

    jax.config.update("jax_enable_x64", True)

    def f(x):
        next, here = x[1:], x[:-1]
        return (100 * (next - here**2) ** 2 + (1 - here) ** 2).sum()

    return f


def jax_objective():
    import jax

    compiled = jax.jit(jax.value_and_grad(jax_function()))

    def both(x):
        value, gradient = compiled(x)
        return float(value), np.asarray(gradient)

    return both


def jax_scipy_run(n):
    import jax
    from jax.scipy.optimize import minimize

    f = jax_function()
    compiled = jax.jit(lambda x: minimize(f, x, method="BFGS"))
    x0 = np.full(n, 2.0)

    def run():
        result = compiled(x0)
        return result.nit, result.nfev, result.fun.block_until_ready()

    return run, run


def main():
    for problem in sys.argv[1:]:
        method, n, repeats = problem.split(":")
        n, repeats = int(n), int(repeats)
        for peer, objective in (("SciPy, torch eager", torch_objective), ("SciPy, jax.jit", jax_objective)):
            try:
                runs = scipy_run(objective(), method, n)
            except ImportError:
                continue
            measure(peer, method, n, repeats, *runs)
        if method == "BFGS":
            try:
                measure("jax.scipy, jitted", method, n, repeats, *jax_scipy_run(n))
            except ImportError:
                pass


main()
