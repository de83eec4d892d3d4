/** @file Connectionist temporal classification: the likelihood of a target summed over all its alignments, and its derivative. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op } from '../stablehlo/types.js';
import { isOp } from './common.js';
import { flatten, scatterFlat, takeFlat } from './gather.js';
import { rule } from './registry.js';
import { scan } from './scan.js';

type Lengths = Op | readonly number[];
interface CtcArgs {
  readonly log_probs: Op;
  readonly targets: Op;
  readonly input_lengths: Lengths;
  readonly target_lengths: Lengths;
  readonly blank: number;
}
/** A target with a blank before, between and behind its labels has `states` places; all tensors are [T, N, states] unless said otherwise. */
interface Lattice {
  readonly batch: number;
  readonly states: number;
  /** Positions of the places' labels in the flat log_probs. */
  readonly at: Op;
  readonly logProbs: Op;
  /** [N, states]: the label differs from the one two places before, so that the blank between may be left out. */
  readonly jumps: Op;
  /** [N, states]: within the target. */
  readonly inside: Op;
  /** [N] */
  readonly inputLengths: Op;
  readonly targetLengths: Op;
}
const lengths = (b: Builder, x: Lengths): Op =>
  isOp(x) ? b.convert(flatten(b, x), 'int64') : b.constant(x as readonly number[], [x.length], 'int64');
const plus = (b: Builder, x: Op, v: number): Op => b.add(x, b.fill(x, v));
const times = (b: Builder, x: Op, v: number): Op => b.multiply(x, b.fill(x, v));
const clampTo = (b: Builder, x: Op, top: number): Op => b.maximum(b.minimum(x, b.fill(x, top)), b.fill(x, 0));
/** [N] over [N, states]. */
const perItem = (b: Builder, x: Op, like: { readonly shape: readonly number[] }): Op =>
  b.broadcastInDim(x, like.shape, [0]);
/** The places moved by `step`, `value` moving in. */
const shift = (b: Builder, x: Op, step: number, value: number | boolean): Op =>
  b.padDim(x, 1, b.scalar(value, x.dtype), step, -step);

function lattice(b: Builder, args: CtcArgs, states: number): Lattice {
  const { log_probs, targets, blank } = args;
  const [time, batch, classes] = log_probs.shape as [number, number, number];
  const inputLengths = lengths(b, args.input_lengths);
  const targetLengths = lengths(b, args.target_lengths);
  const grid = { shape: [batch, states], dtype: 'int64' } as const;
  const place = b.iota(grid.shape, 1, 'int64');
  // Targets lie in rows, or one after the other.
  const [ends] = scan(b, [targetLengths], 0, [0], ([x], [y]) => [b.add(x!, y!)]);
  const starts =
    targets.shape.length === 2
      ? times(b, b.iota([batch], 0, 'int64'), targets.shape[1]!)
      : b.subtract(ends!, targetLengths);
  const position = b.add(perItem(b, starts, grid), b.shiftRight(place, b.fill(place, 1)));
  const flat = b.convert(flatten(b, targets), 'int64');
  const named = takeFlat(b, flat, clampTo(b, position, Math.max(numel(targets.shape) - 1, 0)));
  const odd = b.compare('EQ', b.and(place, b.fill(place, 1)), b.fill(place, 1));
  const labels = b.select(odd, named, b.fill(place, blank));
  const shape = [time, batch, states];
  const row = times(b, b.add(times(b, b.iota(shape, 0, 'int64'), batch), b.iota(shape, 1, 'int64')), classes);
  const at = b.add(row, b.broadcastInDim(clampTo(b, labels, classes - 1), shape, [1, 2]));
  return {
    batch,
    states,
    at,
    logProbs: takeFlat(b, flatten(b, log_probs), at),
    jumps: b.and(b.compare('NE', labels, shift(b, labels, 2, 0)), b.compare('GE', place, b.fill(place, 2))),
    inside: b.compare('LE', place, perItem(b, times(b, targetLengths, 2), grid)),
    inputLengths,
    targetLengths,
  };
}

