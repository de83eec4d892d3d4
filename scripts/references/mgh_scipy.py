"""SciPy's own figures on the Moré-Garbow-Hillstrom problems, stored as test/data/mgh-scipy.json.

The residuals are written here a second time, from the paper, on jax.numpy: gradients and Hessians are JAX's, so that nothing is
shared with test/optimize/mgh.ts but the published definitions (the test compares the values at the starting points).

    pip install scipy==1.17.1 numpy==2.4.6 jax==0.10.2
    python scripts/references/mgh_scipy.py > test/data/mgh-scipy.json
"""
import json, math, platform, sys, warnings

import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import scipy
from scipy.optimize import least_squares, minimize

warnings.filterwarnings("ignore")
A = np.array
bard = A([.14, .18, .22, .25, .29, .32, .35, .39, .37, .58, .73, .96, 1.34, 2.1, 4.39])
gauss = A([.0009, .0044, .0175, .0540, .1295, .2420, .3521, .3989, .3521, .2420, .1295, .0540, .0175, .0044, .0009])
meyer = A([34780., 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872])
kow_y = A([.1957, .1947, .1735, .1600, .0844, .0627, .0456, .0342, .0323, .0235, .0246])
kow_u = A([4., 2, 1, .5, .25, .167, .125, .1, .0833, .0714, .0625])
osb1 = A([.844, .908, .932, .936, .925, .908, .881, .850, .818, .784, .751, .718, .685, .658, .628, .603, .580, .558, .538, .522,
          .506, .490, .478, .467, .457, .448, .438, .431, .424, .420, .414, .411, .406])
osb2 = A([1.366, 1.191, 1.112, 1.013, .991, .885, .831, .847, .786, .725, .746, .679, .608, .655, .616, .606, .602, .626, .651, .724,
          .649, .649, .694, .644, .624, .661, .612, .558, .533, .495, .500, .423, .395, .375, .372, .391, .396, .405, .428, .429, .523,
          .562, .607, .653, .672, .708, .633, .668, .645, .632, .591, .559, .597, .625, .739, .710, .729, .720, .636, .581, .428, .292,
          .162, .098, .054])


def ar(n):
    return np.arange(1.0, n + 1)


def rosenbrock(x):
    return jnp.concatenate([10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]])


def singular(x):
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return jnp.concatenate([a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2])


def helical(x):
    theta = jnp.arctan(x[1] / x[0]) / (2 * jnp.pi) + jnp.where(x[0] < 0, 0.5, 0.0)
    return jnp.stack([10 * (x[2] - 10 * theta), 10 * (jnp.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2]])


def gulf(x):
    t = ar(99) / 100
    return jnp.exp(-jnp.abs(25 + (-50 * np.log(t)) ** (2 / 3) - x[1]) ** x[2] / x[0]) - t


def box(x):
    t = ar(10) / 10
    return jnp.exp(-t * x[0]) - jnp.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def wood(x):
    return jnp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0], math.sqrt(90) * (x[3] - x[2] ** 2), 1 - x[2],
                      math.sqrt(10) * (x[1] + x[3] - 2), (x[1] - x[3]) / math.sqrt(10)])


def brown_dennis(x):
    t = ar(20) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def osborne_1(x):
    t = 10.0 * np.arange(33)
    return osb1 - (x[0] + x[1] * jnp.exp(-t * x[3]) + x[2] * jnp.exp(-t * x[4]))


def biggs(x):
    t = ar(13) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * jnp.exp(-t * x[0]) - x[3] * jnp.exp(-t * x[1]) + x[5] * jnp.exp(-t * x[4]) - y


def osborne_2(x):
    t = np.arange(65) / 10
    return osb2 - (x[0] * jnp.exp(-t * x[4]) + x[1] * jnp.exp(-(t - x[8]) ** 2 * x[5]) + x[2] * jnp.exp(-(t - x[9]) ** 2 * x[6])
                   + x[3] * jnp.exp(-(t - x[10]) ** 2 * x[7]))


def watson(x):
    n, t = len(x), (ar(29) / 29)[:, None]
    r = (np.arange(1, n) * t ** np.arange(n - 1)) @ x[1:] - (t ** np.arange(n) @ x) ** 2 - 1
    return jnp.concatenate([r, jnp.stack([x[0], x[1] - x[0] ** 2 - 1])])


def penalty_1(x):
    return jnp.concatenate([math.sqrt(1e-5) * (x - 1), jnp.sum(x ** 2)[None] - 0.25])


