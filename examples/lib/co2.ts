/** @file Monthly mean CO2 at Mauna Loa (Scripps CO2 Program, CC BY 4.0), as the npm package vega-datasets carries it. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Series {
  /** Middle of the month, in years. */
  readonly t: Float64Array;
  /** CO2 in ppm, less its mean. */
  readonly y: Float64Array;
  readonly mean: number;
}

/** The months from the year `from` until the year `until`. */
export function loadCo2(until = 2004, from = 0): Series {
  const file = join(dirname(require.resolve('vega-datasets')), '../data/co2-concentration.csv');
  const rows = readFileSync(file, 'utf8').trim().split('\n').slice(1);
  const t: number[] = [];
  const ppm: number[] = [];
  for (const row of rows) {
    const [date, co2] = row.split(',');
    const [year, month] = date!.split('-').map(Number);
    if (year! >= until) break;
    if (year! < from) continue;
    t.push(year! + (month! - 0.5) / 12);
    ppm.push(Number(co2));
  }
  const mean = ppm.reduce((a, b) => a + b) / ppm.length;
  return { t: Float64Array.from(t), y: Float64Array.from(ppm, (v) => v - mean), mean };
}
