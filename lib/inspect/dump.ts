/** @file JORCH_DUMP=folder: every compilation as files. The StableHLO is written before XLA sees it: a crash leaves it behind. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Built, Plan } from '../compile/build.js';
import type { Graph } from '../compile/graph.js';
import { isValue } from '../lowering/aten-call.js';
import { loweredProgram } from './lowered.js';

let count = 0;

/** A graph as JSON: values by number, other arguments as they are. */
export const graphJson = (graph: Graph): string => {
  const plain = (key: string, value: unknown): unknown => {
    if (typeof value === 'bigint') return value.toString();
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
    return key !== 'values' && isValue(value) ? `%${value.id}` : value;
  };
  const { values, inputs, constants, nodes } = graph;
  const types = values.map(({ id, dtype, shape, strides }) => ({ id: `%${id}`, dtype, shape, stride: strides }));
  return `${JSON.stringify({ values: types, inputs, constants, nodes }, plain, 1)}\n`;
};

const attempt = (write: () => void): void => {
  try {
    write();
  } catch (error) {
    process.emitWarning(`JORCH_DUMP: ${(error as Error).message}`, { type: 'JorchDump' });
  }
};

/** Writes what is known before the compilation; the function returned writes the rest. */
export const dump = (name: string, planned: Plan): ((built: Built, explanation: string) => void) => {
  const base = process.env.JORCH_DUMP;
  if (!base) return () => {};
  const folder = join(base, `${name.replace(/[^\w.-]+/g, '_').slice(0, 60)}-${process.pid}-${++count}`);
  attempt(() => {
    mkdirSync(folder, { recursive: true });
    for (const [i, { text }] of planned.programs.entries())
      writeFileSync(join(folder, i === 0 ? 'program.mlir' : 'backward.mlir'), text);
    writeFileSync(join(folder, 'graph.json'), graphJson(planned.graph));
  });
  return (built, explanation) =>
    attempt(() => {
      const { hlo, cost, memory } = loweredProgram(built);
      writeFileSync(join(folder, 'program.hlo.txt'), hlo.text);
      writeFileSync(join(folder, 'explain.txt'), `${explanation}\n${JSON.stringify({ cost, memory }, null, 1)}\n`);
    });
};
