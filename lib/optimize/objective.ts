/** @file Torch functions as the objectives, Hessian products and residuals that the numeric cores work on. */
import { grad } from '../autograd.js';
import { compile } from '../compile/compile.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { frombuffer } from '../torch/data.js';
import { enable_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/tensor.js';
import type { Linearisation } from './levenberg-marquardt.js';
import type { Curvature } from './newton-cg.js';
import { elements, type Parameters } from './parameters.js';
import type { Hessian, Objective } from './types.js';

/** The gradient of an objective: exact by autograd where left out, `true` where `fun` returns [value, gradient], a function, or differences. */
export type Jac<X> = boolean | '2-point' | '3-point' | ((x: X) => X);

const isTensor = (value: unknown): value is Tensor => native().isTensor(value);

/** The value of an objective, checked to be one number. */
function oneNumber(value: unknown, who: string): Tensor {
  if (!isTensor(value)) {
    throw new JorchError(
      'BAD_ARGUMENT',
      `${who}: fun must return a tensor, got ${value === null ? 'null' : typeof value}`,
    );
  }
  if (elements(value) === 1) return value;
  const shape = `[${value.shape.join(', ')}]`;
  throw new JorchError(
    'BAD_ARGUMENT',
    `${who}: fun must return one number, got shape ${shape}: sum it, or use least_squares`,
  );
}

/** The same as a 0-d float64 tensor. */
export const scalarOf = (value: unknown, who: string): Tensor => oneNumber(value, who).to('float64').reshape([]);

/** A leaf of its own with the values of `x`, for autograd to stop at. */
const leaf = (x: Tensor): Tensor => x.detach().requires_grad_(true);

/** The gradient of `value` by `x`; zeros where it does not depend on it. */
function gradient(value: Tensor, x: Tensor, create_graph = false): Tensor {
  const [g] = value.requires_grad ? grad([value], [x], { allow_unused: true, create_graph }) : [null];
  return g ?? x.mul(0);
}

type Flat = (...args: Tensor[]) => Tensor[];

/** Whether functions are compiled, and those that are: a run that must not block has them compiled off the event loop first. */
export interface Compiling {
  readonly wanted: boolean;
  readonly warmups: ((options: { signal?: AbortSignal | undefined }) => Promise<void>)[];
}

/** A function that copies vectors into tensors that are made once, and its results out. */
function onArrays(
  f: Flat,
  lengths: readonly number[],
  { wanted, warmups }: Compiling,
): (...args: Float64Array[]) => Float64Array[] {
  const buffers = lengths.map((n) => new Float64Array(n));
  const tensors = buffers.map((b) => frombuffer(b));
  const graded: Flat = (...args) => enable_grad(() => f(...args));
  const fast = wanted ? compile(graded) : undefined;
  if (fast) warmups.push((options) => fast.with(options).warmup(...tensors));
  const call = fast ?? graded;
  return (...args) => {
    args.forEach((v, i) => {
      buffers[i]!.set(v);
    });
    return call(...tensors).map((t) => {
      const values = t.toTypedArray() as Float64Array;
      t.dispose();
      return values;
    });
  };
}

/** What `fun` returned for `jac: true`. */
function pairOf(pair: unknown, who: string): readonly [unknown, unknown] {
  if (Array.isArray(pair) && pair.length === 2) return pair as [unknown, unknown];
  throw new JorchError('BAD_ARGUMENT', `${who}: with jac: true, fun must return [value, gradient]`);
}

/** A function that gives value and gradient by itself, called as it is: no operator runs besides its own. */
function direct<X>(fun: (x: X) => unknown, parameters: Parameters<X>, who: string): Objective {
  const buffer = new Float64Array(parameters.n);
  const shared = frombuffer(buffer);
  const tree = parameters.rebuild(shared);
  return (x) => {
    buffer.set(x);
    const [value, g] = pairOf(fun(parameters.viewable ? tree : parameters.rebuild(shared)), who);
    return { f: oneNumber(value, who).item(), g: parameters.read(g, `${who}: the gradient`) };
  };
}

/** Value and gradient of `fun` together: one program when compiled. */
export function objectiveOf<X>(
  fun: (x: X) => unknown,
  parameters: Parameters<X>,
  jac: Jac<X> | undefined,
  compiling: Compiling,
  who: string,
): Objective {
  // A function that is compiled already is not compiled into another program.
  if (jac === true && (!compiling.wanted || 'lower' in fun)) return direct(fun, parameters, who);
  const both: Flat = (x) => {
    if (jac === true) {
      const [value, g] = pairOf(fun(parameters.rebuild(x)), who);
      return [scalarOf(value, who).detach(), parameters.flat(g, `${who}: the gradient`).detach()];
    }
    if (typeof jac === 'function') {
      const tree = parameters.rebuild(x);
      return [scalarOf(fun(tree), who).detach(), parameters.flat(jac(tree), `${who}: the gradient`).detach()];
    }
    const at = leaf(x);
    const value = scalarOf(fun(parameters.rebuild(at)), who);
    return [value.detach(), gradient(value, at)];
  };
  const run = onArrays(both, [parameters.n], compiling);
  return (x) => {
    const [f, g] = run(x);
    return { f: f![0]!, g: g! };
  };
}

/** The value alone. */
export function functionOf<X>(
  fun: (x: X) => unknown,
  parameters: Parameters<X>,
  compiling: Compiling,
  who: string,
): (x: Float64Array) => number {
  const run = onArrays((x) => [scalarOf(fun(parameters.rebuild(x!)), who).detach()], [parameters.n], compiling);
  return (x) => run(x)[0]![0]!;
}

/** An objective whose gradient is differences of values; `count` adds up the values. */
export function differences(
  value: (x: Float64Array) => number,
  kind: '2-point' | '3-point',
  eps: number | undefined,
): Objective & { count: number } {
  const relative = kind === '2-point' ? Math.sqrt(Number.EPSILON) : Math.cbrt(Number.EPSILON);
  const objective = (x: Float64Array) => {
    const f = value(x);
    const g = new Float64Array(x.length);
    const at = x.slice();
    for (let i = 0; i < x.length; i++) {
      const xi = x[i]!;
      const h = eps ?? relative * Math.max(1, Math.abs(xi)) * (xi < 0 ? -1 : 1);
      at[i] = xi + h;
      // The step that was really made: xi + h is rounded.
      const up = at[i]! - xi;
      const above = value(at);
      if (kind === '2-point') g[i] = (above - f) / up;
      else {
        at[i] = xi - h;
        const down = xi - at[i]!;
        g[i] = (above - value(at)) / (up + down);
      }
      at[i] = xi;
    }
    objective.count += 1 + (kind === '2-point' ? 1 : 2) * x.length;
    return { f, g };
  };
  objective.count = 0;
  return objective;
}

/** Products of the exact Hessian with vectors: the gradient of the gradient's component along the vector. */
export function curvatureOf<X>(
  fun: (x: X) => unknown,
  parameters: Parameters<X>,
  options: { readonly hess?: ((x: X) => unknown) | undefined; readonly hessp?: ((x: X, p: X) => unknown) | undefined },
  compiling: Compiling,
  who: string,
): Curvature {
  const { hess, hessp } = options;
  const { n } = parameters;
  if (hess) {
    const full = hessianOf(fun, parameters, hess, compiling, who);
    return (x) => {
      const H = frombuffer(full(x)).reshape([n, n]);
      return (p) => H.mv(frombuffer(p)).toTypedArray() as Float64Array;
    };
  }
  const product: Flat = (x, p) => {
    if (hessp)
      return [parameters.flat(hessp(parameters.rebuild(x!), parameters.rebuild(p!)), `${who}: hessp`).detach()];
    const at = leaf(x!);
    const g = gradient(scalarOf(fun(parameters.rebuild(at)), who), at, true);
    return [gradient(g.dot(p!), at)];
  };
  const run = onArrays(product, [n, n], compiling);
  return (x) => {
    const point = x.slice();
    return (p) => run(point, p)[0]!;
  };
}

/** The full Hessian: the user's, or column by column from products. */
export function hessianOf<X>(
  fun: (x: X) => unknown,
  parameters: Parameters<X>,
  hess: ((x: X) => unknown) | undefined,
  compiling: Compiling,
  who: string,
): Hessian {
  const { n } = parameters;
  if (hess) {
    const run = onArrays(
      (x) => {
        const H = hess(parameters.rebuild(x!));
        if (!isTensor(H) || elements(H) !== n * n)
          throw new JorchError('BAD_ARGUMENT', `${who}: hess must return a tensor of shape [${n}, ${n}]`);
        return [H.detach().to('float64').reshape([-1])];
      },
      [n],
      compiling,
    );
    return (x) => run(x)[0]!;
  }
  const curvature = curvatureOf(fun, parameters, {}, compiling, who);
  return (x) => {
    const product = curvature(x);
    const H = new Float64Array(n * n);
    const unit = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      unit[i] = 1;
      H.set(product(unit), i * n);
      unit[i] = 0;
    }
    // Rounding makes the rows of products slightly unsymmetric, and factorisations read one triangle only.
    for (let i = 0; i < n; i++)
      for (let j = 0; j < i; j++) H[i * n + j] = H[j * n + i] = 0.5 * (H[i * n + j]! + H[j * n + i]!);
    return H;
  };
}

