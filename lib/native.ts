/** @file The types of what native/ exports. C++ owns mechanism; every name here is bound in native/**.cc. */
import type { DType } from './torch/dtype.js';
import type { Tensor } from './torch/tensor.js';

/** XLA's own options, by name. */
export type XlaOptions = Readonly<Record<string, boolean | number | string>>;

/** The compiler behind either addon; `T`: what it compiles for. */
export interface Compiler<E, T = string> {
  compileProgram(target: T, stablehlo: string, options: XlaOptions): E;
  /** An executable of what `serializeProgram` gave. The bytes must be whole: damaged ones may end the process. */
  loadProgram(target: T, bytes: Buffer): E;
  serializeProgram(executable: E): Buffer;
  /** What executables depend on besides text and options: platform, device, threads, CPU. */
  compilerIdentity(target: T): string;
  /** What XLA would be told beside the program. */
  compileOptions(target: T, options: XlaOptions): Buffer;
}

/** A typed array of any element type. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** A function over ATen operators: resolves the overload, runs it, wraps the results. */
export type OpFunction = (...args: unknown[]) => unknown;

/** A tensor that a traced function met or was given. */
export interface Capture {
  readonly tensor: Tensor;
  /** The same for one tensor as long as it lives. */
  readonly identity: number;
  /** The first argument leaf that it is; -1 for a tensor that the function met by itself. */
  readonly leaf: number;
  /** The capture whose `.grad` this is, or -1. */
  readonly gradOf: number;
  /** The capture whose whole storage this is, flat, or -1. */
  readonly storageOf: number;
  /** An argument that the function met by itself too: the program is right only for this very tensor. */
  readonly closedOver: boolean;
  /** Its position among the graph's inputs; -1 when the program does not need its value. */
  readonly input: number;
  /** The value it holds after the run, or -1. */
  readonly mutated: number;
  /** The value of its new `.grad`, or -1. */
  readonly grad: number;
  readonly gradCleared: boolean;
  /** The function has read or set its `.grad`. */
  readonly gradSeen: boolean;
  /** Gradients flow through the value that it holds after the run. */
  readonly history: boolean;
  /** Whether it requires grad after the run, if the function has set that. */
  readonly requiresGrad: boolean | null;
}

/** `base.as_strided(shape, strides, base.storage_offset() + offset)` of a capture or of another result. */
export interface ViewOf {
  readonly ofCapture: boolean;
  readonly base: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  /** What autograd knows: `none` and `leaf` are detached (the second requires grad by itself), `no_grad` was made without recording. */
  readonly history: 'kept' | 'none' | 'leaf' | 'no_grad';
}

/** A graph as native code writes it, for lib/compile/read-graph.ts. */
export interface WrittenGraph {
  readonly numbers: Float64Array;
  readonly texts: readonly string[];
  readonly generators: readonly GeneratorHandle[];
}

/** What one run of a function under the recorder gave, its graph not read yet. */
export interface WrittenTrace {
  readonly graph: WrittenGraph;
  /** How many nodes of the graph the function itself recorded; what its results, changes and its backward need stands behind them. */
  readonly ownNodes: number;
  /** How many results the function has; those behind them are there as bases of views only. */
  readonly resultCount: number;
  /** Value ids of the results. */
  readonly outputs: readonly number[];
  /** Per result: the capture that it is the very same tensor as, or -1. */
  readonly sameAs: readonly number[];
  /** Per result: what it is a view of. */
  readonly views: readonly (ViewOf | null)[];
  readonly captures: readonly Capture[];
  /** The way back, when autograd records and something requires grad. */
  readonly backward: {
    /** Value ids of the results and new values that it starts from. */
    readonly results: readonly number[];
    /** Value ids of their gradients: inputs of the graph. */
    readonly cotangents: readonly number[];
    /** Positions of the captures that it leads to. */
    readonly captures: readonly number[];
    /** Value ids of the gradients, -1 for none. */
    readonly gradients: readonly number[];
  } | null;
  /** Values that require grad although nothing leads backward from them, and why; no words for a leaf. */
  readonly ends: readonly { readonly value: number; readonly why: string }[];
}