def penalty_2(x):
    n = len(x)
    i, a = np.arange(2, n + 1), math.sqrt(1e-5)
    y = np.exp(i / 10) + np.exp((i - 1) / 10)
    return jnp.concatenate([x[:1] - 0.2, a * (jnp.exp(x[1:] / 10) + jnp.exp(x[:-1] / 10) - y),
                            a * (jnp.exp(x[1:] / 10) - math.exp(-0.1)), jnp.sum((n - np.arange(n)) * x ** 2)[None] - 1])


def variable_dimension(x):
    s = jnp.sum(ar(len(x)) * (x - 1))
    return jnp.concatenate([x - 1, jnp.stack([s, s ** 2])])


def trigonometric(x):
    n = len(x)
    return n - jnp.sum(jnp.cos(x)) + ar(n) * (1 - jnp.cos(x)) - jnp.sin(x)


def brown_linear(x):
    return jnp.concatenate([x[:-1] + jnp.sum(x) - (len(x) + 1), jnp.prod(x)[None] - 1])


def boundary(x):
    n = len(x)
    h, p = 1 / (n + 1), jnp.pad(x, 1)
    return 2 * x - p[:-2] - p[2:] + h ** 2 * (x + ar(n) * h + 1) ** 3 / 2


def integral(x):
    n = len(x)
    h = 1 / (n + 1)
    t = ar(n) * h
    c = (x + t + 1) ** 3
    low = np.tril(np.ones((n, n)))
    return x + h / 2 * ((1 - t) * (low @ (t * c)) + t * ((1 - low) @ ((1 - t) * c)))


def tridiagonal(x):
    p = jnp.pad(x, 1)
    return (3 - 2 * x) * x - p[:-2] - 2 * p[2:] + 1


def banded(x):
    n = len(x)
    i, j = np.indices((n, n))
    near = ((j >= i - 5) & (j <= i + 1) & (j != i)).astype(float)
    return x * (2 + 5 * x ** 2) + 1 - near @ (x * (1 + x))


def full_rank(x):
    n, m = len(x), 20
    return jnp.pad(x, (0, m - n)) - 2 / m * jnp.sum(x) - 1


def rank_1(x):
    return ar(20) * jnp.sum(ar(len(x)) * x) - 1


def rank_1_zeros(x):
    s = jnp.sum(np.arange(2, len(x)) * x[1:-1])
    return jnp.concatenate([-jnp.ones(1), np.arange(1, 19) * s - 1, -jnp.ones(1)])


def chebyquad(x):
    n, u = len(x), 2 * x - 1
    t, out = [jnp.ones_like(x), u], []
    for i in range(1, n + 1):
        out.append(jnp.mean(t[i]) - (-1 / (i * i - 1) if i % 2 == 0 else 0))
        t.append(2 * u * t[i] - t[i - 1])
    return jnp.stack(out)


def st(*r):
    return jnp.stack(r)


