/** @file Losses and their derivatives. `reduction`: 0 none, 1 mean, 2 sum. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, range, replaceAt } from '../stablehlo/types.js';
import { softplus } from './activation.js';
import { num, opmath, reduceLoss, spread, sumOver } from './common.js';
import { gatherDim } from './gather.js';
import { NoLowering, type RuleName, rule } from './registry.js';
import { scan } from './scan.js';

type Pair = { readonly self: Op; readonly target: Op; readonly reduction: number };
/** Both operands in the compute dtype, broadcast to one shape. */
function operands(b: Builder, ...xs: readonly Op[]): Op[] {
  const rank = Math.max(...xs.map((x) => x.shape.length));
  const shape = range(rank).map((d) =>
    xs.reduce((n, x) => {
      const size = x.shape[d - rank + x.shape.length] ?? 1;
      return size === 1 ? n : size;
    }, 1),
  );
  const dtype = opmath(xs[0]!.dtype);
  return xs.map((x) => spread(b, x, { shape, dtype }));
}
/** A loss that is a function of (self, target) per element. */
function pairLoss(name: RuleName, body: (b: Builder, x: Op, y: Op, args: Record<string, number>) => Op): void {
  rule(name, ({ b, out }, args) => {
    const { self, target, reduction } = args as unknown as Pair;
    const [x, y] = operands(b, self, target) as [Op, Op];
    return b.convert(reduceLoss(b, body(b, x, y, args as never), reduction), out.dtype);
  });
}
/** Its derivative by self: `body` per element, times the output's gradient, over n for a mean. */
function pairLossBackward(name: RuleName, body: (b: Builder, x: Op, y: Op, args: Record<string, number>) => Op): void {
  rule(name, ({ b, out }, args) => {
    const { self, target, reduction, grad_output } = args as unknown as Pair & { grad_output: Op };
    const [x, y, g] = operands(b, self, target, grad_output) as [Op, Op, Op];
    const slope = b.multiply(body(b, x, y, args as never), g);
    const scaled = reduction === 1 ? b.divide(slope, b.fill(slope, numel(x.shape))) : slope;
    return b.convert(scaled, out.dtype);
  });
}
const square = (b: Builder, x: Op): Op => b.multiply(x, x);
const times = (b: Builder, x: Op, v: number): Op => b.multiply(x, b.fill(x, v));

pairLoss('aten::mse_loss', (b, x, y) => square(b, b.subtract(x, y)));
pairLossBackward('aten::mse_loss_backward', (b, x, y) => times(b, b.subtract(x, y), 2));
pairLoss('aten::smooth_l1_loss', (b, x, y, { beta }) => {
  const z = b.abs(b.subtract(x, y));
  const inner = b.divide(times(b, square(b, z), 0.5), b.fill(z, beta!));
  return b.select(b.compare('LT', z, b.fill(z, beta!)), inner, b.subtract(z, b.fill(z, 0.5 * beta!)));
});
/** The sign outside ±bound, linear inside. */
const clipped = (b: Builder, d: Op, bound: number, inner: Op, outer: number): Op => {
  const low = b.select(b.compare('LE', d, b.fill(d, -bound)), b.fill(d, -outer), inner);
  return b.select(b.compare('GE', d, b.fill(d, bound)), b.fill(d, outer), low);
};
pairLossBackward('aten::smooth_l1_loss_backward', (b, x, y, { beta }) => {
  const d = b.subtract(x, y);
  return clipped(b, d, beta!, b.divide(d, b.fill(d, beta!)), 1);
});
pairLoss('aten::huber_loss', (b, x, y, { delta }) => {
  const z = b.abs(b.subtract(x, y));
  const outer = times(b, b.subtract(z, b.fill(z, 0.5 * delta!)), delta!);
  return b.select(b.compare('LE', z, b.fill(z, delta!)), times(b, square(b, z), 0.5), outer);
});
pairLossBackward('aten::huber_loss_backward', (b, x, y, { delta }) => {
  const d = b.subtract(x, y);
  return clipped(b, d, delta!, d, delta!);
});
pairLoss('aten::soft_margin_loss', (b, x, y) => softplus(b, b.negate(b.multiply(x, y))));
pairLossBackward('aten::soft_margin_loss_backward', (b, x, y) =>
  b.negate(b.multiply(y, b.logistic(b.negate(b.multiply(x, y))))),
);

