/** @file Writes plain data as a pickle of protocol 2, as torch.save does; what is no plain data is handed to the caller. */
import { JorchError } from '../runtime/errors.js';

/** A global name: "collections OrderedDict". */
export class Global {
  constructor(readonly name: string) {}
}
/** `called(*args)` */
export class Call {
  constructor(
    readonly called: Global,
    readonly args: readonly unknown[],
  ) {}
}
/** Something that the archive holds beside the pickle. */
export class Persistent {
  constructor(readonly id: readonly unknown[]) {}
}
export class Tuple {
  constructor(readonly items: readonly unknown[]) {}
}

/** @param special what stands for an object that is no plain data (a tensor), or undefined. */
export const writePickle = (value: unknown, special: (value: object) => unknown): Buffer => {
  const out: Buffer[] = [Buffer.from([0x80, 2])];
  const open = new Set<object>();
  const op = (code: number | string, ...more: Buffer[]): undefined => {
    out.push(typeof code === 'number' ? Buffer.from([code]) : Buffer.from(code, 'latin1'), ...more);
  };
  const u32 = (n: number): Buffer => {
    const b = Buffer.alloc(4);
    b.writeUInt32LE(n);
    return b;
  };
  const text = (s: string): undefined => {
    const bytes = Buffer.from(s, 'utf8');
    op('X', u32(bytes.length), bytes);
  };
  const integer = (n: number | bigint): undefined => {
    if (n >= -0x80000000 && n <= 0x7fffffff) {
      const b = Buffer.alloc(4);
      b.writeInt32LE(Number(n));
      op('J', b);
      return;
    }
    let left = BigInt(n);
    const bytes: number[] = [];
    // Two's complement, as short as its sign allows.
    while (!((left === 0n || left === -1n) && bytes.length > 0 && bytes.at(-1)! >= 0x80 === (left === -1n))) {
      bytes.push(Number(left & 0xffn));
      left >>= 8n;
    }
    op(0x8a, Buffer.from([bytes.length]), Buffer.from(bytes));
  };
  const number = (n: number): undefined => {
    if (Number.isSafeInteger(n) && !Object.is(n, -0)) return integer(n);
    const b = Buffer.alloc(8);
    b.writeDoubleBE(n);
    op('G', b);
  };
  const tuple = (items: readonly unknown[], path: string): undefined => {
    op('(');
    items.forEach((item, i) => void write(item, `${path}[${i}]`));
    op('t');
  };
  const object = (v: object, path: string): undefined => {
    if (v instanceof Global) return op('c', Buffer.from(`${v.name.replace(' ', '\n')}\n`));
    if (v instanceof Call) {
      write(v.called, path);
      tuple(v.args, path);
      return op('R');
    }
    if (v instanceof Persistent) {
      tuple(v.id, path);
      return op('Q');
    }
    if (v instanceof Tuple) return tuple(v.items, path);
    const stand = special(v);
    if (stand !== undefined) return write(stand, path);
    if (open.has(v)) throw new JorchError('BAD_ARGUMENT', `save: ${path} contains itself`);
    open.add(v);
    if (v instanceof Uint8Array)
      write(new Call(new Global('_codecs encode'), [Buffer.from(v).toString('latin1'), 'latin1']), path);
    else if (Array.isArray(v)) {
      op(']');
      op('(');
      v.forEach((item, i) => void write(item, `${path}[${i}]`));
      op('e');
    } else {
      const prototype = Object.getPrototypeOf(v) as unknown;
      if (!(v instanceof Map) && prototype !== Object.prototype && prototype !== null)
        throw new JorchError(
          'BAD_ARGUMENT',
          `save: ${path} is an object of class ${v.constructor.name}; a checkpoint holds tensors, numbers, texts, arrays, plain objects and Maps`,
        );
      op('}');
      op('(');
      for (const [key, item] of v instanceof Map ? v : Object.entries(v)) {
        write(key, `${path} key`);
        write(item, `${path}.${String(key)}`);
      }
      op('u');
    }
    open.delete(v);
  };
  const write = (v: unknown, path: string): undefined => {
    if (v === null || v === undefined) return op('N');
    if (typeof v === 'boolean') return op(v ? 0x88 : 0x89);
    if (typeof v === 'string') return text(v);
    if (typeof v === 'number') return number(v);
    if (typeof v === 'bigint') return integer(v);
    if (typeof v === 'object') return object(v, path);
    throw new JorchError('BAD_ARGUMENT', `save: ${path} is a ${typeof v}, which no checkpoint holds`);
  };
  write(value, 'the value');
  op('.');
  return Buffer.concat(out);
};
