/** @file loadCompiled(path): runs an exported program through the XLA plugin alone, without libtorch. */
import { randomBytes } from 'node:crypto';
import { Executables } from '../compile/executables.js';
import { persistentCache } from '../compile/persistent.js';
import { xlaOptions } from '../compile/xla-options.js';
import type { TypedArray } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { type RuntimeAddon, type RuntimeExecutable, runtimeAddon } from '../runtime/load.js';
import { cpuPluginFile } from '../runtime/locate.js';
import { cudaRuntime } from '../runtime/locate-cuda.js';
import { pins } from '../runtime/parts.js';
import { ARRAY_OF } from '../torch/dtype.js';
import { type ArchiveTensor, readArchive } from './archive.js';
import { elementsOf, HostTensor } from './host-tensor.js';
import {
  FORMAT,
  type Parameter,
  type ProgramSignature,
  parseSignature,
  type Shape,
  staticOf,
  type TensorType,
} from './signature.js';

/** Custom calls that jorch writes and every CPU plugin has. */
const KNOWN_CALLS = new Set(['Qr', 'Eigh']);

/** The compiler that a program file names must be the one that is here. */
export const compilerVersion = (platform: string): string => {
  const { parts, cuda } = pins();
  const part = [...parts, ...cuda.parts].find(({ role }) => role === `xla-${platform}`)!;
  return `${part.name} ${part.version}`;
};

/** A tensor argument: elements alone, elements with a shape, one number for a 0-d tensor, or a jorch tensor. */
export type HostInput =
  | TypedArray
  | number
  | bigint
  | boolean
  | { readonly data: TypedArray; readonly shape?: readonly number[] }
  | { readonly shape: readonly number[]; readonly dtype: string; toTypedArray(): TypedArray };

/** A program from a file: takes and returns the pytrees that the exported function did. */
export interface LoadedProgram {
  (...args: unknown[]): unknown;
  readonly signature: ProgramSignature;
  /** Frees the weights. A later call throws DISPOSED. */
  dispose(): void;
}

const isTypedArray = (value: unknown): value is TypedArray => ArrayBuffer.isView(value) && !(value instanceof DataView);

const bytesOf = (array: TypedArray): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const refuseValue = (path: string, value: unknown, { dtype, shape }: TensorType): never => {
  const got =
    value === null || typeof value !== 'object'
      ? `${value === null ? '' : 'a '}${value === null ? 'null' : typeof value}`
      : `a ${value.constructor?.name}`;
  throw new JorchError(
    'BAD_ARGUMENT',
    `${path}: expected ${dtype} [${shape.join(', ')}] as a ${ARRAY_OF[dtype].name} of ${elementsOf(dtype, shape)} elements, { data, shape } or a tensor, got ${got}`,
  );
};