/** log Σ exp over tensors of one shape; -inf for nothing but -inf. */
function logSum(b: Builder, xs: readonly Op[]): Op {
  const top = xs.reduce((p, q) => b.maximum(p, q));
  const safe = b.select(b.compare('EQ', top, b.fill(top, -Infinity)), b.fill(top, 0), top);
  return b.add(b.log(xs.map((x) => b.exp(b.subtract(x, safe))).reduce((p, q) => b.add(p, q))), safe);
}
/** Fills [T, N, states] time by time, forwards or backwards; `next` gets the time, what it is made from and the row before. */
function overTime(
  b: Builder,
  l: Lattice,
  backwards: boolean,
  next: (t: Op, logProbs: Op, before: Op, fixed: readonly Op[]) => Op,
  fixed: readonly Op[],
): Op {
  const time = l.logProbs.shape[0]!;
  const shape = [1, l.batch, l.states];
  const none = b.constant(-Infinity, [l.batch, l.states], l.logProbs.dtype);
  const all = b.fill(l.logProbs, -Infinity);
  return b.forLoop(time, [all, none, l.logProbs, ...fixed], (i, [rows, before, logProbs, ...rest]) => {
    const t = backwards ? b.subtract(b.scalar(time - 1, 'int64'), i) : i;
    const zero = b.scalar(0, 'int64');
    const now = b.reshape(b.dynamicSlice(logProbs!, [t, zero, zero], shape), before!.shape);
    const row = next(t, now, before!, rest);
    return [b.dynamicUpdateSlice(rows!, b.reshape(row, shape), [t, zero, zero]), row, logProbs!, ...rest];
  })[0]!;
}
/** log of the likelihood of all beginnings that end in a place at a time. */
function forwards(b: Builder, l: Lattice): Op {
  const step = (t: Op, logProbs: Op, before: Op, [jumps, inside]: readonly Op[]): Op => {
    const never = b.fill(before, -Infinity);
    const leap = b.select(jumps!, shift(b, before, 2, -Infinity), never);
    const moved = b.add(logSum(b, [before, shift(b, before, 1, -Infinity), leap]), logProbs);
    const place = b.iota(before.shape, 1, 'int64');
    const start = b.select(b.compare('LT', place, b.fill(place, 2)), logProbs, never);
    const first = b.broadcast(b.compare('EQ', t, b.scalar(0, 'int64')), before.shape);
    return b.select(inside!, b.select(first, start, moved), never);
  };
  return overTime(b, l, false, step, [l.jumps, l.inside]);
}
/** log of the likelihood of all endings that begin in a place at a time, up to the sequence's own end. */
function backwards(b: Builder, l: Lattice): Op {
  const step = (t: Op, logProbs: Op, before: Op, [jumps, inside, ends, last]: readonly Op[]): Op => {
    const never = b.fill(before, -Infinity);
    const leap = b.select(shift(b, jumps!, -2, false), shift(b, before, -2, -Infinity), never);
    const moved = b.add(logSum(b, [before, shift(b, before, -1, -Infinity), leap]), logProbs);
    const start = b.select(last!, logProbs, never);
    const left = b.compare('EQ', b.broadcast(t, before.shape), ends!);
    const open = b.compare('LT', b.broadcast(t, before.shape), ends!);
    return b.select(inside!, b.select(left, start, b.select(open, moved, never)), never);
  };
  const grid = { shape: [l.batch, l.states], dtype: 'int64' } as const;
  const top = perItem(b, times(b, l.targetLengths, 2), grid);
  const place = b.iota(grid.shape, 1, 'int64');
  const last = b.and(b.compare('LE', place, top), b.compare('GE', place, plus(b, top, -1)));
  return overTime(b, l, true, step, [l.jumps, l.inside, perItem(b, plus(b, l.inputLengths, -1), grid), last]);
}
/** -log of the likelihood at the end of each sequence, [N]; no time at all fits an empty target only. */
function negLogLikelihood(b: Builder, l: Lattice, alpha: Op): Op {
  const item = b.iota([l.batch], 0, 'int64');
  const end = b.add(times(b, clampTo(b, plus(b, l.inputLengths, -1), alpha.shape[0]! - 1), l.batch), item);
  const top = times(b, l.targetLengths, 2);
  const at = (place: Op) => takeFlat(b, flatten(b, alpha), b.add(times(b, end, l.states), place));
  const empty = b.compare('EQ', l.targetLengths, b.fill(l.targetLengths, 0));
  const whole = at(top);
  const withoutBlank = b.select(empty, b.fill(whole, -Infinity), at(clampTo(b, plus(b, top, -1), l.states - 1)));
  const loss = b.negate(logSum(b, [whole, withoutBlank]));
  const noTime = b.compare('EQ', l.inputLengths, b.fill(l.inputLengths, 0));
  return b.select(noTime, b.select(empty, b.fill(loss, 0), b.fill(loss, Infinity)), loss);
}
for (const name of ['aten::_ctc_loss', 'aten::_ctc_loss.Tensor'] as const) {
  rule(name, ({ b, outs }, args) => {
    const l = lattice(b, args, outs[1]!.shape[2]!);
    const alpha = forwards(b, l);
    return [negLogLikelihood(b, l, alpha), b.transpose(alpha, [1, 0, 2])];
  });
}
/** By log_probs: the probability itself less that of being there given the target, times the loss's gradient; nothing after a sequence's end. */
for (const name of ['aten::_ctc_loss_backward', 'aten::_ctc_loss_backward.Tensor'] as const) {
  rule(name, ({ b, out }, args) => {
    const { grad, log_probs, neg_log_likelihood, log_alpha, zero_infinity } = args;
    const l = lattice(b, args, log_alpha.shape[2]!);
    const alpha = b.transpose(log_alpha, [1, 0, 2]);
    const loss = b.broadcastInDim(neg_log_likelihood, l.logProbs.shape, [1]);
    const inside = b.broadcastInDim(l.inside, l.logProbs.shape, [1, 2]);
    const posterior = b.exp(b.subtract(b.add(b.add(alpha, backwards(b, l)), loss), l.logProbs));
    const kept = b.select(inside, posterior, b.fill(posterior, 0));
    const none = b.constant(0, [numel(log_probs.shape)], out.dtype);
    const visited = b.reshape(
      scatterFlat(b, none, l.at, kept, (o, u) => b.add(o, u)),
      out.shape,
    );
    const over = (x: Op) => b.broadcastInDim(x, out.shape, [1]);
    const slope = b.multiply(b.subtract(b.exp(log_probs), visited), over(grad));
    const impossible = over(b.compare('EQ', neg_log_likelihood, b.fill(neg_log_likelihood, Infinity)));
    const settled = b.select(impossible, b.fill(slope, zero_infinity ? 0 : Number.NaN), slope);
    const open = b.compare('LT', b.iota(out.shape, 0, 'int64'), over(l.inputLengths));
    return b.select(open, settled, b.fill(settled, 0));
  });
}
