/** @file `jorch inspect`: what a program that jorch exported, a safetensors file or a model of Python holds. */
import { readArchive, readTensorFile } from '../export/archive.js';
import { FORMAT, parseSignature, type Shape, staticOf, type TensorType } from '../export/signature.js';
import { type Print, sizeText } from './cache.js';
import { inspectModel } from './inspect-model.js';

const typeText = ({ dtype, shape }: TensorType): string => `${dtype} [${shape.join(', ')}]`;

/** A pytree in one line, tensors by their types. */
const treeText = (shape: Shape, tensor: () => string): string => {
  if (shape === 'tensor') return tensor();
  const constant = staticOf(shape);
  if (constant) return typeof constant.value === 'string' ? JSON.stringify(constant.value) : String(constant.value);
  if ('array' in shape) return `[${shape.array.map((s) => treeText(s, tensor)).join(', ')}]`;
  if ('object' in shape)
    return `{ ${shape.object.map((s, i) => `${shape.keys[i]}: ${treeText(s, tensor)}`).join(', ')} }`;
  if ('map' in shape)
    return `Map { ${shape.map.map((s, i) => `${String(staticOf(shape.keys[i]!)?.value)} => ${treeText(s, tensor)}`).join(', ')} }`;
  return '?';
};

export const inspect = (path: string, options: { readonly stablehlo?: boolean }, print: Print): void => {
  if (inspectModel(path, print)) return;
  const { metadata, tensors } = readTensorFile(path);
  if (metadata['format'] === 'jorch') {
    readArchive(path); // whole, or refused
    const s = parseSignature(metadata['signature'] ?? '', tensors);
    const text = metadata['stablehlo'] ?? '';
    if (options.stablehlo) {
      print(text);
      return;
    }
    print(`${s.name}: exported by jorch ${s.jorch} for ${s.platform} (${s.plugin}), format ${s.format}`);
    if (s.format === FORMAT) {
      const types = new Map(s.parameters.flatMap((p) => ('arg' in p ? [[p.arg, p] as const] : [])));
      let arg = 0;
      print(
        `takes    ${treeText(s.args, () => {
          const type = types.get(arg++);
          return type ? typeText(type) : 'a tensor that is not read';
        })}`,
      );
      let result = 0;
      print(
        `returns  ${treeText(s.results, () => {
          const r = s.returns[result++]!;
          return 'output' in r ? typeText(s.outputs[r.output]!) : 'arg' in r ? `argument ${r.arg}` : r.weight;
        })}`,
      );
      print(
        `program  ${(text.match(/= "?(stablehlo|chlo)\./g) ?? []).length} operations, ${sizeText(Buffer.byteLength(text))} of StableHLO (--stablehlo prints it)`,
      );
    }
  } else for (const [key, value] of Object.entries(metadata)) print(`${key}: ${value}`);
  for (const [name, tensor] of tensors)
    print(`  ${name.padEnd(32)} ${typeText(tensor).padEnd(28)} ${sizeText(tensor.data.byteLength)}`);
  const total = [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  print(`${tensors.size} tensor${tensors.size === 1 ? '' : 's'}, ${sizeText(total)}`);
};
