/** @file torch.signal */
export * as windows from '../python-windows.js';
