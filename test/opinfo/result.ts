/** @file What the runner finds out about one sample. */

/** `refused`: compile says that the operator's result or its shape depends on data, as it should. `none`: the sample has nothing of the kind. */
export type Status = 'pass' | 'fail' | 'refused' | 'none';

export interface SampleResult {
  /** `<case file>/<sample id>`. */
  readonly id: string;
  readonly op: string;
  readonly dtype: string;
  /** Values, changed inputs and gradients, eagerly. */
  eager: Status;
  /** Values and changed inputs, compiled. */
  compiled: Status;
  /** Gradients out of the same compiled program. */
  gradient: Status;
  /** The failures, one line each; empty when all passed. */
  readonly messages: string[];
  /** ATen calls in the program that ran this sample (and others of its operator). */
  atenCalls: readonly string[];
  /** Whether the `expanded` program ran in place of a function that jorch lacks. */
  expanded: boolean;
}

/** One mode's finding, as a worker sends it. */
export interface Finding {
  readonly sample: number;
  readonly status: Status;
  readonly gradient: Status;
  readonly messages: readonly string[];
  readonly atenCalls: readonly string[];
  readonly expanded: boolean;
}

export const emptyResult = (file: string, op: string, id: string, dtype: string): SampleResult => ({
  id: `${file}/${id}`,
  op,
  dtype,
  eager: 'none',
  compiled: 'none',
  gradient: 'none',
  messages: [],
  atenCalls: [],
  expanded: false,
});

/** An error in one line that still says where it came from. */
export const describeError = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? `${String(error.code)}: ` : `${error.name}: `;
  return `${code}${error.message.split('\n').slice(0, 3).join(' | ')}`.slice(0, 600);
};
