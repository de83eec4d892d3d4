/** @file A fixed slice of PyTorch's operator tests, eager and compiled: no sample fails that is not listed, none is listed that passes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { caseFiles, defaultFolder, hasCases, repositoryRoot } from './cases.js';
import { runFolder } from './folder.js';
import { summarize, summaryLine } from './report.js';
import type { SampleResult } from './result.js';

/** One or two operators of every family of rules; what is not in the folder is left out. */
const SLICE = [
  '__rmod__',
  'addcmul',
  'amin',
  'argwhere',
  'cummax',
  'diagonal_scatter',
  'empty',
  'erfinv',
  'fft.ihfftn',
  'gradient',
  'index_fill',
  'item',
  'kron',
  'lgamma',
  'linalg.eigh',
  'linalg.solve_triangular',
  'log_softmax',
  'logcumsumexp',
  'masked.mean',
  'msort',
  'multinomial',
  'nn.functional.adaptive_max_pool2d',
  'nn.functional.conv_transpose3d',
  'nn.functional.gelu',
  'nn.functional.grid_sample',
  'scatter_add',
  'special.i1',
  'sum',
  'linalg.pinv',
  'view',
];

/** Sample id → why it fails. */
const known = JSON.parse(
  readFileSync(join(repositoryRoot(), 'test', 'opinfo', 'known-failures.json'), 'utf8'),
) as Readonly<Record<string, string>>;

describe("PyTorch's operator tests (opinfo)", function () {
  this.timeout('10m');
  const folder = defaultFolder();
  let results: SampleResult[] = [];

  before(async function () {
    if (!hasCases(folder)) {
      console.log(`    opinfo: skipped, ${folder} has no cases`);
      this.skip();
    }
    const present = new Set(caseFiles(folder));
    results = await runFolder({ folder, ops: SLICE.filter((file) => present.has(file)) });
  });

  it('passes every sample of the slice that is not a known failure', () => {
    const failed = results.filter((r) => r.messages.length > 0 && !(r.id in known));
    assert.deepEqual(
      failed.map((r) => `${r.id}: ${r.messages.join('; ')}`),
      [],
    );
  });

  it('lists no sample that passes', () => {
    const fixed = results.filter((r) => r.messages.length === 0 && r.id in known).map((r) => r.id);
    assert.deepEqual(fixed, [], 'these pass now: remove them from known-failures.json');
  });

  it('runs every sample in every mode it has', () => {
    assert.ok(results.length > 300, `only ${results.length} samples ran`);
    const summary = summarize(results);
    assert.equal(summary.eager_total, results.length, summaryLine(summary));
    assert.equal(summary.compiled_total + summary.refused, results.length, summaryLine(summary));
  });
});
