/**
 * @file Makes a function that fails when it is compiled as small as it gets: `node dist/scripts/minify.js FILE.js [OUT.cjs]`.
 *
 * FILE exports `f` and `args`, an array (or a function that makes it). The function is recorded; then operators are left out, their results given as
 * tensors instead, as long as what is left still differs from libtorch's kernels, is refused by XLA, or ends the process: every attempt is a process of
 * its own. OUT is a script of the operators that remain, with their data.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Arg, Node, Value } from '../lib/compile/graph.js';
import { difference, isComparable, runCompiled } from '../lib/debug/compare.js';
import { operandsOf, Replay, resultsOf } from '../lib/debug/replay.js';
import { type Recorded, recorded } from '../lib/debug/trace.js';
import * as torch from '../lib/index.js';

interface Failing {
  readonly f: (...args: unknown[]) => unknown;
  readonly args: readonly unknown[] | (() => readonly unknown[]);
}

const record = async (file: string): Promise<{ recording: Recorded; eager: Replay }> => {
  const { f, args } = (await import(pathToFileURL(file).href)) as Failing;
  torch.manual_seed(0);
  const recording = recorded('minify', f as never, typeof args === 'function' ? args() : args);
  return { recording, eager: new Replay(recording.graph, recording.given) };
};

/** What the operators `kept` read and do not make themselves. */
const inputsOf = (kept: readonly Node[]): Value[] => {
  const made = new Set(kept.flatMap(resultsOf).map((v) => v.id));
  const read = new Map(kept.flatMap(operandsOf).map((v) => [v.id, v]));
  return [...read.values()].filter((v) => !made.has(v.id));
};

/** What becomes of these operators as one program, their operands given: `agrees`, or what is wrong. */
const verdict = ({ graph }: Recorded, eager: Replay, kept: readonly Node[]): string =>
  torch.no_grad(() => {
    const wanted = kept.filter(isComparable).flatMap(resultsOf);
    const given = inputsOf(kept).map((v) => [v, eager.value(v)] as const);
    const expected = wanted.map((v) => eager.value(v));
    const constants = new Set(graph.constants.map(({ value }) => value.id));
    try {
      const actual = runCompiled(
        { ...graph, nodes: kept },
        given.filter(([v]) => !constants.has(v.id)),
        wanted,
      );
      return actual.every((t, i) => difference(t, expected[i]!) === undefined) ? 'agrees' : 'differs';
    } catch (error) {
      return torch.isJorchError(error) ? error.code : 'throws';
    }
  });

const attempt = (file: string, kept: readonly number[], folder: string): string => {
  const list = join(folder, 'kept.json');
  writeFileSync(list, JSON.stringify(kept));
  const { stdout, signal } = spawnSync(process.execPath, [__filename, file, '--attempt', list], { encoding: 'utf8' });
  return signal === null ? stdout.slice(stdout.lastIndexOf('\n') + 1) : `dies of ${signal}`;
};

/** Fewer and fewer operators that still fail as all of them do: halves, then quarters, down to single ones. */
const reduce = (all: readonly number[], fails: (kept: readonly number[]) => boolean): readonly number[] => {
  let kept = all;
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let at = 0; at < kept.length; ) {
      const fewer = kept.toSpliced(at, size);
      if (fewer.length > 0 && fails(fewer)) kept = fewer;
      else at += size;
    }
  return kept;
};

const isValue = (arg: Arg): arg is Value => typeof arg === 'object' && arg !== null && 'id' in arg;

const argumentText = (arg: Arg): string => {
  if (arg === null) return 'null';
  if (typeof arg === 'bigint') return `${arg}n`;
  if (typeof arg === 'number') return Object.is(arg, -0) ? '-0' : String(arg);
  if (typeof arg === 'string' || typeof arg === 'boolean') return JSON.stringify(arg);
  if (Array.isArray(arg)) return `[${arg.map(argumentText).join(', ')}]`;
  if (isValue(arg)) return `v${arg.id}`;
  if ('float' in arg) return `torch.Scalar.float(${argumentText(arg.float)})`;
  if ('re' in arg) return `torch.Scalar.complex(${arg.re}, ${arg.im})`;
  if ('dtype' in arg) return JSON.stringify(arg.dtype);
  if ('memory_format' in arg) return JSON.stringify(arg.memory_format);
  return 'null';
};

const dataText = (t: torch.Tensor): string => {
  const plain = t.detach().resolve_conj().resolve_neg();
  if (plain.is_complex()) return `torch.view_as_complex(${dataText(torch.view_as_real(plain.contiguous()))})`;
  const numbers = Array.from(plain.contiguous().toTypedArray() as ArrayLike<number | bigint>, argumentText);
  const strided = `.reshape([${t.shape}])`;
  return `torch.tensor([${numbers.join(', ')}], { dtype: '${t.dtype}' })${strided}`;
};

/** A script with the operators that are left and their data. */
const script = (kept: readonly Node[], eager: Replay, how: string): string => {
  const inputs = inputsOf(kept);
  const names = inputs.map((v) => `v${v.id}`).join(', ');
  const lines = kept.map((node) => {
    if (node.control !== undefined) return `  // ${node.op}: an operator of jorch's own, ${node.control.kind}`;
    const [name, overload = 'default'] = node.op.slice('aten::'.length).split('.', 2) as [string, string?];
    const args = Object.entries(node.args).map(
      ([key, arg]) => `${key === 'self' ? 'input' : key}: ${argumentText(arg)}`,
    );
    const results = resultsOf(node).map((v) => `v${v.id}`);
    const target = node.outs.length === 1 && results.length === 1 ? results[0] : `[${results.join(', ')}]`;
    return `  const ${target} = torch.ops.aten.${name}.${overload}({ ${args.join(', ')} });${node.line ? ` // ${node.line}` : ''}`;
  });
  return `// ${kept.length} operator${kept.length === 1 ? '' : 's'}: compiled it ${how}.
const torch = require('jorch');

const f = (${names}) => {
${lines.join('\n')}
  return [${kept.flatMap(resultsOf).map((v) => `v${v.id}`)}];
};
const args = [
${inputs.map((v) => `  ${dataText(eager.value(v))},`).join('\n')}
];
module.exports = { f, args };
if (require.main === module) {
  console.log('eager', ...f(...args));
  console.log('compiled', ...torch.compile(f)(...args));
}
`;
};

const main = async (): Promise<void> => {
  const [, , given, second, list] = process.argv;
  if (given === undefined) throw new Error('which file? node dist/scripts/minify.js FILE.js [OUT.cjs]');
  const file = resolve(given);
  const { recording, eager } = await record(file);
  const { nodes } = recording;
  if (second === '--attempt') {
    const kept = (JSON.parse(readFileSync(list!, 'utf8')) as number[]).map((i) => nodes[i]!);
    process.stdout.write(`\n${verdict(recording, eager, kept)}`);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'jorch-minify-'));
  try {
    const all = nodes.map((_, i) => i);
    const how = attempt(file, all, folder);
    if (how === 'agrees') {
      console.log(`${nodes.length} operators: compiled they agree with eager; nothing to make smaller`);
      return;
    }
    const kept = reduce(all, (some) => attempt(file, some, folder) === how).map((i) => nodes[i]!);
    const text = script(kept, eager, how);
    console.log(`${nodes.length} operators ${how}; ${kept.length} of them do:\n\n${text}`);
    if (second !== undefined) writeFileSync(second, text);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

void main();