type Weighted = Pair & { readonly weight: Op | undefined };
const weighted = (b: Builder, loss: Op, weight: Op | undefined): Op =>
  weight === undefined ? loss : b.multiply(loss, spread(b, weight, loss));
/** Logarithms are cut off at -100, so that a certain wrong answer costs 100. */
rule('aten::binary_cross_entropy', ({ b, out }, { self, target, weight, reduction }: Weighted) => {
  const [x, y] = operands(b, self, target) as [Op, Op];
  const floor = b.fill(x, -100);
  const one = b.fill(x, 1);
  const no = b.multiply(b.subtract(y, one), b.maximum(b.log1p(b.negate(x)), floor));
  const loss = b.subtract(no, b.multiply(y, b.maximum(b.log(x), floor)));
  return b.convert(reduceLoss(b, weighted(b, loss, weight), reduction), out.dtype);
});
rule('aten::binary_cross_entropy_backward', ({ b, out }, { grad_output, self, target, weight, reduction }) => {
  const [x, y, g] = operands(b, self, target, grad_output) as [Op, Op, Op];
  const spreadOut = b.maximum(b.multiply(b.subtract(b.fill(x, 1), x), x), b.fill(x, 1e-12));
  const slope = weighted(b, b.divide(b.multiply(g, b.subtract(x, y)), spreadOut), weight);
  return b.convert(reduction === 1 ? b.divide(slope, b.fill(slope, numel(x.shape))) : slope, out.dtype);
});
rule('aten::binary_cross_entropy_with_logits', ({ b, out }, { self, target, weight, pos_weight, reduction }) => {
  const [x, y] = operands(b, self, target) as [Op, Op];
  const one = b.fill(x, 1);
  const boost = pos_weight === undefined ? one : b.add(b.multiply(b.subtract(spread(b, pos_weight, x), one), y), one);
  const loss = b.add(b.multiply(b.subtract(one, y), x), b.multiply(boost, softplus(b, b.negate(x))));
  return b.convert(reduceLoss(b, weighted(b, loss, weight), reduction), out.dtype);
});

/** libtorch's kernels refuse targets of other dtypes; its shape functions, which a recording asks, do not. */
const classes = (b: Builder, target: Op): Op => {
  if (target.dtype !== 'int64' && target.dtype !== 'uint8') throw new NoLowering(`classes of ${target.dtype}`);
  return b.convert(target, 'int64');
};

