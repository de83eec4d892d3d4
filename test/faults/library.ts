/** @file Builds the libraries that make faults (faults.cc, faulty_memory.cc); the addons under them are the ones that are shipped. */
import { built, cannotBuild } from '../support/built.js';

export interface FaultLibraries {
  /** To be preloaded, and to be loaded as an addon. */
  readonly faults: string;
  /** An addon that makes libtorch's memory faulty; to be loaded when libtorch is. */
  readonly memory: string;
}

/** The libraries, or why they cannot be built here. */
export const faultLibraries = (): FaultLibraries | string =>
  cannotBuild() ?? {
    faults: built('faults', 'faults/faults'),
    memory: built('faults', 'faults/faulty_memory', '-lc10'),
  };
