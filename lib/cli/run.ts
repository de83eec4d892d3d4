/** @file `jorch run`: an exported program on data from files or the command line. */
import { readFileSync } from 'node:fs';
import { HostTensor } from '../export/host-tensor.js';
import { loadCompiled, rebuild } from '../export/load.js';
import type { TensorType } from '../export/signature.js';
import { withFile } from '../io/file.js';
import { parseNpy } from '../io/npy.js';
import { JorchError } from '../runtime/errors.js';
import { ARRAY_OF } from '../torch/dtype.js';
import type { Print } from './cache.js';

/** Numbers of nested JSON arrays as the tensor that the program takes. */
const fromJson = (text: string, name: string, { dtype, shape }: TensorType): HostTensor => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new JorchError('BAD_ARGUMENT', `${name}: neither JSON nor the name of a .npy or .json file`);
  }
  const flat = (Array.isArray(value) ? value.flat(Number.POSITIVE_INFINITY) : [value]) as unknown[];
  const big = dtype === 'int64' || dtype === 'uint64';
  const elements = flat.map((v) => {
    if (typeof v !== 'number' && typeof v !== 'boolean')
      throw new JorchError('BAD_ARGUMENT', `${name}: expected numbers, found ${JSON.stringify(v)}`);
    return big ? BigInt(v) : Number(v);
  });
  const Elements = ARRAY_OF[dtype] as unknown as { from(v: readonly unknown[]): HostTensor['data'] };
  return new HostTensor(Elements.from(elements), shape, dtype);
};

const readInput = (input: string, type: TensorType): unknown => {
  if (input.endsWith('.npy')) {
    const { dtype, shape, data, fortran } = withFile(input, parseNpy);
    if (fortran && shape.length > 1)
      throw new JorchError('BAD_ARGUMENT', `${input} is column-major; save it with numpy.ascontiguousarray`);
    return new HostTensor(new ARRAY_OF[dtype](new Uint8Array(data).buffer), shape, dtype);
  }
  if (input.endsWith('.json')) return fromJson(readFileSync(input, 'utf8'), input, type);
  return fromJson(input, `--input ${input.slice(0, 40)}`, type);
};

const plain = (_: string, value: unknown): unknown => {
  if (value instanceof HostTensor) return value.tolist();
  if (value instanceof Map) return [...value];
  return typeof value === 'bigint' ? String(value) : value;
};

/** Runs the program on one input per tensor argument, in order, and prints the result. */
export const runFile = async (path: string, inputs: readonly string[], print: Print): Promise<void> => {
  // An archive is a model of Python, which needs libtorch; a program of jorch's own does not.
  if (withFile(path, (file) => file.size > 4 && file.read(0, 2).toString() === 'PK')) {
    const { runModel } = await import('./run-model.js');
    return runModel(path, inputs, print);
  }
  const program = loadCompiled(path);
  const { signature } = program;
  const types = signature.parameters.flatMap((p) => ('arg' in p ? [p] : []));
  const count = 1 + Math.max(-1, ...types.map((p) => p.arg));
  if (inputs.length < count)
    throw new JorchError(
      'BAD_ARGUMENT',
      `run: ${path} takes ${count} tensor${count === 1 ? '' : 's'} (${types.map(({ dtype, shape }) => `${dtype} [${shape.join(', ')}]`).join(', ')}), got ${inputs.length} --input`,
    );
  const leaves = inputs.map((input, i) => {
    const type = types.find((p) => p.arg === i);
    return type ? readInput(input, type) : undefined;
  });
  const args = rebuild(signature.args, leaves.values()) as unknown[];
  print(JSON.stringify(program(...args), plain));
};
