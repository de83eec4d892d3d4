/** @file Row 11: shapes from 2³¹ to 2⁶³, negative ones and products that overflow are refused, eagerly and in compiled functions, before XLA sees them. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { figure } from '../support/figure.js';
import { randomOf } from '../support/hostile-files.js';

const BOMBS = 500;
const CODES = new Set(['BAD_ARGUMENT', 'TOO_LARGE', 'OUT_OF_MEMORY']);

describe('shape bombs', function () {
  this.timeout(120_000);
  const next = randomOf(11);
  const below = (n: number): number => Math.floor(next() * n);
  const oneOf = <T>(list: readonly T[]): T => list[below(list.length)]!;
  /** Beyond every memory: more than 2⁴⁴ elements, or none that there can be. */
  const shapes = (): (number | bigint)[] =>
    oneOf<() => (number | bigint)[]>([
      () => [2 ** (44 + below(10))],
      () => [2n ** BigInt(53 + below(11)) - BigInt(below(2))],
      () => [2 ** 31, 2 ** (13 + below(20))],
      () => [2 ** (20 + below(12)), 2 ** (20 + below(12)), 2 ** (12 + below(20))],
      () => Array.from({ length: 3 + below(5) }, () => 2 ** 16),
      () => [-1 - below(5), 3],
      () => [2 ** 53 - 1, 2 ** 53 - 1],
      () => [2n ** 63n - 1n, 2, 2],
    ])();

  /** A number that is too large by itself, and two that are together. */
  const size = (): number => 2 ** (44 + below(19)) - below(2);
  const sizes = (): [number, number] =>
    oneOf([
      [size(), 1 + below(9)],
      [2 ** 31, 2 ** 31],
      [2 ** 27, 2 ** 26],
      [size(), size()],
      [-1 - below(9), 2],
    ] as [number, number][]);

  /** What makes something of such a shape, first or last or only on the way. */
  const bombs: Readonly<Record<string, (x: Tensor, shape: (number | bigint)[], sizes: [number, number]) => unknown>> = {
    zeros: (_, shape) => torch.zeros(shape as number[]),
    full: (_, shape) => torch.full(shape as number[], 2),
    rand: (_, shape) => torch.rand(shape as number[]),
    'expand, clone': (x, shape) =>
      x
        .sum()
        .expand(shape as number[])
        .clone(),
    'expand, add': (x, shape) =>
      x
        .sum()
        .expand(shape as number[])
        .add(1),
    'expand, matrix, sum': (x, shape) =>
      x
        .sum()
        .expand(shape as number[])
        .reshape([-1, 2])
        .matmul(x.narrow(0, 0, 2))
        .sum(),
    repeat: (x, shape) =>
      x
        .sum()
        .reshape([1])
        .repeat(shape as number[]),
    new_zeros: (x, shape) => x.new_zeros(shape as number[]),
    'outer, sum': (x, shape) => {
      const long = x
        .sum()
        .expand(shape as number[])
        .reshape([-1]);
      return long.outer(long).sin().sum();
    },
    pad: (x, _, [n, m]) => torch.nn.functional.pad(x, [0, n < 0 ? -9 : n, 0, m]),
    arange: (_x, _s, [n]) => torch.arange(n < 0 ? -n * 2 ** 44 : 2 ** 18 * n),
    eye: (_x, _s, [n, m]) => torch.eye(n, m),
    upsample: (x, _, size) => torch.nn.functional.interpolate(x.reshape([1, 1, 2, 2]), { size }),
    one_hot: (x, _, [n, m]) => torch.nn.functional.one_hot(x.long().clamp(0, 1), Math.abs(n * m) * 2 ** 40),
    tril_indices: (_x, _s, [n, m]) => torch.tril_indices(n, m),
  };
  const names = Object.keys(bombs);
  /** The code of what is thrown; a name that says so where nothing is. */
  const codeOf = (body: () => unknown): string => {
    try {
      torch.scope(() => void body());
      return 'no error';
    } catch (error) {
      return torch.isJorchError(error) && error.message !== '' ? error.code : String(error);
    }
  };

  it(`${BOMBS} of them are refused, intermediates included, and the next small call is right`, () => {
    const x = torch.ones([2, 2]);
    const wrong: string[] = [];
    const counts: Record<string, number> = {};
    for (let i = 0; i < BOMBS; i++) {
      const name = names[i % names.length]!;
      const [shape, pair] = [shapes(), sizes()];
      const eager = codeOf(() => bombs[name]!(x, shape, pair));
      // XLA never sees them: nothing is compiled.
      const compiled = torch.compile((y: Tensor) => bombs[name]!(y, shape, pair));
      const code = codeOf(() => compiled(x));
      if (!CODES.has(code) || compiled.stats.compiles > 0 || !CODES.has(eager))
        wrong.push(
          `${name} of [${shape}], [${pair}]: eager ${eager}, compiled ${code}, ${compiled.stats.compiles} compiled`,
        );
      compiled.dispose();
      counts[code] = (counts[code] ?? 0) + 1;
    }
    assert.deepEqual(wrong, []);
    assert.equal(
      torch
        .compile((y: Tensor) => y.mul(2).sum())(x)
        .item(),
      8,
    );
    const told = Object.entries(counts).map(([code, n]) => `${n} ${code}`);
    figure(11, `${BOMBS} of ${BOMBS} refused eagerly and compiled (${told.join(', ')}), none reached XLA`);
  });
});
