"""Coefficients of lib/lowering/cpu-coefficients.ts (printed) and test/data/elementary.json: float64 arguments with the exact values of the
elementary functions as sums of two doubles. Needs mpmath: python elementary_mpmath.py test/data/elementary.json"""

import json
import random
import sys

from mpmath import acos, asin, atan, atan2, chebyfit, cos, floor, log, mp, mpf, nint, pi, polyval, sin, sqrt, tan

mp.prec = 600


def of_square(f):
    """f of r as a function of r²; at 0 its limit."""
    return lambda z: f(sqrt(mpf(z) if z else mpf(2) ** -100))


FITS = [
    ("SINE.float32", of_square(lambda r: (sin(r) - r) / r**3), 0, (pi / 2) ** 2, 5),
    ("SINE.float64", of_square(lambda r: (sin(r) - r) / r**3), 0, (pi / 2) ** 2, 9),
    ("SINE_32", of_square(lambda r: (sin(r) - r) / r**3), 0, mpf("1.3") ** 2, 4),
    ("SINE_EIGHTH_32", of_square(lambda r: (sin(r) - r) / r**3), 0, (pi / 4) ** 2 * mpf("1.001"), 3),
    ("COSINE_EIGHTH_32", of_square(lambda r: (cos(r) - 1 + r * r / 2) / r**4), 0, (pi / 4) ** 2 * mpf("1.001"), 3),
    ("COSINE", of_square(lambda r: (cos(r) - 1 + r * r / 2) / r**4), 0, (pi / 4) ** 2, 6),
    ("TANGENT", of_square(lambda r: tan(r) / r), 0, (pi / 4) ** 2 * mpf("1.001"), 9),
    ("ARCTANGENT.float32", of_square(lambda r: atan(r) / r), 0, 1, 12),
    ("ARCTANGENT.float64", of_square(lambda r: (atan(r) - r) / r**3), 0, tan(pi / 8) ** 2 * mpf("1.01"), 12),
    ("ARCSINE.float32", of_square(lambda r: (asin(r) - r) / r**3), 0, mpf("0.25"), 6),
    ("ARCSINE.float64", of_square(lambda r: (asin(r) - r) / r**3), 0, mpf("0.25"), 13),
    ("LOG2", of_square(lambda s: log((1 + s) / (1 - s), 2) / s), 0, (sqrt(2) - 1) ** 2 / (sqrt(2) + 1) ** 2 * mpf("1.02"), 6),
    ("EXP2", lambda f: mpf(2) ** f, mpf(-0.5), mpf(0.5), 8),
]


def fits():
    for name, f, low, high, terms in FITS:
        c = [float(v) for v in chebyfit(f, [low, high], terms)]
        points = [low + (high - low) * mpf(i) / 2000 for i in range(2001)]
        worst = max(abs(polyval([mpf(v) for v in c], x) / f(x) - 1) for x in points)
        print(f"{name}: relative error 2^{float(log(worst, 2)):.1f}\n  {c}")


def pieces():
    def bits(x, top, n):
        """n bits of x from the weight 2^top downwards."""
        x = x / mpf(2) ** (top + 1)
        return floor((x - floor(x)) * mpf(2) ** n) / mpf(2) ** n * mpf(2) ** (top + 1)

    for name, inverse, first in (("turn", 1 / (2 * pi), -3), ("half", 1 / pi, -2)):
        for top in (first, 22 - 54, 22 - 84, 22 - 114):
            print(name, [float(bits(inverse, top, 29)), float(bits(inverse, top - 29, 29)), float(bits(inverse, top - 58, 500))])
    for name, x, top, lengths in (("pi", pi, 1, (30, 30, 30)), ("pi/2", pi / 2, 0, (30, 30, 30)), ("pi/4", pi / 4, -1, (50,))):
        parts = []
        for n in lengths:
            parts.append(float(bits(x, top, n)))
            top -= n
        print(name, parts + [float(bits(x, top, 500))])
    rest, parts = pi / 2, []
    for place in (13, 24, 38):
        parts.append(nint(rest * 2**place) / mpf(2) ** place)
        rest -= parts[-1]
    print("pi/2 for float32", [float(v) for v in parts + [rest]])


def two(v):
    high = float(v)
    return [high, float(v - mpf(high))]


def references(path):
    draw = random.Random(9)
    moderate = [draw.uniform(-r, r) for r in (1e-8, 1e-3, 1, 2, 10, 1e3, 1e6, 4e6) for _ in range(80)]
    # The doubles next to multiples of π/4, where digits cancel.
    moderate += [float(pi / 4 * draw.randrange(-(10**6), 10**6)) for _ in range(400)]
    unit = [draw.uniform(-1, 1) for _ in range(500)] + [s * (1 - 2.0**-k) for k in range(1, 53) for s in (-1, 1)]
    unit += [s * 2.0**-k for k in range(0, 60) for s in (-1, 1)] + [0.5, -0.5] * 100
    any_size = [s * draw.uniform(1, 2) * 2.0 ** draw.randrange(-200, 200) for _ in range(300) for s in (-1, 1)] + moderate[:440]
    others = [s * draw.uniform(1, 2) * 2.0 ** draw.randrange(-200, 200) for _ in range(250) for s in (-1, 1)] + moderate[400:940]
    data = {name: {"x": xs, "value": [two(f(mpf(x))) for x in xs]} for name, f, xs in (
        ("sin", sin, moderate), ("cos", cos, moderate), ("tan", tan, moderate), ("asin", asin, unit), ("acos", acos, unit), ("atan", atan, any_size))}
    data["atan2"] = {"x": any_size, "y": others, "value": [two(atan2(mpf(x), mpf(y))) for x, y in zip(any_size, others)]}
    with open(path, "w") as f:
        json.dump(data, f, separators=(",", ":"))


if __name__ == "__main__":
    fits()
    pieces()
    references(sys.argv[1])
