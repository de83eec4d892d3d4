/** @file torch.nn.utils.parametrizations */
export { weight_norm } from './weight-norm.js';