/** The elements of one tensor argument. */
const elements = (path: string, value: unknown, type: TensorType): TypedArray => {
  const { dtype, shape } = type;
  const Array_ = ARRAY_OF[dtype];
  if (['number', 'bigint', 'boolean'].includes(typeof value)) {
    const big = dtype === 'int64' || dtype === 'uint64';
    const number = big && Number.isSafeInteger(value) ? BigInt(value as number) : value;
    const fits = shape.length === 0 && !dtype.startsWith('complex') && !dtype.endsWith('float16');
    if (!fits || (typeof number === 'bigint') !== big) return refuseValue(path, value, type);
    return (Array_ as unknown as { of(v: unknown): TypedArray }).of(
      typeof number === 'boolean' ? Number(number) : number,
    );
  }
  if (typeof value !== 'object' || value === null) return refuseValue(path, value, type);
  const given = value as { data?: unknown; shape?: unknown; dtype?: unknown; toTypedArray?: () => TypedArray };
  const data = isTypedArray(value)
    ? value
    : typeof given.toTypedArray === 'function'
      ? given.toTypedArray()
      : given.data;
  if (!isTypedArray(data)) return refuseValue(path, value, type);
  const givenShape = isTypedArray(value) ? undefined : given.shape;
  const givenDtype = isTypedArray(value) ? undefined : given.dtype;
  if (givenShape !== undefined && String(givenShape) !== String(shape))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${path}: expected the shape [${shape.join(', ')}], got [${String(givenShape)}]`,
    );
  if (
    (givenDtype !== undefined && givenDtype !== dtype) ||
    !(data instanceof Array_) ||
    data.length !== elementsOf(dtype, shape)
  )
    throw new JorchError(
      'BAD_ARGUMENT',
      `${path}: expected ${dtype} [${shape.join(', ')}], a ${Array_.name} of ${elementsOf(dtype, shape)} elements; got ${givenDtype === undefined ? '' : `${String(givenDtype)}, `}a ${data.constructor.name} of ${data.length}`,
    );
  return data;
};

/** Takes the arguments apart as the exported function's were; `leaf` gets each tensor. */
const walk = (shape: Shape, value: unknown, path: string, leaf: (value: unknown, path: string) => void): void => {
  if (shape === 'tensor') {
    leaf(value, path);
    return;
  }
  const constant = staticOf(shape);
  if (constant) {
    if (!Object.is(constant.value, value))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${path} is ${String(value)}; the program was exported for ${String(constant.value)}, which is part of it`,
      );
    return;
  }
  if ('array' in shape) {
    if (!Array.isArray(value) || value.length !== shape.array.length)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${path || 'the arguments'}: expected ${shape.array.length} values in an array`,
      );
    shape.array.forEach((item, i) => {
      walk(item, value[i], path === '' ? `argument ${i}` : `${path}[${i}]`, leaf);
    });
  } else if ('object' in shape) {
    const given = typeof value === 'object' && value !== null ? Object.keys(value).sort() : [];
    if (String(given) !== String(shape.keys))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${path}: expected an object with the keys ${shape.keys.join(', ')}, got ${given.join(', ') || 'none'}`,
      );
    shape.object.forEach((item, i) => {
      walk(item, (value as Record<string, unknown>)[shape.keys[i]!], `${path}.${shape.keys[i]}`, leaf);
    });
  } else if ('map' in shape) {
    const keys = shape.keys.map((key) => staticOf(key)?.value);
    if (!(value instanceof Map) || value.size !== keys.length || !keys.every((key) => value.has(key)))
      throw new JorchError('BAD_ARGUMENT', `${path}: expected a Map with the keys ${keys.map(String).join(', ')}`);
    shape.map.forEach((item, i) => {
      walk(item, value.get(keys[i]), `${path}.get(${String(keys[i])})`, leaf);
    });
  }
};

/** The pytree with these leaves. */
export const rebuild = (shape: Shape, leaves: Iterator<unknown>): unknown => {
  if (shape === 'tensor') return leaves.next().value;
  const constant = staticOf(shape);
  if (constant) return constant.value;
  if ('array' in shape) return shape.array.map((item) => rebuild(item, leaves));
  if ('object' in shape)
    return Object.fromEntries(shape.object.map((item, i) => [shape.keys[i]!, rebuild(item, leaves)]));
  if ('map' in shape)
    return new Map(shape.map.map((item, i) => [staticOf(shape.keys[i]!)?.value, rebuild(item, leaves)]));
  return undefined;
};

const copyOf = ({ dtype, shape, data }: ArchiveTensor): HostTensor =>
  new HostTensor(new ARRAY_OF[dtype](new Uint8Array(data).buffer), shape, dtype);

/** What an exported program was compiled for must be what is here. */
const checkVersions = (path: string, { format, plugin, platform, jorch }: ProgramSignature): void => {
  const refuse = (why: string): never => {
    throw new JorchError('BAD_ARGUMENT', `${path} ${why}. Export the function again with the jorch that is to run it`);
  };
  if (format !== FORMAT) refuse(`has format ${format}; this jorch reads format ${FORMAT}`);
  if (platform !== 'cpu' && platform !== 'cuda')
    refuse(`was exported for the device '${platform}'; this jorch runs exported programs on the CPU and on CUDA`);
  if (plugin !== compilerVersion(platform))
    refuse(`was exported by jorch ${jorch} for the compiler ${plugin}; this jorch has ${compilerVersion(platform)}`);
};

/** JorchErrors out of what the small addon throws. */
export const translated = <T>(body: () => T): T => {
  try {
    return body();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (error instanceof JorchError || code === undefined) throw error;
    throw new JorchError(code as never, message);
  }
};

/** Where a file keeps machine code beside the weights. */
export const EXECUTABLE = 'executable';

/** Machine code, loaded on the GPU that is here. */
const loadOnCard = (addon: RuntimeAddon, code: Uint8Array, card: string | undefined): RuntimeExecutable => {
  const { plugin, libraries } = cudaRuntime();
  for (const file of libraries) {
    const message = addon.open(file);
    if (message) throw new JorchError('RUNTIME_MISSING', `${file} could not be loaded: ${message}`);
  }
  try {
    return translated(() => addon.loadProgram(plugin, Buffer.from(code.buffer, code.byteOffset, code.byteLength)));
  } catch (error) {
    if (!(error instanceof JorchError)) throw error;
    throw new JorchError(error.code, `a program compiled for '${card}' does not load here: ${error.message}`, {
      cause: error,
    });
  }
};