/** An argument leaf or a captured tensor, or the `.grad` or the storage of one. */
export interface Place {
  readonly isArg: boolean;
  readonly index: number;
  readonly ofGrad?: boolean;
  /** All elements of its storage in a row. */
  readonly ofStorage?: boolean;
}

export interface TensorSpec {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly dtype: DType;
}

/** A tensor's new value (`history`: with the way back), or its new `.grad`. */
export type Effect = Place & { readonly output: number; readonly kind: 'value' | 'history' | 'grad' };

/** A program and the types of its parameters and results. */
export interface ProgramSpec {
  readonly executable: Executable;
  readonly inputs: readonly TensorSpec[];
  /** `pack`: the result begins at byte `offset` of the n-th of the vectors that the program returns behind the other results. */
  readonly outputs: readonly (TensorSpec & { readonly pack?: number; readonly offset?: number })[];
  /** Parameters behind the others: a random key each, drawn from these generators (null: the default one) at every run. */
  readonly keys: readonly (GeneratorHandle | null)[];
  /** How parameters and results of a program over several devices are spread, as numbers. */
  readonly placements?: {
    readonly devices: number;
    readonly inputs: readonly number[];
    readonly outputs: readonly number[];
  };
  /** Results that are computed in the memory of a parameter. */
  readonly donated?: readonly { readonly input: number; readonly output: number }[];
  /** The number of the device that the executable was compiled for; 0 or absent: the CPU. */
  readonly device?: number;
}

/** Called after a run: `values` are those to print, `flags` one bool per check, both null when the run raised. */
export type ReportHandler = (
  values: readonly Tensor[] | null,
  flags: Tensor | null,
  parameters: readonly Tensor[],
) => void;

/** Outputs that the handler prints, the output with one bool per check (-1: none), and who is told. */
export interface ReportsSpec {
  readonly outputs: readonly number[];
  readonly flags: number;
  readonly handler: ReportHandler;
}

/** The backward of a compiled program. */
export interface BackwardSpec extends ProgramSpec {
  /** Per parameter: an output of the forward program, a parameter of it, or the gradient of a differentiable result. */
  readonly arguments: readonly { readonly kind: 'residual' | 'input' | 'cotangent'; readonly index: number }[];
  /** Outputs of the forward program that get a grad_fn, in the order of the cotangents. */
  readonly results: readonly number[];
  /** Parameters of the forward program that gradients flow to. */
  readonly gradientInputs: readonly number[];
  /** Per such parameter: the output with its gradient, or -1. */
  readonly gradients: readonly number[];
  /** The backward as a differentiable function of parameters of the forward program and gradients of its results; or why there is none. */
  readonly second:
    | { readonly inputs: readonly number[]; readonly handler: BackwardFunction }
    | { readonly refused: string };
  readonly reports?: ReportsSpec;
}

/** Parameters of the forward program and gradients of its differentiable results, to gradients of what they lead to. */
export type BackwardFunction = (inputs: readonly Tensor[], gradients: readonly Tensor[]) => (Tensor | null)[];

/** A compiled program and how its parameters and results belong to JavaScript's tensors. */
export interface EntrySpec extends ProgramSpec {
  readonly id: number;
  readonly captures: readonly Tensor[];
  readonly parameters: readonly Place[];
  readonly results: readonly (({ readonly output: number } | Place) & { readonly view?: ViewOf })[];
  readonly effects: readonly Effect[];
  readonly clearedGrads: readonly Place[];
  /** Tensors of which the function says whether they require grad. */
  readonly flags: readonly (Place & { readonly requiresGrad: boolean })[];
  /** Results that require grad although nothing leads backward from them: leaves, or why their backward() must fail. */
  readonly ends: readonly { readonly output: number; readonly why: string }[];
  /** Tensors for which it matters whether they have a `.grad`. */
  readonly grads: readonly Place[];
  /** 0: one tensor, 1: an array of tensors, 2: [id, ...tensors], to be unflattened. */
  readonly shape: 0 | 1 | 2;
  readonly backward?: BackwardSpec;
  /** Tensors that decided themselves how the program takes them. */
  readonly placed?: readonly (Place & { readonly placement: number })[];
  readonly reports?: ReportsSpec;
  /** What it was traced for. */
  readonly described: Circumstances;
}

