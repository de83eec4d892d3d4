/** @file State dicts go from Python to jorch and back in every format: all dtypes, tied and non-contiguous weights. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { FORMATS, Holder, stateFor } from './states.js';

const stored = (name: string): string => join(__dirname, '../../../test/data/files', name);
const same = (found: Record<string, Tensor>, expected: Record<string, Tensor>): void => {
  assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort());
  for (const [name, t] of Object.entries(expected)) close(found[name]!, t, { what: name, rtol: 0, atol: 1e-7 });
};

describe('state dicts', () => {
  for (const format of FORMATS) {
    it(`.${format}: what Python wrote is loaded into a module`, () => {
      const found = torch.load(stored(`state.${format}`)) as Record<string, Tensor>;
      same(found, stateFor(format));
      const model = new Holder();
      torch.no_grad(() => {
        for (const t of Object.values(model.state_dict())) t.zero_();
      });
      const { missing_keys, unexpected_keys } = model.load_state_dict(found, { strict: format === 'pt' });
      assert.deepEqual(unexpected_keys, []);
      assert.equal(missing_keys.length, format === 'pt' ? 0 : 1);
      const state = model.state_dict();
      same(Object.fromEntries(Object.keys(found).map((name) => [name, state[name]!])), stateFor(format));
      assert.equal(model.first.weight, model.second.weight, 'still tied');
      if (format !== 'pt') return;
      found['first.weight']!.fill_(7);
      assert.equal(found['second.weight']!.at(0, 0).item(), 7, 'tied weights share memory in a checkpoint');
      assert.deepEqual([...found['first.weight']!.strides], [1, 4], 'strides are kept');
    });

    it(`.${format}: jorch writes byte for byte the file that Python read and loaded (test/data/files/state.json)`, () => {
      const { sha256 } = JSON.parse(readFileSync(stored('state.json'), 'utf8')) as { sha256: Record<string, string> };
      const folder = mkdtempSync(join(tmpdir(), 'jorch-states-'));
      try {
        const path = join(folder, `state.${format}`);
        torch.save(stateFor(format), path);
        assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), sha256[format]);
        same(torch.load(path) as Record<string, Tensor>, stateFor(format));
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
