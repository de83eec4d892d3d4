/** @file A recorded graph as a picture, drawn by Graphviz. */
import type { Graph, Node, Value } from '../compile/graph.js';
import { operandsOf, resultsOf } from '../debug/replay.js';
import { importModule } from '../runtime/esm.js';

const quoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
const type = (v: Value): string => `${v.dtype}[${v.shape.join(', ')}]`;
/** `fit.ts:12` */
const place = (line: string | undefined): string => (line ? `\n${/([^/]+:\d+):\d+$/.exec(line)?.[1] ?? line}` : '');

export interface Picture {
  readonly graph: Graph;
  readonly nodes: readonly Node[];
  readonly results: readonly Value[];
  /** Nodes that run libtorch's kernels. */
  readonly calls: readonly Node[];
}

/** In Graphviz's language: operators with their lines, edges with shapes. */
export const dotOf = ({ graph, nodes, results, calls }: Picture): string => {
  const lines: string[] = [];
  const maker = new Map<number, string>();
  const used = new Set([...nodes.flatMap(operandsOf), ...results].map((v) => v.id));
  for (const [i, v] of graph.inputs.entries()) {
    if (!used.has(v.id)) continue;
    maker.set(v.id, `input${i}`);
    lines.push(`input${i} [label=${quoted(`input ${i}`)}, fillcolor="#dce9f7"];`);
  }
  for (const { value, data } of graph.constants) {
    if (!used.has(value.id)) continue;
    const text =
      data.length === 1 ? String(typeof data[0] === 'object' ? `${data[0].re}+${data[0].im}i` : data[0]) : type(value);
    maker.set(value.id, `constant${value.id}`);
    lines.push(`constant${value.id} [label=${quoted(text)}, fillcolor="#eeeeee", shape=plaintext];`);
  }
  const called = new Set(calls);
  for (const [i, node] of nodes.entries()) {
    const fill = called.has(node) ? '#fbe3c8' : '#ffffff';
    const label = `${node.op.replace(/^aten::/, '')}${place(node.line)}`;
    lines.push(`node${i} [label=${quoted(label)}, fillcolor="${fill}", tooltip=${quoted(node.line ?? node.op)}];`);
    for (const v of operandsOf(node))
      if (maker.has(v.id)) lines.push(`${maker.get(v.id)} -> node${i} [label=${quoted(type(v))}];`);
    for (const v of resultsOf(node)) maker.set(v.id, `node${i}`);
  }
  for (const [i, v] of results.entries()) {
    lines.push(`result${i} [label=${quoted(`result ${i}`)}, fillcolor="#dff0d8"];`);
    if (maker.has(v.id)) lines.push(`${maker.get(v.id)} -> result${i} [label=${quoted(type(v))}];`);
  }
  const style =
    'node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];\nedge [fontname="Helvetica", fontsize=9, color="#666666"];';
  return `digraph jorch {\nrankdir=TB;\n${style}\n${lines.join('\n')}\n}\n`;
};

/** Draws it; loads Graphviz (WebAssembly) at the first picture. */
export const svgOf = async (picture: Picture): Promise<string> => {
  const { instance } = await importModule<typeof import('@viz-js/viz')>('@viz-js/viz');
  return (await instance()).renderString(dotOf(picture), { format: 'svg', engine: 'dot' });
};
