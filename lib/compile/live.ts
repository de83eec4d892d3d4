/** @file What a compiled function reads from JavaScript objects while it is traced: `training` of modules, numbers of optimizers. */
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { staticKey } from '../tree.js';

interface Cell {
  readonly object: object;
  readonly key: string;
  value: unknown;
}
interface NumberCell extends Cell {
  value: number;
  /** Holds the number for the programs that read it. */
  readonly tensor: Tensor;
}
/** A value that a program depends on, with words for it. */
export interface LiveValue {
  readonly label: string;
  readonly value: unknown;
}

/** The values outside the arguments that one function's programs depend on. */
export class Live {
  private readonly guards: Cell[] = [];
  private readonly numbers: NumberCell[] = [];
  /** Changes whenever a guarded value does. */
  version = 0;
  /** Equal exactly when all guarded values are. */
  key = '';

  /** Runs `fn`, noting what it reads. */
  record<T>(fn: () => T): T {
    const outer = recording;
    recording = this;
    try {
      return fn();
    } finally {
      recording = outer;
    }
  }
  guard(object: object, key: string, value: unknown): void {
    if (this.guards.some((cell) => cell.object === object && cell.key === key)) return;
    this.guards.push({ object, key, value });
    this.changed();
  }
  number(object: object, key: string, value: number): Tensor {
    let cell = this.numbers.find((c) => c.object === object && c.key === key);
    if (cell === undefined) {
      cell = { object, key, value, tensor: native().setNumber(null, value) };
      this.numbers.push(cell);
    }
    return native().asNumber(cell.tensor);
  }
  /** Reads everything again, before a call. */
  refresh(): void {
    for (const cell of this.numbers) {
      const now = (cell.object as Record<string, number>)[cell.key]!;
      if (Object.is(now, cell.value)) continue;
      cell.value = now;
      native().setNumber(cell.tensor, now);
    }
    let same = true;
    for (const cell of this.guards) {
      const now = (cell.object as Record<string, unknown>)[cell.key];
      if (Object.is(now, cell.value)) continue;
      cell.value = now;
      same = false;
    }
    if (!same) this.changed();
  }
  values(): LiveValue[] {
    return this.guards.map(({ object, key, value }) => ({ label: `${object.constructor.name}.${key}`, value }));
  }
  private changed(): void {
    this.version++;
    this.key = this.guards.map(({ value }) => staticKey(value)).join();
  }
}

let recording: Live | undefined;

/**
 * Tells the trace that is open that `object[key]` was read and was `value`: another value means another program.
 * Returns `value`. Outside a trace it does nothing.
 */
export const readLive = <T>(object: object, key: string, value: T): T => {
  recording?.guard(object, key, value);
  return value;
};

/**
 * A number that changes often (a learning rate): outside a trace `value` itself; in a trace a 0-d tensor that promotes like a number and
 * that every call of the program reads afresh from `object[key]`.
 */
export const readNumber = (object: object, key: string, value: number): number | Tensor =>
  recording?.number(object, key, value) ?? value;
