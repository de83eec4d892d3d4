/**
 * @file A small GPT learns to write like Moby-Dick, character by character: the whole training step is one compiled program, and so is
 * generation (a while_loop with a cache of keys and values, sampling included). About a minute on two cores.
 *
 *     npm run example:gpt                            trains (or goes on with examples/gpt.pt, if that is there), then writes
 *     npm run example:gpt -- --steps 5000            longer, better
 *     npm run example:gpt -- --prompt "The whale"    --temperature 0.8 --top-k 20
 *     npm run example:gpt -- --fresh                 begins anew
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Presets, SingleBar } from 'cli-progress';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { Characters, windows } from './lib/characters.js';
import { generate, generatePlainly } from './lib/generate.js';
import { GPT } from './lib/gpt.js';
import { mobyDick } from './lib/moby-dick.js';

const { nn, optim } = torch;
const F = nn.functional;

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '1500' },
    prompt: { type: 'string', default: 'Call me ' },
    temperature: { type: 'string', default: '0.8' },
    'top-k': { type: 'string', default: '20' },
    fresh: { type: 'boolean', default: false },
  },
});
const numberOf = (name: 'steps' | 'temperature' | 'top-k'): number => {
  const value = Number(values[name]);
  if (!Number.isFinite(value) || value < 0) throw new Error(`--${name}: expected a number, got '${values[name]}'`);
  return value;
};
const STEPS = numberOf('steps');
const BATCH = 8;
const WARMUP = 50;
const checkpoint = join(__dirname, '../../examples/gpt.pt');

const text = mobyDick();
const characters = Characters.of(text);
const tokens = characters.encode(text);
// The last tenth of the book is kept apart.
const cut = Math.floor(tokens.shape[0] * 0.9);
const [learning, validation] = [tokens.at(`:${cut}`), tokens.at(`${cut}:`)];

torch.manual_seed(1851);
const model = new GPT({ vocabulary: characters.alphabet.length, context: 128, width: 96, heads: 4, layers: 3 });
const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-3, betas: [0.9, 0.99], weight_decay: 0.1 });
const scheduler = new optim.lr_scheduler.LambdaLR(optimizer, (i) =>
  i < WARMUP ? (i + 1) / WARMUP : 0.05 + 0.475 * (1 + Math.cos((Math.PI * Math.min(i, STEPS)) / STEPS)),
);

const lossOf = (x: Tensor, y: Tensor): Tensor => F.cross_entropy(model.forward(x).flatten(0, 1), y.flatten());
const step = torch.compile((x: Tensor, y: Tensor) => {
  const loss = lossOf(x, y);
  loss.backward();
  nn.utils.clip_grad_norm_(model.parameters(), 1);
  optimizer.step();
  // Last: the gradients never leave the program.
  optimizer.zero_grad();
  return loss.detach();
});
const evaluate = torch.compile((x: Tensor, y: Tensor) => torch.no_grad(() => lossOf(x, y)));

interface Saved {
  readonly model: Record<string, Tensor>;
  readonly optimizer: never;
  readonly scheduler: Record<string, unknown>;
}

let interrupted = false;

/** Bits per character on the kept-apart tenth: 64 windows that are the same each time. */
function bitsPerCharacter(): number {
  const generator = new torch.Generator().manual_seed(0);
  const starts = torch.randint(0, validation.shape[0] - 129, [64, 1], { generator });
  const places = starts.add(torch.arange(128));
  return evaluate(validation.at(places), validation.at(places.add(1))).item() / Math.LN2;
}

async function train(): Promise<void> {
  let done = 0;
  if (values.fresh) rmSync(checkpoint, { force: true });
  if (existsSync(checkpoint)) {
    const saved = torch.load(checkpoint) as Saved;
    model.load_state_dict(saved.model);
    optimizer.load_state_dict(saved.optimizer);
    scheduler.load_state_dict(saved.scheduler);
    done = scheduler.last_epoch;
    console.log(`going on from ${checkpoint} after ${done} steps`);
  }
  const save = (): void =>
    torch.save(
      { model: model.state_dict(), optimizer: optimizer.state_dict(), scheduler: scheduler.state_dict() },
      checkpoint,
    );
  const count = model.parameters().reduce((n, p) => n + p.numel(), 0);
  console.log(`${text.length} characters of ${characters.alphabet.length} kinds, ${count} parameters`);
  const bar = new SingleBar(
    { format: 'step {value} |{bar}| loss {loss}, {speed} characters/s, {eta_formatted} left', hideCursor: true },
    Presets.shades_classic,
  );
  bar.start(STEPS, Math.min(done, STEPS), { loss: '-', speed: '-' });
  let began = performance.now();
  for (; done < STEPS && !interrupted; done++) {
    // Each step has its own seed: an interrupted run takes the same steps as one that was not.
    torch.manual_seed(done);
    const loss = step(...windows(learning, BATCH, model.options.context));
    scheduler.step();
    if (done % 10 !== 9) {
      bar.increment();
      continue;
    }
    const speed = Math.round((10 * BATCH * model.options.context * 1000) / (performance.now() - began));
    bar.increment(1, { loss: loss.item().toFixed(3), speed });
    began = performance.now();
    if (done % 100 === 99) save();
    // Lets Ctrl-C in.
    await new Promise((resolve) => setImmediate(resolve));
  }
  bar.stop();
  save();
  if (interrupted) console.log(`interrupted after ${done} steps; run the same command to go on`);
  else
    console.log(`${bitsPerCharacter().toFixed(3)} bits per character on the last tenth of the book, not learnt from`);
}

function write(): void {
  model.eval();
  const { context } = model.options;
  const prompt = characters.encode(values.prompt).unsqueeze(0);
  if (prompt.shape[1] === 0 || prompt.shape[1] >= context)
    throw new Error(`--prompt: 1 to ${context - 1} characters of the book's alphabet are needed`);
  const length = context - prompt.shape[1];
  const time = <T>(run: () => T): [T, number] => {
    const began = performance.now();
    return [run(), (performance.now() - began) / 1000];
  };
  const greedy = torch.compile((p: Tensor) => generate(model, p, length, { temperature: 0 }));
  greedy(prompt);
  const [fast, fastSeconds] = time(() => greedy(prompt));
  const [plain, plainSeconds] = time(() => generatePlainly(model, prompt, length));
  console.log(
    `\nthe likeliest ${length} characters: ${fastSeconds.toFixed(3)} s compiled, with cache; ${plainSeconds.toFixed(2)} s eagerly, without; ` +
      `${torch.equal(fast, plain) ? 'the same' : 'NOT the same'}\n\n${characters.decode(fast.at(0))}`,
  );
  if (!torch.equal(fast, plain)) process.exitCode = 1;
  const sample = torch.compile((p: Tensor, temperature: Tensor) =>
    generate(model, p, length, { temperature, topK: Math.max(1, numberOf('top-k')) }),
  );
  const temperature = Math.max(1e-3, numberOf('temperature'));
  torch.manual_seed(7);
  console.log(`\nfour samples at temperature ${temperature}, among the likeliest ${values['top-k']}:`);
  for (const row of sample(prompt.expand([4, prompt.shape[1]]).contiguous(), torch.tensor(temperature)))
    console.log(`\n${characters.decode(row)}`);
}

async function main(): Promise<void> {
  process.once('SIGINT', () => {
    interrupted = true;
  });
  await train();
  if (!interrupted) write();
}
main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
