/** @file Control flow: loops as stablehlo.while, branches as stablehlo.if. */
import type { Control, Subgraph, Value } from '../compile/graph.js';
import type { Builder } from '../stablehlo/builder.js';
import type { Op } from '../stablehlo/types.js';
import { bodiesOf } from './checks.js';
import { isRandom as drawsNumbers, type Lowering } from './lower.js';

const isRandom = ({ graph }: Subgraph): boolean =>
  graph.nodes.some(
    ({ op, control }) => drawsNumbers(op) || (control !== undefined && bodiesOf(control).some(isRandom)),
  );

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

type Five = [Op[], Op[], Op[], Op[], Op[]];

/** What an operator of our own gives; `failed`: whether a check in one of its bodies has. */
interface Lowered {
  readonly results: readonly Op[];
  readonly failed?: Op | undefined;
}

/** The last value is the flag, if there is one. */
const withFlag = (values: readonly Op[], checked: boolean): Lowered =>
  checked ? { results: values.slice(0, -1), failed: values.at(-1) } : { results: values };

const lowerScan = (
  lowering: Lowering,
  { body, carries, slices, length, reverse }: Extract<Control, { kind: 'scan' }>,
  operands: readonly Op[],
  outs: readonly Value[],
  checked: boolean,
): Lowered => {
  const { b } = lowering;
  const fixed = operands.length - carries - slices;
  const zeros = (rank: number): Op[] => Array.from({ length: rank }, () => b.scalar(0, 'int32'));
  const row = (x: Op, at: Op): Op => {
    const shape = x.shape.slice(1);
    return b.reshape(b.dynamicSlice(x, [at, ...zeros(shape.length)], [1, ...shape]), shape);
  };
  const stacked = outs.slice(carries).map((v) => b.fill(v, 0));
  const flag = checked ? [b.scalar(false, 'bool')] : [];
  if (length === 0) return withFlag([...operands.slice(fixed, fixed + carries), ...stacked, ...flag], checked);
  const end = loop(
    lowering,
    outs[0]?.id ?? 0,
    isRandom(body),
    [...flag, ...operands, ...stacked],
    (round) => b.compare('LT', round, b.scalar(length, 'int32')),
    (round, now, key) => {
      const at = reverse ? b.subtract(b.scalar(length - 1, 'int32'), round) : round;
      const [before, same, carried, xs, ys] = pieces(now, flag.length, fixed, carries, slices) as Op[][] as Five;
      const made = lowering.region(body, [...same, ...carried, ...xs.map((x) => row(x, at))], key, checked);
      const rows = made.slice(carries);
      return [
        ...before.map((failed) => b.or(failed, made.at(-1)!)),
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
  const [failed, , carried, , ys] = pieces(end, flag.length, fixed, carries, slices) as Op[][] as Five;
  return { results: [...carried, ...ys], failed: failed[0] };
};

const lowerWhile = (
  lowering: Lowering,
  { cond, body, carries }: Extract<Control, { kind: 'while' }>,
  operands: readonly Op[],
  outs: readonly Value[],
  checked: boolean,
): Lowered => {
  const { b } = lowering;
  const fixed = operands.length - carries;
  const random = isRandom(body) || isRandom(cond);
  const flag = checked ? [b.scalar(false, 'bool')] : [];
  const end = loop(
    lowering,
    outs[0]?.id ?? 0,
    random,
    [...flag, ...operands],
    (_, now, key) => {
      const [goesOn, failed] = lowering.region(cond, now.slice(flag.length), key, checked);
      // A failed condition is looked at again in the step, which notes it.
      return failed === undefined ? goesOn! : b.or(goesOn!, b.and(failed, b.not(now[0]!)));
    },
    (_, now, key) => {
      const given = now.slice(flag.length);
      const made = lowering.region(body, given, key, checked);
      if (!checked) return [...given.slice(0, fixed), ...made];
      const failed = b.or(made.at(-1)!, lowering.region(cond, given, key, true)[1]!);
      return [b.or(now[0]!, failed), ...given.slice(0, fixed), ...made.slice(0, -1)];
    },
  );
  return { results: end.slice(flag.length + fixed), failed: checked ? end[0] : undefined };
};

const lowerCond = (
  lowering: Lowering,
  { branches }: Extract<Control, { kind: 'cond' }>,
  operands: readonly Op[],
  outs: readonly Value[],
  checked: boolean,
): Lowered => {
  const { b } = lowering;
  const [pred, ...given] = operands as [Op, ...Op[]];
  // One key for the operator: inside the branches a key is a value from outside, as all they use.
  const key = branches.some(isRandom) ? keyOf(b, lowering.defaultKey(), outs[0]?.id ?? 0) : undefined;
  const branch = (body: Subgraph) => () => lowering.region(body, given, key === undefined ? noKey : () => key, checked);
  return withFlag(b.if(pred, branch(branches[0]), branch(branches[1])), checked);
};

/** The results of an operator of our own, in the order in which it was recorded. `checked`: with a flag for the checks in its bodies. */
export const lowerControl = (
  lowering: Lowering,
  control: Control,
  operands: readonly Op[],
  outs: readonly Value[],
  checked: boolean,
): Lowered => {
  switch (control.kind) {
    case 'scan':
      return lowerScan(lowering, control, operands, outs, checked);
    case 'while':
      return lowerWhile(lowering, control, operands, outs, checked);
    case 'cond':
      return lowerCond(lowering, control, operands, outs, checked);
    case 'barrier':
      return { results: lowering.b.barrier(operands) };
    case 'sharding':
      // For one device there is nothing to say.
      return {
        results: lowering.mesh === undefined ? operands : [lowering.b.spread(operands[0]!, control.sharding.text)],
      };
  }
};
