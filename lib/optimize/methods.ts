/** @file The methods of `minimize`: their options, what `tol` means to each, and how each is started. */
import { type BfgsOptions, bfgs } from './bfgs.js';
import type { Box } from './box.js';
import { type CgOptions, cg } from './cg.js';
import { type LbfgsbOptions, lbfgsb } from './lbfgsb.js';
import { type NelderMeadOptions, nelderMead } from './nelder-mead.js';
import { type Curvature, type NewtonCgOptions, newtonCg } from './newton-cg.js';
import { type TrustOptions, trustExact } from './trust-exact.js';
import type { Core, Hessian, Objective } from './types.js';

/** What every method takes besides its own options. */
export interface CommonOptions {
  /** Print a line while running, when standard error is a terminal, and a summary at the end. */
  readonly disp?: boolean;
  /** The step of finite differences, with `jac: '2-point'` or `'3-point'`. */
  readonly eps?: number;
}

/** SciPy's option names, by method. */
export interface OptionsByMethod {
  BFGS: BfgsOptions & CommonOptions;
  'L-BFGS-B': LbfgsbOptions & CommonOptions;
  CG: CgOptions & CommonOptions;
  'Newton-CG': NewtonCgOptions & CommonOptions;
  'trust-exact': TrustOptions & CommonOptions;
  'Nelder-Mead': NelderMeadOptions & CommonOptions;
}

export type Method = keyof OptionsByMethod;

/** What a method may ask for; made only when it does. */
export interface Problem {
  objective(): Objective;
  value(): (x: Float64Array) => number;
  curvature(): Curvature;
  hessian(): Hessian;
  readonly box: Box | undefined;
}

export interface MethodEntry<M extends Method> {
  /** Every option with its kind, for the check of what the user wrote. */
  readonly options: { readonly [K in keyof Required<OptionsByMethod[M]>]: 'number' | 'boolean' | 'vector' };
  /** The options that `tol` sets. */
  readonly tol: readonly (keyof OptionsByMethod[M])[];
  readonly bounds: boolean;
  /** Which derivatives it uses. */
  readonly derivatives: 0 | 1 | 2;
  start(problem: Problem, x0: Float64Array, options: OptionsByMethod[M]): Core;
}

const common = { disp: 'boolean', eps: 'number' } as const;
const wolfe = { c1: 'number', c2: 'number' } as const;

export const methods: { readonly [M in Method]: MethodEntry<M> } = {
  BFGS: {
    options: {
      gtol: 'number',
      norm: 'number',
      maxiter: 'number',
      xrtol: 'number',
      ...wolfe,
      hess_inv0: 'vector',
      ...common,
    },
    tol: ['gtol'],
    bounds: false,
    derivatives: 1,
    start: (p, x0, options) => bfgs(p.objective(), x0, options),
  },
  'L-BFGS-B': {
    options: {
      maxcor: 'number',
      ftol: 'number',
      gtol: 'number',
      maxfun: 'number',
      maxiter: 'number',
      maxls: 'number',
      ...common,
    },
    tol: ['ftol', 'gtol'],
    bounds: true,
    derivatives: 1,
    start: (p, x0, options) => lbfgsb(p.objective(), x0, options, p.box),
  },
  CG: {
    options: { gtol: 'number', norm: 'number', maxiter: 'number', ...wolfe, ...common },
    tol: ['gtol'],
    bounds: false,
    derivatives: 1,
    start: (p, x0, options) => cg(p.objective(), x0, options),
  },
  'Newton-CG': {
    options: { xtol: 'number', maxiter: 'number', ...wolfe, ...common },
    tol: ['xtol'],
    bounds: false,
    derivatives: 2,
    start: (p, x0, options) => newtonCg(p.objective(), p.curvature(), x0, options),
  },
  'trust-exact': {
    options: {
      initial_trust_radius: 'number',
      max_trust_radius: 'number',
      eta: 'number',
      gtol: 'number',
      maxiter: 'number',
      ...common,
    },
    tol: ['gtol'],
    bounds: false,
    derivatives: 2,
    start: (p, x0, options) => trustExact(p.objective(), p.hessian(), x0, options),
  },
  'Nelder-Mead': {
    options: {
      xatol: 'number',
      fatol: 'number',
      maxiter: 'number',
      maxfev: 'number',
      adaptive: 'boolean',
      ...common,
    },
    tol: ['xatol', 'fatol'],
    bounds: true,
    derivatives: 0,
    start: (p, x0, options) => nelderMead(p.value(), x0, options, p.box),
  },
};
