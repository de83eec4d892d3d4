/** @file Figures that tests measure, for docs/RELIABILITY.md (`npm run reliability`); nothing is kept when nobody asks. */
import { appendFileSync } from 'node:fs';

/** Notes what a test of row `row` (shared numbering with docs/RELIABILITY.md) has measured. */
export const figure = (row: number, text: string): void => {
  const file = process.env['JORCH_FIGURES'];
  if (file) appendFileSync(file, `${JSON.stringify({ row, text })}\n`);
};

/** Least-squares slope of the last half of [x, y] points. */
export const slope = (points: readonly (readonly [number, number])[]): number => {
  const half = points.slice(Math.floor(points.length / 2));
  const mean = (i: 0 | 1): number => half.reduce((sum, p) => sum + p[i], 0) / half.length;
  const [mx, my] = [mean(0), mean(1)];
  const over = half.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  return over / half.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
};
