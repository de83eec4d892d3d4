/** @file The table, the summary and the JSON of a run. */
import type { SampleResult, Status } from './result.js';

export interface Summary {
  readonly eager_total: number;
  readonly eager_pass: number;
  /** Samples for which there is a program; those that compile rightly refuses are in `refused`. */
  readonly compiled_total: number;
  readonly compiled_pass: number;
  readonly grad_total: number;
  readonly grad_pass: number;
  /** Operators of which every sample compiled, none with an ATen call. */
  readonly lowered_only: number;
  /** Operators with a compiled program at all. */
  readonly operators: number;
  /** Samples whose result or its shape depends on data: compile says so. */
  readonly refused: number;
}

type Mode = 'eager' | 'compiled' | 'gradient';

const counted = (status: Status): boolean => status === 'pass' || status === 'fail';
const count = (rows: readonly SampleResult[], mode: Mode, keep: (status: Status) => boolean): number =>
  rows.filter((r) => keep(r[mode])).length;
const passes = (status: Status): boolean => status === 'pass';

/** Rows by case file, which is the first part of a sample's id. */
export const byOperator = (results: readonly SampleResult[]): Map<string, SampleResult[]> => {
  const groups = new Map<string, SampleResult[]>();
  for (const result of results) {
    const file = result.id.slice(0, result.id.indexOf('/'));
    const rows = groups.get(file);
    if (rows) rows.push(result);
    else groups.set(file, [result]);
  }
  return groups;
};

const atenCallsOf = (rows: readonly SampleResult[]): string[] => [...new Set(rows.flatMap((r) => r.atenCalls))].sort();
const hasProgram = (rows: readonly SampleResult[]): boolean => rows.some((r) => counted(r.compiled));
const isLoweredOnly = (rows: readonly SampleResult[]): boolean =>
  hasProgram(rows) &&
  atenCallsOf(rows).length === 0 &&
  rows.every((r) => r.compiled !== 'fail' && r.gradient !== 'fail');

export const summarize = (results: readonly SampleResult[]): Summary => {
  const operators = [...byOperator(results).values()];
  return {
    eager_total: count(results, 'eager', counted),
    eager_pass: count(results, 'eager', passes),
    compiled_total: count(results, 'compiled', counted),
    compiled_pass: count(results, 'compiled', passes),
    grad_total: count(results, 'gradient', counted),
    grad_pass: count(results, 'gradient', passes),
    lowered_only: operators.filter(isLoweredOnly).length,
    operators: operators.filter(hasProgram).length,
    refused: results.filter((r) => r.compiled === 'refused').length,
  };
};

const fraction = (rows: readonly SampleResult[], mode: Mode): string => {
  const total = count(rows, mode, counted);
  if (total === 0) return rows.some((r) => r[mode] === 'refused') ? 'refused' : '-';
  const pass = count(rows, mode, passes);
  return pass === total ? `${total}` : `${pass}/${total} FAIL`;
};

const runsAs = (rows: readonly SampleResult[]): string => {
  if (!hasProgram(rows)) return '-';
  const calls = atenCallsOf(rows);
  return calls.length === 0 ? 'lowered' : `ATen call: ${calls.map((c) => c.replace('aten::', '')).join(', ')}`;
};

/** One line per operator: dtypes, what passed in each mode, and how it runs in a program. */
export const table = (results: readonly SampleResult[]): string => {
  const header = ['operator', 'dtypes', 'eager', 'compiled', 'gradient', 'runs as'];
  const rows = [...byOperator(results)].map(([file, group]) => [
    file,
    [...new Set(group.map((r) => r.dtype))].join(' '),
    fraction(group, 'eager'),
    fraction(group, 'compiled'),
    fraction(group, 'gradient'),
    runsAs(group),
  ]);
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  return [header, ...rows]
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};

const percent = (pass: number, total: number): string =>
  total === 0 ? '' : ` (${((100 * pass) / total).toFixed(2)} %)`;

export const summaryLine = (s: Summary): string =>
  `eager ${s.eager_pass}/${s.eager_total}${percent(s.eager_pass, s.eager_total)}, compiled ${s.compiled_pass}/${s.compiled_total}${percent(s.compiled_pass, s.compiled_total)}, ` +
  `gradients ${s.grad_pass}/${s.grad_total}${percent(s.grad_pass, s.grad_total)}, lowered only ${s.lowered_only} of ${s.operators} operators, ${s.refused} samples refused for data-dependent results`;

/** Failed samples with their messages. */
export const failures = (results: readonly SampleResult[]): string =>
  results
    .filter((r) => r.messages.length > 0)
    .map((r) => [r.id, ...r.messages.map((m) => `    ${m}`)].join('\n'))
    .join('\n');
