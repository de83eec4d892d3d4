/** @file The process that compiles for a GPU; a crash of the compiler ends it, not the run. */
import { compileText } from '../../lib/cuda/topology.js';

/** A module's text for a card. */
export interface Request {
  readonly card: string;
  readonly text: string;
}
/** The machine code's size, or why there is none. */
export type Answer = { readonly bytes: number } | { readonly error: string };

process.on('message', ({ card, text }: Request) => {
  let answer: Answer;
  try {
    answer = { bytes: compileText(card, text).bytes.length };
  } catch (error) {
    answer = { error: (error as Error).message };
  }
  process.send!(answer);
});
