/** @file Rows of figures, one column a runner; every other runner's with jorch's share of it. */

export interface Row {
  readonly name: string;
  readonly unit: 'µs' | 'ms' | 'MiB';
  /** By runner. */
  readonly values: Readonly<Record<string, number>>;
  /** What disagreed or failed. */
  readonly notes: readonly string[];
}

const [NAME, CELL] = [34, 20];

export const printHead = (title: string, columns: readonly string[]): void =>
  console.log(`\n${title}\n${''.padEnd(NAME)}${columns.map((c) => c.padStart(CELL)).join('')}`);

export const printRow = ({ name, unit, values, notes }: Row, columns: readonly string[]): void => {
  const cell = (column: string): string => {
    const value = values[column];
    if (value === undefined) return '–';
    const shown = value.toFixed(value < 100 ? 1 : 0);
    return column === 'jorch' ? shown : `${shown} (${(values['jorch']! / value).toFixed(3)}×)`;
  };
  console.log(`${name}, ${unit}`.padEnd(NAME) + columns.map((c) => cell(c).padStart(CELL)).join(''));
  for (const note of notes) console.log(`    ${note}`);
};

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** The largest relative difference of two runners' answers. */
export const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((v, i) => Math.abs(v - b[i]!) / Math.max(Math.abs(b[i]!), 1e-12)));

/** Answers that are farther apart are named. */
export const APART = 1e-3;
