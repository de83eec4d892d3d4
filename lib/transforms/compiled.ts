/** @file A transform of a compiled function is the compiled transform. */
import { bodyOf, compile } from '../compile/compile.js';
import type { AnyFunction } from './arguments.js';

/** `make(f)`; for a compiled `f`, the compiled `make` of its body. Inside other transforms or a trace both are the same. */
export const throughCompile = (f: AnyFunction, make: (f: AnyFunction) => AnyFunction): AnyFunction => {
  const known = bodyOf(f);
  if (known === undefined) return make(f);
  // Arguments and results are others now.
  const { in_shardings: _, out_shardings: __, ...options } = known.options;
  return compile(make(known.body as AnyFunction), options) as AnyFunction;
};
