/** @file scan as an operator: its batched, forward-mode and reverse-mode forms are scans again. */
import type { Level } from '../native.js';
import { native } from '../runtime/load.js';
import { stack, zeros, zeros_like } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { type Flat, isDifferentiable, runBatched, runDual, runGrad } from '../transforms/levels.js';
import { dispatch, isSome, type Operator } from '../transforms/operator.js';
import { recordScan } from './record.js';

export interface ScanSpec {
  /** Constants, carries and one slice each, to new carries and one slice of each result. */
  readonly body: Flat;
  readonly carries: number;
  readonly slices: number;
  readonly length: number;
  readonly reverse: boolean;
  /** Set when the last so many results are the carries before each step. */
  readonly history?: number;
}

/** Cuts a list of inputs of a scan into constants, carries and slices. */
export const cut = <T>(list: readonly T[], carries: number, slices: number): [T[], T[], T[]] => {
  const fixed = list.length - carries - slices;
  return [list.slice(0, fixed), list.slice(fixed, fixed + carries), list.slice(fixed + carries)];
};

/** A batched value, examples in front, for one that is the same for all. */
export const spreadOver = (t: Tensor, batched: boolean, wanted: boolean, size: number): Tensor =>
  wanted && !batched ? t.unsqueeze(0).expand([size, ...t.shape]) : t;

/** Hands out a list piece by piece. */
const taker = (list: readonly Tensor[]): ((n: number) => Tensor[]) => {
  let next = 0;
  return (n) => {
    next += n;
    return list.slice(next - n, next);
  };
};

/** The plain loop. */
export const loopScan = (
  step: (carry: Tensor[], slices: Tensor[]) => Tensor[],
  init: readonly Tensor[],
  xs: readonly Tensor[],
  length: number,
  reverse: boolean,
): Tensor[] => {
  let carry = [...init];
  let rows: Tensor[][] | undefined;
  for (let k = 0; k < length; k++) {
    const at = reverse ? length - 1 - k : k;
    const made = step(
      carry,
      xs.map((x) => x.select(0, at)),
    );
    carry = made.slice(0, carry.length);
    const ys = made.slice(carry.length);
    rows ??= ys.map(() => []);
    ys.forEach((y, i) => {
      rows![i]![at] = y;
    });
  }
  if (rows !== undefined) return [...carry, ...rows.map((r) => stack(r))];
  // No step: one on zeros tells what the results would look like.
  const shapes = step(
    [...init],
    xs.map((x) => zeros([...x.shape.slice(1)], { dtype: x.dtype })),
  ).slice(carry.length);
  return [...carry, ...shapes.map((y) => zeros([0, ...y.shape], { dtype: y.dtype }))];
};

export class ScanOperator implements Operator {
  readonly name = 'Scan';
  constructor(private readonly spec: ScanSpec) {}

  run(inputs: Tensor[]): Tensor[] {
    const { body, carries, slices, length, reverse } = this.spec;
    const [fixed, init, xs] = cut(inputs, carries, slices);
    if (native().isProbing()) {
      const rows = xs.map((x) => zeros([...x.shape.slice(1)], { dtype: x.dtype }));
      const made = body([...fixed, ...init, ...rows]);
      return made.map((t, i) => (i < carries ? t : t.unsqueeze(0).expand([length, ...t.shape])));
    }
    if (native().isTracing()) return recordScan(body, inputs, this.spec);
    return loopScan((carry, row) => body([...fixed, ...carry, ...row]), init, xs, length, reverse);
  }

