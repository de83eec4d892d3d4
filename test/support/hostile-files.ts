/**
 * @file Files of every format as jorch writes them, and damaged ones: bits, bytes, lengths, cuts, and what stands in their headers (JSON, pickle opcodes,
 * numpy's text) changed at random. Loading one has to give tensors that its bytes account for, or an error in words.
 */
import { spawnSync } from 'node:child_process';
import fs, { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { zip } from './zip.js';

export const KINDS = ['safetensors', 'pt', 'npy', 'npz'] as const;
export type Kind = (typeof KINDS)[number];

/** Numbers in [0, 1) that belong to a seed. */
export const randomOf = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
};
type Random = () => number;
const below = (next: Random, n: number): number => Math.floor(next() * n);
const oneOf = <T>(next: Random, list: readonly T[]): T => list[below(next, list.length)]!;

const tensors = (): Record<string, Tensor> => ({
  a: torch.arange(6).reshape([2, 3]).t(),
  b: torch.ones([4], { dtype: 'float64' }),
  'c.weight': torch.zeros([0, 2]),
  d: torch.tensor([true, false]),
});

/** Whole files, several of a kind. */
export const wholeFiles = (kind: Kind, folder: string): Buffer[] => {
  const at = join(folder, `whole.${kind}`);
  const written = (value: unknown): Buffer => {
    torch.save(value, at);
    return readFileSync(at);
  };
  if (kind === 'npy') return [written(torch.arange(5)), written(torch.ones([2, 2]))];
  if (kind === 'npz') return [written(tensors())];
  if (kind === 'pt') return [written(tensors()), written({ list: [1, 'x', null, [torch.ones([3])]], step: 2n ** 40n })];
  torch.save_file(tensors(), at, { epoch: '3' });
  return [readFileSync(at), written({ w: torch.zeros([100]) })];
};

const ODD = ['-1', '9007199254740993', '1e308', '0.5', '"x"', 'null', '[]', '{}', '4294967296', 'true', '-0', '1e-7'];

/** A byte, a bit, a run of bytes, a cut, an insertion: what happens to any file. */
const bytesChanged = (whole: Buffer, next: Random): Buffer => {
  const bytes = Buffer.from(whole);
  const at = below(next, bytes.length);
  switch (below(next, 7)) {
    case 0:
      bytes[at]! ^= 1 << below(next, 8);
      return bytes;
    case 1:
      bytes[at] = below(next, 256);
      return bytes;
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return Buffer.concat([bytes, Buffer.alloc(1 + below(next, 64), below(next, 256))]);
    case 4:
      bytes.fill(below(next, 2) * 255, at, Math.min(bytes.length, at + 1 + below(next, 16)));
      return bytes;
    case 5: {
      const from = below(next, bytes.length);
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(from, from + below(next, 40)), bytes.subarray(at)]);
    }
    default: {
      // Numbers that formats are made of stand in eight, four or two bytes.
      const width = oneOf(next, [8, 4, 2]);
      if (bytes.length < width) return bytes;
      const value = oneOf(next, [0n, 1n, 0x7fffffffffffffffn, 0xffffffffffffffffn, 0x100000000n, BigInt(bytes.length)]);
      const place = at % (bytes.length - width + 1);
      for (let i = 0; i < width; i++) bytes[place + i] = Number((value >> BigInt(8 * i)) & 255n);
      return bytes;
    }
  }
};

