/** @file Shows the installer's progress: a bar on a terminal, one line per part elsewhere. */
import { Presets, SingleBar } from 'cli-progress';
import type { Progress } from './install.js';
import type { Part } from './parts.js';

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

/** Progress on stderr. */
export const consoleProgress = (): Progress => {
  let bar: SingleBar | undefined;
  return {
    start(part: Part, doing, total) {
      const label = `${doing} ${part.name} ${part.version}`;
      if (!process.stderr.isTTY) {
        process.stderr.write(`${label} (${mib(total)} MiB)\n`);
        return;
      }
      bar = new SingleBar(
        { format: '{label} {bar} {done}/{all} MiB', hideCursor: true, clearOnComplete: true, stream: process.stderr },
        Presets.shades_classic,
      );
      bar.start(total, 0, { label: label.padEnd(40), done: '0', all: mib(total) });
    },
    update(done) {
      bar?.update(done, { done: mib(done) });
    },
    end() {
      bar?.stop();
      bar = undefined;
    },
  };
};
