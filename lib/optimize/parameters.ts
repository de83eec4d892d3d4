/** @file The variables of an optimisation: a pytree of tensors outside, one Float64Array inside. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { frombuffer } from '../torch/data.js';
import { type DType, isFloating } from '../torch/dtype.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, type Structure, structureKey, unflatten } from '../tree.js';

interface Leaf {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly start: number;
  readonly length: number;
}

const article = (value: unknown) =>
  value === null ? 'null' : Array.isArray(value) ? 'an array without tensors' : `a ${typeof value}`;

/** numel() without a call into libtorch. */
export const elements = (t: Tensor): number => t.shape.reduce((a, b) => a * b, 1);

/** Where each tensor of `x0` lies in the flat vector, leaves in the pytree's order, elements row-major. */
export class Parameters<X> {
  readonly n: number;
  readonly start: Float64Array;
  private readonly structure: Structure;
  private readonly leaves: readonly Leaf[];
  /** Whether the flat vector is `x0` itself, so that nothing needs cutting. */
  private readonly plain: boolean;
  /** Whether `rebuild` gives views only: a tree that is made once follows the flat vector's memory. */
  readonly viewable: boolean;

  /** `symbolic`: the tensors' data cannot be read (tracing, vmap), `start` stays empty. @throws JorchError BAD_ARGUMENT where `x0` holds no tensor, no element, a tensor that is not floating, or a value that is not finite. */
  constructor(x0: X, who: string, symbolic = false) {
    const flat = flatten(x0);
    this.structure = flat.structure;
    if (flat.leaves.length === 0) {
      const hint = 'write torch.tensor([…], { dtype: torch.float64 })';
      throw new JorchError(
        'BAD_ARGUMENT',
        `${who}: x0 must be a tensor, or a pytree of tensors, not ${article(x0)}: ${hint}`,
      );
    }
    let n = 0;
    this.leaves = flat.leaves.map((t, i) => {
      if (!isFloating(t.dtype)) {
        const which = flat.leaves.length === 1 ? 'x0' : `leaf ${i} of x0`;
        throw new JorchError(
          'BAD_ARGUMENT',
          `${who}: ${which} must be floating, not ${t.dtype}: write x0.to(torch.float64)`,
        );
      }
      const length = elements(t);
      n += length;
      return { shape: [...t.shape], dtype: t.dtype, start: n - length, length };
    });
    if (n === 0)
      throw new JorchError('BAD_ARGUMENT', `${who}: x0 has no elements (shape [${flat.leaves[0]!.shape.join(', ')}])`);
    this.n = n;
    this.start = new Float64Array(n);
    if (!symbolic) this.readStart(flat.leaves, who);
    this.viewable = this.leaves.every(({ dtype }) => dtype === 'float64');
    const [only] = this.leaves;
    this.plain = flat.structure.kind === 'tensor' && only!.dtype === 'float64' && only!.shape.length === 1;
  }

  private readStart(leaves: readonly Tensor[], who: string): void {
    leaves.forEach((t, i) => {
      this.start.set(t.detach().to('float64').toTypedArray() as Float64Array, this.leaves[i]!.start);
    });
    const bad = this.start.findIndex((v) => !Number.isFinite(v));
    if (bad >= 0)
      throw new JorchError('BAD_ARGUMENT', `${who}: x0 must be finite; element ${bad} is ${this.start[bad]}`);
  }

  /** A text that is equal for parameters that `rebuild` alike. */
  get layout(): string {
    return `${structureKey(this.structure)}${JSON.stringify(this.leaves)}`;
  }

  /** The pytree that the flat tensor stands for: views and casts, through which gradients flow back. */
  rebuild(flat: Tensor): X {
    if (this.plain) return flat as X;
    const leaves = this.leaves.map(({ shape, dtype, start, length }) => {
      const part = this.leaves.length === 1 ? flat : flat.narrow(0, start, length);
      const shaped = shape.length === 1 ? part : part.reshape(shape);
      return dtype === 'float64' ? shaped : shaped.to(dtype);
    });
    return unflatten(this.structure, leaves) as X;
  }

  /** New tensors, with the dtypes and shapes of `x0`, that hold a copy of `values`. */
  toTree(values: Float64Array): X {
    return this.rebuild(frombuffer(values.slice()));
  }

  /** A pytree shaped like `x0` as one flat float64 tensor. @throws JorchError BAD_ARGUMENT where its shapes differ. */
  flat(tree: unknown, who: string): Tensor {
    const parts = this.matching(tree, who).map((t) => t.to('float64').reshape([-1]));
    return parts.length === 1 ? parts[0]! : concatenate(parts);
  }

  /** The same as numbers, without an operator. */
  read(tree: unknown, who: string): Float64Array {
    const values = new Float64Array(this.n);
    this.matching(tree, who).forEach((t, i) => {
      values.set((isFloating(t.dtype) ? t : t.to('float64')).toTypedArray() as Float64Array, this.leaves[i]!.start);
    });
    return values;
  }

  private matching(tree: unknown, who: string): readonly Tensor[] {
    const { leaves } = flatten(tree);
    if (leaves.length === this.leaves.length && leaves.every((t, i) => elements(t) === this.leaves[i]!.length))
      return leaves;
    const shapes = (list: readonly { readonly shape: readonly number[] }[]) =>
      list.map((l) => `[${l.shape.join(', ')}]`).join(', ');
    const got = leaves.length === 0 ? 'no tensors' : shapes(leaves);
    throw new JorchError('BAD_ARGUMENT', `${who} must be shaped like x0: expected ${shapes(this.leaves)}, got ${got}`);
  }
}

function concatenate(parts: readonly Tensor[]): Tensor {
  return native().packet('aten::cat')([...parts], 0) as Tensor;
}