/** Per sample: the class weight, 0 for ignored targets, with classes at dimension 1 (or 0 for a single sample). */
function classWeights(b: Builder, target: Op, weight: Op | undefined, ignore: number, dtype: Op['dtype']) {
  const index = classes(b, target);
  const used = b.compare('NE', index, b.fill(index, ignore));
  const safe = b.select(used, index, b.fill(index, 0));
  const one = b.constant(1, target.shape, dtype);
  const full =
    weight === undefined
      ? one
      : b.reshape(gatherDim(b, b.convert(weight, dtype), 0, b.reshape(safe, [numel(safe.shape)])), safe.shape);
  return { safe, w: b.select(used, full, b.fill(one, 0)) };
}
type Nll = { self: Op; target: Op; weight: Op | undefined; reduction: number; ignore_index: number };
for (const name of ['aten::nll_loss_forward', 'aten::nll_loss2d_forward'] as const) {
  rule(name, (ctx, { self, target, weight, reduction, ignore_index }: Nll) => {
    const { b, outs } = ctx;
    const dtype = opmath(self.dtype);
    const d = self.shape.length === 1 ? 0 : 1;
    const { safe, w } = classWeights(b, target, weight, ignore_index, dtype);
    const picked = gatherDim(b, b.convert(self, dtype), d, b.reshape(safe, replaceAt(self.shape, d, 1)));
    const loss = b.negate(b.multiply(w, b.reshape(picked, target.shape)));
    const total = sumOver(b, w, range(w.shape.length));
    if (reduction === 0) return [b.convert(loss, outs[0]!.dtype), b.fill(outs[1]!, 0)];
    const sum = sumOver(b, loss, range(loss.shape.length));
    const y = reduction === 1 ? b.divide(sum, total) : sum;
    return [b.convert(y, outs[0]!.dtype), b.convert(total, outs[1]!.dtype)];
  });
}
for (const name of ['aten::nll_loss_backward', 'aten::nll_loss2d_backward'] as const) {
  rule(name, ({ b, out }, args: Nll & { grad_output: Op; total_weight: Op }) => {
    const { grad_output, self, target, weight, reduction, ignore_index, total_weight } = args;
    const dtype = opmath(self.dtype);
    const d = self.shape.length === 1 ? 0 : 1;
    const { safe, w } = classWeights(b, target, weight, ignore_index, dtype);
    const g = b.multiply(b.negate(w), spread(b, grad_output, w));
    const slope = reduction === 1 ? b.divide(g, spread(b, total_weight, w)) : g;
    // An ignored sample has weight 0, whatever class it was given: 0/0 of a mean over nothing must not leak into it.
    const clean = b.select(b.compare('EQ', w, b.fill(w, 0)), b.fill(w, 0), slope);
    const like = { shape: self.shape, dtype };
    const at = (x: Op) => b.broadcast(b.reshape(x, replaceAt(self.shape, d, 1)), like.shape);
    const hit = b.compare('EQ', at(safe), b.iota(like.shape, d, 'int64'));
    return b.convert(b.select(hit, at(clean), b.fill(like, 0)), out.dtype);
  });
}

/** [N, C] and the targets [N]: margins of every class to the target's. */
function margins(b: Builder, self: Op, target: Op, margin: number) {
  const c = self.shape.at(-1) ?? 1;
  const x = b.reshape(b.convert(self, opmath(self.dtype)), [numel(self.shape) / c, c]);
  const t = b.broadcastInDim(b.reshape(classes(b, target), [x.shape[0]!]), x.shape, [0]);
  const own = b.compare('EQ', t, b.iota(x.shape, 1, 'int64'));
  const picked = sumOver(b, b.select(own, x, b.fill(x, 0)), [1], true);
  const z = b.add(b.subtract(x, b.broadcast(picked, x.shape)), b.fill(x, margin));
  const active = b.and(b.not(own), b.compare('GT', z, b.fill(z, 0)));
  return { x, t, own, z, active };
}
const classWeight = (b: Builder, weight: Op | undefined, t: Op, like: Op): Op =>
  weight === undefined
    ? b.fill(like, 1)
    : gatherDim(b, b.broadcastInDim(b.convert(weight, like.dtype), [like.shape[0]!, weight.shape[0]!], [1]), 1, t);
