/** @file A picture of a sound: its samples, what was detected in it, and a curve of probabilities below. */
import type { Segment } from './vad.js';

const WIDTH = 960;
const WAVE = 180;
const CURVE = 90;
const LEFT = 72;
const TOP = 16;
const BOTTOM = TOP + WAVE + 12 + CURVE;

/** SVG. `samples` in [-1, 1] at `rate` a second, one probability for each `chunk` samples. */
export function waveSvg(
  samples: Float32Array,
  rate: number,
  probabilities: readonly number[],
  chunk: number,
  detected: readonly Segment[],
): string {
  const seconds = samples.length / rate;
  const x = (t: number): string => (LEFT + (t / seconds) * WIDTH).toFixed(1);
  const y = (v: number): string => (TOP + (WAVE / 2) * (1 - v)).toFixed(1);
  const p = (v: number): string => (BOTTOM - v * CURVE).toFixed(1);
  let wave = '';
  for (let column = 0; column < WIDTH; column++) {
    const part = samples.subarray((column * samples.length) / WIDTH, ((column + 1) * samples.length) / WIDTH);
    const at = (LEFT + column + 0.5).toFixed(1);
    wave += `M${at} ${y(Math.max(...part))}V${y(Math.min(...part) - 0.004)}`;
  }
  const curve = probabilities.map((v, i) => `${x(((i + 0.5) * chunk) / rate)},${p(v)}`).join(' ');
  const shade = detected
    .map(
      ({ from, to }) =>
        `<rect x="${x(from)}" y="${TOP}" width="${(((to - from) / seconds) * WIDTH).toFixed(1)}" height="${BOTTOM - TOP}" fill="#2f9e44" opacity="0.15"/>`,
    )
    .join('');
  const ticks = Array.from(
    { length: Math.floor(seconds) + 1 },
    (_, t) =>
      `<line x1="${x(t)}" x2="${x(t)}" y1="${BOTTOM}" y2="${BOTTOM + 5}" stroke="#444"/><text x="${x(t)}" y="${BOTTOM + 18}" text-anchor="middle">${t} s</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + 16} ${BOTTOM + 28}" font-family="sans-serif" font-size="11" fill="#444">
<rect width="100%" height="100%" fill="#fff"/>${shade}
<path d="${wave}" stroke="#1c7ed6" fill="none"/>
<line x1="${LEFT}" x2="${LEFT + WIDTH}" y1="${p(0.5)}" y2="${p(0.5)}" stroke="#bbb" stroke-dasharray="3 3"/>
<polyline points="${curve}" fill="none" stroke="#e8590c" stroke-width="1.5"/>
<path d="M${LEFT} ${BOTTOM - CURVE}V${BOTTOM}H${LEFT + WIDTH}" stroke="#444" fill="none"/>
<text x="${LEFT - 6}" y="${BOTTOM - CURVE + 4}" text-anchor="end">P(speech) 1</text><text x="${LEFT - 6}" y="${BOTTOM}" text-anchor="end">0</text>
${ticks.join('')}
</svg>
`;
}
