/** @file Monthly closing values of the S&P 500, 2000 to 2010, as the npm package vega-datasets carries them. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Prices {
  /** Years, with the month as a fraction. */
  readonly dates: number[];
  readonly prices: number[];
}

export function loadSp500(): Prices {
  const file = join(dirname(require.resolve('vega-datasets')), '../data/sp500.csv');
  const dates: number[] = [];
  const prices: number[] = [];
  for (const row of readFileSync(file, 'utf8').trim().split('\n').slice(1)) {
    const [day, price] = row.split(',') as [string, string];
    const date = new Date(`${day} UTC`);
    dates.push(date.getUTCFullYear() + date.getUTCMonth() / 12);
    prices.push(Number(price));
  }
  return { dates, prices };
}
