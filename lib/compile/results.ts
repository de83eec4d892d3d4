/** @file What a compiled function may return, and how native code hands it back. */
import { ignoreRejection, JorchError } from '../runtime/errors.js';
import type { Structure } from '../tree.js';

/** @throws JorchError BAD_ARGUMENT for anything that is neither a tensor nor null in arrays, plain objects and Maps. */
export const checkResults = (name: string, structure: Structure, path: string): void => {
  if (structure.kind === 'tensor') return;
  if (structure.kind !== 'static') {
    for (const [i, item] of structure.items.entries()) {
      checkResults(name, item, structure.kind === 'array' ? `${path}[${i}]` : `${path}.${String(structure.keys[i])}`);
    }
    return;
  }
  const { value } = structure;
  if (value === undefined || value === null) return;
  if (value instanceof Promise) {
    ignoreRejection(value);
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: the function is async; compile takes synchronous functions. Await the data first and pass it in`,
    );
  }
  throw new JorchError(
    'BAD_ARGUMENT',
    `${name}: ${path} is ${typeof value === 'object' ? `an object of class ${value.constructor.name}` : `a ${typeof value}`}, not a tensor; a compiled function returns tensors in arrays, plain objects or Maps. Wrap a number with torch.tensor(…)`,
  );
};

/** Which of the two shapes that C++ builds by itself the results have; 2: TypeScript unflattens. */
export const shapeOf = (s: Structure): 0 | 1 | 2 =>
  s.kind === 'tensor' ? 0 : s.kind === 'array' && s.items.every((i) => i.kind === 'tensor') ? 1 : 2;
