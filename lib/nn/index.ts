/** @file torch.nn */

export type { RemovableHandle } from '../torch/hooks.js';
export * as functional from '../torch/python-functional.js';
export * from './activation.js';
export { AdaptiveLogSoftmaxWithLoss } from './adaptive-softmax.js';
export type { FactoryOptions } from './arguments.js';
export { MultiheadAttention, type MultiheadAttentionOptions } from './attention.js';
export * from './containers.js';
export {
  Conv1d,
  Conv2d,
  Conv3d,
  type ConvOptions,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  type ConvTransposeOptions,
} from './conv.js';
export { deepcopy } from './copy.js';
export * from './dropout.js';
export { Embedding, EmbeddingBag, type EmbeddingBagOptions, type EmbeddingOptions } from './embedding.js';
export type { Gradients } from './hooks.js';
export * as init from './init.js';
export * from './lazy.js';
export * from './linear.js';
export * from './loss.js';
export { Module } from './module.js';
export {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  type BatchNormOptions,
  GroupNorm,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  LayerNorm,
  type LayerNormOptions,
  LocalResponseNorm,
  RMSNorm,
} from './norm.js';
export * from './padding.js';
export { Buffer, Parameter, UninitializedBuffer, UninitializedParameter } from './parameter.js';
export * from './pooling.js';
export { GRU, LSTM, type LSTMState, type RecurrentOptions, RNN } from './rnn.js';
export { GRUCell, LSTMCell, RNNCell } from './rnn-cells.js';
export type { IncompatibleKeys, StateDict } from './state-dict.js';
export {
  Transformer,
  TransformerDecoder,
  TransformerDecoderLayer,
  TransformerEncoder,
  TransformerEncoderLayer,
} from './transformer.js';
export * as utils from './utils.js';
export * from './vision.js';