/** Of a text: a number becomes an odd one, a piece is doubled, moved or left out. */
const textChanged = (text: string, next: Random): string => {
  const numbers = [...text.matchAll(/-?\d+/g)];
  const at = below(next, text.length);
  switch (below(next, 5)) {
    case 0:
    case 1: {
      if (numbers.length === 0) return text;
      const found = oneOf(next, numbers);
      const other = below(next, 2) ? oneOf(next, ODD) : String(Number(found[0]) + below(next, 9) - 4);
      return text.slice(0, found.index) + other + text.slice(found.index + found[0].length);
    }
    case 2:
      return text.slice(0, at) + text.slice(at + 1 + below(next, 8));
    case 3: {
      const piece = text.slice(at, at + 1 + below(next, 30));
      return text.slice(0, at) + piece + text.slice(at);
    }
    default: {
      const words = [...text.matchAll(/"[^"]*"|'[^']*'/g)];
      if (words.length === 0) return text;
      const [from, to] = [oneOf(next, words), oneOf(next, words)];
      return text.slice(0, to.index) + from[0] + text.slice(to.index + to[0].length);
    }
  }
};

const u64 = (n: number): Buffer => {
  const b = Buffer.alloc(8);
  b.writeBigUInt64LE(BigInt(n));
  return b;
};

/** Headers of the format changed so that everything around them still fits. */
const headerChanged: Readonly<Record<Kind, (whole: Buffer, next: Random) => Buffer>> = {
  safetensors: (whole, next) => {
    const length = Number(whole.readBigUInt64LE(0));
    const text = Buffer.from(textChanged(whole.subarray(8, 8 + length).toString('latin1'), next), 'latin1');
    return Buffer.concat([u64(text.length), text, whole.subarray(8 + length)]);
  },
  npy: (whole, next) => {
    const length = whole.readUInt16LE(8);
    const text = Buffer.from(textChanged(whole.subarray(10, 10 + length).toString('latin1'), next), 'latin1');
    const size = Buffer.alloc(2);
    size.writeUInt16LE(text.length);
    return Buffer.concat([whole.subarray(0, 8), size, text, whole.subarray(10 + length)]);
  },
  npz: (_, next) => {
    const npy = Buffer.from('\x93NUMPY\x01\0\x46\0', 'latin1');
    const text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".padEnd(69).concat('\n');
    const inside = headerChanged.npy(Buffer.concat([npy, Buffer.from(text), Buffer.alloc(24)]), next);
    return zip({ 'a.npy': inside, 'b.npy': bytesChanged(inside, next) });
  },
  pt: (_, next) => {
    let pickle = pickleOf(next);
    for (let i = below(next, 3); i >= 0; i--) pickle = bytesChanged(pickle, next);
    return zip({ 'archive/data.pkl': pickle, 'archive/data/0': Buffer.alloc(16, below(next, 256)) });
  },
};

/** A checkpoint of one tensor of four numbers, with odd sizes and opcodes between. */
const pickleOf = (next: Random): Buffer => {
  const word = (text: string): string => `X${String.fromCharCode(text.length)}\0\0\0${text}`;
  const small = (): string => `K${String.fromCharCode(oneOf(next, [0, 1, 2, 4, 5, 255]))}`;
  const storage = `(${word('storage')}ctorch\nFloatStorage\n${word('0')}${word('cpu')}K\x04tQ`;
  const tensor = `ctorch._utils\n_rebuild_tensor_v2\n(${storage}${small()}(${small()}t(${small()}t\x89ccollections\nOrderedDict\n)RtR`;
  const more = oneOf(next, [
    '',
    ']',
    'N0',
    ')',
    '(lK\x01a',
    '2',
    'h\x00',
    'q\x01',
    'cos\nsystem\n',
    '\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x7f',
  ]);
  return Buffer.from(`\x80\x02}${more}${word('a')}${tensor}s.`, 'latin1');
};

export const mutantOf = (kind: Kind, whole: readonly Buffer[], next: Random): Buffer => {
  const base = oneOf(next, whole);
  let bytes = below(next, 2) ? headerChanged[kind](base, next) : base;
  if (bytes === base || below(next, 4) === 0) bytes = bytesChanged(bytes, next);
  return bytes;
};

const leaves = (value: unknown, into: Tensor[] = []): Tensor[] => {
  if (torch.is_tensor(value)) into.push(value as Tensor);
  else if (Array.isArray(value)) for (const item of value) leaves(item, into);
  else if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) leaves(item, into);
  return into;
};

/** Bytes that are read of files while a body runs. */
const bytesRead = <T>(body: () => T): { value: T; bytes: number } => {
  const original = fs.readSync;
  let bytes = 0;
  fs.readSync = ((...args: Parameters<typeof fs.readSync>) => {
    const n = original(...args);
    bytes += n;
    return n;
  }) as typeof fs.readSync;
  try {
    return { value: body(), bytes };
  } finally {
    fs.readSync = original;
  }
};

export interface Told {
  readonly refused: number;
  readonly loaded: number;
  readonly wrong: readonly string[];
  /** By how many MiB the process grew at most. */
  readonly grownMiB: number;
}

/** Loads `count` mutants of a kind. */
export const loadMutants = (kind: Kind, folder: string, seed: number, count: number): Told => {
  const whole = wholeFiles(kind, folder);
  const next = randomOf(seed);
  const path = join(folder, `mutant.${kind}`);
  const wrong: string[] = [];
  let [refused, loaded] = [0, 0];
  const before = process.memoryUsage.rss();
  let most = before;
  for (let i = 0; i < count; i++) {
    const bytes = mutantOf(kind, whole, next);
    writeFileSync(path, bytes);
    const say = (words: string): void =>
      void wrong.push(`seed ${seed}, ${kind} ${i}: ${words} ${bytes.toString('base64')}`);
    const { value, bytes: read } = bytesRead(() =>
      torch.scope(() => {
        try {
          const value = kind === 'safetensors' ? torch.load_file(path) : torch.load(path);
          const given = leaves(value).reduce((sum, t) => sum + (t.is_contiguous() ? t.nbytes : 0), 0);
          // Compressed entries and shared storages may stand for more than the file has; never for much more.
          if (given > (kind === 'safetensors' || kind === 'npy' ? bytes.length : 1 << 20))
            say(`${given} bytes of tensors from a file of ${bytes.length}`);
          return 'loaded';
        } catch (error) {
          if (!torch.isJorchError(error) || !/^(BAD_ARGUMENT|TOO_LARGE)$/.test(error.code) || error.message === '')
            say(String((error as Error)?.stack ?? error));
          return 'refused';
        }
      }),
    );
    // What is refused is refused by its header.
    const announced = bytes.length < 8 ? 0 : Number(bytes.readBigUInt64LE(0));
    const allowed = value === 'refused' ? Math.min(bytes.length, 8 + announced) : bytes.length;
    if (kind === 'safetensors' && read > allowed) say(`${value}, ${read} bytes read of ${bytes.length}`);
    if (value === 'loaded') loaded++;
    else refused++;
    if (i % 500 === 0) most = Math.max(most, process.memoryUsage.rss());
  }
  return { refused, loaded, wrong, grownMiB: (most - before) / 2 ** 20 };
};

/** The same in a process of its own. @throws Error when that ends otherwise than by coming to its end */
export const mutantsInProcess = (kind: Kind, seed: number, count: number): Told => {
  const fixture = join(__dirname, '..', 'stress', 'fixtures', 'hostile-files.js');
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [fixture, kind, String(seed), String(count)], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`${kind}, seed ${seed}: ${signal ?? status} ${stderr.slice(-2000)}`);
  return JSON.parse(stdout) as Told;
};
