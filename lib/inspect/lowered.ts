/** @file What fn.lower() shows of a compiled program. */
import type { Built } from '../compile/build.js';
import type { Graph } from '../compile/graph.js';
import { atLine } from '../debug/replay.js';
import { liveNodes } from '../lowering/index.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { type Cost, costOf } from './cost.js';
import { decodeHlo, type HloModule, printHlo } from './hlo.js';
import { svgOf } from './svg.js';

/** What a call would run. */
export interface LoweredProgram {
  /** The recorded operators, with the lines that called them. */
  readonly graph: Graph;
  /** The program's text. Locations name the operator's place in the graph. */
  readonly stablehlo: string;
  /** XLA's optimized program: as the plugin gives it (a serialized protobuf), and as text with the lines of the user's source. */
  readonly hlo: { readonly format: string; readonly bytes: Buffer; readonly text: string };
  readonly cost: Cost;
  /** Bytes, as XLA planned them; -1 where the plugin does not say. */
  readonly memory: Readonly<Record<'code' | 'arguments' | 'outputs' | 'temporaries', number>>;
  /** The graph as a picture, operators with their lines; those that run libtorch's kernels are coloured. */
  svg(): Promise<string>;
}

/** An origin in a program (`12 aten::add.Tensor`) with the line of its node. */
export const originNote =
  (graph: Graph) =>
  (origin: string): string => {
    const [place, op] = origin.split(' ');
    const node = graph.nodes[Number(place)];
    return node === undefined ? origin : `${op}${atLine(node.line)}`;
  };

/** The same error; where XLA's text points into the program (`-:12:4`) or names an operator by its place, the line of the user's source is added. */
export const withLines = (graph: Graph, program: string, error: unknown): unknown => {
  if (!(error instanceof JorchError)) return error;
  const note = originNote(graph);
  const lines = program.split('\n');
  const text = error.message
    .replace(/-:(\d+):\d+/g, (at, line: string) => {
      const origin = /loc\("([^"]+)"\)$/.exec(lines[Number(line) - 1] ?? '')?.[1];
      return origin === undefined ? at : `${at} (${note(origin)})`;
    })
    .replace(/"(\d+ aten::[\w.]+)"/g, (_, origin: string) => note(origin));
  return text === error.message ? error : new JorchError(error.code, text, { cause: error });
};

export const loweredProgram = ({ graph, lowered, spec, results }: Built): LoweredProgram => {
  const { format, bytes, memory, cost } = native().optimizedProgram(spec.executable);
  let decoded: HloModule | undefined;
  const module = (): HloModule => {
    decoded ??= decodeHlo(format, bytes);
    return decoded;
  };
  return {
    graph,
    stablehlo: lowered.text,
    // Decoded when asked for: most callers look at one thing.
    hlo: {
      format,
      bytes,
      get text() {
        return printHlo(module(), originNote(graph));
      },
    },
    get cost() {
      return costOf(module(), cost);
    },
    memory,
    svg: () => svgOf({ graph, nodes: liveNodes(graph, results), results, calls: lowered.callNodes }),
  };
};