/** Residuals of any shape, flat, and their exact Jacobian. */
export function residualsOf<X>(
  fun: (x: X) => unknown,
  parameters: Parameters<X>,
  jac: ((x: X) => unknown) | undefined,
  compiling: Compiling,
  who: string,
): (x: Float64Array) => Linearisation {
  const { n } = parameters;
  const residuals = (x: Tensor): Tensor => {
    const r = fun(parameters.rebuild(x));
    if (!isTensor(r)) throw new JorchError('BAD_ARGUMENT', `${who}: fun must return a tensor of residuals`);
    return r.to('float64').reshape([-1]);
  };
  const values = onArrays((x) => [residuals(x!).detach()], [n], compiling);
  if (jac) {
    const run = onArrays(
      (x) => {
        const J = jac(parameters.rebuild(x!));
        if (!isTensor(J)) throw new JorchError('BAD_ARGUMENT', `${who}: jac must return a tensor`);
        return [J.detach().to('float64').reshape([-1])];
      },
      [n],
      compiling,
    );
    return (x) => {
      const r = values(x)[0]!;
      const jacobian = () => {
        const J = run(x)[0]!;
        if (J.length !== r.length * n)
          throw new JorchError('BAD_ARGUMENT', `${who}: jac must return ${r.length} × ${n} numbers, got ${J.length}`);
        return J;
      };
      return { r, jacobian };
    };
  }
  // J v = d/du (Jᵀu · v): forward mode by two reverse passes, one product per variable rather than one per residual.
  const product: Flat = (x, v) => {
    const at = leaf(x!);
    const r = residuals(at);
    const u = leaf(r.mul(0));
    return [gradient(gradient(r.dot(u), at, true).dot(v!), u)];
  };
  const run = onArrays(product, [n, n], compiling);
  return (x) => {
    const r = values(x)[0]!;
    const jacobian = () => {
      const J = new Float64Array(r.length * n);
      const unit = new Float64Array(n);
      for (let j = 0; j < n; j++) {
        unit[j] = 1;
        const column = run(x, unit)[0]!;
        unit[j] = 0;
        for (let i = 0; i < r.length; i++) J[i * n + j] = column[i]!;
      }
      return J;
    };
    return { r, jacobian };
  };
}
