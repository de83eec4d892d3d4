/** @file Lines of the user's source: where a call into jorch came from, and of the operators that a trace records. */
import { join } from 'node:path';
import { packageRoot } from './parts.js';

type Callee = (...args: never[]) => unknown;

const ownFiles = join(packageRoot, 'dist', 'lib');
/** Where source maps say that those are. */
const ownSources = join(packageRoot, 'lib');

/** As far as the user's frame is looked for. */
const FRAMES = 24;
/** As far as it was away lately, taken back slowly: what a stack costs is its frames, above all those that V8 has inlined. */
let reach = 1;

/** The line of the first frame outside this package, taken from V8's frames: formatting them as text costs ten times as much. */
const lineOf = (_: unknown, frames: readonly NodeJS.CallSite[]): string => {
  for (let i = 0; i < frames.length; i++) {
    const frame = frames[i]!;
    const file = frame.getFileName();
    if (!file || file.startsWith('node:') || file.startsWith(ownFiles)) continue;
    reach = Math.max(i + 1, reach - 1 / 64);
    return `${file}:${frame.getLineNumber()}:${frame.getColumnNumber()}`;
  }
  return '';
};

/** The same from the text, which is right where source maps or the user's own formatter change lines. */
const lineIn = (stack: string): string => {
  for (const frame of stack.split('\n').slice(1)) {
    const at = /\(?((?:\/|file:)[^()]*:\d+:\d+)\)?$/.exec(frame)?.[1];
    if (at && !at.includes(ownFiles) && !at.includes(ownSources)) return at;
  }
  return '';
};

/** The innermost frame outside this package among those that called `below`, empty when there is none. */
const lineAbove = (below: Callee): string => {
  const holder: { stack?: unknown } = {};
  const { stackTraceLimit, prepareStackTrace } = Error;
  // Node's own formatter has this name; undefined is V8's.
  const own = prepareStackTrace === undefined || prepareStackTrace.name === 'ErrorPrepareStackTrace';
  const plain = own && process.sourceMapsEnabled !== true;
  try {
    if (!plain) {
      Error.stackTraceLimit = FRAMES;
      Error.captureStackTrace(holder, below);
      return lineIn(String(holder.stack));
    }
    Error.prepareStackTrace = lineOf;
    Error.stackTraceLimit = Math.ceil(reach);
    Error.captureStackTrace(holder, below);
    const near = holder.stack as string;
    if (near !== '' || reach >= FRAMES) return near;
    reach = 0;
    const all: { stack?: unknown } = {};
    Error.stackTraceLimit = FRAMES;
    Error.captureStackTrace(all, below);
    const far = all.stack as string;
    if (far === '') reach = FRAMES; // until a frame is found
    return far;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    if (plain) Error.prepareStackTrace = prepareStackTrace as typeof Error.prepareStackTrace;
  }
};

/** The lines of the open trace's operators; the first is of those of which nothing is known. */
let lines: string[] | undefined;
/** Whether all operators are said to come from the line that is there. */
let said = false;
/** The place among them of what is recorded now, which native code reads. */
export const lineNow = new Int32Array(new ArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Runs `record`, which opens a trace; those within it have their lines in the same list. */
export const keepLines = <T>(record: (lines: readonly string[]) => T): T => {
  const outer = lines;
  const place = lineNow[0]!;
  lines ??= [''];
  try {
    return record(lines);
  } finally {
    lines = outer;
    lineNow[0] = place;
  }
};

/** Tells native code where the operator comes from that `below`, which the user or this package calls, is about to record. */
export const noteLine = (below: Callee): void => {
  if (lines !== undefined && !said) lineNow[0] = lines.push(lineAbove(below)) - 1;
};

/** The same where native code finds that an operator is about to be recorded. */
export const noteUserLine = (): void => noteLine(noteUserLine);

/** The user's line that called into jorch: the innermost frame outside this package. */
export const userLine = (): string => (said ? lines![lineNow[0]!]! : lineAbove(userLine));

const saying = <T>(one: boolean, f: () => T): T => {
  const [before, place] = [said, lineNow[0]!];
  said = one;
  try {
    return f();
  } finally {
    said = before;
    lineNow[0] = place;
  }
};
/**
 * Runs `f`, operators of ours and nothing of the user's: in a trace all are said to come from the line that called `below`, by default this function, which is looked up
 * once.
 */
export const fromOneLine = <T>(f: () => T, below?: Callee): T => {
  if (lines === undefined || said) return f();
  const line = lineAbove(below ?? fromOneLine);
  return saying(true, () => {
    lineNow[0] = lines!.push(line) - 1;
    return f();
  });
};
/** Runs `f`, a function of the user's that those call: its operators have lines of their own. */
export const fromOwnLines = <T>(f: () => T): T => (said ? saying(false, f) : f());
