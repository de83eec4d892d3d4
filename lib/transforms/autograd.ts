/** @file torch.autograd: the engine's functions, and those of autograd.functional, which are made of torch.func. */
export * from '../autograd.js';
export * as functional from './functional.js';
