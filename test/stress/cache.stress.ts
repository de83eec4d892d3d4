/** @file Row 19, the long form: 200 writers of the compilation cache killed, four at once; a full disk, a folder that is read-only. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fullDisk, killWriters, readOnly } from '../support/cache-writers.js';
import { figure } from '../support/figure.js';

describe('stress: writers of the cache', () => {
  it('row 19: 200 of them killed, four at once, a full disk, a read-only folder: readers never fail', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'jorch-writers-'));
    try {
      const folder = join(dir, 'programs');
      const reads = await killWriters(folder, 50, 4);
      await fullDisk(folder);
      await readOnly(folder);
      figure(19, `200 writers killed, four at once, full disk, read-only folder: ${reads} reads, none failed`);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
