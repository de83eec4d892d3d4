/** @file runtime(): what is loaded, from where. */
import { located } from './load.js';
import { pins } from './parts.js';

export interface Runtime {
  readonly torch: { readonly version: string; readonly path: string };
  readonly xla: { readonly plugin: string };
  /** Where the parts were found: named by an environment variable, jorch's cache folder, or a Python environment. */
  readonly from: string;
}

/** What is loaded, from where. Loads libtorch if that has not happened. @throws JorchError RUNTIME_MISSING */
export const runtime = (): Runtime => {
  const { torch, cpuPlugin, from } = located();
  return { torch: { version: pins().torch, path: torch }, xla: { plugin: cpuPlugin }, from };
};
