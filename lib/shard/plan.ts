/** @file How the parameters and results of one partitioned program are spread, before it is compiled and after. */
import type { Value } from '../compile/graph.js';
import type { Lowered, LoweredPartition } from '../lowering/index.js';
import type { EntrySpec, Executable, Place, ProgramSpec } from '../native.js';
import type { Tensor } from '../torch/tensor.js';
import type { Mesh } from './mesh.js';
import { resultPlacements } from './read-back.js';
import { replicated, type Sharding, shardingAt } from './sharding.js';

/** What a function compiled for a mesh says, for one trace. */
export interface Partition {
  readonly mesh: Mesh;
  /** Of the function's i-th result, undefined where XLA decides. */
  result(i: number): Sharding | undefined;
  /** Of a parameter; `own`: because the tensor itself is spread that way (a `.grad` follows its tensor). */
  parameter(
    place: Place,
    captured: readonly Tensor[],
    shape: readonly number[],
  ): { readonly sharding: Sharding; readonly own: boolean };
}

/** The forward program, and the places that the program's fit depends on. */
export const spreadOf = (
  partition: Partition,
  captured: readonly Tensor[],
  parameters: readonly Place[],
  inputs: readonly Value[],
  planned: EntrySpec['results'],
  effects: EntrySpec['effects'],
  results: readonly Value[],
): { readonly program: LoweredPartition; readonly placed: NonNullable<EntrySpec['placed']> } => {
  const found = parameters.map((place, i) => partition.parameter(place, captured, inputs[i]!.shape));
  const fixed: (Sharding | undefined)[] = results.map(() => undefined);
  for (const [i, plan] of planned.entries())
    if ('output' in plan && !plan.view) fixed[plan.output] ??= partition.result(i);
  // What is changed stays where it is.
  for (const { output, kind: _, ...place } of effects)
    fixed[output] ??= partition.parameter(place, captured, results[output]!.shape).sharding;
  return {
    program: { mesh: partition.mesh, inputs: found.map(({ sharding }) => sharding), results: fixed },
    placed: parameters.flatMap((place, i) =>
      found[i]!.own ? [{ ...place, placement: found[i]!.sharding.placement }] : [],
    ),
  };
};

/** A tensor that XLA has padded, or spread in a way that has no name, is put together before it goes into the next program. */
export const usable = (sharding: Sharding | null, shape: readonly number[]): Sharding | null =>
  sharding?.divides(shape) ? sharding : null;

/** How an executable gives its results. */
export const shardingsOf = (
  executable: Executable,
  { mesh, results }: LoweredPartition,
  values: readonly Value[],
): Sharding[] =>
  resultPlacements(
    executable,
    mesh,
    results,
    values.map((v) => v.shape.length),
  ).map((number, i) => usable(shardingAt(number, mesh), values[i]!.shape) ?? replicated(mesh, values[i]!.shape.length));

/** The placements of a compiled program's parameters and results; nothing for one on one device. */
export const placementsOf = (
  executable: Executable,
  { lowered: { partition }, types }: { readonly lowered: Lowered; readonly types: Omit<ProgramSpec, 'executable'> },
): Pick<ProgramSpec, 'placements'> => {
  if (partition === undefined) return {};
  const { mesh } = partition;
  // Random keys behind the parameters, flags of checks behind the results: whole.
  const whole = replicated(mesh, 0).placement;
  const wanted = types.outputs.map((o, i) =>
    i < partition.results.length ? partition.results[i] : replicated(mesh, o.shape.length),
  );
  return {
    placements: {
      devices: mesh.size(),
      inputs: types.inputs.map((_, i) => partition.inputs[i]?.placement ?? whole),
      outputs: resultPlacements(
        executable,
        mesh,
        wanted,
        types.outputs.map((o) => o.shape.length),
      ),
    },
  };
};
