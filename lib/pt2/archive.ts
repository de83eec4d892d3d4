/** @file The archive that torch.export.save writes. */
import { bad, type SourceFile } from '../io/file.js';
import { readEntry, readZip, type ZipEntry } from '../io/zip.js';
import { type Fields, JsonReader } from './json.js';
import { type Entries, type Payload, readJson, readPayloads } from './payload.js';

export interface Archive {
  /** The ExportedProgram of torch.export's schema. */
  readonly program: Fields;
  readonly weights: ReadonlyMap<string, Payload>;
  readonly constants: ReadonlyMap<string, Payload>;
}

const MAJOR = 8;

const withoutRoot = (entries: ReadonlyMap<string, ZipEntry>): Map<string, ZipEntry> =>
  new Map([...entries].map(([name, entry]) => [name.slice(name.indexOf('/') + 1), entry]));

const checkKind = (file: SourceFile, entries: Entries, names: readonly string[]): void => {
  const { path } = file;
  const small = (name: string): string => {
    const entry = entries.get(name);
    return entry !== undefined && entry.size < 64 ? readEntry(file, entry).toString().trim() : '';
  };
  if (small('archive_format') !== 'pt2') {
    if (names.some((name) => name.endsWith('serialized_exported_program.json')))
      bad(path, 'was written by torch.export of an older PyTorch; export it again with PyTorch 2.9 or newer');
    if (names.some((name) => name.endsWith('constants.pkl')))
      bad(path, 'is a TorchScript archive: load it with jit.load');
    bad(path, 'is no archive of torch.export');
  }
  if (small('byteorder') === 'big') bad(path, 'was written on a big-endian machine, which jorch does not read');
};

/** Reads a program with its tensors. @throws JorchError BAD_ARGUMENT, for hostile files before anything large is read. */
export const readArchive = (file: SourceFile): Archive => {
  const { path } = file;
  const all = readZip(file);
  const entries = withoutRoot(all);
  checkKind(file, entries, [...all.keys()]);
  const models = [...entries.keys()].flatMap((name) => /^models\/([^/]+)\.json$/.exec(name)?.[1] ?? []);
  const model = models.length === 1 ? models[0]! : 'model';
  if (!models.includes(model))
    bad(
      path,
      models.length === 0
        ? 'holds no exported program'
        : `holds the programs ${models.join(', ')}, none called 'model'`,
    );
  const json = new JsonReader(path);
  const program = json.object(readJson(file, entries, `models/${model}.json`), 'the program');
  const { major } = json.object(program['schema_version'], 'the version');
  if (major !== MAJOR)
    bad(
      path,
      `has version ${String(major)} of torch.export's schema; jorch reads version ${MAJOR} (PyTorch 2.6 to 2.11)`,
    );
  return {
    program,
    weights: readPayloads(file, entries, 'data/weights', `data/weights/${model}_weights_config.json`),
    constants: readPayloads(file, entries, 'data/constants', `data/constants/${model}_constants_config.json`),
  };
};
