/** @file The runner itself, on a small folder of made-up cases: it passes what is right and catches what is wrong. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runFolder } from './folder.js';
import type { Call, Encoded, Sample } from './format.js';
import { summarize } from './report.js';
import type { SampleResult } from './result.js';

type Stored = { readonly dtype: string; readonly shape: readonly number[]; readonly data: Uint8Array };

const f32 = (shape: readonly number[], ...values: number[]): Stored => ({
  dtype: 'F32',
  shape,
  data: new Uint8Array(Float32Array.from(values).buffer),
});
const i64 = (shape: readonly number[], ...values: number[]): Stored => ({
  dtype: 'I64',
  shape,
  data: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});
const bits16 = (dtype: 'F16' | 'BF16', shape: readonly number[], ...values: number[]): Stored => ({
  dtype,
  shape,
  data: new Uint8Array(Uint16Array.from(values).buffer),
});

const writeSafetensors = (path: string, tensors: Readonly<Record<string, Stored>>): void => {
  let offset = 0;
  const header: Record<string, object> = {};
  for (const [key, { dtype, shape, data }] of Object.entries(tensors)) {
    header[key] = { dtype, shape, data_offsets: [offset, offset + data.length] };
    offset += data.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([length, json, ...Object.values(tensors).map((t) => t.data)]));
};

const call = (fn: string, args: Encoded[], kind: Call['kind'] = 'function', kwargs: Call['kwargs'] = {}): Call => ({
  fn,
  kind,
  args,
  kwargs,
});
const base = { dtype: 'float32', variant: 'function', compare: 'values', output: { $o: 0 } } as const;
const x = { key: 'x', dtype: 'float32', shape: [2, 2] } as const;
const leaf = { ...x, requires_grad: true } as const;

/** A sample on t = [3, 1, 3, 1] (or u = [[3, 1], [3, 1]]) whose expected indices are one of several right answers. */
const tied = (
  id: string,
  fn: string,
  args: Encoded[],
  expect: Sample['expect'],
  rest: Partial<Sample> & { kwargs?: Call['kwargs'] } = {},
): Sample => {
  const { kwargs, ...others } = rest;
  return {
    ...base,
    id,
    ties: true,
    inputs: [{ key: 't', dtype: 'float32', shape: [4], requires_grad: 'grad' in others }],
    program: [call(fn, [{ $t: 0 }, ...args], 'function', kwargs)],
    expect,
    ...others,
  };
};
const indicesOf = (key: string, shape: readonly number[], path: number[] = [1]): Sample['expect'][number] => ({
  ref: { $r: 0, path },
  key,
  dtype: 'int64',
  shape,
});
const valuesOf = (key: string, shape: readonly number[]): Sample['expect'][number] => ({
  ref: { $r: 0, path: [0] },
  key,
  dtype: 'float32',
  shape,
});
const square = { key: 'u', dtype: 'float32', shape: [2, 2] } as const;
const gradientOf = (key: string): NonNullable<Sample['grad']> => ({
  cotangents: [{ ref: { $r: 0, path: [0] }, key: 'weights', dtype: 'float32', shape: [4] }],
  wrt: [{ input: 0, key, dtype: 'float32', shape: [4] }],
});

