/** @file Devices as interned objects: `x.device === torch.device('cpu')`. */
import { inspect } from 'node:util';
import { JorchError } from '../runtime/errors.js';

/** A device. Interned: two of the same name are the same object. */
export interface Device {
  /** `xla`: XLA's own client for the CPU, a device apart as a GPU is. */
  readonly type: 'cpu' | 'cuda' | 'meta' | 'xla';
  readonly index: number | null;
  toString(): string;
}

const interned = new Map<string, Device>();

/** The device of this name (`'cpu'`, `'cuda'`, `'cuda:1'`, `'meta'`) or of this type and index. @throws JorchError BAD_ARGUMENT */
export const device = (name: string | Device, index?: number): Device => {
  const text = index === undefined ? String(name) : `${String(name)}:${index}`;
  const known = interned.get(text);
  if (known) return known;
  const match = /^(cpu|cuda|meta|xla)(?::(\d+))?$/.exec(text);
  if (!match)
    throw new JorchError('BAD_ARGUMENT', `unknown device '${text}'; expected 'cpu', 'cuda', 'cuda:0' or 'meta'`);
  const type = match[1] as Device['type'];
  const place = match[2] === undefined ? null : Number(match[2]);
  const made: Device = Object.freeze({
    type,
    index: place,
    toString: () => text,
    // As Python's console shows one.
    [inspect.custom]: () => `device(type='${type}'${place === null ? '' : `, index=${place}`})`,
  });
  interned.set(text, made);
  return made;
};
