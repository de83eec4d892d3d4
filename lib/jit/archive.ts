/** @file What must hold of a file before libtorch's loader sees it. */
import { bad, type SourceFile } from '../io/file.js';
import { readZip } from '../io/zip.js';

/** The archive's directory is whole, nothing overlaps or is larger than compression allows, and it is a TorchScript program. */
export const checkScriptArchive = (file: SourceFile): void => {
  const names = [...readZip(file).keys()];
  const root = names.find((name) => /^[^/]+\/data\.pkl$/.test(name))?.slice(0, -'data.pkl'.length);
  if (
    root !== undefined &&
    names.includes(`${root}constants.pkl`) &&
    names.some((name) => name.startsWith(`${root}code/`))
  )
    return;
  if (names.some((name) => /(^|\/)models\/.*\.json$/.test(name)))
    bad(file.path, 'is an exported program: load it with export.load');
  bad(
    file.path,
    root === undefined ? 'is no TorchScript archive' : 'is a checkpoint without code: load it with torch.load',
  );
};
