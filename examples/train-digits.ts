/**
 * @file A small convolutional network learns handwritten digits; the whole training step (forward, backward, clipping, AdamW) is one
 * compiled program. Checkpoints after every epoch: interrupted with Ctrl-C and started again, it goes on where it was, to the same
 * result. Writes the curves to examples/train-digits.svg.
 *
 *     npm run example:train            goes on from examples/train-digits.pt, if it is there
 *     npm run example:train -- --fresh begins anew; --eager runs the same step on libtorch
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { type Digits, KNOWN_ACCURACY, loadDigits } from './lib/digits.js';

const { nn, optim } = torch;
const { DataLoader, TensorDataset } = torch.utils.data;

const folder = join(__dirname, '../../examples');
const checkpoint = join(folder, 'train-digits.pt');
const EPOCHS = 60;
const BATCH = 32;
const PATIENCE = 20;
const SEED = 7;

class DigitNet extends nn.Module {
  features = new nn.Sequential(
    new nn.Conv2d(1, 32, 3, { padding: 1 }),
    new nn.BatchNorm2d(32),
    new nn.ReLU(),
    new nn.Conv2d(32, 32, 3, { padding: 1 }),
    new nn.BatchNorm2d(32),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Dropout(0.25),
    new nn.Conv2d(32, 64, 3, { padding: 1 }),
    new nn.BatchNorm2d(64),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
  );
  classifier = new nn.Sequential(new nn.Flatten(), new nn.Dropout(0.5), new nn.Linear(256, 10));
  override forward(x: Tensor): Tensor {
    return this.classifier.forward(this.features.forward(x));
  }
}

/** Digits moved by up to one pixel, each batch anew. */
const moved = (x: Tensor): Tensor => {
  const [down, right] = torch.randint(0, 3, [2]).tolist() as [number, number];
  return nn.functional.pad(x, [1, 1, 1, 1]).narrow(2, down, 8).narrow(3, right, 8).contiguous();
};

interface Epoch {
  readonly loss: number;
  readonly accuracy: number;
  readonly validation: number;
  readonly validationLoss: number;
}
interface Saved {
  readonly model: Record<string, Tensor>;
  readonly best: Record<string, Tensor>;
  readonly optimizer: never;
  readonly scheduler: Record<string, unknown>;
  readonly history: Epoch[];
}

const fresh = process.argv.includes('--fresh');
const eager = process.argv.includes('--eager');
const { train, test } = loadDigits();
torch.manual_seed(SEED);
// Every seventh digit of the first half decides when to stop; the second half is looked at once, at the end.
const every = torch.arange(train.y.shape[0]);
const held = every.remainder(7).eq(0);
const pick = ({ x, y }: Digits, mask: Tensor): Digits => ({ x: x.at(mask), y: y.at(mask) });
const [learning, validation] = [pick(train, held.logical_not()), pick(train, held)];

const net = new DigitNet();
const optimizer = new optim.AdamW(net.parameters(), { lr: 1e-3, weight_decay: 0.05 });
const loader = new DataLoader(new TensorDataset(learning.x, learning.y), {
  batch_size: BATCH,
  shuffle: true,
  drop_last: true,
});
const scheduler = new optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, {
  epochs: EPOCHS,
  steps_per_epoch: loader.length,
});

const criterion = (logits: Tensor, y: Tensor): Tensor =>
  nn.functional.cross_entropy(logits, y, { label_smoothing: 0.1 });
const trainStep = (x: Tensor, y: Tensor): [loss: Tensor, correct: Tensor] => {
  const logits = net.forward(x);
  const loss = criterion(logits, y);
  loss.backward();
  nn.utils.clip_grad_norm_(net.parameters(), 1);
  optimizer.step();
  // Last: the gradients never leave the program.
  optimizer.zero_grad();
  return [loss.detach(), logits.detach().argmax(1).eq(y).sum()];
};
const step = eager ? trainStep : torch.compile(trainStep);
const predict = eager ? (x: Tensor) => net.forward(x) : torch.compile(net);
const evaluate = ({ x, y }: Digits): { accuracy: number; loss: number } => {
  net.eval();
  const logits = torch.no_grad(() => predict(x)) as Tensor;
  net.train();
  return {
    accuracy: logits.argmax(1).eq(y).to('float64').mean().item(),
    loss: criterion(logits, y).item(),
  };
};
const copyOf = (state: Record<string, Tensor>) => torch.tree.map((t) => t.clone(), state);