/** torch answers sort(t) with [1, 3, 0, 2]. */
const TIES: readonly Sample[] = [
  tied('ties.sort', 'torch.sort', [], [valuesOf('tSorted', [4]), indicesOf('3120', [4])]),
  tied('ties.sort.wrong', 'torch.sort', [], [valuesOf('tSorted', [4]), indicesOf('0312', [4])]),
  tied('ties.sort.values.wrong', 'torch.sort', [], [valuesOf('weights', [4]), indicesOf('3120', [4])]),
  // Indices in place of values are not judged by what they point at.
  tied('ties.sort.untied.wrong', 'torch.sort', [], [indicesOf('3120', [4])], { ties: false }),
  tied('ties.sort.stable.wrong', 'torch.sort', [], [indicesOf('3120', [4])], { kwargs: { stable: true } }),
  tied('ties.argsort', 'torch.argsort', [0], [indicesOf('3120', [4], [])]),
  tied('ties.argsort.shape.wrong', 'torch.argsort', [0], [indicesOf('3120', [2, 2], [])]),
  tied('ties.topk', 'torch.topk', [2], [indicesOf('20', [2])]),
  tied('ties.median', 'torch.median', [0], [indicesOf('third', [])]),
  tied('ties.argmax', 'torch.argmax', [], [indicesOf('two', [], [])]),
  tied('ties.argmax.wrong', 'torch.argmax', [], [indicesOf('one', [], [])]),
  tied('ties.dim', 'torch.max', [0], [indicesOf('11', [2])], { inputs: [square] }),
  tied('ties.keepdim', 'torch.max', [0, true], [indicesOf('11', [1, 2])], { inputs: [square] }),
  tied('ties.cummax', 'torch.cummax', [0], [indicesOf('0000', [4])]),
  tied('ties.after-a-call', 'torch.neg', [], [{ ...indicesOf('2031', [4]), ref: { $r: 1, path: [1] } }], {
    program: [call('torch.neg', [{ $t: 0 }]), call('torch.sort', [{ $r: 0 }])],
  }),
  // Both 3s are a maximum of their window; the 1 is not.
  tied('ties.pool', 'torch.nn.functional.max_pool1d', [4], [indicesOf('two', [1, 1])], {
    inputs: [{ key: 't', dtype: 'float32', shape: [1, 4] }],
    kwargs: { return_indices: true },
  }),
  tied('ties.pool.wrong', 'torch.nn.functional.max_pool1d', [4], [indicesOf('one', [1, 1])], {
    inputs: [{ key: 't', dtype: 'float32', shape: [1, 4] }],
    kwargs: { return_indices: true },
  }),
  // The cotangent is [1, 2, 3, 4]: torch's own gradient is [3, 1, 4, 2].
  tied('ties.gradient', 'torch.sort', [], [valuesOf('tSorted', [4])], { grad: gradientOf('4231') }),
  tied('ties.gradient.wrong', 'torch.sort', [], [valuesOf('tSorted', [4])], { grad: gradientOf('weights') }),
];

