/** @file The part of XLA's HloModuleProto that is read here, by field numbers (xla/service/hlo.proto, xla/xla_data.proto). */

type Field = { readonly type: string; readonly id: number; readonly rule?: 'repeated' };
const one = (type: string, id: number): Field => ({ type, id });
const many = (type: string, id: number): Field => ({ type, id, rule: 'repeated' });

/** For protobufjs's Root.fromJSON. */
export const SCHEMA = {
  nested: {
    ModuleWithConfig: { fields: { module: one('Module', 1) } },
    Module: {
      fields: {
        name: one('string', 1),
        computations: many('Computation', 3),
        entryComputationId: one('int64', 6),
      },
    },
    Computation: {
      fields: {
        name: one('string', 1),
        instructions: many('Instruction', 2),
        id: one('int64', 5),
        rootId: one('int64', 6),
      },
    },
    Instruction: {
      fields: {
        name: one('string', 1),
        opcode: one('string', 2),
        shape: one('Shape', 3),
        metadata: one('Metadata', 7),
        literal: one('Literal', 8),
        parameterNumber: one('int64', 9),
        fusionKind: one('string', 11),
        tupleIndex: one('int64', 13),
        dimensions: many('int64', 14),
        window: one('Window', 15),
        convolution: one('ConvolutionDimensions', 16),
        slices: many('Slice', 17),
        dot: one('DotDimensions', 30),
        customCallTarget: one('string', 28),
        id: one('int64', 35),
        operandIds: many('int64', 36),
        calledIds: many('int64', 38),
        backendConfig: one('bytes', 43),
        featureGroups: one('int64', 50),
        direction: one('string', 63),
      },
    },
    Shape: {
      fields: {
        elementType: one('int32', 2),
        dimensions: many('int64', 3),
        tupleShapes: many('Shape', 4),
        layout: one('Layout', 5),
      },
    },
    Layout: { fields: { minorToMajor: many('int64', 1) } },
    Metadata: { fields: { opName: one('string', 2) } },
    Slice: { fields: { start: one('int64', 1), limit: one('int64', 2), stride: one('int64', 3) } },
    Window: { fields: { dimensions: many('WindowDimension', 1) } },
    WindowDimension: { fields: { size: one('int64', 1) } },
    ConvolutionDimensions: {
      fields: { kernelInputFeature: one('int64', 3), kernelOutputFeature: one('int64', 4) },
    },
    DotDimensions: {
      fields: {
        lhsContracting: many('int64', 1),
        rhsContracting: many('int64', 2),
        lhsBatch: many('int64', 3),
        rhsBatch: many('int64', 4),
      },
    },
    Literal: {
      fields: {
        preds: many('bool', 2),
        s32s: many('int32', 4),
        s64s: many('int64', 5),
        u32s: many('uint32', 6),
        u64s: many('uint64', 7),
        f32s: many('float', 8),
        f64s: many('double', 9),
      },
    },
  },
} as const;

/** xla.PrimitiveType: HLO's names and bytes per element. */
export const ELEMENTS: Readonly<Record<number, readonly [name: string, bytes: number]>> = {
  1: ['pred', 1],
  2: ['s8', 1],
  3: ['s16', 2],
  4: ['s32', 4],
  5: ['s64', 8],
  6: ['u8', 1],
  7: ['u16', 2],
  8: ['u32', 4],
  9: ['u64', 8],
  10: ['f16', 2],
  11: ['f32', 4],
  12: ['f64', 8],
  15: ['c64', 8],
  16: ['bf16', 2],
  17: ['token', 0],
  18: ['c128', 16],
};
export const TUPLE = 13;
