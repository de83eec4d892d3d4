/** @file Files: what Python wrote is read, what jorch writes Python reads, hostile files are refused in words. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';
import { writtenValue } from './written.js';

const stored = (name: string): string => join(__dirname, '../../../test/data/files', name);
const { nn, optim } = torch;

let folder: string;
const at = (name: string): string => join(folder, name);
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'jorch-files-'));
});
after(() => rmSync(folder, { recursive: true }));

const write = (name: string, ...chunks: (Uint8Array | string)[]): string => {
  writeFileSync(at(name), Buffer.concat(chunks.map((c) => Buffer.from(c as string))));
  return at(name);
};
const u64 = (n: bigint): Buffer => {
  const b = Buffer.alloc(8);
  b.writeBigUInt64LE(n);
  return b;
};

describe('load: what Python wrote', () => {
  it('a checkpoint with every dtype, views, parameters and plain data', () => {
    const all = torch.load(stored('kinds.pt')) as Record<string, Tensor> & {
      kinds: Record<string, Tensor>;
      tied: Tensor[];
      plain: Record<string, unknown>;
      by_number: Map<number, string>;
      ordered: Record<string, number>;
    };
    for (const [dtype, t] of Object.entries(all.kinds)) {
      assert.equal(t.dtype, dtype);
      const expected = torch
        .tensor([
          [0, 1, 2],
          [3, 4, 5],
        ])
        .to(dtype as torch.DType);
      close(t, dtype === 'complex64' ? expected.mul(torch.complex(torch.tensor(1), torch.tensor(2))) : expected);
    }
    const base = torch.arange(12, { dtype: 'float32' }).reshape([3, 4]);
    close(all['transposed']!, base.t());
    assert.deepEqual([...all['transposed']!.strides], [1, 4], 'strides are kept');
    close(all['strided']!, base.at('1:', '::2'));
    assert.deepEqual(all['expanded']!.tolist(), [
      [7, 7, 7],
      [7, 7, 7],
    ]);
    close(all['conj']!, all.kinds['complex64']!.conj());
    assert.equal(all['scalar']!.item(), 3.5);
    assert.deepEqual([...all['empty']!.shape], [0, 2]);
    assert.equal(all['parameter']!.requires_grad, true);
    all.tied[0]!.fill_(9);
    assert.deepEqual(
      [all.tied[1]!.tolist(), all['view']!.tolist()],
      [
        [9, 9, 9, 9],
        [9, 9],
      ],
      'shared memory stays shared',
    );
    assert.deepEqual(all.plain, {
      int: 5,
      negative: -7,
      big: 2 ** 40,
      huge: 2n ** 70n,
      float: 0.1,
      text: 'grüße',
      none: null,
      flag: true,
      tuple: [1, 'a'],
      bytes: new Uint8Array([0, 255]),
      set: new Set([1, 2]),
      complex: { re: 1, im: 2 },
      size: [2, 3],
      dtype: 'bfloat16',
      device: 'cpu',
    });
    assert.deepEqual(
      [...all.by_number],
      [
        [0, 'zero'],
        [1, 'one'],
      ],
    );
    assert.deepEqual(Object.keys(all.ordered), ['b', 'a']);
  });

  it('training goes on from Python’s checkpoint with Python’s losses, eagerly and compiled', () => {
    const { losses } = JSON.parse(readFileSync(stored('training.json'), 'utf8')) as { losses: number[] };
    for (const compiled of [false, true]) {
      const saved = torch.load(stored('training.pt')) as {
        model: Record<string, Tensor>;
        optimizer: never;
        step: number;
      };
      const net = new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4), new nn.Tanh(), new nn.Linear(4, 2));
      const optimizer = new optim.AdamW(net.parameters());
      net.load_state_dict(saved.model);
      optimizer.load_state_dict(saved.optimizer);
      assert.equal(optimizer.param_groups[0]!.lr, 0.05);
      const x = torch.arange(15).mul(1.7).sin().reshape([5, 3]);
      const y = torch.arange(10).mul(1.3).cos().reshape([5, 2]);
      const eager = (): Tensor => {
        optimizer.zero_grad();
        const loss = net.forward(x).sub(y).pow(2).sum();
        loss.backward();
        optimizer.step();
        return loss.detach();
      };
      const step = compiled ? torch.compile(eager) : eager;
      for (const expected of losses) {
        const loss = step().item();
        assert.ok(Math.abs(loss - expected) < 2e-5 * Math.abs(expected) + 1e-6, `${loss}, PyTorch has ${expected}`);
      }
    }
  });

  it('.npy in Fortran order and big-endian, 0-d; .npz compressed; safetensors', () => {
    assert.deepEqual(torch.load(stored('fortran.npy')).tolist(), [
      [0, 1, 2],
      [3, 4, 5],
    ]);
    assert.equal(torch.load(stored('scalar.npy')).item(), true);
    const several = torch.load(stored('several.npz')) as Record<string, Tensor>;
    assert.deepEqual(
      Object.entries(several).map(([name, t]) => [name, t.dtype]),
      [
        ['a', 'int16'],
        ['b', 'complex128'],
        ['c', 'float16'],
      ],
    );
    assert.equal(several['a']!.sum().item(), 499500);
    const kinds = torch.load(stored('kinds.safetensors')) as Record<string, Tensor>;
    for (const [dtype, t] of Object.entries(kinds))
      close(
        t,
        torch
          .tensor([
            [0, 1, 2],
            [3, 4, 5],
          ])
          .to(dtype as torch.DType),
      );
    const file = torch.safe_open(stored('kinds.safetensors'));
    assert.deepEqual(file.metadata(), { format: 'pt' });
    assert.deepEqual(file.describe('int64'), { shape: [2, 3], dtype: 'int64' });
    assert.equal(file.get_tensor('int64').sum().item(), 15);
    fails('BAD_ARGUMENT', /no tensor 'nope'/, () => file.get_tensor('nope'));
    file.close();
    fails('BAD_ARGUMENT', /closed/, () => file.get_tensor('int64'));
  });
});

describe('save', () => {
  it('writes byte for byte the checkpoint that Python read (test/data/files/written.json)', () => {
    const { sha256, python } = JSON.parse(readFileSync(stored('written.json'), 'utf8')) as {
      sha256: string;
      python: { tied: boolean; value: Record<string, unknown> };
    };
    torch.save(writtenValue(), at('written.pt'));
    assert.equal(
      createHash('sha256')
        .update(readFileSync(at('written.pt')))
        .digest('hex'),
      sha256,
    );
    assert.equal(python.tied, true);
    const kinds = python.value['str:kinds'] as Record<string, { tensor: string; data: number[] }>;
    for (const [name, { tensor, data }] of Object.entries(kinds)) {
      assert.equal(`str:${tensor}`, name);
      if (tensor === 'bool') assert.deepEqual(data, [0, 1, 1, 1, 1, 1]);
      else if (tensor.startsWith('complex')) assert.deepEqual(data, [0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
      else assert.deepEqual(data, [0, 1, 2, 3, 4, 5]);
    }
    assert.deepEqual((python.value['str:transposed'] as { data: number[] }).data, [0, 3, 1, 4, 2, 5]);
    assert.equal((python.value['str:parameter'] as { parameter: boolean }).parameter, true);
    assert.deepEqual(python.value['str:by_number'], { 'int:0': 'zero' });
  });

  it('every format reads what it wrote, and leaves no other file', () => {
    const tensors = {
      a: torch.randn(3, 4).t(),
      b: torch.arange(5),
      c: torch.tensor([true, false]),
      d: torch.randn(2).to('bfloat16'),
      e: torch.zeros(0, 3),
      f: torch.complex(torch.ones(2), torch.zeros(2)),
    };
    const { d: _, ...numpy } = tensors;
    for (const [name, given] of [
      ['x.safetensors', tensors],
      ['x.pt', tensors],
      ['x.npz', numpy],
    ] as const) {
      torch.save(given, at(name));
      const back = torch.load(at(name)) as Record<string, Tensor>;
      assert.deepEqual(Object.keys(back).sort(), Object.keys(given).sort());
      for (const [key, t] of Object.entries(given)) close(back[key]!, t);
    }
    torch.save(tensors.a, at('x.npy'));
    close(torch.load(at('x.npy')), tensors.a);
    torch.save_file({ w: torch.ones(2) }, at('meta.safetensors'), { epoch: '3' });
    assert.deepEqual(torch.safe_open(at('meta.safetensors')).metadata(), { epoch: '3' });
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith('.tmp')),
      [],
    );
  });

  it('what a format does not hold is refused, and the old file stays', () => {
    torch.save({ a: torch.ones(1) }, at('old.pt'));
    fails('BAD_ARGUMENT', /the value\.f is a function/, () => torch.save({ f: () => 1 }, at('old.pt')));
    fails('BAD_ARGUMENT', /class Date/, () => torch.save({ d: new Date() }, at('old.pt')));
    const ring: Record<string, unknown> = {};
    ring['me'] = ring;
    fails('BAD_ARGUMENT', /contains itself/, () => torch.save(ring, at('old.pt')));
    fails('BAD_ARGUMENT', /numpy has no bfloat16/, () =>
      torch.save(torch.ones([1], { dtype: 'bfloat16' }), at('x.npy')),
    );
    fails('BAD_ARGUMENT', /'a' is no tensor/, () => torch.save({ a: 1 }, at('x.safetensors')));
    fails('BAD_ARGUMENT', /must end in/, () => torch.save({}, at('x.bin')));
    fails('BAD_ARGUMENT', /cannot be written/, () => torch.save({}, join(folder, 'nowhere', 'x.pt')));
    assert.equal((torch.load(at('old.pt')) as { a: Tensor }).a.item(), 1);
  });
});

describe('load: hostile files', () => {
  const header = (json: unknown, data = 0): Buffer[] => {
    const text = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
    return [u64(BigInt(text.length)), text, Buffer.alloc(data)];
  };
  const refused = (words: RegExp, name: string, ...chunks: (Uint8Array | string)[]): void => {
    write(name, ...chunks);
    fails('BAD_ARGUMENT', words, () => torch.load_file(at(name)));
  };
  const f32 = (shape: unknown, from: number, to: number) => ({ dtype: 'F32', shape, data_offsets: [from, to] });

  it('safetensors: huge and false headers, overlaps, holes, sizes that overflow', () => {
    refused(/at most 100000000/, 's', u64(2n ** 62n), '{}');
    refused(/has only/, 's', u64(1000n), '{}');
    refused(/not JSON/, 's', ...header('{"a":'));
    refused(/no JSON object/, 's', ...header('[1]'));
    refused(/dtype "F7"/, 's', ...header({ a: { dtype: 'F7', shape: [], data_offsets: [0, 4] } }, 4));
    refused(/does not fit its bytes/, 's', ...header({ a: f32([2], 0, 4) }, 4));
    refused(/does not fit its bytes/, 's', ...header({ a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4));
    refused(/no valid shape/, 's', ...header({ a: f32([-1], 0, 4) }, 4));
    refused(/overlap or hole/, 's', ...header({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, 8));
    refused(/overlap or hole/, 's', ...header({ a: f32([1], 4, 8) }, 8));
    refused(/accounts for 4/, 's', ...header({ a: f32([1], 0, 4) }, 400));
    refused(/too short/, 's', 'abc');
    const polluted = write(
      'p.safetensors',
      ...header('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    );
    const loaded = torch.load_file(polluted);
    assert.deepEqual(Object.keys(loaded), ['__proto__']);
    assert.equal(({} as Record<string, unknown>)['dtype'], undefined);
  });

  /** A zip archive of stored entries, as checkpoint.ts writes it, with other bytes in `data.pkl`. */
  const withPickle = (name: string, pickle: Buffer): string => {
    const crc = (bytes: Buffer): number => {
      let c = 0xffffffff;
      for (const byte of bytes) {
        c ^= byte;
        for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
      }
      return (c ^ 0xffffffff) >>> 0;
    };
    return writeZip(name, [{ name: 'a/data.pkl', data: pickle, size: pickle.length, method: 0, crc: crc(pickle) }]);
  };
  interface Part {
    readonly name: string;
    readonly data: Buffer;
    readonly size: number;
    readonly method: number;
    readonly crc: number;
    readonly offset?: number;
  }
  const writeZip = (name: string, parts: readonly Part[]): string => {
    const local: Buffer[] = [];
    const central: Buffer[] = [];
    let position = 0;
    for (const p of parts) {
      const fields = Buffer.alloc(26);
      fields.writeUInt16LE(20, 0);
      fields.writeUInt16LE(p.method, 4);
      fields.writeUInt32LE(p.crc, 10);
      fields.writeUInt32LE(p.data.length, 14);
      fields.writeUInt32LE(p.size, 18);
      fields.writeUInt16LE(p.name.length, 22);
      const entry = Buffer.alloc(46);
      entry.writeUInt32LE(0x02014b50, 0);
      fields.copy(entry, 6);
      entry.writeUInt32LE(p.offset ?? position, 42);
      local.push(Buffer.from('PK\x03\x04'), fields, Buffer.from(p.name), p.data);
      central.push(entry, Buffer.from(p.name));
      position += 30 + p.name.length + p.data.length;
    }
    const directory = Buffer.concat(central);
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(parts.length, 8);
    end.writeUInt16LE(parts.length, 10);
    end.writeUInt32LE(directory.length, 12);
    end.writeUInt32LE(position, 16);
    return write(name, ...local, directory, end);
  };
  const loads = (words: RegExp, path: string): void => fails('BAD_ARGUMENT', words, () => torch.load(path));

  it('pickles: code, unknown opcodes, nonsense, depth, storages that are not there', () => {
    const pickle = (text: string): Buffer => Buffer.concat([Buffer.from([0x80, 2]), Buffer.from(text, 'latin1')]);
    loads(/os\.system.*no code runs/, withPickle('p.pt', pickle('cos\nsystem\nX\x04\0\0\0echo\x85R.')));
    loads(/builtin__\.eval/, withPickle('p.pt', pickle('c__builtin__\neval\n.')));
    loads(/opcode 0x69/, withPickle('p.pt', pickle('i')));
    loads(/malformed/, withPickle('p.pt', pickle('\x85.')));
    loads(/cut off/, withPickle('p.pt', pickle('X\xff\xff\xff\x7f')));
    loads(/cut off/, withPickle('p.pt', pickle(']')));
    loads(/nested too deeply/, withPickle('p.pt', pickle(`${']'.repeat(200_000)}${'a'.repeat(199_999)}.`)));
    loads(/calls/, withPickle('p.pt', pickle('ctorch\nFloatStorage\n)R.')));
    loads(
      /no storage 'x'/,
      withPickle('p.pt', pickle('(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0xX\x03\0\0\0cpuK\x01tQ.')),
    );
    loads(/512 bits/, withPickle('p.pt', pickle(`\x8a\xff${'\x01'.repeat(255)}.`)));
  });

  it('a tensor that reaches beyond its storage', () => {
    torch.save({ a: torch.zeros(4) }, at('beyond.pt'));
    const bytes = readFileSync(at('beyond.pt'));
    // The shape stands as `J\x04\0\0\0`, after the offset: enlarge it in the stored pickle, and fix the checksum by going through it again.
    const start = bytes.indexOf(Buffer.from([0x80, 2]));
    const pickle = Buffer.from(bytes.subarray(start, bytes.indexOf(Buffer.from('PK\x03\x04', 'latin1'), start)));
    const shape = pickle.lastIndexOf(Buffer.from([0x4a, 4, 0, 0, 0]));
    pickle.writeInt32LE(5, shape + 1);
    const parts = ['a/data.pkl', 'a/data/0'].map((name, i) => ({ name, data: i === 0 ? pickle : Buffer.alloc(16) }));
    const path = writeZip(
      'beyond.pt',
      parts.map(({ name, data }) => ({ name, data, size: data.length, method: 0, crc: crcOf(data) })),
    );
    loads(/beyond its storage of 4 elements/, path);
  });
  const crcOf = (bytes: Buffer): number => {
    let c = 0xffffffff;
    for (const byte of bytes) {
      c ^= byte;
      for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    }
    return (c ^ 0xffffffff) >>> 0;
  };

  it('zip archives: bombs, overlaps, false checksums, entries outside, no directory', () => {
    const zeros = Buffer.alloc(1 << 20);
    const bomb = deflateRawSync(zeros);
    loads(
      /no honest archive/,
      writeZip('b.npz', [{ name: 'a.npy', data: bomb, size: 2 ** 32 - 2, method: 8, crc: 0 }]),
    );
    loads(
      /cannot be decompressed/,
      writeZip('b.npz', [{ name: 'a.npy', data: bomb, size: 1 << 19, method: 8, crc: 0 }]),
    );
    const one = { name: 'a.npy', data: Buffer.from('xxxx'), size: 4, method: 0, crc: 0 };
    loads(/checksum/, writeZip('c.npz', [one]));
    loads(/overlaps/, writeZip('o.npz', [one, { ...one, name: 'b.npy', offset: 3 }]));
    loads(/outside the file/, writeZip('o.npz', [{ ...one, offset: 2 ** 31 }]));
    loads(/two different sizes/, writeZip('o.npz', [{ ...one, size: 5 }]));
    loads(/method 14/, writeZip('o.npz', [{ ...one, method: 14 }]));
    loads(/no directory/, write('n.npz', 'PK\x03\x04 and nothing more, just some text that goes on'));
    loads(/before PyTorch 1.6/, write('old.pth', Buffer.from([0x80, 2, 0x8a, 10])));
    loads(/neither safetensors/, write('text.txt', 'hello, this is a text'));
    fails('BAD_ARGUMENT', /ENOENT/, () => torch.load(at('missing.pt')));
    fails('BAD_ARGUMENT', /not a file/, () => torch.load(folder));
  });

  it('.npy: objects, false sizes, huge headers', () => {
    const npy = (text: string, data = 0): (Buffer | string)[] => {
      const length = Buffer.alloc(2);
      length.writeUInt16LE(text.length);
      return [Buffer.from('\x93NUMPY\x01\0', 'latin1'), length, text, Buffer.alloc(data)];
    };
    loads(
      /no plain array/,
      write('o.npy', ...npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), 'x': __import__('os')}")),
    );
    loads(/no torch dtype/, write('o.npy', ...npy("{'descr': '|V8', 'fortran_order': False, 'shape': (1,), }", 8)));
    loads(
      /bytes of data/,
      write('o.npy', ...npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000000), }", 8)),
    );
    loads(/announces a header/, write('o.npy', Buffer.from('\x93NUMPY\x02\0\xff\xff\xff\x7f', 'latin1')));
  });
});
