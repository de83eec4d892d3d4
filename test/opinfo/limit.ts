/** @file A limit on what a child process may use: on a busy machine seconds of the clock say little. */
import { readFileSync } from 'node:fs';

/** Linux counts processor time in ticks of 10 ms in /proc, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100;
/** A process that waits for ever uses no processor time; the clock ends it too, much later. */
const CLOCK_FACTOR = 10;

/** Processor seconds of a process so far, or undefined when it is gone. */
const processorSeconds = (pid: number): number | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses and may contain spaces; user and system time are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
};

/** Calls `onExceeded` once when process `pid` has used `seconds` of processor time from now on. Returns a function that stops watching. */
export const watchLimit = (pid: number, seconds: number, onExceeded: () => void): (() => void) => {
  const start = processorSeconds(pid) ?? 0;
  const started = performance.now();
  const timer = setInterval(() => {
    const used = (processorSeconds(pid) ?? start) - start;
    if (used < seconds && performance.now() - started < seconds * CLOCK_FACTOR * 1000) return;
    clearInterval(timer);
    onExceeded();
  }, 200);
  return () => clearInterval(timer);
};
