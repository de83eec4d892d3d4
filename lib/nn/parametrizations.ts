/** @file torch.nn.utils.parametrizations */
export { type OrthogonalMap, type OrthogonalOptions, orthogonal } from './orthogonal.js';
export { type SpectralNormOptions, spectral_norm } from './spectral-norm.js';
export { weight_norm } from './weight-norm.js';
