/**
 * @file The test problems of Moré, Garbow & Hillstrom, "Testing unconstrained optimization software", ACM TOMS 7 (1981) 17–41:
 * residuals, standard starting points and published minima, numbered as there.
 */
import { abs, add, atan, cos, div, exp, log, mul, pow, product, sin, sq, sqrt, sub, sum, type Term } from './jets.js';

export interface Problem {
  readonly name: string;
  readonly x0: readonly number[];
  readonly residuals: (x: Term[]) => Term[];
  /** The sums of squares that the paper lists as minima, local ones and those at infinity included. */
  readonly minima: readonly number[];
}

const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
const repeat = (n: number, ...values: number[]) => range(0, n - 1).map((i) => values[i % values.length]!);

const bard = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.1, 4.39];
const gaussian = [
  9e-4, 4.4e-3, 1.75e-2, 5.4e-2, 0.1295, 0.242, 0.3521, 0.3989, 0.3521, 0.242, 0.1295, 5.4e-2, 1.75e-2, 4.4e-3, 9e-4,
];
const meyer = [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872];
const kowalik = [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246];
const kowalikU = [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625];
const osborne1 = [
  0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.85, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628, 0.603, 0.58,
  0.558, 0.538, 0.522, 0.506, 0.49, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.42, 0.414, 0.411, 0.406,
];
const osborne2 = [
  1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616, 0.606, 0.602,
  0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495, 0.5, 0.423, 0.395, 0.375,
  0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591,
  0.559, 0.597, 0.625, 0.739, 0.71, 0.729, 0.72, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054,
];

const rosenbrock = (x: Term[]) =>
  range(0, x.length / 2 - 1).flatMap((i) => [mul(10, sub(x[2 * i + 1]!, sq(x[2 * i]!))), sub(1, x[2 * i]!)]);

const powellSingular = (x: Term[]) =>
  range(0, x.length / 4 - 1).flatMap((i) => {
    const [a, b, c, d] = x.slice(4 * i, 4 * i + 4) as [Term, Term, Term, Term];
    return [add(a, mul(10, b)), mul(Math.sqrt(5), sub(c, d)), sq(sub(b, mul(2, c))), mul(Math.sqrt(10), sq(sub(a, d)))];
  });

const watson = (x: Term[]) => [
  ...range(1, 29).map((i) => {
    const t = i / 29;
    const derivative = sum(x.slice(1).map((v, j) => mul((j + 1) * t ** j, v)));
    return sub(sub(derivative, sq(sum(x.map((v, j) => mul(t ** j, v))))), 1);
  }),
  x[0]!,
  sub(sub(x[1]!, sq(x[0]!)), 1),
];

const penalty1 = (x: Term[]) => [...x.map((v) => mul(Math.sqrt(1e-5), sub(v, 1))), sub(sum(x.map(sq)), 0.25)];

const penalty2 = (x: Term[]) => {
  const n = x.length;
  const a = Math.sqrt(1e-5);
  return [
    sub(x[0]!, 0.2),
    ...range(2, n).map((i) => {
      const y = Math.exp(i / 10) + Math.exp((i - 1) / 10);
      return mul(a, sub(add(exp(mul(0.1, x[i - 1]!)), exp(mul(0.1, x[i - 2]!))), y));
    }),
    ...range(n + 1, 2 * n - 1).map((i) => mul(a, sub(exp(mul(0.1, x[i - n]!)), Math.exp(-0.1)))),
    sub(sum(x.map((v, j) => mul(n - j, sq(v)))), 1),
  ];
};

/** The shifted Chebyshev polynomials T_1..T_m at `v`. */
function chebyshev(v: Term, m: number): Term[] {
  const t = sub(mul(2, v), 1);
  const values: Term[] = [1, t];
  while (values.length <= m) values.push(sub(mul(2, mul(t, values.at(-1)!)), values.at(-2)!));
  return values.slice(1);
}

const chebyquad = (x: Term[]) => {
  const columns = x.map((v) => chebyshev(v, x.length));
  return range(1, x.length).map((i) =>
    sub(mul(1 / x.length, sum(columns.map((c) => c[i - 1]!))), i % 2 === 0 ? -1 / (i * i - 1) : 0),
  );
};

