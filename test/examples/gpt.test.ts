/** @file The decoder of examples/lib: training and generating compiled against eager, with a cache against without. */
import assert from 'node:assert/strict';
import { Characters, windows } from '../../examples/lib/characters.js';
import { generate, generatePlainly, pick } from '../../examples/lib/generate.js';
import { GPT } from '../../examples/lib/gpt.js';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const { nn, optim } = torch;
const small = (): GPT => {
  torch.manual_seed(3);
  const model = new GPT({ vocabulary: 11, context: 24, width: 16, heads: 2, layers: 2 });
  // As large as trained ones: attention and norms matter for which token is the likeliest.
  torch.no_grad(() => {
    for (const p of model.parameters()) p.add_(torch.randn_like(p).mul(0.3));
  });
  return model;
};

describe('examples: a decoder', () => {
  it('the likeliest text is the same compiled with a cache, eagerly with it, and token by token without', () => {
    const model = small();
    const fast = torch.compile((p: Tensor) => generate(model, p, 24 - p.shape[1], { temperature: 0 }));
    for (const [rows, length] of [
      [1, 1],
      [3, 21],
    ] as const) {
      const prompt = torch.randint(0, 11, [rows, length]);
      const plain = generatePlainly(model, prompt, 24 - length);
      assert.deepEqual(fast(prompt).tolist(), plain.tolist(), `${rows} × ${length}, compiled`);
      assert.ok(new Set(plain.flatten().tolist() as number[]).size > 2, 'a text that says something');
      if (length === 1) continue;
      const eager = generate(model, prompt, 24 - length, { temperature: 0 });
      assert.deepEqual(eager.tolist(), plain.tolist(), `${rows} × ${length}, eager`);
    }
    assert.equal(fast.stats.compiles, 2);
    assert.throws(() => generate(model, torch.zeros([1, 20], { dtype: 'int64' }), 5), /do not fit into 24 positions/);
  });

  it('a row that has produced the stop token repeats it, the others go on', () => {
    const model = small();
    const prompt = torch.arange(11).unsqueeze(1);
    const free = generatePlainly(model, prompt, 20).tolist() as number[][];
    const ends = (token: number): number => free.filter((row) => row.includes(token, 1)).length;
    const stop = free.flat().find((token) => ends(token) > 0 && ends(token) < free.length)!;
    const fast = torch.compile((p: Tensor) => generate(model, p, 20, { temperature: 0, stop }));
    const expected = free.map((row) => {
      const at = row.indexOf(stop, 1);
      return at < 0 ? row : row.map((token, i) => (i <= at ? token : stop));
    });
    assert.deepEqual(fast(prompt).tolist(), expected);
    assert.ok(
      expected.some((row) => row.indexOf(stop, 1) < 0),
      'some row never stops',
    );
  });

  it('samples follow the softmax of the k likeliest logits over the temperature, in a compiled loop', () => {
    const model = small();
    const rows = 4096;
    const prompt = torch.tensor([2n, 7n]).expand([rows, 2]).contiguous();
    const sample = torch.compile((p: Tensor, temperature: Tensor) => generate(model, p, 2, { temperature, topK: 4 }));
    torch.manual_seed(0);
    for (const temperature of [0.5, 2]) {
      const logits = model.forward(prompt.at(':1')).at(0, -1).detach().div(temperature);
      const [best, places] = logits.topk(4);
      const expected = torch.zeros([11]).scatter(0, places, best.softmax(-1));
      const made = sample(prompt, torch.tensor(temperature));
      assert.deepEqual(made.at(':', ':2').tolist(), prompt.tolist());
      const frequencies = torch.bincount(made.at(':', 2), { minlength: 11 }).div(rows);
      assert.ok(frequencies.at(expected.eq(0)).eq(0).all().item(), 'only the four likeliest');
      // Four standard deviations of the least certain frequency.
      close(frequencies, expected, { rtol: 0, atol: 4 * Math.sqrt(0.25 / rows) });
    }
    assert.equal(sample.stats.compiles, 1, 'the temperature is an input');
    assert.deepEqual(pick(torch.tensor([[0, 5, 1]]), { temperature: 0 }).tolist(), [1]);
  });

  it('the compiled training step takes eager’s steps, is compiled once, and learns a text by heart', () => {
    const text = 'call me ishmael. some years ago ';
    const characters = Characters.of(text);
    const tokens = characters.encode(text.repeat(20));
    const make = (): [GPT, (x: Tensor, y: Tensor) => Tensor] => {
      torch.manual_seed(1);
      const model = new GPT({ vocabulary: characters.alphabet.length, context: 24, width: 16, heads: 2, layers: 2 });
      const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
      const step = (x: Tensor, y: Tensor): Tensor => {
        const loss = nn.functional.cross_entropy(model.forward(x).flatten(0, 1), y.flatten());
        loss.backward();
        nn.utils.clip_grad_norm_(model.parameters(), 1);
        optimizer.step();
        optimizer.zero_grad();
        return loss.detach();
      };
      return [model, step];
    };
    const [, eager] = make();
    const [model, plain] = make();
    const step = torch.compile(plain);
    let loss = Number.NaN;
    for (let i = 0; i < 120; i++) {
      torch.manual_seed(i);
      const batch = windows(tokens, 8, 16);
      const compiled = step(...batch);
      if (i < 10) close(compiled, eager(...batch), { rtol: 1e-3, atol: 1e-4 });
      loss = compiled.item();
    }
    assert.equal(step.stats.compiles, 1);
    assert.ok(loss < 0.3, `loss ${loss}; ${Math.log(characters.alphabet.length).toFixed(2)} at the start`);
    const prompt = characters.encode('call me i').unsqueeze(0);
    assert.equal(characters.decode(generate(model, prompt, 14, { temperature: 0 }).at(0)), 'call me ishmael. some y');
  });
});