  /** A carry is batched as soon as one step makes it depend on what is: steps are tried until that is settled. */
  batch(inputs: Tensor[], batched: boolean[], level: Level) {
    const { body, carries, slices } = this.spec;
    const [fixedFlags, carryFlags, sliceFlags] = cut(batched, carries, slices);
    const [fixed, init, xs] = cut(inputs, carries, slices);
    let flags = carryFlags;
    let outFlags: boolean[] = [];
    const row = (x: Tensor, isBatched: boolean): Tensor =>
      zeros(isBatched ? [x.shape[0], ...x.shape.slice(2)] : [...x.shape.slice(1)], { dtype: x.dtype });
    for (;;) {
      const given = [
        ...fixed,
        ...init.map((t, i) => spreadOver(t, carryFlags[i]!, flags[i]!, level.size)),
        ...xs.map((x, i) => row(x, sliceFlags[i]!)),
      ];
      const settled = flags;
      const tried = native().probe(
        () => runBatched(body, given, [...fixedFlags, ...settled, ...sliceFlags], level).batched,
        [],
        true,
      ).result;
      outFlags = tried.slice(carries);
      const next = flags.map((f, i) => f || tried[i]!);
      if (next.every((f, i) => f === flags[i])) break;
      flags = next;
    }
    const stepFlags = [...fixedFlags, ...flags, ...sliceFlags];
    const batchedBody: Flat = (given) => {
      const made = runBatched(body, given, stepFlags, level);
      return made.outputs.map((t, i) =>
        spreadOver(t, made.batched[i]!, i < carries ? flags[i]! : outFlags[i - carries]!, level.size),
      );
    };
    const outputs = dispatch(new ScanOperator({ ...this.spec, body: batchedBody }), [
      ...fixed,
      ...init.map((t, i) => spreadOver(t, carryFlags[i]!, flags[i]!, level.size)),
      // Steps come first, then the examples of each.
      ...xs.map((x, i) => (sliceFlags[i] ? x.movedim(0, 1) : x)),
    ]);
    // What was saved for a backward follows the results: the carries before each step, batched as they are.
    const all = [...flags, ...outFlags];
    return {
      outputs: outputs.slice(0, all.length).map((t, i) => (i >= carries && all[i] ? t.movedim(1, 0) : t)),
      batched: all,
    };
  }

  dual(inputs: Tensor[], tangents: (Tensor | null)[]) {
    const { body, carries, slices } = this.spec;
    const [fixed, init, xs] = cut(inputs, carries, slices);
    const [dFixed, dInit, dXs] = cut(tangents, carries, slices);
    const floats = init.map(isDifferentiable);
    const count = { fixed: fixed.length, dFixed: dFixed.filter(isSome).length, floats: floats.filter(Boolean).length };
    let outFloats: boolean[] = [];
    const step: Flat = (given) => {
      const take = taker(given);
      const same = take(count.fixed);
      const dSame = take(count.dFixed);
      const carry = take(carries);
      const dCarry = take(count.floats);
      const row = take(slices);
      const dRow = take(dXs.filter(isSome).length);
      const along = [
        ...dFixed.map((t) => (isSome(t) ? dSame.shift()! : null)),
        ...floats.map((f) => (f ? dCarry.shift()! : null)),
        ...dXs.map((t) => (isSome(t) ? dRow.shift()! : null)),
      ];
      const made = runDual(body, [...same, ...carry, ...row], along);
      outFloats = made.outputs.slice(carries).map(isDifferentiable);
      const tangent = (i: number): Tensor => made.tangents[i] ?? zeros_like(made.outputs[i]!);
      return [
        ...made.outputs.slice(0, carries),
        ...floats.flatMap((f, i) => (f ? [tangent(i)] : [])),
        ...made.outputs.slice(carries),
        ...outFloats.flatMap((f, i) => (f ? [tangent(carries + i)] : [])),
      ];
    };
    const outputs = dispatch(
      new ScanOperator({
        body: step,
        carries: carries + count.floats,
        slices: slices + dXs.filter(isSome).length,
        length: this.spec.length,
        reverse: this.spec.reverse,
      }),
      [
        ...fixed,
        ...dFixed.filter(isSome),
        ...init,
        ...init.flatMap((t, i) => (floats[i] ? [dInit[i] ?? zeros_like(t)] : [])),
        ...xs,
        ...dXs.filter(isSome),
      ],
    );
    const take = taker(outputs);
    const carry = take(carries);
    const dCarry = take(count.floats);
    const ys = take(outFloats.length);
    const dYs = take(outFloats.filter(Boolean).length);
    return {
      outputs: [...carry, ...ys],
      tangents: [
        ...floats.map((f) => (f ? dCarry.shift()! : null)),
        ...outFloats.map((f) => (f ? dYs.shift()! : null)),
      ],
    };
  }

