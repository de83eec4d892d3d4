/** @file compile.forTopology(card, f, …specs): a function compiled for an NVIDIA GPU that need not be here. */
import { describeProgram, planAlone, type Traced } from '../compile/export.js';
import { noteUse } from '../debug/xspace.js';
import { writeArchive } from '../export/archive.js';
import { compilerVersion, EXECUTABLE, translated } from '../export/load.js';
import { type Cost, costOf } from '../inspect/cost.js';
import { decodeHlo, type HloModule, printHlo } from '../inspect/hlo.js';
import { originNote, withLines } from '../inspect/lowered.js';
import { JorchError } from '../runtime/errors.js';
import { type CompiledFor, runtimeAddon } from '../runtime/load.js';
import { cudaCompiler } from '../runtime/locate-cuda.js';

/** A program for a named GPU. */
export interface TopologyProgram {
  /** The card: `h100`, … */
  readonly target: string;
  readonly stablehlo: string;
  /** XLA's optimized program: as the plugin gives it (a serialized protobuf), and as text with the lines of the user's source. */
  readonly hlo: { readonly format: string; readonly bytes: Buffer; readonly text: string };
  readonly cost: Cost;
  /** Bytes on the card, as XLA planned them. */
  readonly memory: Readonly<Record<'code' | 'arguments' | 'outputs' | 'temporaries', number>>;
  /** The machine code, serialized by this version of the plugin for this card. */
  readonly executable: Buffer;
  /**
   * Writes the machine code with the captured tensors to a file that loadCompiled() runs where the card is, without compiling.
   * @throws JorchError BAD_ARGUMENT for a function that changes tensors; the file system's error.
   */
  save(path: string): void;
}

/** Compiles a program's text for `card`. @throws JorchError RUNTIME_MISSING, COMPILE_FAILED, TOO_LARGE */
export const compileText = (card: string, stablehlo: string): CompiledFor => {
  const { plugin, toolkit } = cudaCompiler();
  noteUse(plugin);
  return translated(() => runtimeAddon().compileFor(plugin, toolkit, card, stablehlo, {}));
};

/** The cards that there are descriptions of. */
export const cards = (): string[] => runtimeAddon().gpuTargets();

/** @throws JorchError BAD_ARGUMENT naming the cards that there are */
export const checkCard = (card: unknown): string => {
  if (typeof card !== 'string' || !cards().includes(card))
    throw new JorchError(
      'BAD_ARGUMENT',
      `compile.forTopology: expected the name of a GPU (${cards().join(', ')}), got ${typeof card === 'string' ? `'${card}'` : typeof card}`,
    );
  return card;
};

/** Compiles what was traced. Its values only: gradients through the call are no part of it. */
export const compileForTopology = (card: string, traced: Traced): TopologyProgram => {
  const planned = planAlone(traced, `compiled for '${card}'`, 'gpu');
  const stablehlo = planned.programs[0]!.text;
  const compiled = ((): CompiledFor => {
    try {
      return compileText(card, stablehlo);
    } catch (error) {
      throw withLines(planned.graph, stablehlo, error);
    }
  })();
  let decoded: HloModule | undefined;
  const module = (): HloModule => {
    decoded ??= decodeHlo(compiled.format, compiled.hlo);
    return decoded;
  };
  return {
    target: card,
    stablehlo,
    hlo: {
      format: compiled.format,
      bytes: compiled.hlo,
      get text() {
        return printHlo(module(), originNote(planned.graph));
      },
    },
    get cost() {
      return costOf(module(), compiled.cost);
    },
    memory: compiled.memory,
    executable: compiled.bytes,
    save: (path) => {
      const { signature, tensors } = describeProgram(traced, planned, {
        platform: 'cuda',
        plugin: compilerVersion('cuda'),
        card,
      });
      const { bytes } = compiled;
      tensors.set(EXECUTABLE, { dtype: 'uint8', shape: [bytes.length], data: bytes });
      writeArchive(path, { metadata: { signature, stablehlo }, tensors });
    },
  };
};
