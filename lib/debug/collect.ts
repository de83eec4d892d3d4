/** @file What debug.print and debug.check say while a function is recorded: kept beside the trace, for the program to report. */

/** A value to be printed, or a condition to be checked, at every run. */
export interface Report {
  readonly kind: 'print' | 'check';
  /** The id of the graph's value. */
  readonly value: number;
  /** Nodes that were recorded before it. */
  readonly position: number;
  /** `file:line:column` of the call. */
  readonly line: string;
  /** The label of a print, the message of a check. */
  readonly text: string;
}

const open: Report[][] = [];

/** Runs `record` and gathers what it reports. */
export const collectReports = <T>(record: () => T): { readonly value: T; readonly reports: readonly Report[] } => {
  const reports: Report[] = [];
  open.push(reports);
  try {
    return { value: record(), reports };
  } finally {
    open.pop();
  }
};

/** Adds to the innermost collection; false when there is none. */
export const addReport = (report: Report): boolean => {
  open.at(-1)?.push(report);
  return open.length > 0;
};
