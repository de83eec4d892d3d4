/** @file Control flow: loops as stablehlo.while, branches as stablehlo.if. */
import type { Control, Subgraph, Value } from '../compile/graph.js';
import type { Builder } from '../stablehlo/builder.js';
import type { Op } from '../stablehlo/types.js';
import { isRandom as drawsNumbers, type Lowering } from './lower.js';

const isRandom = ({ graph }: Subgraph): boolean =>
  graph.nodes.some(
    ({ op, control }) => drawsNumbers(op) || (control !== undefined && bodiesOf(control).some(isRandom)),
  );

const bodiesOf = (control: Control): readonly Subgraph[] => {
  switch (control.kind) {
    case 'scan':
      return [control.body];
    case 'while':
      return [control.cond, control.body];
    case 'cond':
      return control.branches;
    case 'barrier':
      return [];
  }
};

const noKey = (): never => {
  throw new Error('a loop without random operators asked for a random key');
};

/** A key of its own for each operator and round: Philox of the outer key, counted by both. */
const keyOf = (b: Builder, outer: Op, operator: number, round?: Op): Op => {
  const call = b.scalar(BigInt(operator) << 32n, 'uint64');
  const counter = round === undefined ? call : b.add(call, b.convert(round, 'uint64'));
  const state = b.concatenate(
    [outer, counter].map((x) => b.reshape(x, [1])),
    0,
  );
  return b.reshape(b.rngBits(state, [1], 'uint64', 'PHILOX')[1]!, []);
};

/** One round of a loop after the other, on what is carried; regions see only that, so whatever stays the same is carried too. */
const loop = (
  lowering: Lowering,
  operator: number,
  random: boolean,
  operands: readonly Op[],
  goesOn: (round: Op, carried: readonly Op[], key: () => Op) => Op,
  step: (round: Op, carried: readonly Op[], key: () => Op) => readonly Op[],
): readonly Op[] => {
  const { b } = lowering;
  const extra = [b.scalar(0, 'int32'), ...(random ? [lowering.defaultKey()] : [])];
  const inside = (carry: readonly Op[]) => {
    const [round, outer] = carry;
    const key = random ? () => keyOf(b, outer!, operator, round!) : noKey;
    return { round: round!, key, carried: carry.slice(extra.length) };
  };
  return b
    .while(
      [...extra, ...operands],
      (carry) => {
        const { round, carried, key } = inside(carry);
        return goesOn(round, carried, key);
      },
      (carry) => {
        const { round, carried, key } = inside(carry);
        return [b.add(round, b.scalar(1, 'int32')), ...carry.slice(1, extra.length), ...step(round, carried, key)];
      },
    )
    .slice(extra.length);
};

/** A list in pieces of these lengths, and the rest. */
const pieces = <T>(list: readonly T[], ...lengths: readonly number[]): T[][] => {
  let start = 0;
  const cut = lengths.map((n) => {
    start += n;
    return list.slice(start - n, start);
  });
  return [...cut, list.slice(start)];
};

const lowerScan = (
  lowering: Lowering,
  { body, carries, slices, length, reverse }: Extract<Control, { kind: 'scan' }>,
  operands: readonly Op[],
  outs: readonly Value[],
): readonly Op[] => {
  const { b } = lowering;
  const fixed = operands.length - carries - slices;
  const zeros = (rank: number): Op[] => Array.from({ length: rank }, () => b.scalar(0, 'int32'));
  const row = (x: Op, at: Op): Op => {
    const shape = x.shape.slice(1);
    return b.reshape(b.dynamicSlice(x, [at, ...zeros(shape.length)], [1, ...shape]), shape);
  };
  const stacked = outs.slice(carries).map((v) => b.fill(v, 0));
  if (length === 0) return [...operands.slice(fixed, fixed + carries), ...stacked];
  const end = loop(
    lowering,
    outs[0]?.id ?? 0,
    isRandom(body),
    [...operands, ...stacked],
    (round) => b.compare('LT', round, b.scalar(length, 'int32')),
    (round, now, key) => {
      const at = reverse ? b.subtract(b.scalar(length - 1, 'int32'), round) : round;
      const [same, carried, xs, ys] = pieces(now, fixed, carries, slices) as [Op[], Op[], Op[], Op[]];
      const made = lowering.region(body, [...same, ...carried, ...xs.map((x) => row(x, at))], key);
      const rows = made.slice(carries);
      return [
        ...same,
        ...made.slice(0, carries),
        ...xs,
        ...ys.map((y, i) => {
          const { shape } = rows[i]!;
          return b.dynamicUpdateSlice(y, b.reshape(rows[i]!, [1, ...shape]), [at, ...zeros(shape.length)]);
        }),
      ];
    },
  );
  const [, carried, , ys] = pieces(end, fixed, carries, slices) as [Op[], Op[], Op[], Op[]];
  return [...carried, ...ys];
};

const lowerWhile = (
  lowering: Lowering,
  { cond, body, carries }: Extract<Control, { kind: 'while' }>,
  operands: readonly Op[],
  outs: readonly Value[],
): readonly Op[] => {
  const fixed = operands.length - carries;
  const random = isRandom(body) || isRandom(cond);
  return loop(
    lowering,
    outs[0]?.id ?? 0,
    random,
    operands,
    (_, now, key) => lowering.region(cond, now, key)[0]!,
    (_, now, key) => [...now.slice(0, fixed), ...lowering.region(body, now, key)],
  ).slice(fixed);
};

const lowerCond = (
  lowering: Lowering,
  { branches }: Extract<Control, { kind: 'cond' }>,
  operands: readonly Op[],
  outs: readonly Value[],
): readonly Op[] => {
  const { b } = lowering;
  const [pred, ...given] = operands as [Op, ...Op[]];
  // One key for the operator: inside the branches a key is a value from outside, as all they use.
  const key = branches.some(isRandom) ? keyOf(b, lowering.defaultKey(), outs[0]?.id ?? 0) : undefined;
  const branch = (body: Subgraph) => () => lowering.region(body, given, key === undefined ? noKey : () => key);
  return b.if(pred, branch(branches[0]), branch(branches[1]));
};

/** The results of an operator of our own, in the order in which it was recorded. */
export const lowerControl = (
  lowering: Lowering,
  control: Control,
  operands: readonly Op[],
  outs: readonly Value[],
): readonly Op[] => {
  switch (control.kind) {
    case 'scan':
      return lowerScan(lowering, control, operands, outs);
    case 'while':
      return lowerWhile(lowering, control, operands, outs);
    case 'cond':
      return lowerCond(lowering, control, operands, outs);
    case 'barrier':
      return lowering.b.barrier(operands);
  }
};
