/**
 * @file Silero VAD: how likely each 32 ms of a sound are speech (Silero Team, MIT). The TorchScript model comes from the wheel silero-vad; what it
 * remembers from chunk to chunk goes in and out, so that a step is a function that compiles.
 */
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { wheelFolder } from './wheel.js';

export const RATE = 16_000;
/** Samples that a step takes, and of those before that it sees again. */
export const CHUNK = 512;
const CONTEXT = 64;

/** A chunk [1, 512], the samples before it [1, 64] and the state [2, 1, 128] to the probability [1, 1] and the next context and state. */
export type Step = (
  chunk: Tensor,
  context: Tensor,
  state: Tensor,
) => readonly [p: Tensor, context: Tensor, state: Tensor];

export function loadVad(): Step {
  const folder = wheelFolder({
    name: 'silero-vad',
    version: '6.2.3',
    sha256: '7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8',
    unpack: ['silero_vad/data/silero_vad.jit', 'silero_vad-6.2.3.dist-info/licenses/'],
  });
  const both = torch.jit.load(join(folder, 'silero_vad/data/silero_vad.jit')).eval();
  both.requires_grad_(false);
  // For 16 000 samples a second; the other one, _model_8k, is for 8 000.
  const network = both.get_submodule('_model');
  return (chunk, context, state) => {
    const seen = torch.cat([context, chunk], 1);
    const [p, next] = network.forward(seen, state) as [Tensor, Tensor];
    return [p, seen.at(':', `-${CONTEXT}:`), next];
  };
}

/** Listens to a stream: `hear` takes the next 512 samples and says how likely they are speech. */
export class Listener {
  private context = torch.zeros(1, CONTEXT);
  private state = torch.zeros(2, 1, 128);
  constructor(private readonly step: Step) {}
  hear(chunk: Tensor): number {
    const [p, context, state] = this.step(chunk.reshape([1, CHUNK]), this.context, this.state);
    this.context = context;
    this.state = state;
    return p.item() as number;
  }
}

export interface Segment {
  /** Seconds. */
  readonly from: number;
  readonly to: number;
}
const START = 0.5;
const END = 0.35;
const LEAST_SPEECH = 0.25;
const LEAST_SILENCE = 0.1;

/** Where speech is: begins above 0.5, ends when at most 0.35 for 0.1 s; what is shorter than 0.25 s is left out (Silero's own rules). */
export function segments(probabilities: readonly number[]): Segment[] {
  const found: Segment[] = [];
  const second = CHUNK / RATE;
  let from: number | undefined;
  let silentSince: number | undefined;
  const close = (to: number): void => {
    if (from !== undefined && to - from >= LEAST_SPEECH) found.push({ from, to });
    from = undefined;
    silentSince = undefined;
  };
  for (const [i, p] of probabilities.entries()) {
    const now = i * second;
    if (p >= START) {
      from ??= now;
      silentSince = undefined;
    } else if (from !== undefined && p < END) {
      silentSince ??= now;
      if (now + second - silentSince >= LEAST_SILENCE) close(silentSince);
    }
  }
  close(probabilities.length * second);
  return found;
}
