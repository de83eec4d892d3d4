/** @file XLA's optimized program as text: decoded from the protobuf that plugins give (they print none themselves), in HLO's own notation. */

import { JorchError } from '../runtime/errors.js';
import { ELEMENTS, SCHEMA, TUPLE } from './hlo-schema.js';
import { type Root, rootOf } from './protobuf.js';

export interface HloShape {
  readonly elementType: number;
  readonly dimensions: readonly number[];
  readonly tupleShapes: readonly HloShape[];
  readonly layout: { readonly minorToMajor: readonly number[] } | null;
}

export interface HloInstruction {
  readonly name: string;
  readonly opcode: string;
  readonly shape: HloShape;
  readonly metadata: { readonly opName: string } | null;
  readonly literal: Readonly<Record<string, readonly (number | boolean)[]>> | null;
  readonly parameterNumber: number;
  readonly fusionKind: string;
  readonly tupleIndex: number;
  readonly dimensions: readonly number[];
  readonly window: { readonly dimensions: readonly { readonly size: number }[] } | null;
  readonly convolution: { readonly kernelInputFeature: number; readonly kernelOutputFeature: number } | null;
  readonly slices: readonly { readonly start: number; readonly limit: number; readonly stride: number }[];
  readonly dot: {
    readonly lhsContracting: readonly number[];
    readonly rhsContracting: readonly number[];
    readonly lhsBatch: readonly number[];
    readonly rhsBatch: readonly number[];
  } | null;
  readonly customCallTarget: string;
  readonly id: number;
  readonly operandIds: readonly number[];
  readonly calledIds: readonly number[];
  readonly backendConfig: Uint8Array;
  readonly featureGroups: number;
  readonly direction: string;
}

export interface HloComputation {
  readonly name: string;
  readonly instructions: readonly HloInstruction[];
  readonly id: number;
  readonly rootId: number;
}

export interface HloModule {
  readonly name: string;
  readonly computations: readonly HloComputation[];
  readonly entryComputationId: number;
}

let root: Root | undefined;

/** @throws JorchError BAD_ARGUMENT for a format that is not HLO's protobuf. */
export const decodeHlo = (format: string, bytes: Uint8Array): HloModule => {
  if (format !== 'hlo' && format !== 'hlo_with_config')
    throw new JorchError(
      'BAD_ARGUMENT',
      `lower: the plugin gives the optimized program as '${format}', which jorch cannot read`,
    );
  root ??= rootOf(SCHEMA);
  const type = root.lookupType(format === 'hlo' ? 'Module' : 'ModuleWithConfig');
  const plain = type.toObject(type.decode(bytes), { longs: Number, arrays: true, defaults: true });
  return (format === 'hlo' ? plain : plain.module) as HloModule;
};

/** `f32[64,64]{1,0}`, as HLO prints shapes. */
export const shapeText = (shape: HloShape): string => {
  if (shape.elementType === TUPLE) return `(${shape.tupleShapes.map(shapeText).join(', ')})`;
  const layout = shape.layout && shape.dimensions.length > 0 ? `{${shape.layout.minorToMajor.join(',')}}` : '';
  return `${ELEMENTS[shape.elementType]?.[0] ?? `type${shape.elementType}`}[${shape.dimensions.join(',')}]${layout}`;
};

/** Literals longer than this are cut, as in HLO's own text. */
const SHOWN = 8;

const literalText = ({ literal }: HloInstruction): string => {
  const elements = Object.values(literal ?? {}).find((list) => Array.isArray(list) && list.length > 0) ?? [];
  if (elements.length === 0) return '…';
  return elements.length > SHOWN
    ? `{${elements.slice(0, SHOWN).join(', ')}, …}`
    : elements.length === 1
      ? String(elements[0])
      : `{${elements.join(', ')}}`;
};

const attributes = (i: HloInstruction, names: ReadonlyMap<number, string>): string[] => {
  const list: string[] = [];
  const add = (name: string, values: readonly (number | string)[]) => {
    if (values.length > 0) list.push(`${name}={${values.join(',')}}`);
  };
  if (i.opcode === 'get-tuple-element') list.push(`index=${i.tupleIndex}`);
  add('dimensions', i.dimensions);
  if (i.dot) {
    add('lhs_batch_dims', i.dot.lhsBatch);
    add('lhs_contracting_dims', i.dot.lhsContracting);
    add('rhs_batch_dims', i.dot.rhsBatch);
    add('rhs_contracting_dims', i.dot.rhsContracting);
  }
  if (i.window) list.push(`window={size=${i.window.dimensions.map((d) => d.size).join('x')}}`);
  if (i.featureGroups > 1) list.push(`feature_group_count=${i.featureGroups}`);
  add(
    'slice',
    i.slices.map((s) => `[${s.start}:${s.limit}${s.stride === 1 ? '' : `:${s.stride}`}]`),
  );
  if (i.direction) list.push(`direction=${i.direction}`);
  if (i.fusionKind) list.push(`kind=${i.fusionKind}`);
  if (i.customCallTarget) list.push(`custom_call_target="${i.customCallTarget}"`);
  add(
    'calls',
    i.calledIds.map((id) => `%${names.get(id) ?? id}`),
  );
  return list;
};

/** `note` adds to an instruction what is known about its origin (`op_name` of its metadata), as a comment. */
export const printHlo = (module: HloModule, note: (origin: string) => string = (origin) => origin): string => {
  const names = new Map(module.computations.map((c) => [c.id, c.name]));
  const blocks = module.computations.map((computation) => {
    const values = new Map(computation.instructions.map((i) => [i.id, i.name]));
    const lines = computation.instructions.map((i) => {
      const operands =
        i.opcode === 'parameter'
          ? String(i.parameterNumber)
          : i.opcode === 'constant'
            ? literalText(i)
            : i.operandIds.map((id) => `%${values.get(id) ?? id}`).join(', ');
      const origin = i.metadata?.opName ? `  // ${note(i.metadata.opName)}` : '';
      const start = `  ${i.id === computation.rootId ? 'ROOT ' : ''}%${i.name} = ${shapeText(i.shape)} ${i.opcode}(${operands})`;
      return `${[start, ...attributes(i, names)].join(', ')}${origin}`;
    });
    const head = computation.id === module.entryComputationId ? 'ENTRY ' : '';
    return `${head}%${computation.name} {\n${lines.join('\n')}\n}`;
  });
  return `HloModule ${module.name}\n\n${blocks.join('\n\n')}\n`;
};
