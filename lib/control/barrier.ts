/** @file Tensors that XLA neither merges nor fuses across. */
import type { Tensor } from '../torch/tensor.js';
import { dispatch, isSome, type Operator } from '../transforms/operator.js';
import { recordBarrier } from './record.js';

class Barrier implements Operator {
  readonly name = 'Barrier';
  run(inputs: Tensor[]): Tensor[] {
    return recordBarrier(inputs);
  }
  batch(inputs: Tensor[], batched: boolean[]) {
    return { outputs: dispatch(this, inputs), batched };
  }
  dual(inputs: Tensor[], tangents: (Tensor | null)[]) {
    const made = dispatch(this, [...inputs, ...tangents.filter(isSome)]);
    const moved = made.slice(inputs.length);
    return {
      outputs: made.slice(0, inputs.length),
      tangents: tangents.map((t) => (isSome(t) ? moved.shift()! : null)),
    };
  }
  backward(_: Tensor[], __: Tensor[], cotangents: (Tensor | null)[]): (Tensor | null)[] {
    return cotangents;
  }
}

/** The inputs themselves, once all are there: in a program, what is computed from them is not merged with what was computed before. */
export const barrier = (inputs: readonly Tensor[]): Tensor[] => dispatch(new Barrier(), inputs);
