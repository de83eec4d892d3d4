/** @file runtime(): what is loaded, from where. */
import { type CacheCounts, persistentCache } from '../compile/persistent.js';
import { located } from './load.js';
import { pins } from './parts.js';

export interface Runtime {
  readonly torch: { readonly version: string; readonly path: string };
  readonly xla: { readonly plugin: string };
  /** Where the parts were found: named by an environment variable, npm's packages, jorch's cache folder, or a Python environment. */
  readonly from: string;
  /** The persistent compilation cache: its folder (undefined: nothing is kept, and why not), and what happened in this process. */
  readonly cache: { readonly folder?: string; readonly refused?: string } & Readonly<CacheCounts>;
}

/** What is loaded, from where. Loads libtorch if that has not happened. @throws JorchError RUNTIME_MISSING */
export const runtime = (): Runtime => {
  const { torch, cpuPlugin, from } = located();
  const { folder, refused, counts } = persistentCache();
  return {
    torch: { version: pins().torch, path: torch },
    xla: { plugin: cpuPlugin },
    from,
    cache: {
      ...(folder === undefined ? {} : { folder }),
      ...(refused === undefined ? {} : { refused }),
      ...counts,
    },
  };
};
