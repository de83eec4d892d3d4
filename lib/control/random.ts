/** @file Random numbers in loops and branches: seeds that are drawn outside go in with the operands, so that a step that is computed again draws the same. */
import { recordControl } from '../compile/trace.js';
import type { GeneratorHandle } from '../native.js';
import { native } from '../runtime/load.js';
import { op } from '../torch/runtime-ops.js';
import type { Tensor } from '../torch/tensor.js';
import { dispatch, type Operator } from '../transforms/operator.js';

const randint = op('aten::randint');

/** Records where seeds are to be used; seeds for each example of a batch are one, whose numbers vmap spreads as its `randomness` says. */
class UseSeeds implements Operator {
  readonly name = 'RandomKey';
  constructor(
    private readonly generators: readonly (GeneratorHandle | null)[],
    private readonly part: number,
  ) {}
  run(seeds: Tensor[]): Tensor[] {
    const n = native();
    if (!n.isTracing() || n.isProbing()) return [];
    return recordControl({ kind: 'key', generators: this.generators, part: this.part }, seeds, []);
  }
  batch(seeds: Tensor[], batched: boolean[]) {
    const first = seeds.map((t, i) => (batched[i] ? t.select(0, 0) : t));
    return { outputs: dispatch(this, first), batched: [] };
  }
  dual(seeds: Tensor[]) {
    return { outputs: dispatch(this, seeds), tangents: [] };
  }
  backward(seeds: Tensor[]) {
    return seeds.map(() => null);
  }
}

/** The generators that a function draws from. */
export class Draws {
  private constructor(private readonly generators: readonly (GeneratorHandle | null)[]) {}

  /** Runs a function under the recorder and notes what it draws from. */
  static watch<T>(run: () => T): [result: T, draws: Draws] {
    const { result, generators } = native().watchDraws(run);
    return [result, new Draws(generators)];
  }
  get count(): number {
    return this.generators.length;
  }
  /** A seed for each generator, or, with a shape, tensors of seeds. */
  seeds(shape: readonly number[] = []): Tensor[] {
    return this.generators.map((generator) =>
      randint(2 ** 52, shape, generator === null ? { dtype: 'int64' } : { dtype: 'int64', generator }),
    ) as Tensor[];
  }
  /** From here on the body draws from these seeds. `part` tells functions apart that share them. */
  use(seeds: readonly Tensor[], part = 0): void {
    if (seeds.length > 0) dispatch(new UseSeeds(this.generators, part), seeds);
  }
}
