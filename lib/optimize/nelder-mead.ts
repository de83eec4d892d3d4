/** @file Nelder–Mead's simplex: Lagarias, Reeds, Wright & Wright, SIAM J. Optim. 9 (1998); adaptive as in Gao & Han (2012). */
import { type Box, clip } from './box.js';
import { type Core, messages, STOPPED } from './types.js';

export interface NelderMeadOptions {
  /** Stop when the simplex is no larger than this and … */
  readonly xatol?: number;
  /** … its values differ by no more than this. */
  readonly fatol?: number;
  /** 200 n unless told. */
  readonly maxiter?: number;
  /** 200 n unless told. */
  readonly maxfev?: number;
  /** Coefficients that depend on n: better when n is large. */
  readonly adaptive?: boolean;
}

interface Vertex {
  readonly x: Float64Array;
  readonly f: number;
}

/** Minimises from `x0` with values alone; a NaN value counts as the worst. */
export function* nelderMead(
  objective: (x: Float64Array) => number,
  x0: Float64Array,
  options: NelderMeadOptions = {},
  box?: Box,
): Core {
  const n = x0.length;
  const { xatol = 1e-4, fatol = 1e-4, adaptive = false } = options;
  // SciPy's rule: a limit on one of the two leaves the other open.
  const maxiter = options.maxiter ?? (options.maxfev === undefined ? 200 * n : Number.POSITIVE_INFINITY);
  const maxfev = options.maxfev ?? (options.maxiter === undefined ? 200 * n : Number.POSITIVE_INFINITY);
  const expansion = adaptive ? 1 + 2 / n : 2;
  const contraction = adaptive ? 0.75 - 1 / (2 * n) : 0.5;
  const shrinkage = adaptive ? 1 - 1 / n : 0.5;
  let nfev = 0;
  let nit = 1;

  const vertex = (x: Float64Array): Vertex => {
    const inside = box ? clip(x, box) : x;
    nfev++;
    const f = objective(inside);
    return { x: inside, f: Number.isNaN(f) ? Number.POSITIVE_INFINITY : f };
  };
  const start = box ? clip(x0, box) : x0.slice();
  const simplex = [vertex(start)];
  for (let k = 0; k < n; k++) {
    const x = start.slice();
    x[k] = x[k] !== 0 ? 1.05 * x[k]! : 0.00025;
    // Reflected, not clipped: clipping could put two vertices on the same point.
    if (box && x[k]! > box.upper[k]!) x[k] = 2 * box.upper[k]! - x[k]!;
    simplex.push(vertex(x));
  }
  const sort = () => simplex.sort((a, b) => (a.f === b.f ? 0 : a.f - b.f));
  sort();
  const end = (status: number, message: string) => {
    const { x, f: fun } = simplex[0]!;
    return { x, fun, nit, nfev, njev: 0, nhev: 0, status, message };
  };

  for (;;) {
    if (nfev >= maxfev) return end(1, messages.maxfev);
    if (nit >= maxiter) return end(2, messages.maxiter);
    const best = simplex[0]!;
    const worst = simplex[n]!;
    const spread = Math.abs(worst.f - best.f);
    let size = 0;
    for (const v of simplex) for (let i = 0; i < n; i++) size = Math.max(size, Math.abs(v.x[i]! - best.x[i]!));
    if (size <= xatol && spread <= fatol) break;

    const centre = new Float64Array(n);
    for (let k = 0; k < n; k++) for (let i = 0; i < n; i++) centre[i] = centre[i]! + simplex[k]!.x[i]! / n;
    const along = (t: number) => vertex(centre.map((c, i) => c + t * (c - worst.x[i]!)));
    const reflected = along(1);
    let next: Vertex | undefined;
    if (reflected.f < best.f) {
      const expanded = along(expansion);
      next = expanded.f < reflected.f ? expanded : reflected;
    } else if (reflected.f < simplex[n - 1]!.f) next = reflected;
    else {
      const outside = reflected.f < worst.f;
      const contracted = along(outside ? contraction : -contraction);
      if (outside ? contracted.f <= reflected.f : contracted.f < worst.f) next = contracted;
    }
    if (next) simplex[n] = next;
    else {
      for (let k = 1; k <= n; k++) {
        const x = simplex[k]!.x.map((v, i) => best.x[i]! + shrinkage * (v - best.x[i]!));
        simplex[k] = vertex(x);
      }
    }
    nit++;
    sort();
    const { x, f } = simplex[0]!;
    const told = yield { iteration: nit - 1, x: x.slice(), value: f, gradientNorm: Number.NaN };
    if (told) return end(STOPPED, messages.stopped);
  }
  return end(0, messages.success);
}
