/** @file Collects the lines of a program. Identical pure operations are emitted once: their text is the key. */
import type { DType } from '../torch/dtype.js';
import { BuilderError, type Op, type TensorType, typeText } from './types.js';

/** The lines of one region, with what was already computed in it. */
interface Scope {
  readonly lines: string[];
  readonly seen: Map<string, readonly Op[]>;
  readonly prefix: string;
  next: number;
}

export class Emitter {
  /** What the operations emitted next come from; empty: nothing is said. Part of no operation's identity. */
  origin = '';
  private scope: Scope = { lines: [], seen: new Map(), prefix: '%', next: 0 };
  private depth = 0;

  /** One pure operation with one result; `text` is all that stands right of the equals sign. */
  emit(text: string, shape: readonly number[], dtype: DType, type = typeText(shape, dtype)): Op {
    const scope = this.scope;
    const known = scope.seen.get(text);
    if (known !== undefined) return known[0]!;
    const name = scope.prefix + scope.next++;
    scope.lines.push(`${name} = ${text}${this.location()}`);
    const op: Op = { name, shape, dtype, type };
    scope.seen.set(text, [op]);
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
    const outer = this.scope;
    const depth = ++this.depth;
    this.scope = { lines: [], seen: new Map(), prefix: `%r${depth}_`, next: 0 };
    const params = args.map(({ shape, dtype }, i) => ({
      name: `%a${depth}_${i}`,
      shape,
      dtype,
      type: typeText(shape, dtype),
    }));
    try {
      const results = body(...params);
      const header = params.length === 0 ? '' : `^bb0(${params.map((p) => `${p.name}: ${p.type}`).join(', ')}):\n`;
      const end = `stablehlo.return ${names(results)} : ${results.map((r) => r.type).join(', ')}`;
      return `({\n${header}${[...this.scope.lines, end].join('\n')}\n})`;
    } finally {
      this.scope = outer;
      this.depth = depth - 1;
    }
  }

  /** The lines emitted so far in the outermost scope. */
  lines(): readonly string[] {
    if (this.depth !== 0) throw new BuilderError('lines(): a region is still open.');
    return this.scope.lines;
  }
}

export const names = (ops: readonly Op[]): string => ops.map((o) => o.name).join(', ');
/** `(tensor<…>, …) -> tensor<…>` or `(…) -> (tensor<…>, tensor<…>)` */
export function signature(operands: readonly Op[], results: readonly string[]): string {
  const right = results.length === 1 ? results[0]! : `(${results.join(', ')})`;
  return `(${operands.map((o) => o.type).join(', ')}) -> ${right}`;
}
/** `array<i64: 1, 2>` */
export const i64s = (list: readonly number[]): string =>
  list.length === 0 ? 'array<i64>' : `array<i64: ${list.join(', ')}>`;