/** x = [[1, 2], [3, 4]]; samples that end in `.wrong` must fail. */
const SAMPLES: readonly Sample[] = [
  {
    ...base,
    id: 'square',
    inputs: [leaf],
    program: [call('torch.square', [{ $t: 0 }])],
    expect: [{ ref: { $r: 0 }, key: 'square', dtype: 'float32', shape: [2, 2] }],
    grad: {
      cotangents: [{ ref: { $r: 0 }, key: 'ones', dtype: 'float32', shape: [2, 2] }],
      wrt: [{ input: 0, key: 'twice', dtype: 'float32', shape: [2, 2] }],
    },
  },
  {
    ...base,
    id: 'value.wrong',
    inputs: [x],
    program: [call('torch.square', [{ $t: 0 }])],
    expect: [{ ref: { $r: 0 }, key: 'twice', dtype: 'float32', shape: [2, 2] }],
  },
  {
    ...base,
    id: 'gradient.wrong',
    inputs: [leaf],
    program: [call('torch.square', [{ $t: 0 }])],
    expect: [{ ref: { $r: 0 }, key: 'square', dtype: 'float32', shape: [2, 2] }],
    grad: {
      cotangents: [{ ref: { $r: 0 }, key: 'ones', dtype: 'float32', shape: [2, 2] }],
      wrt: [{ input: 0, key: 'ones', dtype: 'float32', shape: [2, 2] }],
    },
  },
  {
    ...base,
    id: 'dtype.wrong',
    inputs: [x],
    program: [call('Tensor.to', [{ $t: 0 }], 'method', { dtype: { $dtype: 'float64' } })],
    expect: [{ ref: { $r: 0 }, key: 'x', dtype: 'float32', shape: [2, 2] }],
  },
  {
    ...base,
    id: 'shape.wrong',
    inputs: [x],
    program: [call('torch.flatten', [{ $t: 0 }])],
    expect: [{ ref: { $r: 0 }, key: 'x', dtype: 'float32', shape: [2, 2] }],
  },
  {
    ...base,
    id: 'missing.wrong',
    inputs: [x],
    program: [call('torch.no_such_function', [{ $t: 0 }])],
    expect: [{ ref: { $r: 0 }, key: 'x', dtype: 'float32', shape: [2, 2] }],
  },
  {
    ...base,
    id: 'expanded',
    inputs: [x],
    program: [call('torch.no_such_function', [{ $t: 0 }])],
    expanded: { program: [call('torch.square', [{ $t: 0 }])], refs: [{ $r: 0 }] },
    expect: [{ ref: { $r: 0 }, key: 'square', dtype: 'float32', shape: [2, 2] }],
  },
  {
    ...base,
    id: 'subscript',
    inputs: [x],
    program: [
      call('Tensor.__getitem__', [{ $t: 0 }, { $tuple: [{ $ellipsis: true }, { $slice: [1, null, null] }] }], 'method'),
    ],
    expect: [{ ref: { $r: 0 }, key: 'lastColumn', dtype: 'float32', shape: [2, 1] }],
  },
  {
    ...base,
    id: 'float-scalar',
    dtype: 'int64',
    inputs: [{ key: 'i', dtype: 'int64', shape: [2] }],
    program: [call('torch.mul', [{ $t: 0 }, { $float: '2.0' }])],
    expect: [{ ref: { $r: 0 }, key: 'doubled', dtype: 'float32', shape: [2] }],
  },
  {
    ...base,
    id: 'half',
    dtype: 'float16',
    inputs: [{ key: 'half', dtype: 'float16', shape: [2] }],
    program: [call('torch.neg', [{ $t: 0 }])],
    expect: [{ ref: { $r: 0 }, key: 'minusHalf', dtype: 'float16', shape: [2] }],
  },
  {
    ...base,
    id: 'bfloat16',
    dtype: 'bfloat16',
    inputs: [{ key: 'brain', dtype: 'bfloat16', shape: [2] }],
    program: [call('torch.neg', [{ $t: 0 }])],
    expect: [{ ref: { $r: 0 }, key: 'minusBrain', dtype: 'bfloat16', shape: [2] }],
  },
  {
    ...base,
    id: 'strided',
    variant: 'strided',
    inputs: [{ key: 'spaced', dtype: 'float32', shape: [2], stride: [2], offset: 1 }],
    program: [call('torch.square', [{ $t: 0 }])],
    expect: [{ ref: { $r: 0 }, key: 'lastColumnSquares', dtype: 'float32', shape: [2] }],
  },
  {
    ...base,
    id: 'mutated',
    inputs: [x],
    program: [call('Tensor.square_', [{ $t: 0 }], 'method')],
    expect: [{ ref: { $t: 0 }, key: 'square', dtype: 'float32', shape: [2, 2] }],
    mutated: [{ input: 0, key: 'square', dtype: 'float32', shape: [2, 2] }],
  },
  {
    ...base,
    id: 'mutated.wrong',
    inputs: [x],
    program: [call('torch.square', [{ $t: 0 }])],
    expect: [{ ref: { $r: 0 }, key: 'square', dtype: 'float32', shape: [2, 2] }],
    mutated: [{ input: 0, key: 'square', dtype: 'float32', shape: [2, 2] }],
  },
  {
    ...base,
    id: 'item',
    inputs: [{ key: 'three', dtype: 'float32', shape: [] }],
    program: [call('Tensor.item', [{ $t: 0 }], 'method')],
    output: { $float: '3.0' },
    expect: [],
  },
  {
    ...base,
    id: 'item.wrong',
    inputs: [{ key: 'three', dtype: 'float32', shape: [] }],
    program: [call('Tensor.item', [{ $t: 0 }], 'method')],
    output: { $float: '4.0' },
    expect: [],
  },
  ...TIES,
];

