/**
 * @file Reads a pickle by an allow-list of opcodes and names: what it does not know it refuses by name, and nothing in the file is run.
 * @see https://docs.python.org/3/library/pickletools.html
 */
import { JorchError } from '../runtime/errors.js';

/** A class or function by name; what calling it gives is decided here, not in the file. */
export interface Known {
  /** `f(*args)` */
  readonly call?: (...args: unknown[]) => unknown;
  /** The name as a value (a dtype, a storage class). */
  readonly value?: unknown;
}

export interface PickleWorld {
  readonly path: string;
  /** By "module name". */
  readonly names: Readonly<Record<string, Known>>;
  /** The object of a persistent id. */
  readonly persistent: (id: unknown) => unknown;
}

class Name {
  constructor(
    readonly text: string,
    readonly known: Known,
  ) {}
}
const MARK = Symbol('mark');

/** A dict: an object when all keys are texts, else a Map; decided at the end, since items come later. */
class Dict {
  readonly items = new Map<unknown, unknown>();
}
class List {
  readonly items: unknown[] = [];
}

/** The value that a pickle describes: dicts as plain objects (Maps where a key is no text), lists and tuples as arrays. */
export const readPickle = (bytes: Buffer, world: PickleWorld): unknown => {
  try {
    return run(bytes, world);
  } catch (error) {
    if (error instanceof RangeError)
      throw new JorchError('BAD_ARGUMENT', `${world.path}: its pickle is nested too deeply`, { cause: error });
    throw error;
  }
};

