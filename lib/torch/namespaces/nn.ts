/** @file torch.nn */
export * as functional from '../python-functional.js';
