/** @file Operators that make tensors take two things from Python that ATen lacks: the keyword `requires_grad`, and devices of any kind. */
import { deviceNumber, moveTo } from '../cuda/devices.js';
import { native } from '../runtime/load.js';
import { device } from './device.js';
import { isKeywords } from './python-call.js';
import type { Tensor } from './python-types.js';
import { method, op } from './runtime-ops.js';

/**
 * Runs `call` without `requires_grad` and without a device that libtorch cannot make tensors on, then moves and marks the result.
 * Inside a trace tensors are where the program is.
 */
function make(call: (...args: unknown[]) => unknown, args: unknown[]): unknown {
  const last = args.at(-1);
  if (!isKeywords(last) || !('requires_grad' in last || last.device != null)) return call(...args);
  const { requires_grad, device: wanted, ...keywords } = last;
  const place = wanted == null ? undefined : device(String(wanted));
  const meta = place?.type === 'meta' ? { device: 'meta' } : {};
  const made = call(...args.slice(0, -1), { ...keywords, ...meta }) as Tensor;
  const moves = place !== undefined && place.type !== 'meta' && !native().isTracing();
  const result = moves ? moveTo(made, deviceNumber(place)) : made;
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
