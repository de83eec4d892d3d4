/** @file The table of lowering rules: which ATen overload becomes which StableHLO, one entry per overload. */
import type { Arg, Node } from '../compile/graph.js';
import type { Builder } from '../stablehlo/builder.js';
import type { Op, TensorType } from '../stablehlo/types.js';
import type { RandomStream } from './random-stream.js';
import type { RuleArgs } from './rule-args.js';

/** What a rule works with, besides its arguments. */
export interface RuleContext {
  readonly b: Builder;
  /** libtorch's answer for the first result. */
  readonly out: TensorType;
  /** libtorch's answer for each result, tensor lists flattened; undefined where it returns no tensor. */
  readonly outs: readonly (TensorType | undefined)[];
  /** The recorded call, for what the arguments do not tell (strides). */
  readonly node: Node;
  /** Random bits of this call, fresh at every run. */
  readonly random: RandomStream;
  /** libtorch's kernel as a part of the rule, where programs may call it and its speed decides; undefined elsewhere. Answers its results. */
  readonly kernel?:
    | ((op: string, args: Readonly<Record<string, Arg | Op>>, outs: readonly TensorType[]) => readonly Op[])
    | undefined;
}
export type RuleResult = Op | readonly (Op | undefined)[];
export type RuleName = keyof RuleArgs;
export type Rule<N extends RuleName> = (ctx: RuleContext, args: RuleArgs[N]) => RuleResult;
type AnyRule = (ctx: RuleContext, args: never) => RuleResult;

/** Thrown by a rule that cannot lower this particular call: the node runs as an ATen call instead. */
export class NoLowering extends Error {
  override readonly name = 'NoLowering';
}

const table = new Map<string, AnyRule>();

/** Registers the lowering of one overload. @throws Error when it has one already. */
export function rule<N extends RuleName>(name: N, lower: Rule<N>): void {
  if (table.has(name)) throw new Error(`rule: ${name} is registered twice.`);
  table.set(name, lower);
}
/** Registers one lowering for several overloads that share the arguments it uses. */
export function rules<N extends RuleName>(names: readonly N[], lower: Rule<N>): void {
  for (const name of names) rule(name, lower);
}

export const findRule = (name: string): AnyRule | undefined => table.get(name);
/** The overloads that have a rule, for the recorder: it records those whole instead of letting libtorch decompose them. */
export const ruleNames = (): string[] => [...table.keys()].sort();
