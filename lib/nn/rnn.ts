/** @file RNN, LSTM, GRU over whole sequences, padded or packed. */
import { JorchError } from '../runtime/errors.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import { bind, FACTORY, type FactoryOptions, factory, type Rest } from './arguments.js';
import { setField } from './fields.js';
import * as init from './init.js';
import { Module } from './module.js';
import { PackedSequence } from './packed-sequence.js';
import { Parameter } from './parameter.js';
import { python } from './repr.js';

export interface RecurrentOptions extends FactoryOptions {
  num_layers?: number | undefined;
  bias?: boolean | undefined;
  /** Sequences are [N, L, features] instead of [L, N, features]. */
  batch_first?: boolean | undefined;
  dropout?: number | undefined;
  bidirectional?: boolean | undefined;
}
type Names = ['num_layers', 'bias', 'batch_first', 'dropout', 'bidirectional'];
const RECURRENT = { num_layers: 1, bias: true, batch_first: false, dropout: 0, bidirectional: false, ...FACTORY };
const LSTM_DEFAULTS = {
  num_layers: 1,
  bias: true,
  batch_first: false,
  dropout: 0,
  bidirectional: false,
  proj_size: 0,
  ...FACTORY,
};

/** What the recurrent layers share: the weights by PyTorch's names, and the way of a batch through the kernel. */
abstract class RecurrentBase<Hidden> extends Module {
  readonly num_layers: number;
  readonly bias: boolean;
  readonly batch_first: boolean;
  readonly dropout: number;
  readonly bidirectional: boolean;
  readonly proj_size: number;
  private readonly weightNames: readonly (readonly string[])[];

