/** @file The graph's objects, made of the numbers and texts that native/trace/graph_js.cc writes. */
import type { WrittenGraph } from '../native.js';
import type { DType } from '../torch/dtype.js';
import type { Arg, ConstantData, Graph, Node, Value } from './graph.js';

/** What kind of argument or element follows, as in graph_js.cc. */
const [NULL, VALUE, LIST, NUMBER, FALSE, TRUE, TEXT, BIGINT, FLOAT, COMPLEX, DTYPE, MEMORY_FORMAT, GENERATOR] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
] as const;

class Reader {
  private at = 0;
  private readonly values: Value[] = [];
  /** Names of arguments. */
  private readonly schemas: (readonly string[])[] = [];

  constructor(
    private readonly numbers: Float64Array,
    private readonly texts: readonly string[],
    private readonly lines: readonly string[],
  ) {}

  private next(): number {
    return this.numbers[this.at++]!;
  }
  private text(): string {
    return this.texts[this.next()]!;
  }
  private times<T>(count: number, make: (i: number) => T): T[] {
    const made: T[] = [];
    for (let i = 0; i < count; i++) made.push(make(i));
    return made;
  }
  private readonly number = (): number => this.next();
  private readonly ref = (): Value => this.values[this.next()]!;

  private readonly value = (id: number): Value => {
    const dtype = this.text() as DType;
    const rank = this.next();
    const shape = this.times(rank, this.number);
    return { id, shape, strides: this.times(rank, this.number), dtype };
  };

  private readonly arg = (): Arg => {
    switch (this.next()) {
      case NULL:
        return null;
      case VALUE:
        return this.ref();
      case LIST:
        return this.times(this.next(), this.arg);
      case NUMBER:
        return this.next();
      case FALSE:
        return false;
      case TRUE:
        return true;
      case TEXT:
        return this.text();
      case BIGINT:
        return BigInt(this.text());
      case FLOAT:
        return { float: this.next() };
      case COMPLEX:
        return { re: this.next(), im: this.next() };
      case DTYPE:
        return { dtype: this.text() as DType };
      case MEMORY_FORMAT:
        return { memory_format: this.text() };
      case GENERATOR:
        return { generator: this.next() };
      default:
        throw new Error('a graph that native code wrote in another way than it is read');
    }
  };

  private readonly constant = (): Graph['constants'][number] => {
    const value = this.ref();
    return { value, data: this.times(this.next(), this.arg) as ConstantData };
  };

  private readonly node = (): Node => {
    const op = this.text();
    const line = this.lines[this.next()]!;
    const schema = this.next();
    this.schemas[schema] ??= this.times(this.next(), () => this.text());
    const args: Record<string, Arg> = {};
    for (const name of this.schemas[schema]) args[name] = this.arg();
    const outs = this.times(this.next(), this.arg) as Node['outs'];
    return line === '' ? { op, args, outs } : { op, args, outs, line };
  };

  graph(): Omit<Graph, 'generators'> {
    const values = this.next();
    for (let id = 0; id < values; id++) this.values.push(this.value(id));
    return {
      values: this.values,
      inputs: this.times(this.next(), this.ref),
      constants: this.times(this.next(), this.constant),
      nodes: this.times(this.next(), this.node),
    };
  }
}

/** Values are shared by identity: an argument or a result is always the object in `values`. `lines`: what operators come from, by the places that the graph has. */
export const readGraph = ({ numbers, texts, generators }: WrittenGraph, lines: readonly string[]): Graph => ({
  ...new Reader(numbers, texts, lines).graph(),
  generators,
});
