/** @file Collects the lines of a program. Identical pure operations are emitted once: their text is the key. */
import type { DType } from '../torch/dtype.js';
import { kernelCall, kernelFunction, witnessOf } from './kernel.js';
import { BuilderError, declared, names, type Op, type TensorType, typesOf, typeText } from './types.js';

/** The lines of one region, with what was already computed in it. */
interface Scope {
  readonly lines: string[];
  readonly seen: Map<string, readonly Op[]>;
  /** The same of those with one result. */
  readonly single: Map<string, Op>;
  readonly prefix: string;
  next: number;
}

/** A value with what stands right of its equals sign. */
export interface Made {
  readonly text: string;
  readonly op: Op;
}

export class Emitter {
  /** What the operations emitted next come from; empty: nothing is said. Part of no operation's identity. */
  origin = '';
  private scope: Scope = { lines: [], seen: new Map(), single: new Map(), prefix: '%', next: 0 };
  protected depth = 0;
  /** Names of functions by parameters and lines. */
  private readonly kernels = new Map<string, string>();
  private readonly functionLines: string[] = [];
  private readonly calledFunctions = new Map<string, { readonly name: string; readonly result: Op }>();

  /** One pure operation with one result; `text` is all that stands right of the equals sign. */
  emit(text: string, shape: readonly number[], dtype: DType, type = typeText(shape, dtype)): Op {
    const scope = this.scope;
    const known = scope.single.get(text);
    if (known !== undefined) return known;
    const name = scope.prefix + scope.next++;
    scope.lines.push(`${name} = ${text}${this.location()}`);
    const op: Op = { name, shape, dtype, type, bounds: undefined };
    scope.single.set(text, op);
    return op;
  }

  /** One operation with several results; an effectful one is never merged with another. */
  emitMany(text: string, results: readonly TensorType[], effect = false): readonly Op[] {
    const scope = this.scope;
    const known = effect ? undefined : scope.seen.get(text);
    if (known !== undefined) return known;
    const base = scope.prefix + scope.next++;
    const ops = results.map(({ shape, dtype }, i) => ({
      name: results.length === 1 ? base : `${base}#${i}`,
      shape,
      dtype,
      type: typeText(shape, dtype),
    }));
    const count = results.length === 1 ? '' : `:${results.length}`;
    scope.lines.push(`${results.length === 0 ? '' : `${base}${count} = `}${text}${this.location()}`);
    if (!effect) scope.seen.set(text, ops);
    return ops;
  }

  private location(): string {
    return this.origin === '' || this.depth > 0 ? '' : ` loc("${this.origin}")`;
  }

  /** `({ ^bb0(…): … stablehlo.return … })`. The body must use its own arguments only, and constants made inside. */
  region(args: readonly TensorType[], body: (...args: Op[]) => readonly Op[]): string {
    const { params, results, lines } = this.inside(args, body);
    const header = params.length === 0 ? '' : `^bb0(${declared(params)}):\n`;
    const end = `stablehlo.return ${names(results)} : ${typesOf(results)}`;
    return `({\n${header}${[...lines, end].join('\n')}\n})`;
  }

  /** What `body` emits, in a scope of its own. */
  private inside(
    args: readonly TensorType[],
    body: (...args: Op[]) => readonly Op[],
  ): { readonly params: readonly Op[]; readonly results: readonly Op[]; readonly lines: readonly string[] } {
    const outer = this.scope;
    const depth = ++this.depth;
    this.scope = { lines: [], seen: new Map(), single: new Map(), prefix: `%r${depth}_`, next: 0 };
    const params = args.map(({ shape, dtype }, i) => ({
      name: `%a${depth}_${i}`,
      shape,
      dtype,
      type: typeText(shape, dtype),
    }));
    try {
      return { params, results: body(...params), lines: this.scope.lines };
    } finally {
      this.scope = outer;
      this.depth = depth - 1;
    }
  }

