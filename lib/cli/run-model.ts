/** @file `jorch run` with a model that Python wrote: torch.export's .pt2 or TorchScript, on libtorch. */
import { readFileSync } from 'node:fs';
import { withFile } from '../io/file.js';
import { load } from '../io/index.js';
import { readZip } from '../io/zip.js';
import * as jit from '../jit/index.js';
import * as pt2 from '../pt2/index.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { tensor } from '../torch/data.js';
import { no_grad } from '../torch/modes.js';
import type { Print } from './cache.js';

/** A tensor of a .npy or .json file, or of JSON; numbers of nested arrays are float32. */
const inputFrom = (input: string): unknown => {
  if (input.endsWith('.npy')) return load(input);
  try {
    return tensor(JSON.parse(input.endsWith('.json') ? readFileSync(input, 'utf8') : input) as number[]);
  } catch (cause) {
    throw new JorchError(
      'BAD_ARGUMENT',
      `--input ${input.slice(0, 40)}: neither the name of a .npy or .json file nor numbers as JSON`,
      { cause },
    );
  }
};

const plain = (_: string, value: unknown): unknown => {
  if (value instanceof Map) return [...value];
  if (typeof value === 'bigint') return String(value);
  return native().isTensor(value) ? value.tolist() : value;
};

/** Runs `forward` on one tensor per argument, in order, and prints the result as JSON. */
export const runModel = (path: string, inputs: readonly string[], print: Print): void => {
  const exported = withFile(path, (file) =>
    [...readZip(file).keys()].some((name) => /(^|\/)models\/[^/]+\.json$/.test(name)),
  );
  const model = exported ? pt2.load(path) : jit.load(path);
  const result: unknown = no_grad(() => model.forward(...inputs.map(inputFrom)));
  print(JSON.stringify(result, plain));
};
