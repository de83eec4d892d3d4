/** @file RNNCell, LSTMCell, GRUCell: one step of a sequence. */
import { JorchError } from '../runtime/errors.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import { bind, FACTORY, type FactoryNames, type FactoryOptions, factory, type Rest } from './arguments.js';
import * as init from './init.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';
import type { LSTMState } from './rnn.js';

export interface CellOptions extends FactoryOptions {
  bias?: boolean | undefined;
}
type CellRest = Rest<CellOptions, ['bias', ...FactoryNames]>;
const CELL = { bias: true, ...FACTORY };

abstract class Cell extends Module {
  readonly bias: boolean;
  weight_ih: Parameter;
  weight_hh: Parameter;
  bias_ih: Parameter | null;
  bias_hh: Parameter | null;
  constructor(
    readonly input_size: number,
    readonly hidden_size: number,
    gates: number,
    options: typeof CELL,
  ) {
    super();
    const made = factory(options);
    this.bias = options.bias;
    this.weight_ih = new Parameter(torch.empty([gates * hidden_size, input_size], made));
    this.weight_hh = new Parameter(torch.empty([gates * hidden_size, hidden_size], made));
    this.bias_ih = options.bias ? new Parameter(torch.empty([gates * hidden_size], made)) : null;
    this.bias_hh = options.bias ? new Parameter(torch.empty([gates * hidden_size], made)) : null;
    const bound = 1 / Math.sqrt(hidden_size);
    for (const weight of this.parameters()) init.uniform_(weight, -bound, bound);
  }
  protected zeros(like: Tensor): Tensor {
    return torch.zeros([like.shape[0], this.hidden_size], { dtype: like.dtype, device: String(like.device) });
  }
  /** [N, input_size], or [input_size] as a batch of one. */
  protected batch(input: Tensor): [x: Tensor, batched: boolean] {
    if (input.ndim !== 1 && input.ndim !== 2)
      throw new JorchError('BAD_ARGUMENT', `${this._get_name()}: expected input to be 1D or 2D, got ${input.ndim}D`);
    return input.ndim === 2 ? [input, true] : [input.unsqueeze(0), false];
  }
  override extra_repr(): string {
    return `${this.input_size}, ${this.hidden_size}${this.bias ? '' : ', bias=False'}`;
  }
}

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html */
export class RNNCell extends Cell {
  readonly nonlinearity: 'tanh' | 'relu';
  constructor(
    input_size: number,
    hidden_size: number,
    ...rest: Rest<CellOptions & { nonlinearity?: 'tanh' | 'relu' | undefined }, ['bias', 'nonlinearity']>
  ) {
    const options = bind('RNNCell', RNN_CELL, rest);
    super(input_size, hidden_size, 1, options);
    this.nonlinearity = options.nonlinearity;
  }
  override forward(input: Tensor, hx: Tensor | null = null): Tensor {
    const [x, batched] = this.batch(input);
    const h = hx === null ? this.zeros(x) : batched ? hx : hx.unsqueeze(0);
    const step = this.nonlinearity === 'tanh' ? torch.rnn_tanh_cell : torch.rnn_relu_cell;
    const next = step(x, h, this.weight_ih, this.weight_hh, this.bias_ih, this.bias_hh);
    return batched ? next : next.squeeze(0);
  }
}
const RNN_CELL = { bias: true, nonlinearity: 'tanh' as 'tanh' | 'relu', ...FACTORY };

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html */
export class GRUCell extends Cell {
  constructor(input_size: number, hidden_size: number, ...rest: CellRest) {
    super(input_size, hidden_size, 3, bind('GRUCell', CELL, rest));
  }
  override forward(input: Tensor, hx: Tensor | null = null): Tensor {
    const [x, batched] = this.batch(input);
    const h = hx === null ? this.zeros(x) : batched ? hx : hx.unsqueeze(0);
    const next = torch.gru_cell(x, h, this.weight_ih, this.weight_hh, this.bias_ih, this.bias_hh);
    return batched ? next : next.squeeze(0);
  }
}

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html */
export class LSTMCell extends Cell {
  constructor(input_size: number, hidden_size: number, ...rest: CellRest) {
    super(input_size, hidden_size, 4, bind('LSTMCell', CELL, rest));
  }
  override forward(input: Tensor, hx: LSTMState | null = null): LSTMState {
    const [x, batched] = this.batch(input);
    const state = hx === null ? [this.zeros(x), this.zeros(x)] : batched ? hx : hx.map((s) => s.unsqueeze(0));
    const [h, c] = torch.lstm_cell(x, state, this.weight_ih, this.weight_hh, this.bias_ih, this.bias_hh);
    return batched ? [h, c] : [h.squeeze(0), c.squeeze(0)];
  }
}
