/** @file Modes: grad, inference, autocast, default dtype, threads. Thread-local in libtorch, hence synchronous functions only. */
import { ignoreRejection, JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { DType } from './dtype.js';

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';

/** A mode must be over when its function returns: one that awaits would leak it into whatever runs meanwhile. */
const synchronous = <T>(mode: string, value: T): T => {
  if (isPromise(value)) {
    ignoreRejection(value);
    throw new JorchError(
      'BAD_ARGUMENT',
      `${mode}: the function returned a promise; modes hold for synchronous functions only. Await first, then call ${mode} around the computation`,
    );
  }
  return value;
};

const checkFunction = (mode: string, fn: unknown): void => {
  if (typeof fn !== 'function')
    throw new JorchError(
      'BAD_ARGUMENT',
      `${mode}: expected a function, got ${fn === null ? 'null' : typeof fn}: write ${mode}(() => …)`,
    );
};

const withGrad = <T>(mode: string, enabled: boolean, fn: () => T): T => {
  checkFunction(mode, fn);
  const before = native().setGradEnabled(enabled);
  try {
    return synchronous(mode, fn());
  } finally {
    native().setGradEnabled(before);
  }
};

/** Runs `fn` without recording for autograd. @see https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html */
export const no_grad = <T>(fn: () => T): T => withGrad('no_grad', false, fn);
/** Runs `fn` recording for autograd, inside no_grad. @see https://docs.pytorch.org/docs/stable/generated/torch.enable_grad.html */
export const enable_grad = <T>(fn: () => T): T => withGrad('enable_grad', true, fn);
/** Runs `fn` with recording on or off. @see https://docs.pytorch.org/docs/stable/generated/torch.set_grad_enabled.html */
export const set_grad_enabled = <T>(enabled: boolean, fn: () => T): T => withGrad('set_grad_enabled', enabled, fn);
export const is_grad_enabled = (): boolean => native().gradEnabled();

/** Runs `fn` in inference mode: no autograd, no version counting. @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.inference_mode.html */
export const inference_mode = <T>(fn: () => T): T => {
  checkFunction('inference_mode', fn);
  return synchronous('inference_mode', native().inferenceMode(fn));
};

export interface AutocastOptions {
  device_type?: string | undefined;
  /** bfloat16 unless told otherwise; float16 is the other. */
  dtype?: DType | undefined;
  enabled?: boolean | undefined;
  /** Accepted as in torch: casts of one parameter inside `fn` are made once. */
  cache_enabled?: boolean | undefined;
}

/** Whether there is autocast for tensors of this kind of device. */
export const is_autocast_available = (device_type: string): boolean => device_type === 'cpu';

/**
 * Runs `fn` under autocast: matrix products and convolutions in `dtype`, what needs the precision in float32.
 * @example torch.autocast('cpu', { dtype: torch.bfloat16 }, () => model.forward(x))
 * @see https://docs.pytorch.org/docs/stable/amp.html
 */
export function autocast<T>(device_type: string, fn: () => T): T;
export function autocast<T>(device_type: string, options: AutocastOptions, fn: () => T): T;
export function autocast<T>(options: AutocastOptions, fn: () => T): T;
export function autocast<T>(...args: readonly unknown[]): T {
  const fn = args.at(-1) as () => T;
  checkFunction('autocast', fn);
  const options: AutocastOptions = Object.assign(
    {},
    ...args.slice(0, -1).map((a) => (typeof a === 'string' ? { device_type: a } : a)),
  );
  const { device_type = 'cpu', dtype = 'bfloat16', enabled = true } = options;
  if (!is_autocast_available(device_type))
    throw new JorchError('BAD_ARGUMENT', `autocast: there is none for '${device_type}' here, only for 'cpu'`);
  if (enabled && dtype !== 'bfloat16' && dtype !== 'float16')
    throw new JorchError('BAD_ARGUMENT', `autocast: on the CPU the dtype is bfloat16 or float16, not ${dtype}`);
  return synchronous('autocast', native().autocast(enabled, dtype, fn));
}

/** The dtype that JavaScript numbers become in `tensor`, `full`, `zeros`, …: float32 unless set. */
export const get_default_dtype = (): DType => native().defaultDtype();
export const set_default_dtype = (dtype: DType): void => {
  native().defaultDtype(dtype);
};

/** Threads that libtorch uses inside one operator. XLA's are as many as OMP_NUM_THREADS (or PJRT_NPROC) said when the process began, else one for each core. */
export const set_num_threads = (threads: number): void => {
  native().numThreads(threads);
};
export const get_num_threads = (): number => native().numThreads();
