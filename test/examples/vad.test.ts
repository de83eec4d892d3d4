/** @file Silero VAD against PyTorch (scripts/references/vad_torch.py), if the model is in the cache folder; what the example makes of it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { resample } from '../../examples/lib/speech.js';
import { CHUNK, Listener, loadVad, RATE, type Step, segments } from '../../examples/lib/vad.js';
import { waveSvg } from '../../examples/lib/wave-svg.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const { probabilities } = JSON.parse(readFileSync(join(__dirname, '../../../test/data/vad-torch.json'), 'utf8')) as {
  probabilities: number[];
};
const cached = existsSync(
  join(
    process.env['JORCH_CACHE_DIR'] || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'jorch'),
    'examples/silero-vad-6.2.3',
  ),
);

describe('examples: voice activity', () => {
  it('probabilities are PyTorch’s, eagerly and compiled', function () {
    // 2 MB out of a wheel of 11 MB that `npm run example:vad` fetches.
    if (!cached) this.skip();
    this.timeout(120_000);
    const n = torch.arange(40 * CHUNK, { dtype: 'float64' }).mul((2 * Math.PI) / RATE);
    const phase = n.mul(120).add(n.mul(5).sin().mul(2));
    const formants = [
      [700, 100, 1],
      [1200, 120, 0.6],
      [2600, 160, 0.3],
    ] as const;
    let vowel = torch.zeros_like(n);
    for (let k = 1; k < 30; k++) {
      const weight = formants.reduce((sum, [centre, width, a]) => sum + a / (1 + ((120 * k - centre) / width) ** 2), 0);
      vowel = vowel.add(phase.mul(k).sin().mul(weight));
    }
    const sound = vowel
      .mul(0.1)
      .mul(n.mul(1.2).sin().clamp({ min: 0 }))
      .float();
    assert.ok(Math.max(...probabilities) > 0.5 && Math.min(...probabilities) < 0.01);
    const step = loadVad();
    for (const run of [step, torch.compile(step) as Step])
      torch.no_grad(() => {
        const listener = new Listener(run);
        for (const [i, chunk] of sound.split(CHUNK).entries()) {
          const p = listener.hear(chunk);
          assert.ok(Math.abs(p - probabilities[i]!) < 1e-4, `chunk ${i}: ${p}, PyTorch says ${probabilities[i]}`);
        }
      });
  });

  it('segments begin above one half, end after a pause, and are long enough', () => {
    const at = (ranges: [from: number, to: number][]): number[] =>
      Array.from({ length: 100 }, (_, i) => (ranges.some(([from, to]) => i >= from && i < to) ? 0.9 : 0.1));
    const second = CHUNK / RATE;
    assert.deepEqual(segments(at([])), []);
    assert.deepEqual(segments(at([[10, 40]])), [{ from: 10 * second, to: 40 * second }]);
    assert.deepEqual(segments(at([[10, 14]])), [], 'too short');
    assert.deepEqual(
      segments(at([[10, 20], [22, 40]])), // biome-ignore format: one line
      [{ from: 10 * second, to: 40 * second }],
      'a short pause is part of it',
    );
    assert.deepEqual(segments(at([[90, 100]])), [{ from: 90 * second, to: 100 * second }]);
  });

  it('resampling keeps a tone; the picture has the wave, the curve and what was detected', () => {
    const tone = (rate: number) =>
      torch
        .arange(rate / 2)
        .mul((2 * Math.PI * 440) / rate)
        .sin();
    const resampled = resample({ samples: tone(22_050), rate: 22_050 }, RATE);
    assert.equal(resampled.numel(), RATE / 2);
    close(resampled.at('200:-200'), tone(RATE).at('200:-200'), { atol: 5e-3 });
    const svg = waveSvg(new Float32Array(16_000).fill(0.5), RATE, [0.1, 0.9], 8000, [{ from: 0.5, to: 1 }]);
    assert.match(svg, /<polyline points="312\.0,289\.0 792\.0,217\.0"/);
    assert.match(svg, /<rect x="552\.0" y="16" width="480\.0"/);
  });
});
