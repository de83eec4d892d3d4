/** @file Reflection and replication padding: a row of positions per dimension, and its adjoint. */
import type { Builder } from '../stablehlo/builder.js';
import { type Op, range, replaceAt } from '../stablehlo/types.js';
import { scatterRows, takeRows } from './gather.js';
import { rule } from './registry.js';

type Source = (i: number, size: number) => number;
const reflect: Source = (i, n) => (i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i);
const replicate: Source = (i, n) => Math.min(Math.max(i, 0), n - 1);

/** For each padded dimension, from the last: which element every place of the result shows. */
function tables(b: Builder, shape: readonly number[], padding: readonly number[], source: Source) {
  return range(padding.length / 2).map((k) => {
    const dim = shape.length - 1 - k;
    const [low, high] = [padding[2 * k]!, padding[2 * k + 1]!];
    const places = range(shape[dim]! + low + high).map((i) => source(i - low, shape[dim]!));
    return { dim, at: b.constant(places, [places.length], 'int64'), identity: low === 0 && high === 0 };
  });
}
const pad = (b: Builder, self: Op, padding: readonly number[], source: Source): Op =>
  tables(b, self.shape, padding, source).reduce((x, t) => (t.identity ? x : takeRows(b, x, t.dim, t.at)), self);
const padBackward = (b: Builder, grad: Op, shape: readonly number[], padding: readonly number[], source: Source): Op =>
  tables(b, shape, padding, source).reduce((g, t) => {
    if (t.identity) return g;
    const zeros = b.constant(0, replaceAt(g.shape, t.dim, shape[t.dim]!), g.dtype);
    return scatterRows(b, zeros, t.dim, t.at, g, (o, u) => b.add(o, u));
  }, grad);

for (const [kind, source] of [
  ['reflection', reflect],
  ['replication', replicate],
] as const) {
  for (const n of [1, 2, 3] as const) {
    rule(`aten::${kind}_pad${n}d`, ({ b }, { self, padding }) => pad(b, self, padding, source));
    rule(`aten::${kind}_pad${n}d_backward`, ({ b, out }, { grad_output, padding }) =>
      padBackward(b, grad_output, out.shape, padding, source),
    );
  }
}