/** Where a program is compiled and run: on the CPU of a plugin's path, on a device that was opened, on the devices of a mesh. */
export type Target = string | DeviceTarget | MeshTarget;
export interface DeviceTarget {
  readonly plugin: string;
  /** Its number. */
  readonly device: number;
}
export interface MeshTarget {
  readonly plugin: string;
  /** Devices that the client has; virtual ones are made. */
  readonly count: number;
  /** Positions among them, in the order of the mesh. */
  readonly devices: readonly number[];
  /** Per result: whether XLA may choose how it is spread. */
  readonly free: readonly boolean[];
}

declare const opaque: unique symbol;
/** What tensors and modes were at some moment. */
export interface Circumstances {
  readonly [opaque]: 'circumstances';
}
/** Values of tensors as they were at some moment. */
export interface Snapshot {
  readonly [opaque]: 'snapshot';
}
/** A run that is over and has changed nothing yet. */
export interface FinishedRun {
  readonly [opaque]: 'run';
}

declare const executable: unique symbol;
/** A loaded XLA program. */
export interface Executable {
  readonly [executable]: never;
}
/** One that is being loaded. */
export interface Loading {
  readonly [opaque]: 'loading';
}

/** Programs that were begun to be loaded before libtorch was. */
export interface Prefetched {
  readonly [opaque]: 'prefetched';
}

/** What tensors are made of that nobody has looked at. */
export interface Batch {
  readonly [opaque]: 'batch';
}
/** Of a compiled call, together with what is in the exchange (native/program/entry.h). */
export type ProgramResults = Tensor | (Tensor | number | Batch)[] | Batch;

/** The programs of one compiled function. */
export interface CompiledHandle {
  /** The results, or undefined when no program fits these arguments, whose numbers are in the exchange. */
  call(structure: number, leaves: readonly Tensor[], count: number): ProgramResults | undefined;
  add(structure: number, spec: EntrySpec): void;
  describe(leaves: readonly Tensor[], captures: readonly Tensor[]): Circumstances;
  /** The modes of this moment, as a number. */
  modes(): number;
  /** The id of the program that a call would run. */
  find(structure: number, leaves: readonly Tensor[], modes: number): number | undefined;
  /** The values of tensors as they are now, or as an earlier snapshot has them at the same place; of null none, so that start() takes them. */
  snapshot(tensors: readonly (Tensor | null)[], earlier?: Snapshot): Snapshot;
  /**
   * Runs on another thread; undefined when no program fits. A snapshot holds the leaves and behind them the captured tensors of the
   * program meant; without one, all are taken as they are now.
   */
  start(
    structure: number,
    leaves: readonly Tensor[],
    modes: number,
    snapshot?: Snapshot,
  ): Promise<FinishedRun> | undefined;
  /** The results, as `call` gives them; only now are tensors changed. */
  finish(run: FinishedRun, leaves: readonly Tensor[]): ProgramResults;
  /** Drops the least recently used programs beyond `limit` and returns their ids. */
  trim(limit: number): number[];
}

export type LevelKind = 'grad' | 'vmap' | 'jvp';
/** Whether random operators under vmap are refused, draw once for all examples, or for each. */
export type Randomness = 'error' | 'same' | 'different';

/** The innermost open level of torch.func. */
export interface Level {
  readonly kind: LevelKind;
  readonly level: number;
  /** Examples of a vmap level; 0 for others. */
  readonly size: number;
  readonly randomness: Randomness;
}

