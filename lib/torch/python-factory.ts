/** @file Operators that make tensors take two things from Python that ATen lacks: the keyword `requires_grad`, and a device object. */
import { isKeywords } from './python-call.js';
import type { Tensor } from './python-types.js';
import { method, op } from './runtime-ops.js';

/** Runs `call` without `requires_grad` and with the device by name, then marks the result. */
function make(call: (...args: unknown[]) => unknown, args: unknown[]): unknown {
  const last = args.at(-1);
  if (!isKeywords(last) || !('requires_grad' in last || typeof last.device === 'object')) return call(...args);
  const { requires_grad, ...keywords } = last;
  const named =
    typeof keywords.device === 'object' && keywords.device !== null
      ? { ...keywords, device: String(keywords.device) }
      : keywords;
  const result = call(...args.slice(0, -1), named) as Tensor;
  return requires_grad ? result.requires_grad_() : result;
}

/** A function over a packet whose operators make tensors. */
export const factory = (packet: string): ((...args: unknown[]) => unknown) => {
  const call = op(packet);
  return (...args) => make(call, args);
};

/** The same as a method: `x.new_zeros(…)`. */
export const factoryMethod = (packet: string): ((this: Tensor, ...args: unknown[]) => unknown) => {
  const call = method(packet);
  return function (...args) {
    return make((...rest) => call.apply(this, rest), args);
  };
};