let history: Epoch[] = [];
let best = copyOf(net.state_dict());
if (fresh) rmSync(checkpoint, { force: true });
if (existsSync(checkpoint)) {
  const saved = torch.load(checkpoint) as Saved;
  net.load_state_dict(saved.model);
  optimizer.load_state_dict(saved.optimizer);
  scheduler.load_state_dict(saved.scheduler);
  ({ history, best } = saved);
  console.log(`going on from ${checkpoint} after epoch ${history.length}`);
}
const save = (): void =>
  torch.save(
    { model: net.state_dict(), best, optimizer: optimizer.state_dict(), scheduler: scheduler.state_dict(), history },
    checkpoint,
  );

/** The epoch of the least loss in validation: of so few digits many epochs recognise all. */
const bestSoFar = (): number =>
  history.reduce((b, e, i) => (b < 0 || e.validationLoss < history[b]!.validationLoss ? i : b), -1);

let interrupted = false;
process.once('SIGINT', () => {
  interrupted = true;
});

const count = net.parameters().reduce((n, p) => n + p.numel(), 0);
console.log(
  `${learning.y.shape[0]} digits to learn from, ${validation.y.shape[0]} to decide when to stop, ${test.y.shape[0]} to test; ${count} parameters; ${eager ? 'eager' : 'compiled'}`,
);

async function main(): Promise<void> {
  const bar = new SingleBar(
    {
      format:
        'epoch {epoch} |{bar}| {percentage}% loss {loss} accuracy {accuracy} validation {validation} {speed} digits/s, {eta_formatted} left',
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  const total = EPOCHS * loader.length;
  const shown = { epoch: history.length + 1, loss: '-', accuracy: '-', validation: '-', speed: '-' };
  bar.start(total, history.length * loader.length, shown);
  while (history.length < EPOCHS && history.length - 1 - bestSoFar() < PATIENCE && !interrupted) {
    const epoch = history.length;
    // Each epoch has its own seed: a run that was interrupted takes the same steps as one that was not.
    torch.manual_seed(SEED + 1 + epoch);
    const began = performance.now();
    const losses: Tensor[] = [];
    const rights: Tensor[] = [];
    for (const [x, y] of loader) {
      const [loss, right] = step(moved(x), y);
      losses.push(loss);
      rights.push(right);
      scheduler.step();
      bar.increment();
    }
    const digits = loader.length * BATCH;
    const loss = torch.stack(losses).mean().item();
    const accuracy = torch.stack(rights).sum().item() / digits;
    const speed = Math.round((digits / (performance.now() - began)) * 1000);
    const there = evaluate(validation);
    history.push({ loss, accuracy, validation: there.accuracy, validationLoss: there.loss });
    if (bestSoFar() === epoch) best = copyOf(net.state_dict());
    save();
    bar.update({
      epoch: epoch + 1,
      loss: loss.toFixed(4),
      accuracy: accuracy.toFixed(4),
      validation: history.at(-1)!.validation.toFixed(4),
      speed,
    });
    // Lets Ctrl-C in.
    await new Promise((done) => setImmediate(done));
  }
  bar.stop();
  if (interrupted) {
    console.log(`interrupted after epoch ${history.length}; run the same command to go on`);
    return;
  }
  net.load_state_dict(best);
  const { accuracy } = evaluate(test);
  const at = bestSoFar();
  console.log(`best epoch ${at + 1} of ${history.length}, validation ${history[at]!.validation.toFixed(4)}`);
  console.log(
    `accuracy on the ${test.y.shape[0]} test digits: ${accuracy.toFixed(4)}; known: ${KNOWN_ACCURACY.value} (${KNOWN_ACCURACY.source})`,
  );
  const epochs = history.map((_, i) => i + 1);
  const curve = (label: string, value: (e: Epoch) => number) => ({ label, x: epochs, y: history.map(value) });
  writeFileSync(
    join(folder, 'train-digits.svg'),
    torch.linePlot(
      [
        curve('loss', (e) => e.loss),
        curve('loss in validation', (e) => e.validationLoss),
        curve('error in training', (e) => 1 - e.accuracy),
        curve('error in validation', (e) => 1 - e.validation),
      ],
      { title: 'Handwritten digits', xLabel: 'epoch', yLabel: 'loss, error' },
    ),
  );
  if (accuracy < KNOWN_ACCURACY.value) process.exitCode = 1;
}
void main();