declare const script: unique symbol;
/** A TorchScript program with all its objects. */
export interface ScriptHandle {
  readonly [script]: never;
}
/** An object of a script. `index` is the number of an object (module), or of a place (parameter, buffer, tensor). */
export interface ScriptObject {
  readonly type: string;
  readonly methods: readonly { readonly name: string; readonly schema: string }[];
  readonly slots: readonly (
    | { readonly name: string; readonly kind: 'module' | 'parameter' | 'buffer' | 'tensor'; readonly index: number }
    | { readonly name: string; readonly kind: 'value' | 'constant' }
  )[];
}

declare const generator: unique symbol;
export interface GeneratorHandle {
  readonly [generator]: never;
}

export type Fate = 'functionalized' | 'decomposed' | 'recorded' | 'dynamic' | 'value' | 'refused' | 'absent';

export interface Native extends Compiler<Executable, Target> {
  /** From lib/torch/handle.ts, like isTensor. */
  readonly Tensor: { readonly prototype: Tensor };
  /** The class whose instances are tensors: `new made(token, number)`; `unmade` reads the number of a handle that has no tensor yet, else 0. */
  setHandles(
    made: new (token: object, number: number) => unknown,
    token: object,
    unmade: (value: unknown) => number,
  ): void;
  /** Where numbers of handles are put on their way. */
  setExchange(numbers: Uint32Array): void;
  readonly Compiled: new () => CompiledHandle;
  setErrorClass(errorClass: new (code: never, message: string) => Error): void;
  /** `collect(full)` runs JavaScript's garbage collector; called when many tensors were made. */
  setCollector(collect: (full: boolean) => void): void;
  isTensor(value: unknown): value is Tensor;
  memory(): { tensors: number; bytes: number; deviceBytes: number };
  /** Opens a device, or finds the open one of this name; returns its number, from 1. */
  openDevice(name: string, plugin: string, options: Readonly<Record<string, boolean | number | string>>): number;
  /** The tensor's values on the device with this number, 0 being the CPU; the tensor itself when it is there. */
  moveTo(tensor: Tensor, device: number): Tensor;
  /** The number of the tensor's device, 0 for the CPU. */
  deviceOf(tensor: Tensor): number;
  /** Whether the tensor's data is on a device where libtorch's kernels cannot read it. */
  isOpaque(tensor: Tensor): boolean;
  /** Tensors on an opened device are libtorch's own from now on, on `own` as libtorch names the device; null: XLA's again. */
  useLibtorch(device: number, own: string | null): void;
  /** Programs for the GPUs of `plugin` may call libtorch's kernels. */
  allowCudaCalls(plugin: string): void;
  /** Memory on devices that libtorch is done with, or that its allocator keeps for later, goes back. */
  reclaimDevices(): void;
  /** `run` computes operators on device tensors, called by JavaScript or from within libtorch. */
  setDeviceOperator(run: (name: string, overload: string | undefined, args: readonly unknown[]) => unknown): void;
  /** Called with every new tensor, until set to null. */
  setCreationHook(hook: ((made: Tensor) => void) | null): void;
  /** Operator packets to their overloads in the order in which Python tries them. */
  setOverloadOrder(order: Readonly<Record<string, string>>): void;

  /** `noted`: whoever calls it has noted the line of the operator. */
  packet(name: string, overload?: string, noted?: boolean): OpFunction;
  schemas(): string[];

  fromData(data: TypedArray, dtype: DType, shape: readonly number[]): Tensor;
  fromBuffer(data: TypedArray, dtype: DType, shape: readonly number[]): Tensor;
  toBytes(tensor: Tensor): ArrayBuffer;
  /** A place in the process's table, to be received so many times. */
  shareTensor(tensor: Tensor, receivers: number): number;
  receiveTensor(number: number): Tensor;
  /** Whether it was still there. */
  withdrawTensor(number: number): boolean;
  item(tensor: Tensor): number | boolean | { re: number; im: number };