  /**
   * `body` of the operands as one kernel of XLA's CPU backend (kernel.ts says of what). Like a region it must use its own arguments only.
   * @throws BuilderError when no operand has an element
   */
  kernel(operands: readonly Op[], body: (...args: Op[]) => readonly Op[]): readonly Op[] {
    // Made inside, a constant is a few instructions; outside, filling its memory is a kernel of its own.
    const constants = this.constants();
    const given = operands.filter(({ name }) => !constants.has(name));
    const witness = witnessOf(given);
    if (witness < 0) throw new BuilderError('kernel: no operand has an element.');
    const { params, results, lines } = this.inside(given, (...own) =>
      body(
        ...operands.map((op) => {
          const text = constants.get(op.name);
          return text === undefined ? own[given.indexOf(op)]! : this.emit(text, op.shape, op.dtype, op.type);
        }),
      ),
    );
    const returned = [...results, params[witness]!];
    const key = [declared(params), ...lines, names(returned)].join('\n');
    let name = this.kernels.get(key);
    if (name === undefined) {
      name = `kernel${this.kernels.size}`;
      this.kernels.set(key, name);
      this.functionLines.push(...kernelFunction(name, params, lines, returned));
    }
    const tuple = `tuple<${typesOf(given)}>`;
    const packed = this.emit(`stablehlo.tuple ${names(given)} : ${tuple}`, [], 'bool', tuple); // no rule sees it
    return this.emitMany(kernelCall(name, packed.name, tuple, returned), returned).slice(0, -1);
  }

  /**
   * `body` of the operands as a function of the module, which is written once for each `key` and called; XLA puts what it does in the place of the call. Like a region it
   * must use its own arguments only, and the key says all that it depends on beside their types.
   */
  called(key: string, operands: readonly Op[], body: (...args: Op[]) => Op): Op {
    const types = typesOf(operands);
    const full = `${key}: ${types}`;
    let known = this.calledFunctions.get(full);
    if (known === undefined) {
      const { params, results, lines } = this.inside(operands, (...own) => [body(...own)]);
      known = { name: `function${this.calledFunctions.size}`, result: results[0]! };
      this.calledFunctions.set(full, known);
      this.functionLines.push(
        `func.func private @${known.name}(${declared(params)}) -> ${known.result.type} {`,
        ...lines,
        `return ${known.result.name} : ${known.result.type}`,
        '}',
      );
    }
    const { shape, dtype, type } = known.result;
    return this.emit(`func.call @${known.name}(${names(operands)}) : (${types}) -> ${type}`, shape, dtype, type);
  }

  /** How the values of this scope are made, by name; not the results of operations that have several. */
  made(): ReadonlyMap<string, Made> {
    return new Map([...this.scope.single].map(([text, op]) => [op.name, { text, op }]));
  }
  /** The constants of this scope: how each is made, by name. */
  private constants(): ReadonlyMap<string, string> {
    const all = [...this.scope.single].filter(([text]) => text.startsWith('stablehlo.constant'));
    return new Map(all.map(([text, op]) => [op.name, text]));
  }

  /**
   * One operation that gives what it takes, as a kernel if `fits` says so of its text, else in place. `regions` are its own and see what it takes only.
   */
  emitKernel(
    operands: readonly Op[],
    regions: () => string,
    text: (operands: readonly Op[], regions: string) => string,
    fits: ((regions: string) => boolean) | undefined,
  ): readonly Op[] {
    const constants = this.constants();
    if (fits === undefined || this.depth > 0 || witnessOf(operands.filter(({ name }) => !constants.has(name))) < 0)
      return this.emitMany(text(operands, regions()), operands);
    // The names in them must not be those of the function's parameters.
    this.depth++;
    const inner = regions();
    this.depth--;
    if (!fits(inner)) return this.emitMany(text(operands, inner), operands);
    return this.kernel(operands, (...own) => this.emitMany(text(own, inner), operands));
  }

  /** The lines emitted so far in the outermost scope. */
  lines(): readonly string[] {
    if (this.depth !== 0) throw new BuilderError('lines(): a region is still open.');
    return this.scope.lines;
  }

  /** The lines of the functions that they call. */
  functions(): readonly string[] {
    return this.functionLines;
  }
}

/** `(tensor<…>, …) -> tensor<…>` or `(…) -> (tensor<…>, tensor<…>)` */
export function signature(operands: readonly Op[], results: readonly string[]): string {
  const right = results.length === 1 ? results[0]! : `(${results.join(', ')})`;
  return `(${operands.map((o) => o.type).join(', ')}) -> ${right}`;
}
/** `array<i64: 1, 2>` */
export const i64s = (list: readonly number[]): string =>
  list.length === 0 ? 'array<i64>' : `array<i64: ${list.join(', ')}>`;
