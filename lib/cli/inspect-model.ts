/** @file `jorch inspect` for what Python wrote: torch.export's .pt2, TorchScript, checkpoints, .npy and .npz. */
import type { SourceFile } from '../io/file.js';
import { withFile } from '../io/file.js';
import { load } from '../io/index.js';
import { readEntry, readZip } from '../io/zip.js';
import * as jit from '../jit/index.js';
import { readArchive } from '../pt2/archive.js';
import { dtypeOf } from '../pt2/enums.js';
import { type Fields, JsonReader } from '../pt2/json.js';
import { isTensor, type Tensor } from '../torch/tensor.js';
import { type Print, sizeText } from './cache.js';

const typeOf = ({ dtype, shape }: Tensor): string => `${dtype} [${shape.join(', ')}]`;

const printTensors = (tensors: readonly (readonly [name: string, tensor: Tensor])[], print: Print): void => {
  for (const [name, t] of tensors) print(`  ${name.padEnd(32)} ${typeOf(t).padEnd(28)} ${sizeText(t.nbytes)}`);
  // Tied weights are there once.
  const total = [...new Set(tensors.map(([, t]) => t))].reduce((sum, { nbytes }) => sum + nbytes, 0);
  print(`${tensors.length} tensor${tensors.length === 1 ? '' : 's'}, ${sizeText(total)}`);
};

/** Operators by how often they are called. */
const printOperators = (names: readonly string[], print: Print): void => {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  print(`calls    ${names.length} operator${names.length === 1 ? '' : 's'}`);
  for (const [name, count] of sorted) print(`  ${String(count).padStart(5)} × ${name}`);
};

/** An argument of the graph: the type of a tensor, symbolic sizes by their names, or the value of a constant. */
const argumentText = (json: JsonReader, graph: Fields, argument: unknown): string => {
  const [kind, value] = json.union(argument, 'an argument');
  const names = (list: unknown): string[] => json.list(list, 'an argument').map((item) => text(item));
  const text = (tensor: unknown): string => {
    const name = json.text(json.object(tensor, 'a tensor')['name'], 'the name of a tensor');
    const meta = json.object(json.object(graph['tensor_values'], 'the tensors')[name], `'${name}'`);
    const sizes = json.list(meta['sizes'], `the shape of '${name}'`).map((size) => {
      const [form, n] = json.union(size, 'a size');
      if (form === 'as_int') return String(n);
      return String(json.object(n, 'a size')['expr_str']).replace(/Symbol\('(\w+)'[^)]*\)/g, '$1');
    });
    return `${name}: ${dtypeOf(json, meta['dtype'])} [${sizes.join(', ')}]`;
  };
  if (kind === 'as_tensor') return text(value);
  if (kind === 'as_tensors') return `[${names(value).join(', ')}]`;
  return kind === 'as_none' ? 'None' : JSON.stringify(value);
};

const inspectExported = (file: SourceFile, print: Print): void => {
  const { program, weights, constants } = readArchive(file);
  const json = new JsonReader(file.path);
  const module = json.object(program['graph_module'], 'the graph module');
  const graph = json.object(module['graph'], 'the graph');
  const signature = json.object(module['signature'], 'the signature');
  const specs = (name: string, kind: string): string[] =>
    json.list(signature[name], name).flatMap((spec) => {
      const [own, fields] = json.union(spec, name);
      return own === kind ? [argumentText(json, graph, json.object(fields, name)['arg'])] : [];
    });
  const { major, minor } = json.object(program['schema_version'], 'the version');
  print(`program of torch.export (PyTorch ${String(program['torch_version'])}, schema ${major}.${minor})`);
  print(`takes    ${specs('input_specs', 'user_input').join(', ')}`);
  print(`returns  ${specs('output_specs', 'user_output').join(', ')}`);
  const targets = json.list(graph['nodes'], 'the nodes').map((node) => {
    const target = json.text(json.object(node, 'a node')['target'], 'the operator of a node');
    return target.replace(/^torch\.ops\./, '');
  });
  printOperators(targets, print);
  printTensors(
    [...weights, ...constants].map(([name, { tensor }]) => [name, tensor] as const),
    print,
  );
};

/** Calls in the Python that TorchScript keeps of its functions. */
const inspectScript = (file: SourceFile, print: Print): void => {
  const code = [...readZip(file).values()]
    .filter(({ name }) => /^[^/]+\/code\/.*\.py$/.test(name))
    .map((entry) => readEntry(file, entry).toString());
  const module = jit.load(file.path);
  const name = module._get_name();
  print(`TorchScript module ${name}, methods ${module.methods.join(', ')}`);
  const own = code
    .map((text) => text.split(new RegExp(`^class ${name}\\(`, 'm'))[1])
    .find((text) => text !== undefined);
  const signature = /def forward\(self: \S+?(?:,\s*([^)]*))?\) -> ([^\n]+):\n/.exec(own ?? '');
  if (signature) {
    print(`takes    ${(signature[1] ?? '').replace(/\s+/g, ' ')}`);
    print(`returns  ${signature[2]}`);
  }
  // What the language itself is made of, such as prim::device or aten::__not__, says nothing of the model.
  const calls = code.flatMap((text) => [...text.matchAll(/\b(?:torch|ops\.\w+)\.\w+(?=\()/g)].map(([call]) => call));
  printOperators(
    calls.filter((call) => !/^ops\.prim\.|__/.test(call)),
    print,
  );
  printTensors([...module.named_parameters(), ...module.named_buffers()], print);
};

/** Tensors of a checkpoint by their paths, other values as they are. */
const inspectValue = (value: unknown, print: Print): void => {
  const tensors: [string, Tensor][] = [];
  const visit = (item: unknown, path: string): void => {
    if (isTensor(item)) tensors.push([path, item]);
    else if (item instanceof Map) for (const [key, inner] of item) visit(inner, `${path}[${String(key)}]`);
    else if (Array.isArray(item)) for (const [i, inner] of item.entries()) visit(inner, `${path}[${i}]`);
    else if (typeof item === 'object' && item !== null)
      for (const [key, inner] of Object.entries(item)) visit(inner, path === '' ? key : `${path}.${key}`);
    else print(`  ${path} = ${typeof item === 'string' ? JSON.stringify(item) : String(item)}`);
  };
  visit(value, '');
  printTensors(tensors, print);
};

/** Whether the file is one of these; what it holds is printed then. */
export const inspectModel = (path: string, print: Print): boolean =>
  withFile(path, (file) => {
    const start = file.read(0, Math.min(6, file.size));
    if (start.toString('latin1') === '\x93NUMPY') {
      inspectValue(load(path), print);
      return true;
    }
    if (start.toString('latin1', 0, 2) !== 'PK') return false;
    const names = [...readZip(file).keys()];
    if (names.some((name) => /(^|\/)models\/[^/]+\.json$/.test(name))) inspectExported(file, print);
    else if (names.some((name) => /(^|\/)constants\.pkl$/.test(name))) inspectScript(file, print);
    else inspectValue(load(path), print);
    return true;
  });
