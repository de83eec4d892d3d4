/** @file fn.export(path, …): the program of a function, its captured tensors and its signature in one file that needs no libtorch. */
import { type ArchiveTensor, writeArchive } from '../export/archive.js';
import { compilerVersion } from '../export/load.js';
import { FORMAT, type Parameter, type ProgramSignature, shapeOf } from '../export/signature.js';
import type { Target } from '../lowering/lower.js';
import type { Place } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { ownVersion } from '../runtime/parts.js';
import type { Tensor } from '../torch/tensor.js';
import type { Structure } from '../tree.js';
import { type Plan, plan } from './build.js';
import type { Trace } from './trace.js';

/** A function traced for export: results contiguous, nothing run. */
export interface Traced {
  readonly name: string;
  readonly trace: Trace;
  readonly args: Structure;
  readonly results: Structure;
}

const changes = ({ captures }: Trace): boolean =>
  captures.some((c) => c.mutated >= 0 || c.grad >= 0 || c.gradCleared || c.requiresGrad !== null);

/**
 * The program of a traced function alone: without autograd's half, without views, and without libtorch.
 * @throws JorchError NO_RULE for operators that only libtorch can run, by name.
 */
export const planAlone = ({ name, trace }: Traced, what: string, target: Target = 'cpu'): Plan => {
  const values = { ...trace, backward: null, views: trace.views.map(() => null) };
  const planned = plan(values, { fallback: 'aten', optimize: 'xla', target });
  const [lowered] = planned.programs;
  if (lowered!.calls.length > 0)
    throw new JorchError(
      'NO_RULE',
      `${name} cannot be ${what}, since it calls libtorch’s kernels: ${lowered!.calls
        .map(({ op, reason, line }) => `${op} (${reason}${line ? `, called at ${line}` : ''})`)
        .join(', ')}`,
    );
  return planned;
};

/** What a program file is for. */
export type FileTarget = Pick<ProgramSignature, 'platform' | 'plugin' | 'card'>;

/**
 * The signature and the captured tensors that belong to a program in a file.
 * @throws JorchError BAD_ARGUMENT when the function changes tensors or an argument cannot be written to a file.
 */
export const describeProgram = (
  { name, trace, args, results }: Traced,
  planned: Plan,
  target: FileTarget,
): { signature: string; tensors: Map<string, ArchiveTensor> } => {
  if (changes(trace))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: the function changes tensors in place (arguments, captured tensors, or their grad), and an exported program only returns values. Return the new values instead; modules export in eval()`,
    );
  const { inputs, outputs, parameters } = planned.types;
  const tensors = new Map<string, ArchiveTensor>();
  const weight = (index: number): { weight: string } => {
    const key = `captured.${index}`;
    if (!tensors.has(key)) {
      const tensor = planned.captured[index]!;
      tensors.set(key, {
        dtype: tensor.dtype,
        shape: [...tensor.shape],
        data: new Uint8Array(native().toBytes(tensor)),
      });
    }
    return { weight: key };
  };
  const gradient = (): never => {
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: the function reads a tensor's grad, which an exported program does not have`,
    );
  };
  const source = (place: Place): { arg: number } | { weight: string } =>
    place.ofGrad ? gradient() : place.isArg ? { arg: place.index } : weight(place.index);
  const signature: ProgramSignature = {
    format: FORMAT,
    name,
    jorch: ownVersion(),
    ...target,
    args: shapeOf(args, 'the arguments'),
    results: shapeOf(results, 'the result'),
    parameters: inputs.map(
      ({ dtype, shape }, i): Parameter =>
        i < parameters.length ? { ...source(parameters[i]!), dtype, shape } : { random: true },
    ),
    outputs: outputs.map(({ dtype, shape }) => ({ dtype, shape })),
    returns: planned.results.map((r) => ('output' in r ? { output: r.output } : source(r as Place))),
  };
  return { signature: JSON.stringify(signature), tensors };
};

/**
 * Writes the program to `path`.
 * @throws JorchError NO_RULE for operators that only libtorch can run, by name; BAD_ARGUMENT when the function changes tensors or an
 * argument cannot be written to a file; TOO_LARGE; the file system's error.
 */
export const exportProgram = (path: string, traced: Traced): void => {
  const planned = planAlone(traced, 'exported');
  const target = { plugin: compilerVersion('cpu'), platform: 'cpu' };
  const { signature, tensors } = describeProgram(traced, planned, target);
  writeArchive(path, { metadata: { signature, stablehlo: planned.programs[0]!.text }, tensors });
};

/** The same results as an exported program returns them: in contiguous memory of their own, never views or arguments. */
export const ownMemory = (results: readonly Tensor[]): Tensor[] =>
  results.map((t) => t.clone({ memory_format: 'contiguous_format' }));
