/** @file torch.nn.functional: what ATen has under the same name, and what torch writes in Python. */
export * from './generated/functional.js';
export * from './python-functional-activation.js';
export * from './python-functional-attention.js';
export * from './python-functional-loss.js';
export * from './python-functional-norm.js';
export * from './python-functional-pooling.js';
export * from './python-functional-vision.js';
