/** @file Options of layers one by one against PyTorch: masks of attention, modes, reductions, directions. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

type Data = {
  readonly dtype: 'float64' | 'int64' | 'bool';
  readonly shape: readonly number[];
  readonly data: readonly (number | boolean | string)[];
};
interface Case {
  readonly name: string;
  readonly cls: string;
  readonly args: readonly unknown[];
  readonly kw: Readonly<Record<string, unknown>>;
  readonly inputs: readonly unknown[];
  readonly call: Readonly<Record<string, unknown>>;
  readonly out: unknown;
  readonly train: boolean;
}

const cases = JSON.parse(readFileSync(join(__dirname, '../../../test/data/nn-options-torch.json'), 'utf8')) as Case[];
const isData = (v: unknown): v is Data => typeof v === 'object' && v !== null && 'dtype' in v;
const numbers: Readonly<Record<string, number>> = { inf: Infinity, '-inf': -Infinity, nan: NaN };

/** Arguments as the case has them, tensors made. */
const made = (v: unknown): unknown => {
  if (isData(v))
    return torch
      .tensor(
        v.data.map((x) => numbers[x as string] ?? Number(x)),
        { dtype: v.dtype },
      )
      .reshape([...v.shape]);
  if (Array.isArray(v)) return v.map(made);
  if (typeof v !== 'object' || v === null) return v;
  return Object.fromEntries(Object.entries(v).map(([key, item]) => [key, made(item)]));
};

const agree = (got: unknown, expected: unknown, what: string): void => {
  if (isData(expected)) {
    const want = made(expected) as Tensor;
    assert.deepEqual([(got as Tensor).dtype, [...(got as Tensor).shape]], [want.dtype, [...want.shape]], what);
    close(got as Tensor, want, { rtol: 1e-10, atol: 1e-10 });
  } else if (Array.isArray(expected))
    for (const [i, item] of expected.entries()) agree((got as unknown[])[i], item, `${what}[${i}]`);
  else assert.equal(got ?? null, expected, what);
};

describe('nn: options of layers against PyTorch', () => {
  let before: torch.DType;
  beforeEach(() => {
    before = torch.get_default_dtype();
    torch.set_default_dtype('float64');
  });
  afterEach(() => torch.set_default_dtype(before));

  for (const c of cases)
    it(c.name, () => {
      type Make = new (...args: unknown[]) => torch.nn.Module;
      const layer = new (torch.nn as unknown as Record<string, Make>)[c.cls]!(...c.args, made(c.kw));
      layer.train(c.train);
      let k = 1;
      torch.no_grad(() => {
        for (const p of layer.parameters()) {
          p.copy_(
            torch
              .arange(k, k + p.numel(), { dtype: 'float64' })
              .sin()
              .reshape(p.shape)
              .div(2),
          );
          k += p.numel();
        }
      });
      const args = [...(made(c.inputs) as unknown[]), ...(Object.keys(c.call).length > 0 ? [made(c.call)] : [])];
      const run = (...given: unknown[]): unknown => torch.no_grad(() => layer.forward(...given));
      agree(run(...args), c.out, c.name);
      // Attention is put together here, most others are one operator of libtorch's.
      if (/Multihead|Decoder/.test(c.cls)) agree(torch.compile(run)(...args), c.out, `${c.name}, compiled`);
    });
});