  backward(
    tensors: readonly Tensor[],
    gradients: readonly (Tensor | null)[],
    retain: boolean | undefined,
    create: boolean,
    inputs: readonly Tensor[],
  ): void;
  grad(
    outputs: readonly Tensor[],
    inputs: readonly Tensor[],
    gradOutputs: readonly (Tensor | null)[],
    retain: boolean | undefined,
    create: boolean,
    allowUnused: boolean,
    /** A transform takes the gradients of its own level, which is open. */
    ofOpenLevel?: boolean,
  ): (Tensor | null)[];
  gradEnabled(): boolean;
  /** Returns what it was before. */
  setGradEnabled(enabled: boolean): boolean;
  /** `hook` is called with gradients of the tensor, or (accumulated) with the tensor itself after they were added to its grad. Returns what takes it away. */
  addHook(tensor: Tensor, hook: (tensor: Tensor) => unknown, accumulated: boolean): () => void;
  inferenceMode<T>(fn: () => T): T;
  autocast<T>(enabled: boolean, dtype: DType, fn: () => T): T;
  defaultDtype(dtype?: DType): DType;
  numThreads(threads?: number): number;
  generator(): GeneratorHandle;
  manualSeed(seed: number | bigint, generator?: GeneratorHandle): void;
  initialSeed(generator?: GeneratorHandle): bigint;

  /** `joint`: with the backward. Default true. */
  trace(fn: (twins: Tensor[]) => Tensor[], args: readonly Tensor[], joint?: boolean): WrittenTrace;
  /** Records an operator of our own into the open trace and returns its results. */
  recordNode(
    op: string,
    operands: readonly Tensor[],
    attachment: number,
    results: readonly { readonly shape: readonly number[]; readonly dtype: DType }[],
  ): Tensor[];
  isTracing(): boolean;
  /** The value of the open trace's graph that a tensor holds now, and the nodes recorded before. */
  tracedValue(tensor: Tensor): [value: number, position: number];
  /** A 0-d tensor of the open trace (an eager one is captured) that takes part in type promotion as a number does. */
  asNumber(tensor: Tensor): Tensor;
  /** Overwrites the one element of a 0-d float64 tensor, or makes one. Not recorded by a trace. */
  setNumber(tensor: Tensor | null, value: number): Tensor;
  setRules(names: readonly string[]): void;
  /** What becomes of every registered overload in a trace (native/trace/record.h), and whether it is core ATen. */
  operatorFates(): [name: string, fate: Fate, core: boolean][];
  /** `note` puts the place of the running operator's line into `now`. */
  setLineReader(read: () => string, note: () => void, now: Int32Array): void;

  loadScript(path: string): ScriptHandle;
  /** One of its own, with copies of what the slots hold. */
  copyScript(script: ScriptHandle): ScriptHandle;
  /** The first object is the root; `places` say which tensor a slot holds, -1 for none. */
  describeScript(script: ScriptHandle): {
    readonly tensors: Tensor[];
    readonly places: number[];
    readonly objects: ScriptObject[];
  };
  /** Runs a method. `held` are the tensors of all places; what the script keeps in other tensors comes back as `changes`. */
  callScript(
    script: ScriptHandle,
    object: number,
    method: string,
    args: readonly unknown[],
    held: readonly (Tensor | null)[],
  ): { readonly result: unknown; readonly changes: readonly (readonly [place: number, now: Tensor | null])[] };
  scriptValue(script: ScriptHandle, object: number, name: string): unknown;
  setScriptValue(script: ScriptHandle, object: number, name: string, value: unknown): void;
  /** Equal as long as no attribute has changed that a recorded program may depend on. */
  scriptKey(script: ScriptHandle): string;

