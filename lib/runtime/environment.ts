/**
 * @file What libtorch, OpenMP and XLA read of the environment while they are loaded, which may be before the script that imports jorch goes on:
 * as with Python's torch, it is to be set before. What is set later, and can still be heard, is; the rest is said.
 */
import type { Native } from '../native.js';

const READ = /^(OMP_|GOMP_|XLA_FLAGS$|PJRT_NPROC$)/;

const read = (): Map<string, string | undefined> =>
  new Map(
    Object.keys(process.env)
      .filter((name) => READ.test(name))
      .map((name) => [name, process.env[name]]),
  );

/** What the libraries read, when they did. */
export class Environment {
  private readonly atLoad = read();

  /** `threads`: PJRT_NPROC before jorch, which sets it where nobody else has. */
  constructor(private readonly threads: string | undefined) {}

  /** What is another value now. OMP_NUM_THREADS stands for PJRT_NPROC, unless that was changed as well. */
  changed(): string[] {
    const now = read();
    const names = [...new Set([...this.atLoad.keys(), ...now.keys()])];
    return names.filter((name) => this.atLoad.get(name) !== now.get(name));
  }

  /** Tells libtorch of its number of threads, and says what came too late. */
  hear(changed: readonly string[], native: Pick<Native, 'numThreads'>): void {
    if (changed.includes('OMP_NUM_THREADS')) {
      const threads = Number.parseInt(process.env['OMP_NUM_THREADS'] ?? '', 10);
      if (threads > 0) native.numThreads(threads);
      if (this.threads === undefined && !changed.includes('PJRT_NPROC')) delete process.env['PJRT_NPROC'];
    }
    const late = changed.filter((name) => name !== 'OMP_NUM_THREADS' && name !== 'PJRT_NPROC');
    if (late.length > 0)
      process.emitWarning(
        `${late.join(', ')} ${late.length === 1 ? 'was' : 'were'} changed after jorch was imported, when libtorch and XLA may have read ${late.length === 1 ? 'it' : 'them'}: set environment variables before, as for Python's torch`,
        { type: 'JorchEnvironment' },
      );
  }
}