rule('aten::multi_margin_loss', ({ b, out }, { self, target, p, margin, weight, reduction }) => {
  const { x, t, z, active } = margins(b, self, target, num(margin));
  const term = b.multiply(num(p) === 2 ? square(b, z) : z, classWeight(b, weight, t, x));
  const loss = b.divide(
    sumOver(b, b.select(active, term, b.fill(x, 0)), [1]),
    b.constant(x.shape[1]!, [x.shape[0]!], x.dtype),
  );
  return b.convert(b.reshape(reduceLoss(b, loss, reduction), out.shape), out.dtype);
});
rule('aten::multi_margin_loss_backward', ({ b, out }, { grad_output, self, target, p, margin, weight, reduction }) => {
  const { x, t, own, z, active } = margins(b, self, target, num(margin));
  const term = b.multiply(num(p) === 2 ? times(b, z, 2) : b.fill(z, 1), classWeight(b, weight, t, x));
  const others = b.select(active, term, b.fill(x, 0));
  const total = b.broadcast(sumOver(b, others, [1], true), x.shape);
  const slope = b.select(own, b.negate(total), others);
  const n = x.shape[1]! * (reduction === 1 ? x.shape[0]! : 1);
  const g =
    grad_output.shape.length === 0
      ? spread(b, grad_output, x)
      : b.broadcastInDim(b.convert(grad_output, x.dtype), x.shape, [0]);
  return b.convert(b.reshape(b.multiply(b.divide(slope, b.fill(slope, n)), g), out.shape), out.dtype);
});

/** Labels count up to the first negative one; every class that is no label is compared with every label. */
function multilabel(b: Builder, self: Op, target: Op) {
  const c = self.shape.length === 0 ? 1 : self.shape.at(-1)!;
  const n = numel(self.shape) / c;
  const x = b.reshape(b.convert(self, opmath(self.dtype)), [n, c]);
  const t = b.reshape(b.convert(target, 'int64'), [n, c]);
  const negative = b.convert(b.compare('LT', t, b.fill(t, 0)), 'int64');
  const [ended] = scan(b, [negative], 1, [0], ([p], [q]) => [b.maximum(p!, q!)]);
  const valid = b.compare('EQ', ended!, b.fill(ended!, 0));
  const cube = [n, c, c];
  const label = (v: Op) => b.broadcastInDim(v, cube, [0, 1]);
  const other = (v: Op) => b.broadcastInDim(v, cube, [0, 2]);
  const same = b.and(label(valid), b.compare('EQ', label(t), b.iota(cube, 2, 'int64')));
  const isTarget = b.reduce(same, b.scalar(false, 'bool'), 'or', [1]);
  const own = gatherDim(b, x, 1, b.select(valid, t, b.fill(t, 0)));
  const z = b.add(b.subtract(b.fill({ shape: cube, dtype: x.dtype }, 1), label(own)), other(x));
  const active = b.and(b.and(label(valid), b.not(other(isTarget))), b.compare('GT', z, b.fill(z, 0)));
  return { x, t, z, active, isTarget, same, c, n };
}
rule('aten::multilabel_margin_loss_forward', ({ b, outs }, { self, target, reduction }) => {
  const { z, active, isTarget, c } = multilabel(b, self, target);
  const total = sumOver(b, b.select(active, z, b.fill(z, 0)), [1, 2]);
  const loss = reduceLoss(b, b.divide(total, b.fill(total, c)), reduction);
  const marks = b.convert(b.reshape(isTarget, outs[1]!.shape), outs[1]!.dtype);
  return [b.convert(b.reshape(loss, outs[0]!.shape), outs[0]!.dtype), marks];
});
rule('aten::multilabel_margin_loss_backward', ({ b, out }, { grad_output, self, target, reduction }) => {
  const { x, active, same, c, n } = multilabel(b, self, target);
  const hits = b.convert(active, x.dtype);
  const perLabel = b.broadcastInDim(sumOver(b, hits, [2]), active.shape, [0, 1]);
  const lost = sumOver(b, b.select(same, perLabel, b.fill(perLabel, 0)), [1]);
  const slope = b.subtract(sumOver(b, hits, [1]), lost);
  const scaled = b.divide(slope, b.fill(slope, c * (reduction === 1 ? n : 1)));
  const g = b.convert(grad_output, x.dtype);
  const over = g.shape.length === 0 ? spread(b, g, x) : b.broadcastInDim(g, x.shape, [0]);
  return b.convert(b.reshape(b.multiply(scaled, over), out.shape), out.dtype);
});