const run = (bytes: Buffer, world: PickleWorld): unknown => {
  const fail = (message: string): never => {
    throw new JorchError('BAD_ARGUMENT', `${world.path}: ${message}`);
  };
  const stack: unknown[] = [];
  const memo = new Map<number, unknown>();
  let at = 0;
  const take = (n: number): Buffer => {
    if (n < 0 || at + n > bytes.length) fail('its pickle is cut off');
    at += n;
    return bytes.subarray(at - n, at);
  };
  const line = (): string => {
    const end = bytes.indexOf(10, at);
    if (end < 0) fail('its pickle is cut off');
    const text = bytes.toString('utf8', at, end);
    at = end + 1;
    return text;
  };
  const pop = (): unknown =>
    stack.length === 0 || stack.at(-1) === MARK ? fail('its pickle is malformed') : stack.pop();
  const top = (): unknown => (stack.length === 0 ? fail('its pickle is malformed') : stack.at(-1));
  const toMark = (): unknown[] => {
    const from = stack.lastIndexOf(MARK);
    if (from < 0) fail('its pickle is malformed');
    return stack.splice(from).slice(1);
  };
  const long = (buffer: Buffer): number | bigint => {
    if (buffer.length > 64) fail('its pickle has a number of more than 512 bits');
    let value = 0n;
    for (let i = buffer.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(buffer[i]!);
    if (buffer.length > 0 && buffer.at(-1)! & 0x80) value -= 1n << BigInt(8 * buffer.length);
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  };
  const name = (module: string, symbol: string): Name => {
    // Protocol 2 has Python 2's name for it.
    const text = `${module === '__builtin__' ? 'builtins' : module} ${symbol}`;
    const known = Object.hasOwn(world.names, text) ? world.names[text] : undefined;
    if (known === undefined)
      return fail(
        `refers to ${module}.${symbol}, which jorch does not load: only tensors and plain data are read, no code runs`,
      );
    return new Name(text, known);
  };
  const set = (items: unknown[]): undefined => {
    const target = top();
    if (!(target instanceof Dict)) return fail('its pickle sets items of what is no dict');
    if (items.length % 2 !== 0) fail('its pickle is malformed');
    for (let i = 0; i < items.length; i += 2) target.items.set(items[i], items[i + 1]);
  };
  const append = (items: unknown[]): undefined => {
    const target = top();
    if (target instanceof List) for (const item of items) target.items.push(item);
    else if (target instanceof Set) for (const item of items) target.add(item);
    else fail('its pickle appends to what is no list');
  };
  const tuple = (n: number): undefined => {
    const list = new List();
    for (let i = 0; i < n; i++) list.items.unshift(pop());
    stack.push(list);
  };
  const text = (n: number): undefined => {
    stack.push(take(n).toString('utf8'));
  };
  const length64 = (): number => {
    const n = take(8).readBigUInt64LE();
    return n > BigInt(bytes.length) ? fail('its pickle is cut off') : Number(n);
  };
  const reduce = (): undefined => {
    const args = pop();
    const called = pop();
    if (!(called instanceof Name) || called.known.call === undefined || !(args instanceof List))
      return fail(
        `calls ${called instanceof Name ? called.text.replace(' ', '.') : 'an object'}, which is not allowed`,
      );
    stack.push(called.known.call(...args.items.map(finish)));
  };

  const done = new Map<unknown, unknown>();
  const finish = (value: unknown): unknown => {
    if (!(value instanceof Dict || value instanceof List || value instanceof Name || value instanceof Set))
      return value;
    if (value instanceof Name) return value.known.value ?? fail(`has ${value.text.replace(' ', '.')} as a value`);
    if (done.has(value)) return done.get(value);
    if (value instanceof Set) {
      const plain = new Set<unknown>();
      done.set(value, plain);
      for (const item of value) plain.add(finish(item));
      return plain;
    }
    if (value instanceof List) {
      const plain: unknown[] = [];
      done.set(value, plain);
      for (const item of value.items) plain.push(finish(item));
      return plain;
    }
    const keys = [...value.items.keys()];
    if (!keys.every((key) => typeof key === 'string')) {
      const plain = new Map<unknown, unknown>();
      done.set(value, plain);
      for (const [key, item] of value.items) plain.set(finish(key), finish(item));
      return plain;
    }
    const plain: Record<string, unknown> = {};
    done.set(value, plain);
    for (const [key, item] of value.items)
      Object.defineProperty(plain, key as string, {
        value: finish(item),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    return plain;
  };

  for (;;) {
    const [op] = take(1) as unknown as [number];
    switch (String.fromCharCode(op)) {
      case '\x80': // PROTO
        if (take(1)[0]! > 5) fail('has a pickle of an unknown protocol');
        break;
      case '\x95': // FRAME
        take(8);
        break;
      case '(':
        stack.push(MARK);
        break;
      case '}':
        stack.push(new Dict());
        break;
      case ']':
      case ')':
        stack.push(new List());
        break;
      case '\x8f': // EMPTY_SET
        stack.push(new Set());
        break;
      case 'N':
        stack.push(null);
        break;
      case '\x88':
        stack.push(true);
        break;
      case '\x89':
        stack.push(false);
        break;
      case 'K':
        stack.push(take(1)[0]);
        break;
      case 'M':
        stack.push(take(2).readUInt16LE());
        break;
      case 'J':
        stack.push(take(4).readInt32LE());
        break;
      case '\x8a': // LONG1
        stack.push(long(take(take(1)[0]!)));
        break;
      case '\x8b': // LONG4
        stack.push(long(take(take(4).readInt32LE())));
        break;
      case 'G':
        stack.push(take(8).readDoubleBE());
        break;
      case 'X':
        text(take(4).readUInt32LE());
        break;
      case '\x8c':
        text(take(1)[0]!);
        break;
      case '\x8d':
        text(length64());
        break;
      case 'U': // SHORT_BINSTRING
        stack.push(take(take(1)[0]!).toString('latin1'));
        break;
      case 'C':
        stack.push(Uint8Array.from(take(take(1)[0]!)));
        break;
      case 'B':
        stack.push(Uint8Array.from(take(take(4).readUInt32LE())));
        break;
      case '\x8e':
        stack.push(Uint8Array.from(take(length64())));
        break;
      case 'q':
        memo.set(take(1)[0]!, top());
        break;
      case 'r':
        memo.set(take(4).readUInt32LE(), top());
        break;
      case '\x94':
        memo.set(memo.size, top());
        break;
      case 'h':
      case 'j': {
        const key = op === 0x68 ? take(1)[0]! : take(4).readUInt32LE();
        stack.push(memo.has(key) ? memo.get(key) : fail('its pickle is malformed'));
        break;
      }
      case 't': {
        const list = new List();
        list.items.push(...toMark());
        stack.push(list);
        break;
      }
      case '\x85':
        tuple(1);
        break;
      case '\x86':
        tuple(2);
        break;
      case '\x87':
        tuple(3);
        break;
      case 's': {
        const value = pop();
        set([pop(), value]);
        break;
      }
      case 'u': {
        const items = toMark();
        set(items);
        break;
      }
      case 'a':
        append([pop()]);
        break;
      case 'e':
      case '\x90':
        append(toMark());
        break;
      case 'c': {
        const module = line();
        stack.push(name(module, line()));
        break;
      }
      case '\x93': {
        const symbol = pop();
        stack.push(name(String(pop()), String(symbol)));
        break;
      }
      case 'R':
        reduce();
        break;
      case '\x81': // NEWOBJ: cls.__new__(cls, *args)
        reduce();
        break;
      case 'b': {
        pop();
        const target = top();
        // Attributes of an OrderedDict (a state dict's _metadata) are dropped.
        if (!(target instanceof Dict)) fail('sets attributes of an object, which is not allowed');
        break;
      }
      case 'Q':
        stack.push(world.persistent(finish(pop())));
        break;
      case '.':
        return finish(pop());
      default:
        fail(`its pickle has opcode 0x${op.toString(16)}, which jorch does not run`);
    }
  }
};

/** What `collections.OrderedDict()` gives while a pickle is read. */
export const emptyDict = (): unknown => new Dict();
export const dictOf = (pairs: readonly (readonly [unknown, unknown])[]): unknown => {
  const dict = new Dict();
  for (const [key, value] of pairs) dict.items.set(key, value);
  return dict;
};