/**
 * The program that `fn.export(path, …)` wrote, compiled (or taken from the persistent cache) for this machine, or what
 * `compile.forTopology(…).save(path)` compiled for its GPU. It needs the XLA plugin
 * and no libtorch. Tensors are given as typed arrays, `{ data, shape }` or anything with `toTypedArray()`, and come back as HostTensors.
 * The file is trusted like code is: load only what you exported.
 * @throws JorchError BAD_ARGUMENT for a file that is no whole program, or one of another version or device; RUNTIME_MISSING; COMPILE_FAILED.
 * @example const predict = loadCompiled('model.jorch'); predict(new Float32Array(784)).data
 */
export const loadCompiled = (path: string): LoadedProgram =>
  loadProgram(path, { present: (tensor) => tensor, take: (value) => value });

/** The same with other tensors than HostTensors: what results become, and what arguments are. */
export const loadProgram = (
  path: string,
  { present, take }: { present(tensor: HostTensor): unknown; take(value: unknown): unknown },
): LoadedProgram => {
  const { metadata, tensors } = readArchive(path);
  const invalid = (why: string): never => {
    throw new JorchError('BAD_ARGUMENT', `${path} is no exported program: ${why}`);
  };
  const text = metadata['stablehlo'];
  const signature = ((): ProgramSignature => {
    try {
      return parseSignature(metadata['signature'] ?? '', tensors);
    } catch (error) {
      return invalid((error as Error).message);
    }
  })();
  checkVersions(path, signature);
  if (text === undefined) return invalid('it has no StableHLO');
  for (const [, target] of text.matchAll(/custom_call\s*@"?([\w.$]+)/g))
    if (!KNOWN_CALLS.has(target!)) invalid(`it calls ${target}, which exported programs do not`);
  const addon = runtimeAddon();
  const machineCode = tensors.get(EXECUTABLE);
  if (signature.platform === 'cuda' && !machineCode) return invalid('it has no machine code');
  const executable =
    signature.platform === 'cuda'
      ? loadOnCard(addon, machineCode!.data, signature.card)
      : translated(
          () =>
            new Executables(addon, cpuPluginFile(), persistentCache()).obtain(
              text,
              xlaOptions({ text, arithmetic: false }),
            ).executable,
        );
  const types = translated(() => addon.outputTypes(executable));
  const same = (a: TensorType, b: { dtype: string; shape: readonly number[] } | undefined): boolean =>
    a.dtype === b?.dtype && String(a.shape) === String(b.shape);
  if (types.length !== signature.outputs.length || !signature.outputs.every((t, i) => same(t, types[i])))
    invalid('its program returns something else than its signature says');
  // On the device once, however often the program runs.
  const weights = new Map<string, unknown>();
  for (const p of signature.parameters) {
    if (!('weight' in p) || weights.has(p.weight)) continue;
    const { data, dtype, shape } = tensors.get(p.weight)!;
    weights.set(
      p.weight,
      translated(() => addon.hold(executable, data, dtype, shape)),
    );
  }
  let disposed = false;

  const parameterOf = (p: Parameter, args: readonly TypedArray[]): unknown => {
    if ('random' in p) return { data: new Uint8Array(randomBytes(8)), dtype: 'uint64', shape: [] };
    if ('weight' in p) return weights.get(p.weight);
    return { data: bytesOf(args[p.arg]!), dtype: p.dtype, shape: p.shape };
  };
  const argTypes = new Map(signature.parameters.flatMap((p) => ('arg' in p ? [[p.arg, p] as const] : [])));
  const call = (...given: unknown[]): unknown => {
    if (disposed) throw new JorchError('DISPOSED', `${signature.name}: the exported program was disposed`);
    const args: TypedArray[] = [];
    const originals: unknown[] = [];
    walk(signature.args, given, '', (value, where) => {
      const type = argTypes.get(args.length);
      originals.push(value);
      // One that the program does not read may be anything.
      args.push(type ? elements(where, take(value), type) : new Uint8Array(0));
    });
    const outputs = translated(() =>
      addon.run(
        executable,
        signature.parameters.map((p) => parameterOf(p, args)),
      ),
    );
    const results = signature.returns.map((r) => {
      if ('arg' in r) return originals[r.arg];
      if ('weight' in r) return present(copyOf(tensors.get(r.weight)!));
      const { dtype, shape } = signature.outputs[r.output]!;
      return present(new HostTensor(new ARRAY_OF[dtype](outputs[r.output]!), shape, dtype));
    });
    return rebuild(signature.results, results.values());
  };
  return Object.assign(call, {
    signature,
    dispose: () => {
      disposed = true;
      weights.clear();
    },
  });
};