  /** Opens a level of torch.func around `fn`. `size` and `randomness` are vmap's. */
  withLevel<T>(kind: LevelKind, size: number, randomness: Randomness, fn: (level: number) => T): T;
  /** Runs `fn` with the innermost level put aside. */
  lower<T>(fn: () => T): T;
  currentLevel(): Level | null;
  insideVmap(): boolean;
  /** Whether the tensor has a value for every example of some open vmap. */
  isBatched(tensor: Tensor): boolean;
  /** The tensor as a variable of its own of a grad or jvp level. */
  wrapGrad(tensor: Tensor, level: number, requiresGrad: boolean): Tensor;
  /** What a level's variable holds; any other tensor is returned itself. */
  unwrapGrad(tensor: Tensor, level: number): Tensor;
  unwrapDead(tensor: Tensor): Tensor;
  makeDual(primal: Tensor, tangent: Tensor): Tensor;
  unpackDual(tensor: Tensor): [Tensor, Tensor | null];
  addBatch(tensor: Tensor, dim: number, level: number): Tensor;
  /** The tensor below the level and its batch dimension, -1 if the level does not batch it. */
  removeBatch(tensor: Tensor, level: number): [Tensor, number];
  /** Gives `outputs` a history that leads through `backward` to `inputs`. */
  attach(
    label: string,
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    saved: readonly Tensor[],
    backward: (saved: Tensor[], gradients: (Tensor | null)[], needed: boolean[]) => (Tensor | null)[],
  ): void;
  /** Runs `fn` and notes the tensors that it used and neither made nor was `given`. Isolated: what it records is thrown away. */
  probe<T>(fn: () => T, given: readonly Tensor[], isolated: boolean): { seen: Tensor[]; result: T };
  isProbing(): boolean;
  /** Random operators recorded on this thread so far. */
  randomCalls(): number;
  /** Runs `fn` and tells what generators the random operators recorded meanwhile drew from, each once, null for the default one. */
  watchDraws<T>(fn: () => T): { result: T; generators: (GeneratorHandle | null)[] };
  sameGenerator(a: GeneratorHandle, b: GeneratorHandle): boolean;
  /** The state of a generator, of the default one without; sets it afterwards if one is given. */
  generatorState(generator?: GeneratorHandle, state?: Tensor): Tensor;
  /** Runs `fn`; every use of from[i] meanwhile is a use of to[i]. */
  substitute<T>(from: readonly Tensor[], to: readonly Tensor[], fn: () => T): T;

  compileProgramAsync(
    target: Target,
    stablehlo: string,
    options: XlaOptions,
    keep: boolean,
  ): Promise<{ executable: Executable; bytes?: Buffer }>;
  loadProgramAsync(target: Target, bytes: Buffer): Promise<Executable>;
  /** Begins to load on another thread. */
  beginLoad(target: Target, bytes: Buffer): Loading;
  /** What was begun, once it is there; undefined when that failed. */
  endLoad(loading: Loading): Executable | undefined;
  /** The client that made them is the one for the CPU. */
  adoptClient(prefetched: Prefetched): void;
  /** The n-th of them; undefined when there is none, or, unless `wait`, not yet. */
  takeProgram(prefetched: Prefetched, n: number, wait: boolean): Executable | undefined;
  /** Begins to load the plugin on another thread. */
  prepareCompiler(plugin: string): void;
  /** How many devices a plugin has here, made for `count` where they are virtual. */
  meshDevices(plugin: string, count: number): number;
  /** The number of a placement: into how many tiles each dimension is cut, and which of them each device holds. */
  placement(
    plugin: string,
    count: number,
    devices: readonly number[],
    tiles: readonly number[],
    tileOf: readonly number[],
    mesh: string,
  ): number;
  placementInfo(placement: number): {
    readonly tiles: readonly number[];
    readonly tileOf: readonly number[];
    readonly mesh: string;
  };
  /** 0 for an ordinary tensor. */
  placementOf(tensor: Tensor): number;
  /** A new tensor, detached. */
  putOnDevices(tensor: Tensor, placement: number): Tensor;
  /** In place. */
  moveToDevices(tensor: Tensor, placement: number): void;
  optimizedProgram(executable: Executable): {
    format: string;
    bytes: Buffer;
    memory: Readonly<Record<'code' | 'arguments' | 'outputs' | 'temporaries', number>>;
    /** The plugin's own estimates by name (`flops`, `bytes accessed`); empty where it makes none. */
    cost: Readonly<Record<string, number>>;
  };
}
