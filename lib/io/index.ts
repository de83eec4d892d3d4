/** @file load and save: files of tensors, by their content. */
import { extname } from 'node:path';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { readCheckpoint, writeCheckpoint } from './checkpoint.js';
import { bad, checkPath, type SourceFile, withFile, writeAtomically } from './file.js';
import { MAGIC, npyChunks, readNpy } from './npy.js';
import { load_file, looksLikeSafetensors, save_file } from './safetensors.js';
import { readEntry, readZip, zipChunks } from './zip.js';

export { load_file, type SafeOpen, safe_open, save_file } from './safetensors.js';

const readNpz = (file: SourceFile, entries: ReturnType<typeof readZip>): Record<string, Tensor> =>
  Object.fromEntries(
    [...entries.values()].map((entry) => {
      const data = readEntry(file, entry);
      const read = (from: number, length: number): Buffer =>
        from + length > data.length
          ? bad(file.path, `'${entry.name}' is cut off`)
          : Buffer.from(data.subarray(from, from + length));
      return [
        entry.name.replace(/\.npy$/, ''),
        readNpy({ path: `${file.path}: ${entry.name}`, size: data.length, read }),
      ];
    }),
  );

const readArchive = (file: SourceFile): unknown => {
  const entries = readZip(file);
  const names = [...entries.keys()];
  if (names.length > 0 && names.every((name) => name.endsWith('.npy'))) return readNpz(file, entries);
  if (names.some((name) => /(^|\/)constants\.pkl$/.test(name)))
    return bad(file.path, 'is a TorchScript archive, which holds code: load it with jit.load');
  if (names.some((name) => /(^|\/)models\/.*\.json$/.test(name)))
    return bad(file.path, 'is an exported program: load it with export.load');
  const pickle = names.find((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  return pickle === undefined
    ? bad(file.path, 'is an archive, but no checkpoint and no .npz')
    : readCheckpoint(file, entries, pickle);
};

/**
 * What a file holds, told by its content, not its name: safetensors (tensors by name), .npy (a tensor), .npz (tensors by name), a
 * PyTorch checkpoint (.pt, .pth: whatever was saved, dicts as plain objects, Maps where keys are no texts). No code in a file is run.
 * @throws JorchError BAD_ARGUMENT for a damaged or hostile file, or one with anything but tensors and plain data.
 * @example model.load_state_dict(torch.load('model.pt'));
 * @see https://docs.pytorch.org/docs/stable/generated/torch.load.html
 */
// biome-ignore lint/suspicious/noExplicitAny: the file says what it holds
export const load = (path: string): any => {
  const kind = withFile(path, (file): string => {
    const start = file.read(0, Math.min(8, file.size));
    if (start.subarray(0, 6).equals(MAGIC)) return 'npy';
    if (start.subarray(0, 2).equals(Buffer.from('PK'))) return 'zip';
    if (start[0] === 0x80 || start.subarray(0, 5).toString() === './._')
      return bad(path, 'is a checkpoint in the format before PyTorch 1.6; save it again with a newer PyTorch');
    return 'other';
  });
  if (kind === 'npy') return withFile(path, readNpy);
  if (kind === 'zip') return withFile(path, readArchive);
  return looksLikeSafetensors(path)
    ? load_file(path)
    : bad(path, 'is neither safetensors nor .npy, .npz or a PyTorch checkpoint');
};

const tensorsByName = (value: unknown, path: string): Record<string, Tensor> => {
  if (typeof value !== 'object' || value === null || native().isTensor(value) || Array.isArray(value))
    throw new JorchError('BAD_ARGUMENT', `save: ${path} takes an object with tensors by name`);
  const named = (value instanceof Map ? Object.fromEntries(value) : value) as Record<string, Tensor>;
  for (const [name, tensor] of Object.entries(named)) {
    if (!native().isTensor(tensor))
      throw new JorchError('BAD_ARGUMENT', `save: '${name}' is no tensor, and ${path} holds tensors only`);
  }
  return named;
};

/**
 * Writes a file atomically, in the format that its name says: .safetensors and .npz (tensors by name), .npy (one tensor), .pt and .pth
 * (tensors in arrays, plain objects and Maps with numbers and texts, as Python's `torch.load` reads them).
 * @throws JorchError BAD_ARGUMENT for what the format does not hold.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.save.html
 */
export const save = (value: unknown, path: string): void => {
  checkPath(path);
  switch (extname(path).toLowerCase()) {
    case '.safetensors':
      save_file(tensorsByName(value, path), path);
      return;
    case '.npy':
      if (!native().isTensor(value)) throw new JorchError('BAD_ARGUMENT', `save: ${path} takes one tensor`);
      writeAtomically(path, npyChunks(value));
      return;
    case '.npz':
      writeAtomically(
        path,
        zipChunks(
          Object.entries(tensorsByName(value, path)).map(([name, tensor]) => ({
            name: `${name}.npy`,
            bytes: () => Buffer.concat(npyChunks(tensor)),
          })),
        ),
      );
      return;
    case '.pt':
    case '.pth':
      writeCheckpoint(value, path);
      return;
    default:
      throw new JorchError(
        'BAD_ARGUMENT',
        `save: the name must end in .safetensors, .npy, .npz, .pt or .pth, got ${path}`,
      );
  }
};