  /** The same scan, returning the carries before each step too. */
  saving(): Operator {
    const { body, carries, slices, history } = this.spec;
    if (history !== undefined) return this;
    const keeping: Flat = (given) => {
      const [, carry] = cut(given, carries, slices);
      return [...body(given), ...carry];
    };
    return new ScanOperator({ ...this.spec, body: keeping, history: carries });
  }

  /** The scan backwards: each step pulls the cotangents through the body, whose values it computes again from the carries saved. */
  backward(inputs: Tensor[], outputs: Tensor[], cotangents: (Tensor | null)[], needed: boolean[]): (Tensor | null)[] {
    const { body, carries, slices } = this.spec;
    const [fixed, init, xs] = cut(inputs, carries, slices);
    const wants = inputs.map((t, i) => needed[i]! && isDifferentiable(t));
    const [wFixed, , wXs] = cut(wants, carries, slices);
    const floats = init.map(isDifferentiable);
    const wanted = [...wFixed, ...floats, ...wXs];
    const history = outputs.slice(outputs.length - carries);
    const given = cotangents.slice(carries);
    const step: Flat = (now) => {
      const take = taker(now);
      const same = take(fixed.length);
      const cCarry = take(floats.filter(Boolean).length);
      const sums = take(wFixed.filter(Boolean).length);
      const carry = take(carries);
      const row = take(slices);
      const cRows = take(given.filter(isSome).length);
      const inner = [...same, ...carry, ...row];
      const along = [...cCarry];
      const { gradients } = runGrad(body, inner, wanted, () => [
        ...floats.map((f) => (f ? along.shift()! : null)),
        ...given.map((c) => (isSome(c) ? cRows.shift()! : null)),
      ]);
      const [gFixed, gCarry, gXs] = cut(gradients, carries, slices);
      const [vFixed, vCarry, vXs] = cut(inner, carries, slices);
      return [
        ...vCarry.flatMap((t, i) => (floats[i] ? [gCarry[i] ?? zeros_like(t)] : [])),
        ...vFixed.flatMap((_, i) => {
          if (!wFixed[i]) return [];
          const sum = sums.shift()!;
          return [isSome(gFixed[i]) ? sum.add(gFixed[i]) : sum];
        }),
        ...vXs.flatMap((t, i) => (wXs[i] ? [gXs[i] ?? zeros_like(t)] : [])),
      ];
    };
    const cInit = init.flatMap((t, i) => (floats[i] ? [cotangents[i] ?? zeros_like(t)] : []));
    const sums = fixed.flatMap((t, i) => (wFixed[i] ? [zeros_like(t)] : []));
    const rows = [...history, ...xs, ...given.filter(isSome)];
    const results = dispatch(
      new ScanOperator({
        body: step,
        carries: cInit.length + sums.length,
        slices: rows.length,
        length: this.spec.length,
        reverse: !this.spec.reverse,
      }),
      [...fixed, ...cInit, ...sums, ...rows],
    );
    const take = taker(results);
    const gInit = take(cInit.length);
    const gFixed = take(sums.length);
    const gXs = take(wXs.filter(Boolean).length);
    return [
      ...wFixed.map((w) => (w ? gFixed.shift()! : null)),
      ...floats.map((f) => (f ? gInit.shift()! : null)),
      ...wXs.map((w) => (w ? gXs.shift()! : null)),
    ];
  }
}
