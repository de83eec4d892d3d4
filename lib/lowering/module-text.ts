/** @file The text of a module around the lines of its program. */
import type { Mesh } from '../shard/mesh.js';
import type { Sharding } from '../shard/sharding.js';
import type { Builder } from '../stablehlo/builder.js';
import { wholeKernel } from '../stablehlo/kernel.js';
import { declared, names, type Op, typesOf } from '../stablehlo/types.js';
import type { Donation, LoweredPartition } from './lower.js';
import { inParts } from './parts.js';

/** What a program takes and gives. */
export interface Interface {
  readonly parameters: readonly Op[];
  readonly returned: readonly Op[];
  /** How many of `returned` are results; what is behind them are flags of checks, which are the caller's, whole. */
  readonly results: number;
  readonly donated: readonly Donation[];
  readonly partition: LoweredPartition | undefined;
  /** Whether the whole program is a function that becomes one kernel (one-kernel.ts). */
  readonly oneKernel: boolean;
  /** Whether it may be cut into parts (parts.ts). */
  readonly mayBeCut: boolean;
}

const attributes = (list: readonly string[]): string => (list.length === 0 ? '' : ` {${list.join(', ')}}`);

/** Shardy's attribute of a parameter or result; whole on every device where nothing is said. */
const spread = (partition: LoweredPartition | undefined, sharding: Sharding | undefined, { shape }: Op): string[] =>
  partition === undefined
    ? []
    : [`sdy.sharding = #sdy.sharding<@mesh, ${sharding?.text ?? `[${shape.map(() => '{}').join(', ')}]`}>`];

const meshLine = ({ shape, mesh_dim_names }: Mesh): string =>
  `sdy.mesh @mesh = <[${shape.map((n, i) => `"${mesh_dim_names[i]}"=${n}`).join(', ')}]>`;

/** The module `@jorch`; `@main` takes `parameters` in order. */
export const moduleText = (
  b: Builder,
  { parameters, returned, results, donated, partition, oneKernel, mayBeCut }: Interface,
): string => {
  const taken = new Map(donated.map(({ input, output }) => [input, output]));
  const ins = parameters.map((p, i) => {
    const donation = taken.has(i) ? [`tf.aliasing_output = ${taken.get(i)} : i32`] : [];
    return `${declared([p])}${attributes([...donation, ...spread(partition, partition?.inputs[i], p)])}`;
  });
  const outs = returned.map((o, i) => {
    const free = partition === undefined || (i < results && partition.results[i] === undefined);
    return free ? o.type : `${o.type}${attributes(spread(partition, partition.results[i], o))}`;
  });
  const end = returned.length === 0 ? 'return' : `return ${names(returned)} : ${typesOf(returned)}`;
  const whole = oneKernel ? wholeKernel(parameters, b.lines(), returned) : undefined;
  const parts = mayBeCut && b.functions().length === 0 ? inParts(b.lines(), parameters, returned) : undefined;
  const lines = whole
    ? [...whole.main, ...whole.function]
    : parts
      ? [...parts.main, ...parts.functions]
      : [...b.lines(), end, '}'];
  return [
    'module @jorch {',
    ...(partition === undefined ? [] : [meshLine(partition.mesh)]),
    `func.func public @main(${ins.join(', ')}) -> (${outs.join(', ')}) {`,
    ...lines,
    ...b.functions(),
    '}',
    '',
  ].join('\n');
};
