/** @file Compiles programs for a card, many in a module, in processes of their own; what fails together is taken apart. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Answer, Request } from './compile-child.js';
import { groups, merge, type Program } from './programs.js';

export interface Failure {
  readonly program: Program;
  readonly error: string;
}

export interface Options {
  readonly card: string;
  /** Processes at a time. */
  readonly jobs: number;
  /** Lines of a module at most. */
  readonly limit: number;
  readonly onGroup?: (done: number, total: number, seconds: number) => void;
}

class Compiler {
  private child: ChildProcess | undefined;

  compile(request: Request): Promise<Answer> {
    this.child ??= fork(join(__dirname, 'compile-child.js'), { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    const { child } = this;
    return new Promise((resolve) => {
      let last = '';
      const onError = (chunk: Buffer): void => {
        last = (last + chunk.toString()).slice(-2000);
      };
      const settle = (answer: Answer): void => {
        child.removeAllListeners('message').removeAllListeners('exit');
        child.stderr?.off('data', onError);
        resolve(answer);
      };
      child.stderr?.on('data', onError);
      child.once('message', (answer) => settle(answer as Answer));
      child.once('exit', (code, signal) => {
        this.child = undefined;
        settle({ error: `the compiler ended the process (${signal ?? code}): ${last.trim()}` });
      });
      child.send(request);
    });
  }

  end(): void {
    this.child?.removeAllListeners('exit').kill();
    this.child = undefined;
  }
}

/** The programs that do not compile, each with the compiler's words. */
export const compileAll = async (
  programs: readonly Program[],
  { card, jobs, limit, onGroup }: Options,
): Promise<Failure[]> => {
  const failures: Failure[] = [];
  const queue = groups(programs, limit);
  let done = 0;
  const work = async (): Promise<void> => {
    const compiler = new Compiler();
    for (let group = queue.shift(); group; group = queue.shift()) {
      const started = performance.now();
      const answer = await compiler.compile({ card, text: merge(group.map(({ text }) => text)) });
      if ('error' in answer) {
        if (group.length === 1) failures.push({ program: group[0]!, error: answer.error });
        else {
          const middle = Math.ceil(group.length / 2);
          queue.unshift(group.slice(0, middle), group.slice(middle));
          continue;
        }
      }
      done += group.length;
      onGroup?.(done, programs.length, (performance.now() - started) / 1000);
    }
    compiler.end();
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return failures;
};
