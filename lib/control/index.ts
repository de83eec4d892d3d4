/** @file Structured control flow: JavaScript's loops in eager, XLA's inside compile. */
export { type AssociativeScanOptions, associative_scan } from './associative-scan.js';
export { cond } from './cond.js';
export { fori, map, type ScanOptions, scan } from './scan.js';
export { while_loop } from './while-loop.js';
