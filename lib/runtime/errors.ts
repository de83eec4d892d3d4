/** @file JorchError: every error that jorch throws on purpose. */

/** The stable codes; texts may improve, codes stay. */
export type ErrorCode =
  | 'BAD_ARGUMENT'
  | 'DISPOSED'
  | 'CONCRETIZATION'
  | 'LEAKED_TRACE'
  | 'NO_RULE'
  | 'DYNAMIC_SHAPE'
  | 'TOO_LARGE'
  | 'OUT_OF_MEMORY'
  | 'COMPILE_FAILED'
  | 'DEVICE_LOST'
  | 'WRONG_THREAD'
  | 'RUNTIME_MISSING'
  | 'RUNTIME_CONFLICT'
  | 'CACHE_REFUSED'
  | 'CHECK_FAILED';

/**
 * What went wrong, with the values given, what is needed and what to do. `code` is stable.
 * @example try { x.matmul(y); } catch (e) { if (isJorchError(e) && e.code === 'BAD_ARGUMENT') … }
 */
export class JorchError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'JorchError';
    this.code = code;
  }
}

/** Whether `error` was thrown by jorch (by brand, so that two copies of the package recognise each other's errors). */
export const isJorchError = (error: unknown): error is JorchError =>
  error instanceof Error && error.name === 'JorchError' && 'code' in error;

/** Of a promise that is refused, so that nobody waits for it: its rejection must not end the process. */
export const ignoreRejection = (promise: PromiseLike<unknown>): void => {
  promise.then(undefined, () => {});
};