const TENSORS: Readonly<Record<string, Stored>> = {
  x: f32([2, 2], 1, 2, 3, 4),
  square: f32([2, 2], 1, 4, 9, 16),
  twice: f32([2, 2], 2, 4, 6, 8),
  ones: f32([2, 2], 1, 1, 1, 1),
  lastColumn: f32([2, 1], 2, 4),
  lastColumnSquares: f32([2], 4, 16),
  spaced: f32([4], Number.NaN, 2, Number.NaN, 4),
  three: f32([], 3),
  t: f32([4], 3, 1, 3, 1),
  u: f32([2, 2], 3, 1, 3, 1),
  tSorted: f32([4], 1, 1, 3, 3),
  weights: f32([4], 1, 2, 3, 4),
  '4231': f32([4], 4, 2, 3, 1),
  '3120': i64([4], 3, 1, 2, 0),
  '0312': i64([4], 0, 3, 1, 2),
  '2031': i64([4], 2, 0, 3, 1),
  '0000': i64([4], 0, 0, 0, 0),
  '20': i64([2], 2, 0),
  '11': i64([2], 1, 1),
  one: i64([1], 1),
  two: i64([1], 2),
  third: i64([1], 3),
  i: i64([2], 1, -3),
  doubled: f32([2], 2, -6),
  half: bits16('F16', [2], 0x3c00, 0x0001),
  minusHalf: bits16('F16', [2], 0xbc00, 0x8001),
  brain: bits16('BF16', [2], 0x3f80, 0x4049),
  minusBrain: bits16('BF16', [2], 0xbf80, 0xc049),
};

describe('opinfo: the runner', function () {
  this.timeout('5m');
  const folder = mkdtempSync(join(tmpdir(), 'opinfo-'));
  let results: readonly SampleResult[] = [];
  const of = (id: string): SampleResult => results.find((r) => r.id === `cases/${id}`)!;

  before(async () => {
    writeFileSync(
      join(folder, 'cases.json'),
      JSON.stringify({ format: 1, op: 'cases', fn: 'torch.square', samples: SAMPLES }),
    );
    writeSafetensors(join(folder, 'cases.safetensors'), TENSORS);
    results = await runFolder({ folder, jobs: 1 });
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const { id } of SAMPLES) {
    if (id.endsWith('.wrong')) it(`catches ${id}`, () => assert.equal(of(id).eager, 'fail'));
    else it(`passes ${id}`, () => assert.deepEqual(of(id).messages, []));
  }

  it('catches wrong compiled values, gradients and changed inputs as such', () => {
    assert.equal(of('value.wrong').compiled, 'fail');
    assert.equal(of('mutated.wrong').compiled, 'fail');
    assert.deepEqual([of('gradient.wrong').compiled, of('gradient.wrong').gradient], ['pass', 'fail']);
  });

  it('says when a result is refused and when the expanded program ran', () => {
    assert.equal(of('item').compiled, 'refused');
    assert.ok(of('expanded').expanded);
  });

  it('tells of what it came to only, when there is a budget of time', async () => {
    assert.deepEqual(await runFolder({ folder, jobs: 1, budgetSeconds: 0 }), []);
    const whole = await runFolder({ folder, jobs: 1, budgetSeconds: 1000, modes: ['eager'] });
    assert.deepEqual(
      whole.map(({ id }) => id),
      results.map(({ id }) => id),
    );
  });

  it('adds up', () => {
    const wrong = SAMPLES.filter((s) => s.id.endsWith('.wrong')).length;
    const summary = summarize(results);
    assert.equal(summary.eager_total, SAMPLES.length);
    assert.equal(summary.eager_pass, SAMPLES.length - wrong);
    assert.deepEqual([summary.grad_total, summary.grad_pass, summary.refused], [4, 2, 2]);
    assert.equal(summary.lowered_only, 0, 'an operator with failures is not counted');
  });
});
