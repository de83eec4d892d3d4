/** @file Control flow: loops as stablehlo.while, branches as stablehlo.if. */
import type { Control, Subgraph, Value } from '../compile/graph.js';
import type { Builder } from '../stablehlo/builder.js';
import type { Op } from '../stablehlo/types.js';
import type { Lowering } from './lower.js';
import { isKernelLoop } from './one-kernel.js';

/** One round of a loop after the other, on what is carried; regions see only that, so whatever stays the same is carried too. */
const loop = (
  b: Builder,
  operands: readonly Op[],
  goesOn: (round: Op, carried: readonly Op[]) => Op,
  step: (round: Op, carried: readonly Op[]) => readonly Op[],
  kernel?: (regions: string) => boolean,
): readonly Op[] =>
  b
    .while(
      [b.scalar(0, 'int32'), ...operands],
      ([round, ...carried]) => goesOn(round!, carried),
      ([round, ...carried]) => [b.add(round!, b.scalar(1, 'int32')), ...step(round!, carried)],
      kernel,
    )
    .slice(1);

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
    b,
    [...flag, ...operands, ...stacked],
    (round) => b.compare('LT', round, b.scalar(length, 'int32')),
    (round, now) => {
      const at = reverse ? b.subtract(b.scalar(length - 1, 'int32'), round) : round;
      const [before, same, carried, xs, ys] = pieces(now, flag.length, fixed, carries, slices) as Op[][] as Five;
      const made = lowering.region(body, [...same, ...carried, ...xs.map((x) => row(x, at))], checked);
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
  { cond, body, carries, kernel }: Extract<Control, { kind: 'while' }>,
  operands: readonly Op[],
  checked: boolean,
): Lowered => {
  const { b } = lowering;
  const fixed = operands.length - carries;
  const flag = checked ? [b.scalar(false, 'bool')] : [];
  const end = loop(
    b,
    [...flag, ...operands],
    (round, now) => {
      const [goesOn, failed] = lowering.region(cond, now.slice(flag.length), checked, round);
      // A failed condition is looked at again in the step, which notes it.
      return failed === undefined ? goesOn! : b.or(goesOn!, b.and(failed, b.not(now[0]!)));
    },
    (round, now) => {
      const given = now.slice(flag.length);
      const made = lowering.region(body, given, checked, round);
      if (!checked) return [...given.slice(0, fixed), ...made];
      const failed = b.or(made.at(-1)!, lowering.region(cond, given, true, round)[1]!);
      return [b.or(now[0]!, failed), ...given.slice(0, fixed), ...made.slice(0, -1)];
    },
    kernel && lowering.target === 'cpu' && lowering.mesh === undefined ? isKernelLoop : undefined,
  );
  return { results: end.slice(flag.length + fixed), failed: checked ? end[0] : undefined };
};

const lowerCond = (
  lowering: Lowering,
  { branches }: Extract<Control, { kind: 'cond' }>,
  operands: readonly Op[],
  checked: boolean,
): Lowered => {
  const { b } = lowering;
  const [pred, ...given] = operands as [Op, ...Op[]];
  const branch = (body: Subgraph) => () => lowering.region(body, given, checked);
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
      return lowerWhile(lowering, control, operands, checked);
    case 'cond':
      return lowerCond(lowering, control, operands, checked);
    case 'key':
      return { results: [] };
    case 'barrier':
      return { results: lowering.b.barrier(operands) };
    case 'sharding':
      // For one device there is nothing to say.
      return {
        results: lowering.mesh === undefined ? operands : [lowering.b.spread(operands[0]!, control.sharding.text)],
      };
  }
};
