/** @file Exported programs with damaged JSON: whatever is in a file, loading and running it ends in a result or a JorchError. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as torch from '../../lib/index.js';
import { SourceFile } from '../../lib/io/file.js';
import { readEntry, readZip, zipChunks } from '../../lib/io/zip.js';
import { waves } from '../support/waves.js';

const tree = () => ({ a: waves(3), b: [waves(1)] });
const PROGRAMS: Readonly<Record<string, () => unknown[]>> = {
  mlp: () => [waves(5, 3)],
  training: () => [waves(4, 1, 6, 6)],
  functional: () => [waves(4, 1, 6, 6)],
  everything: () => [waves(4, 3), 2, tree(), torch.tensor(1n), 2, { key: waves(2) }],
  loop: () => [waves(3), torch.tensor(4n)],
  reads: () => [waves(2, 2), torch.tensor(3n)],
};
const VALUES = [
  '0',
  '-1',
  'null',
  'true',
  '"x"',
  '[]',
  '{}',
  '9223372036854775807',
  '1e999',
  '"__proto__"',
  '"as_tensor"',
];
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null/g;

/** Runs `count` damaged programs and says how many still ran. */
export const runMutations = (count: number, seed: number): number => {
  let state = seed;
  const below = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const folder = mkdtempSync(join(tmpdir(), 'jorch-mutations-'));
  const names = Object.keys(PROGRAMS);
  let ran = 0;
  try {
    for (let i = 0; i < count; i++) {
      const name = names[below(names.length)]!;
      const file = new SourceFile(join(__dirname, '../../../test/data/files', `exported-${name}.pt2`));
      const entries = [...readZip(file).values()].map((entry) => ({ name: entry.name, data: readEntry(file, entry) }));
      file.close();
      const texts = entries.filter((entry) => entry.name.endsWith('.json'));
      const chosen =
        below(3) > 0 ? texts.find((entry) => entry.name.endsWith('model.json'))! : texts[below(texts.length)]!;
      let text = chosen.data.toString('latin1');
      for (let m = 0; m <= below(3); m++) {
        const tokens = [...text.matchAll(TOKENS)];
        const [at, other] = [tokens[below(tokens.length)], tokens[below(tokens.length)]];
        if (at === undefined || other === undefined) continue;
        const value = below(2) ? other[0] : VALUES[below(VALUES.length)]!;
        text = text.slice(0, at.index) + value + text.slice(at.index + at[0].length);
      }
      const path = join(folder, 'x.pt2');
      const bytes = (entry: { data: Buffer }) => () => (entry === chosen ? Buffer.from(text, 'latin1') : entry.data);
      writeFileSync(path, Buffer.concat([...zipChunks(entries.map((e) => ({ name: e.name, bytes: bytes(e) })))]));
      try {
        torch.export.load(path).forward(...PROGRAMS[name]!());
        ran++;
      } catch (error) {
        assert.ok(torch.isJorchError(error), `seed ${seed}, file ${i} (${name}): ${String(error)}`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return ran;
};
