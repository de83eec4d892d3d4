/** @file AdaptiveLogSoftmaxWithLoss (Grave et al., Efficient softmax approximation for GPUs, 2017). */
import { JorchError } from '../runtime/errors.js';
import * as torch from '../torch/generated/ops.js';
import { log_softmax } from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import { bind, FACTORY, type FactoryNames, type FactoryOptions, factory, type Rest } from './arguments.js';
import { ModuleList, Sequential } from './containers.js';
import { Linear } from './linear.js';
import { Module } from './module.js';

const OPTIONS = { div_value: 4, head_bias: false, ...FACTORY };
type AdaptiveRest = Rest<
  FactoryOptions & { div_value?: number | undefined; head_bias?: boolean | undefined },
  ['div_value', 'head_bias', ...FactoryNames]
>;

/**
 * Log-probabilities of many classes, sorted by frequency: the most frequent ones in the head, the others in clusters of smaller and smaller rank.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveLogSoftmaxWithLoss.html
 */
export class AdaptiveLogSoftmaxWithLoss extends Module {
  readonly cutoffs: readonly number[];
  readonly div_value: number;
  readonly head_bias: boolean;
  readonly shortlist_size: number;
  readonly n_clusters: number;
  readonly head_size: number;
  head: Linear;
  tail: ModuleList<Sequential>;

  constructor(
    readonly in_features: number,
    readonly n_classes: number,
    cutoffs: readonly number[],
    ...rest: AdaptiveRest
  ) {
    super();
    const { div_value, head_bias, ...made } = bind('AdaptiveLogSoftmaxWithLoss', OPTIONS, rest);
    const rising = Array.isArray(cutoffs) && cutoffs.every((c, i) => Number.isInteger(c) && c > (cutoffs[i - 1] ?? 0));
    if (!rising || cutoffs.length === 0 || cutoffs.at(-1)! > n_classes - 1)
      throw new JorchError(
        'BAD_ARGUMENT',
        'AdaptiveLogSoftmaxWithLoss: cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is between 1 and n_classes-1',
      );
    this.div_value = div_value;
    this.head_bias = head_bias;
    this.cutoffs = [...cutoffs, n_classes];
    this.shortlist_size = cutoffs[0]!;
    this.n_clusters = cutoffs.length;
    this.head_size = this.shortlist_size + this.n_clusters;
    const keywords = factory(made);
    this.head = new Linear(in_features, this.head_size, { bias: head_bias, ...keywords });
    this.tail = new ModuleList(
      cutoffs.map((from, i) => {
        const rank = Math.floor(in_features / div_value ** (i + 1));
        return new Sequential(
          new Linear(in_features, rank, { bias: false, ...keywords }),
          new Linear(rank, this.cutoffs[i + 1]! - from, { bias: false, ...keywords }),
        );
      }),
    );
  }
  reset_parameters(): void {
    for (const module of this.modules()) if (module instanceof Linear) module.reset_parameters();
  }

  /** Input [N, in_features] or [in_features], class numbers [N] or []: their log-probabilities, and the mean of the negative ones. */
  override forward(input: Tensor, target: Tensor): [output: Tensor, loss: Tensor] {
    if (input.ndim !== target.ndim + 1 || target.ndim > 1 || (target.ndim === 1 && input.shape[0] !== target.shape[0]))
      throw new JorchError(
        'BAD_ARGUMENT',
        `AdaptiveLogSoftmaxWithLoss: input and target should have the same size in the batch dimension, got [${input.shape.join(', ')}] and [${target.shape.join(', ')}]`,
      );
    const [rows, classes] = target.ndim === 0 ? [input.unsqueeze(0), target.unsqueeze(0)] : [input, target];
    const head = log_softmax(this.head.forward(rows), { dim: 1 });
    const of = (logs: Tensor, numbers: Tensor): Tensor => logs.gather(1, numbers.unsqueeze(1)).squeeze(1);
    let output = of(head, classes.clamp({ max: this.shortlist_size - 1 }));
    for (const [i, layers] of [...this.tail].entries()) {
      const [from, to] = [this.cutoffs[i]!, this.cutoffs[i + 1]!];
      // Every row through every cluster, chosen afterwards: shapes do not depend on data, so that it compiles.
      const logs = log_softmax(layers.forward(rows) as Tensor, { dim: 1 });
      const value = head.select(1, this.shortlist_size + i).add(of(logs, classes.sub(from).clamp(0, to - from - 1)));
      output = torch.where(classes.ge(from).logical_and(classes.lt(to)), value, output);
    }
    const loss = output.mean().neg();
    return [target.ndim === 0 ? output.squeeze(0) : output, loss];
  }
  /** [N, in_features] to the log-probabilities of all classes, [N, n_classes]. */
  log_prob(input: Tensor): Tensor {
    const head = log_softmax(this.head.forward(input), { dim: 1 });
    const parts = [...this.tail].map((layers, i) =>
      log_softmax(layers.forward(input) as Tensor, { dim: 1 }).add(head.narrow(1, this.shortlist_size + i, 1)),
    );
    return torch.cat([head.narrow(1, 0, this.shortlist_size), ...parts], 1);
  }
  /** [N, in_features] to the likeliest classes, [N]. */
  predict(input: Tensor): Tensor {
    return this.log_prob(input).argmax(1);
  }
}