  constructor(
    readonly input_size: number,
    readonly hidden_size: number,
    gates: number,
    options: typeof LSTM_DEFAULTS,
  ) {
    super();
    this.num_layers = options.num_layers;
    this.bias = options.bias;
    this.batch_first = options.batch_first;
    this.dropout = options.dropout;
    this.bidirectional = options.bidirectional;
    this.proj_size = options.proj_size;
    if (!(this.dropout >= 0 && this.dropout <= 1))
      throw new JorchError('BAD_ARGUMENT', `${this._get_name()}: dropout must be between 0 and 1, got ${this.dropout}`);
    if (!(hidden_size > 0) || !(this.num_layers > 0) || this.proj_size < 0 || this.proj_size >= hidden_size)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this._get_name()}: hidden_size and num_layers must be positive, proj_size smaller than hidden_size`,
      );
    const made = factory(options);
    const real = this.proj_size > 0 ? this.proj_size : hidden_size;
    const directions = this.bidirectional ? 2 : 1;
    const all: string[][] = [];
    for (let level = 0; level < this.num_layers; level++) {
      for (let direction = 0; direction < directions; direction++) {
        const suffix = `_l${level}${direction === 1 ? '_reverse' : ''}`;
        const shapes: [name: string, shape: number[]][] = [
          ['weight_ih', [gates * hidden_size, level === 0 ? input_size : real * directions]],
          ['weight_hh', [gates * hidden_size, real]],
          ...(this.bias
            ? ([
                ['bias_ih', [gates * hidden_size]],
                ['bias_hh', [gates * hidden_size]],
              ] as [string, number[]][])
            : []),
          ...(this.proj_size > 0 ? ([['weight_hr', [this.proj_size, hidden_size]]] as [string, number[]][]) : []),
        ];
        for (const [name, shape] of shapes) setField(this, name + suffix, new Parameter(torch.empty(shape, made)));
        all.push(shapes.map(([name]) => name + suffix));
      }
    }
    this.weightNames = all;
    this.reset_parameters();
  }
  reset_parameters(): void {
    const bound = 1 / Math.sqrt(this.hidden_size);
    for (const weight of this.parameters()) init.uniform_(weight, -bound, bound);
  }
  /** Weights per layer and direction. */
  get all_weights(): Parameter[][] {
    return this.weightNames.map((group) => group.map((name) => (this as unknown as Record<string, Parameter>)[name]!));
  }

  protected abstract zeros(like: Tensor, batch: number): Hidden;
  protected abstract mapHidden(hidden: Hidden, fn: (state: Tensor) => Tensor): Hidden;
  /** Runs the kernel on a batch of sequences, or on packed data. */
  protected abstract run(
    input: Tensor,
    hidden: Hidden,
    weights: readonly Tensor[],
    batchSizes: Tensor | undefined,
  ): [output: Tensor, hidden: Hidden];

  protected settings(): [boolean, number, number, boolean, boolean] {
    return [this.bias, this.num_layers, this.dropout, this.training, this.bidirectional];
  }
  protected empty(like: Tensor, batch: number, size: number): Tensor {
    const states = this.num_layers * (this.bidirectional ? 2 : 1);
    return torch.zeros([states, batch, size], { dtype: like.dtype, device: String(like.device) });
  }

  protected sequence(input: Tensor, hidden: Hidden | null): [Tensor, Hidden] {
    if (input.ndim !== 2 && input.ndim !== 3)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this._get_name()}: expected input to be 2D or 3D, got ${input.ndim}D tensor`,
      );
    if (input.shape[input.ndim - 1] !== this.input_size)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this._get_name()}: input.size(-1) must be equal to input_size: expected ${this.input_size}, got ${input.shape[input.ndim - 1]}`,
      );
    const batched = input.ndim === 3;
    const axis = this.batch_first ? 0 : 1;
    const x = batched ? input : input.unsqueeze(axis);
    const start =
      hidden === null
        ? this.zeros(x, x.shape[axis])
        : batched
          ? hidden
          : this.mapHidden(hidden, (state) => state.unsqueeze(1));
    const [output, last] = this.run(x, start, this.all_weights.flat(), undefined);
    return batched ? [output, last] : [output.squeeze(axis), this.mapHidden(last, (state) => state.squeeze(1))];
  }
  protected packed(input: PackedSequence, hidden: Hidden | null): [PackedSequence, Hidden] {
    const { data, batch_sizes, sorted_indices, unsorted_indices } = input;
    const batch = Number(batch_sizes.select(0, 0).item());
    const start =
      hidden === null
        ? this.zeros(data, batch)
        : this.mapHidden(hidden, (s) => (sorted_indices === null ? s : s.index_select(1, sorted_indices)));
    const [output, last] = this.run(data, start, this.all_weights.flat(), batch_sizes);
    const restored = this.mapHidden(last, (s) => (unsorted_indices === null ? s : s.index_select(1, unsorted_indices)));
    return [new PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), restored];
  }

  override extra_repr(): string {
    const { input_size, hidden_size, proj_size, num_layers, bias, batch_first, dropout, bidirectional } = this;
    return [
      `${input_size}, ${hidden_size}`,
      ...(proj_size > 0 ? [`proj_size=${proj_size}`] : []),
      ...(num_layers === 1 ? [] : [`num_layers=${num_layers}`]),
      ...(bias ? [] : ['bias=False']),
      ...(batch_first ? [`batch_first=${python(batch_first)}`] : []),
      ...(dropout === 0 ? [] : [`dropout=${dropout}`]),
      ...(bidirectional ? ['bidirectional=True'] : []),
    ].join(', ');
  }
}

/** The one state of RNN and GRU: [num_layers · directions, N, hidden_size]. */
abstract class SingleState extends RecurrentBase<Tensor> {
  protected override zeros(like: Tensor, batch: number): Tensor {
    return this.empty(like, batch, this.hidden_size);
  }
  protected override mapHidden(hidden: Tensor, fn: (state: Tensor) => Tensor): Tensor {
    return fn(hidden);
  }
  /** @param input [L, N, input_size], [N, L, input_size] with batch_first, [L, input_size], or a packed sequence. */
  override forward(input: Tensor, hx?: Tensor | null): [output: Tensor, h_n: Tensor];
  override forward(input: PackedSequence, hx?: Tensor | null): [output: PackedSequence, h_n: Tensor];
  override forward(input: Tensor | PackedSequence, hx: Tensor | null = null): [Tensor | PackedSequence, Tensor] {
    return input instanceof PackedSequence ? this.packed(input, hx) : this.sequence(input, hx);
  }
}

type Kernel = (...args: unknown[]) => { readonly [i: number]: Tensor };
const KERNELS: Readonly<Record<'rnn_tanh' | 'rnn_relu' | 'gru' | 'lstm', Kernel>> = {
  rnn_tanh: torch.rnn_tanh as unknown as Kernel,
  rnn_relu: torch.rnn_relu as unknown as Kernel,
  gru: torch.gru as unknown as Kernel,
  lstm: torch.lstm as unknown as Kernel,
};

/** tanh or relu of `W_ih x + b_ih + W_hh h + b_hh`. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html */
export class RNN extends SingleState {
  readonly nonlinearity: 'tanh' | 'relu';
  constructor(
    input_size: number,
    hidden_size: number,
    ...rest: Rest<
      RecurrentOptions & { nonlinearity?: 'tanh' | 'relu' | undefined },
      ['num_layers', 'nonlinearity', 'bias', 'batch_first', 'dropout', 'bidirectional']
    >
  ) {
    const { nonlinearity, ...options } = bind('RNN', RNN_DEFAULTS, rest);
    super(input_size, hidden_size, 1, { ...options, proj_size: 0 });
    if (nonlinearity !== 'tanh' && nonlinearity !== 'relu')
      throw new JorchError('BAD_ARGUMENT', `RNN: nonlinearity must be 'tanh' or 'relu', got '${String(nonlinearity)}'`);
    this.nonlinearity = nonlinearity;
  }
  protected override run(
    input: Tensor,
    hidden: Tensor,
    weights: readonly Tensor[],
    batchSizes: Tensor | undefined,
  ): [Tensor, Tensor] {
    const kernel = KERNELS[`rnn_${this.nonlinearity}`];
    const [output, last] = two(
      batchSizes === undefined
        ? kernel(input, hidden, weights, ...this.settings(), this.batch_first)
        : kernel(input, batchSizes, hidden, weights, ...this.settings()),
    );
    return [output, last];
  }
}
const RNN_DEFAULTS = {
  num_layers: 1,
  nonlinearity: 'tanh' as 'tanh' | 'relu',
  bias: true,
  batch_first: false,
  dropout: 0,
  bidirectional: false,
  ...FACTORY,
};
const two = (r: { readonly [i: number]: Tensor }): [Tensor, Tensor] => [r[0]!, r[1]!];

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html */
export class GRU extends SingleState {
  constructor(input_size: number, hidden_size: number, ...rest: Rest<RecurrentOptions, Names>) {
    super(input_size, hidden_size, 3, { ...bind('GRU', RECURRENT, rest), proj_size: 0 });
  }
  protected override run(
    input: Tensor,
    hidden: Tensor,
    weights: readonly Tensor[],
    batchSizes: Tensor | undefined,
  ): [Tensor, Tensor] {
    return two(
      batchSizes === undefined
        ? KERNELS.gru(input, hidden, weights, ...this.settings(), this.batch_first)
        : KERNELS.gru(input, batchSizes, hidden, weights, ...this.settings()),
    );
  }
}

/** Hidden state [layers · directions, N, proj_size or hidden_size] and cell state [layers · directions, N, hidden_size]. */
export type LSTMState = readonly [h: Tensor, c: Tensor];

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html */
export class LSTM extends RecurrentBase<LSTMState> {
  constructor(
    input_size: number,
    hidden_size: number,
    ...rest: Rest<RecurrentOptions & { proj_size?: number | undefined }, [...Names, 'proj_size']>
  ) {
    super(input_size, hidden_size, 4, bind('LSTM', LSTM_DEFAULTS, rest));
  }
  protected override zeros(like: Tensor, batch: number): LSTMState {
    const projected = this.proj_size > 0 ? this.proj_size : this.hidden_size;
    return [this.empty(like, batch, projected), this.empty(like, batch, this.hidden_size)];
  }
  protected override mapHidden([h, c]: LSTMState, fn: (state: Tensor) => Tensor): LSTMState {
    return [fn(h), fn(c)];
  }
  protected override run(
    input: Tensor,
    hidden: LSTMState,
    weights: readonly Tensor[],
    batchSizes: Tensor | undefined,
  ): [Tensor, LSTMState] {
    const result =
      batchSizes === undefined
        ? KERNELS.lstm(input, hidden, weights, ...this.settings(), this.batch_first)
        : KERNELS.lstm(input, batchSizes, hidden, weights, ...this.settings());
    return [result[0]!, [result[1]!, result[2]!]];
  }
  /** @param input [L, N, input_size], [N, L, input_size] with batch_first, [L, input_size], or a packed sequence. */
  override forward(input: Tensor, hx?: LSTMState | null): [output: Tensor, state: LSTMState];
  override forward(input: PackedSequence, hx?: LSTMState | null): [output: PackedSequence, state: LSTMState];
  override forward(input: Tensor | PackedSequence, hx: LSTMState | null = null): [Tensor | PackedSequence, LSTMState] {
    return input instanceof PackedSequence ? this.packed(input, hx) : this.sequence(input, hx);
  }
}