/** A residual function of n named variables. */
const of = (f: (...x: Term[]) => Term[]) => (x: Term[]) => f(...x);

export const problems: readonly Problem[] = [
  { name: '1 Rosenbrock', x0: [-1.2, 1], residuals: rosenbrock, minima: [0] },
  {
    name: '2 Freudenstein and Roth',
    x0: [0.5, -2],
    residuals: of((a, b) => [
      add(sub(a!, 13), mul(sub(mul(sub(5, b!), b!), 2), b!)),
      add(sub(a!, 29), mul(sub(mul(add(b!, 1), b!), 14), b!)),
    ]),
    minima: [0, 48.98425],
  },
  {
    name: '3 Powell badly scaled',
    x0: [0, 1],
    residuals: of((a, b) => [sub(mul(1e4, mul(a!, b!)), 1), sub(add(exp(mul(-1, a!)), exp(mul(-1, b!))), 1.0001)]),
    minima: [0],
  },
  {
    name: '4 Brown badly scaled',
    x0: [1, 1],
    residuals: of((a, b) => [sub(a!, 1e6), sub(b!, 2e-6), sub(mul(a!, b!), 2)]),
    minima: [0],
  },
  {
    name: '5 Beale',
    x0: [1, 1],
    residuals: of((a, b) => [1.5, 2.25, 2.625].map((y, i) => sub(y, mul(a!, sub(1, pow(b!, i + 1)))))),
    minima: [0],
  },
  {
    name: '6 Jennrich and Sampson',
    x0: [0.3, 0.4],
    residuals: of((a, b) => range(1, 10).map((i) => sub(2 + 2 * i, add(exp(mul(i, a!)), exp(mul(i, b!)))))),
    minima: [124.3622],
  },
  {
    name: '7 Helical valley',
    x0: [-1, 0, 0],
    residuals: of((a, b, c) => {
      const turn = add(mul(1 / (2 * Math.PI), atan(div(b!, a!))), (typeof a === 'number' ? a : a!.v) < 0 ? 0.5 : 0);
      return [mul(10, sub(c!, mul(10, turn))), mul(10, sub(sqrt(add(sq(a!), sq(b!))), 1)), c!];
    }),
    minima: [0],
  },
  {
    name: '8 Bard',
    x0: [1, 1, 1],
    residuals: of((a, b, c) =>
      bard.map((y, i) => {
        const u = i + 1;
        return sub(y, add(a!, div(u, add(mul(16 - u, b!), mul(Math.min(u, 16 - u), c!)))));
      }),
    ),
    minima: [8.214877e-3, 17.42869],
  },
  {
    name: '9 Gaussian',
    x0: [0.4, 1, 0],
    residuals: of((a, b, c) =>
      gaussian.map((y, i) => sub(mul(a!, exp(mul(-0.5, mul(b!, sq(sub((7 - i) / 2, c!)))))), y)),
    ),
    minima: [1.127933e-8],
  },
  {
    name: '10 Meyer',
    x0: [0.02, 4000, 250],
    residuals: of((a, b, c) => meyer.map((y, i) => sub(mul(a!, exp(div(b!, add(50 + 5 * i, c!)))), y))),
    minima: [87.94586],
  },
  {
    name: '11 Gulf research and development',
    x0: [5, 2.5, 0.15],
    residuals: of((a, b, c) =>
      range(1, 99).map((i) => {
        const y = 25 + (-50 * Math.log(i / 100)) ** (2 / 3);
        return sub(exp(mul(-1, div(exp(mul(c!, log(abs(sub(y, b!))))), a!))), i / 100);
      }),
    ),
    minima: [0],
  },
  {
    name: '12 Box three-dimensional',
    x0: [0, 10, 20],
    residuals: of((a, b, c) =>
      range(1, 10).map((i) =>
        sub(sub(exp(mul(-i / 10, a!)), exp(mul(-i / 10, b!))), mul(c!, Math.exp(-i / 10) - Math.exp(-i))),
      ),
    ),
    minima: [0],
  },
  { name: '13 Powell singular', x0: [3, -1, 0, 1], residuals: powellSingular, minima: [0] },
  {
    name: '14 Wood',
    x0: [-3, -1, -3, -1],
    residuals: of((a, b, c, d) => [
      mul(10, sub(b!, sq(a!))),
      sub(1, a!),
      mul(Math.sqrt(90), sub(d!, sq(c!))),
      sub(1, c!),
      mul(Math.sqrt(10), sub(add(b!, d!), 2)),
      mul(1 / Math.sqrt(10), sub(b!, d!)),
    ]),
    minima: [0],
  },
  {
    name: '15 Kowalik and Osborne',
    x0: [0.25, 0.39, 0.415, 0.39],
    residuals: of((a, b, c, d) =>
      kowalik.map((y, i) => {
        const u = kowalikU[i]!;
        return sub(y, div(mul(a!, add(u * u, mul(u, b!))), add(u * u, add(mul(u, c!), d!))));
      }),
    ),
    minima: [3.075056e-4, 1.02734e-3],
  },
  {
    name: '16 Brown and Dennis',
    x0: [25, 5, -5, -1],
    residuals: of((a, b, c, d) =>
      range(1, 20).map((i) => {
        const t = i / 5;
        return add(sq(sub(add(a!, mul(t, b!)), Math.exp(t))), sq(sub(add(c!, mul(Math.sin(t), d!)), Math.cos(t))));
      }),
    ),
    minima: [85822.2],
  },
  {
    name: '17 Osborne 1',
    x0: [0.5, 1.5, -1, 0.01, 0.02],
    residuals: of((a, b, c, d, e) =>
      osborne1.map((y, i) => sub(y, add(a!, add(mul(b!, exp(mul(-10 * i, d!))), mul(c!, exp(mul(-10 * i, e!))))))),
    ),
    minima: [5.464895e-5],
  },
  {
    name: '18 Biggs EXP6',
    x0: [1, 2, 1, 1, 1, 1],
    residuals: of((a, b, c, d, e, f) =>
      range(1, 13).map((i) => {
        const t = i / 10;
        const y = Math.exp(-t) - 5 * Math.exp(-10 * t) + 3 * Math.exp(-4 * t);
        const model = add(sub(mul(c!, exp(mul(-t, a!))), mul(d!, exp(mul(-t, b!)))), mul(f!, exp(mul(-t, e!))));
        return sub(model, y);
      }),
    ),
    minima: [0, 5.65565e-3],
  },
  {
    name: '19 Osborne 2',
    x0: [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5],
    residuals: (x) =>
      osborne2.map((y, i) => {
        const t = i / 10;
        const bumps = [1, 2, 3].map((k) => mul(x[k]!, exp(mul(-1, mul(x[k + 4]!, sq(sub(t, x[k + 7]!)))))));
        return sub(y, add(mul(x[0]!, exp(mul(-t, x[4]!))), sum(bumps)));
      }),
    minima: [4.013774e-2],
  },
  { name: '20 Watson, n = 6', x0: repeat(6, 0), residuals: watson, minima: [2.28767e-3] },
  { name: '20 Watson, n = 9', x0: repeat(9, 0), residuals: watson, minima: [1.39976e-6] },
  { name: '21 Extended Rosenbrock, n = 20', x0: repeat(20, -1.2, 1), residuals: rosenbrock, minima: [0] },
  { name: '22 Extended Powell singular, n = 20', x0: repeat(20, 3, -1, 0, 1), residuals: powellSingular, minima: [0] },
  { name: '23 Penalty I, n = 4', x0: range(1, 4), residuals: penalty1, minima: [2.249977e-5] },
  { name: '23 Penalty I, n = 10', x0: range(1, 10), residuals: penalty1, minima: [7.087651e-5] },
  { name: '24 Penalty II, n = 4', x0: repeat(4, 0.5), residuals: penalty2, minima: [9.376293e-6] },
  { name: '24 Penalty II, n = 10', x0: repeat(10, 0.5), residuals: penalty2, minima: [2.936605e-4] },
  {
    name: '25 Variably dimensioned, n = 10',
    x0: range(1, 10).map((j) => 1 - j / 10),
    residuals: (x) => {
      const s = sum(x.map((v, j) => mul(j + 1, sub(v, 1))));
      return [...x.map((v) => sub(v, 1)), s, sq(s)];
    },
    minima: [0],
  },
  {
    name: '26 Trigonometric, n = 10',
    x0: repeat(10, 1 / 10),
    residuals: (x) => {
      const cosines = sum(x.map(cos));
      return x.map((v, i) => sub(add(sub(10, cosines), mul(i + 1, sub(1, cos(v)))), sin(v)));
    },
    minima: [0, 2.795061e-5],
  },
  {
    name: '27 Brown almost-linear, n = 10',
    x0: repeat(10, 0.5),
    residuals: (x) => {
      const s = sum(x);
      return [...x.slice(0, -1).map((v) => sub(add(v, s), 11)), sub(product(x), 1)];
    },
    minima: [0, 1],
  },
  {
    name: '28 Discrete boundary value, n = 10',
    x0: range(1, 10).map((j) => (j / 11) * (j / 11 - 1)),
    residuals: (x) =>
      x.map((v, i) => {
        const t = (i + 1) / 11;
        const bend = sub(sub(mul(2, v), x[i - 1] ?? 0), x[i + 1] ?? 0);
        return add(bend, mul(1 / 11 ** 2 / 2, pow(add(v, t + 1), 3)));
      }),
    minima: [0],
  },
  {
    name: '29 Discrete integral equation, n = 10',
    x0: range(1, 10).map((j) => (j / 11) * (j / 11 - 1)),
    residuals: (x) => {
      const cubes = x.map((v, j) => pow(add(v, (j + 1) / 11 + 1), 3));
      return x.map((v, i) => {
        const t = (i + 1) / 11;
        const before = sum(cubes.slice(0, i + 1).map((c, j) => mul((j + 1) / 11, c)));
        const after = sum(cubes.slice(i + 1).map((c, j) => mul(1 - (i + 2 + j) / 11, c)));
        return add(v, mul(1 / 22, add(mul(1 - t, before), mul(t, after))));
      });
    },
    minima: [0],
  },
  {
    name: '30 Broyden tridiagonal, n = 10',
    x0: repeat(10, -1),
    residuals: (x) =>
      x.map((v, i) => add(sub(sub(mul(sub(3, mul(2, v)), v), x[i - 1] ?? 0), mul(2, x[i + 1] ?? 0)), 1)),
    minima: [0],
  },
  {
    name: '31 Broyden banded, n = 10',
    x0: repeat(10, -1),
    residuals: (x) =>
      x.map((v, i) => {
        const near = x.slice(Math.max(0, i - 5), i + 2).filter((u) => u !== v);
        return sub(add(mul(v, add(2, mul(5, sq(v)))), 1), sum(near.map((u) => mul(u, add(1, u)))));
      }),
    minima: [0],
  },
  {
    name: '32 Linear, full rank, n = 10, m = 20',
    x0: repeat(10, 1),
    residuals: (x) => {
      const s = mul(2 / 20, sum(x));
      return range(0, 19).map((i) => sub(sub(x[i] ?? 0, s), 1));
    },
    minima: [10],
  },
  {
    name: '33 Linear, rank 1, n = 10, m = 20',
    x0: repeat(10, 1),
    residuals: (x) => {
      const s = sum(x.map((v, j) => mul(j + 1, v)));
      return range(1, 20).map((i) => sub(mul(i, s), 1));
    },
    minima: [(20 * 19) / (2 * 41)],
  },
  {
    name: '34 Linear, rank 1 with zero columns and rows, n = 10, m = 20',
    x0: repeat(10, 1),
    residuals: (x) => {
      const s = sum(x.slice(1, -1).map((v, j) => mul(j + 2, v)));
      return [-1, ...range(2, 19).map((i) => sub(mul(i - 1, s), 1)), -1];
    },
    minima: [(20 * 20 + 3 * 20 - 6) / (2 * 37)],
  },
  { name: '35 Chebyquad, n = 8', x0: range(1, 8).map((j) => j / 9), residuals: chebyquad, minima: [3.516873e-3] },
  {
    name: '35 Chebyquad, n = 10',
    x0: range(1, 10).map((j) => j / 11),
    residuals: chebyquad,
    minima: [6.503954e-3, 4.772713e-3],
  },
];
