/** @file A module as PyTorch prints it. */
import { ownChildren } from './fields.js';
import type { Module } from './module.js';

const indent = (text: string): string => text.split('\n').join('\n  ');

/** `(2-5): 4 x Linear(...)`: PyTorch's ModuleList folds equal neighbours. */
const folded = (children: readonly (readonly [string, string])[]): string[] => {
  const runs: { from: number; to: number; text: string }[] = [];
  children.forEach(([, text], i) => {
    const last = runs.at(-1);
    if (last?.text === text) last.to = i;
    else runs.push({ from: i, to: i, text });
  });
  return runs.map(({ from, to, text }) =>
    from === to ? `(${from}): ${text}` : `(${from}-${to}): ${to - from + 1} x ${text}`,
  );
};

/** Modules whose equal neighbours are folded. */
export const FOLDS = Symbol('jorch.nn.folds');

export const describeModule = (module: Module): string => {
  const extra = module.extra_repr();
  const extras = extra === '' ? [] : extra.split('\n');
  const texts = [...ownChildren(module)].map(([name, child]) => [name, indent(String(child))] as const);
  const lines = FOLDS in module ? folded(texts) : texts.map(([name, text]) => `(${name}): ${text}`);
  const name = module._get_name();
  if (extras.length === 1 && lines.length === 0) return `${name}(${extras[0]})`;
  if (extras.length + lines.length === 0) return `${name}()`;
  return `${name}(\n  ${[...extras, ...lines].join('\n  ')}\n)`;
};

/** A value as Python writes it: True, None, (2, 2), 'zeros', 1e-05. */
export const python = (value: unknown): string => {
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value)) return `(${value.map(python).join(', ')}${value.length === 1 ? ',' : ''})`;
  return String(value);
};

/** A number of a floating argument as Python writes it: 0.0, 1e-05, 0.01. */
export const float = (value: number | null | undefined): string => {
  if (value === null || value === undefined) return 'None';
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  return Number.isInteger(value) ? `${value}.0` : String(value);
};
