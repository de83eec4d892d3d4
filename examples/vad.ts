/**
 * @file Where is speech? Silero's voice activity detector, a TorchScript model made with PyTorch, hears two spoken sentences with pauses and noise as a
 * stream, 32 ms at a time: eagerly and compiled, with the same probabilities. Writes a picture to examples/vad.svg, or to the path given.
 *
 *     npm run example:vad
 */
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { resample, say } from './lib/speech.js';
import { CHUNK, Listener, loadVad, RATE, type Step, segments } from './lib/vad.js';
import { waveSvg } from './lib/wave-svg.js';

const SENTENCES = ['The quick brown fox jumps over the lazy dog.', 'Nobody in the whole village heard it bark.'];

/** Sentences between pauses, in a little noise, [n] with n a multiple of 512. */
async function recording(): Promise<Tensor> {
  const pause = torch.zeros(RATE);
  const parts = [pause];
  for (const sentence of SENTENCES) parts.push(resample(await say(sentence), RATE), pause);
  const sound = torch.cat(parts);
  const whole = sound.at(`:${Math.floor(sound.numel() / CHUNK) * CHUNK}`);
  torch.manual_seed(1);
  return whole.add(torch.randn_like(whole).mul(0.002));
}

/** What a listener says to each chunk, and the milliseconds that the median chunk took. */
function listen(sound: Tensor, step: Step): { probabilities: number[]; ms: number } {
  return torch.no_grad(() => {
    const listener = new Listener(step);
    const times: number[] = [];
    const probabilities = sound.split(CHUNK).map((chunk) => {
      const start = performance.now();
      const p = listener.hear(chunk);
      times.push(performance.now() - start);
      return p;
    });
    return { probabilities, ms: times.sort((a, b) => a - b)[times.length >> 1]! };
  });
}

async function main(): Promise<void> {
  const sound = await recording();
  const step = loadVad();
  const eager = listen(sound, step);
  const compiled = listen(sound, torch.compile(step) as Step);
  const apart = Math.max(...eager.probabilities.map((p, i) => Math.abs(p - compiled.probabilities[i]!)));
  const detected = segments(compiled.probabilities);

  console.log(
    `${(sound.numel() / RATE).toFixed(1)} s in ${eager.probabilities.length} chunks of 32 ms; "${SENTENCES.join('" … "')}"`,
  );
  for (const { from, to } of detected) console.log(`  speech from ${from.toFixed(2)} s to ${to.toFixed(2)} s`);
  console.log(
    `eager ${eager.ms.toFixed(3)} ms a chunk, compiled ${compiled.ms.toFixed(3)} ms; probabilities differ by at most ${apart.toExponential(1)}`,
  );
  if (!(apart < 1e-4)) throw new Error('the compiled model says something else than the eager one');

  const path = process.argv[2] ?? relative('', join(__dirname, '../../examples/vad.svg'));
  writeFileSync(path, waveSvg(sound.toTypedArray() as Float32Array, RATE, compiled.probabilities, CHUNK, detected));
  console.log(`picture: ${path}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
