/** @file Functions of every kind, five ways: eager, compiled, compiled and called again, asynchronous, exported. All agree. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fiveWays } from '../support/five-ways.js';
import { data } from './matrix-data.js';
import { modes } from './matrix-modes.js';
import { operators } from './matrix-operators.js';
import { state } from './matrix-state.js';

describe('compile: five ways to run a function', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-matrix-'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('there are sixty that ask for more than operators', () => {
    const count = [data, state, modes].reduce((sum, table) => sum + Object.keys(table).length, 0);
    assert.ok(count >= 60, String(count));
  });

  for (const [theme, table] of Object.entries({ operators, data, state, modes }))
    describe(theme, () => {
      for (const [name, entry] of Object.entries(table)) it(name, () => fiveWays(entry, join(dir, 'program')));
    });
});