u15, k15 = ar(15), (8 - ar(15)) / 2
ten = np.full(10, 1.0)
bv = ar(10) / 11
PROBLEMS = {
    "1 Rosenbrock": ([-1.2, 1], rosenbrock),
    "2 Freudenstein and Roth": ([.5, -2], lambda x: st(-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1])),
    "3 Powell badly scaled": ([0, 1], lambda x: st(1e4 * x[0] * x[1] - 1, jnp.exp(-x[0]) + jnp.exp(-x[1]) - 1.0001)),
    "4 Brown badly scaled": ([1, 1], lambda x: st(x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2)),
    "5 Beale": ([1, 1], lambda x: st(*[y - x[0] * (1 - x[1] ** i) for i, y in ((1, 1.5), (2, 2.25), (3, 2.625))])),
    "6 Jennrich and Sampson": ([.3, .4], lambda x: 2 + 2 * ar(10) - (jnp.exp(ar(10) * x[0]) + jnp.exp(ar(10) * x[1]))),
    "7 Helical valley": ([-1, 0, 0], helical),
    "8 Bard": ([1, 1, 1], lambda x: bard - (x[0] + u15 / ((16 - u15) * x[1] + np.minimum(u15, 16 - u15) * x[2]))),
    "9 Gaussian": ([.4, 1, 0], lambda x: x[0] * jnp.exp(-x[1] * (k15 - x[2]) ** 2 / 2) - gauss),
    "10 Meyer": ([.02, 4000, 250], lambda x: x[0] * jnp.exp(x[1] / (45 + 5 * ar(16) + x[2])) - meyer),
    "11 Gulf research and development": ([5, 2.5, .15], gulf),
    "12 Box three-dimensional": ([0, 10, 20], box),
    "13 Powell singular": ([3, -1, 0, 1], singular),
    "14 Wood": ([-3, -1, -3, -1], wood),
    "15 Kowalik and Osborne": ([.25, .39, .415, .39], lambda x: kow_y - x[0] * (kow_u ** 2 + kow_u * x[1]) / (kow_u ** 2 + kow_u * x[2] + x[3])),
    "16 Brown and Dennis": ([25, 5, -5, -1], brown_dennis),
    "17 Osborne 1": ([.5, 1.5, -1, .01, .02], osborne_1),
    "18 Biggs EXP6": ([1, 2, 1, 1, 1, 1], biggs),
    "19 Osborne 2": ([1.3, .65, .65, .7, .6, 3, 5, 7, 2, 4.5, 5.5], osborne_2),
    "20 Watson, n = 6": ([0] * 6, watson),
    "20 Watson, n = 9": ([0] * 9, watson),
    "21 Extended Rosenbrock, n = 20": ([-1.2, 1] * 10, rosenbrock),
    "22 Extended Powell singular, n = 20": ([3, -1, 0, 1] * 5, singular),
    "23 Penalty I, n = 4": ([1, 2, 3, 4], penalty_1),
    "23 Penalty I, n = 10": (list(range(1, 11)), penalty_1),
    "24 Penalty II, n = 4": ([.5] * 4, penalty_2),
    "24 Penalty II, n = 10": ([.5] * 10, penalty_2),
    "25 Variably dimensioned, n = 10": (list(1 - ar(10) / 10), variable_dimension),
    "26 Trigonometric, n = 10": ([.1] * 10, trigonometric),
    "27 Brown almost-linear, n = 10": ([.5] * 10, brown_linear),
    "28 Discrete boundary value, n = 10": (list(bv * (bv - 1)), boundary),
    "29 Discrete integral equation, n = 10": (list(bv * (bv - 1)), integral),
    "30 Broyden tridiagonal, n = 10": ([-1] * 10, tridiagonal),
    "31 Broyden banded, n = 10": ([-1] * 10, banded),
    "32 Linear, full rank, n = 10, m = 20": ([1] * 10, full_rank),
    "33 Linear, rank 1, n = 10, m = 20": ([1] * 10, rank_1),
    "34 Linear, rank 1 with zero columns and rows, n = 10, m = 20": ([1] * 10, rank_1_zeros),
    "35 Chebyquad, n = 8": (list(ar(8) / 9), chebyquad),
    "35 Chebyquad, n = 10": (list(ar(10) / 11), chebyquad),
}
METHODS = ["BFGS", "L-BFGS-B", "CG", "Newton-CG", "trust-exact", "Nelder-Mead"]


def main():
    out = {"made_by": "scripts/references/mgh_scipy.py", "python": platform.python_version(), "scipy": scipy.__version__,
           "numpy": np.__version__, "jax": jax.__version__, "options": "SciPy's defaults; exact gradients and Hessians", "problems": {}}
    for name, (x0, residuals) in PROBLEMS.items():
        x0 = np.array(x0, dtype=float)
        f = lambda x, r=residuals: jnp.sum(r(x) ** 2)
        vg, he = jax.jit(jax.value_and_grad(f)), jax.jit(jax.hessian(f))
        row = {"start": float(vg(x0)[0]), "start_gradient": [float(v) for v in vg(x0)[1]]}
        for method in METHODS:
            kw = {} if method == "Nelder-Mead" else {"jac": lambda x: np.array(vg(x)[1])}
            if method in ("Newton-CG", "trust-exact"):
                kw["hess"] = lambda x: np.array(he(x))
            try:
                r = minimize(lambda x: float(vg(x)[0]), x0, method=method, **kw)
                row[method] = {"fun": float(r.fun), "nit": int(r.nit), "nfev": int(r.nfev), "njev": int(r.get("njev", 0)),
                               "nhev": int(r.get("nhev", 0)), "status": int(r.status)}
            except Exception as e:
                row[method] = {"error": type(e).__name__}
        # The same start in a box that cuts off most minima: bounds become active.
        box = list(zip(x0 - 0.2 * (1 + np.abs(x0)), x0 + 0.3 * (1 + np.abs(x0))))
        r = minimize(lambda x: float(vg(x)[0]), x0, method="L-BFGS-B", jac=lambda x: np.array(vg(x)[1]), bounds=box)
        row["bounded"] = {"fun": float(r.fun), "nfev": int(r.nfev), "status": int(r.status)}
        res, jac = jax.jit(residuals), jax.jit(jax.jacfwd(residuals))
        r = least_squares(lambda x: np.array(res(x)), x0, jac=lambda x: np.array(jac(x)), method="lm")
        row["lm"] = {"fun": 2 * float(r.cost), "nfev": int(r.nfev), "status": int(r.status)}
        out["problems"][name] = row
        print(name, file=sys.stderr)
    text = json.dumps(out, indent=1)
    print(text.replace("NaN", "null").replace("-Infinity", "null").replace("Infinity", "null"))


main()
