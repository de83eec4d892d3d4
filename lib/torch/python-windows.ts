/** @file torch.signal.windows: window functions. `sym: false` makes a window one element short of a symmetric one, for periodic signals. */
import { JorchError } from '../runtime/errors.js';
import * as torch from './generated/ops.js';
import { WINDOWS, type WindowsArguments, type WindowsPython } from './generated/python-signatures.js';
import { pythonModule } from './python-call.js';
import type { DeviceLike, DType, Layout, Tensor } from './python-types.js';

const define = pythonModule<WindowsPython, WindowsArguments>('signal.windows', WINDOWS);

interface Common {
  readonly M: number;
  readonly sym: boolean;
  readonly dtype: DType | null;
  readonly layout: Layout;
  readonly device: DeviceLike | null;
  readonly requires_grad: boolean;
}

function bad(name: string, message: string): never {
  throw new JorchError('BAD_ARGUMENT', `signal.windows.${name}: ${message}`);
}

function check(name: string, { M, dtype, layout }: Common): void {
  if (!(M >= 0)) bad(name, `M must not be negative, got ${M}`);
  if (layout !== 'strided') bad(name, `makes strided tensors only, got layout '${layout}'`);
  if (dtype !== null && dtype !== 'float32' && dtype !== 'float64')
    bad(name, `dtype must be float32 or float64, got ${dtype}`);
}

const options = ({ dtype, device, requires_grad }: Common) => ({ dtype, device, requires_grad });
const empty = (a: Common): Tensor => torch.empty([0], options(a));
const line = (a: Common, start: number, end: number): Tensor => torch.linspace(start, end, a.M, options(a));
/** Distance of neighbours on `length` laid over the window. */
const step = ({ M, sym }: Common, length: number): number => length / (sym ? M - 1 : M);

export const exponential = define('exponential', (a) => {
  check('exponential', a);
  if (!(a.tau > 0)) bad('exponential', `tau must be positive, got ${a.tau}`);
  if (a.sym && a.center !== null) bad('exponential', 'a symmetric window has its own center');
  if (a.M === 0) return empty(a);
  const center = a.center ?? (!a.sym && a.M > 1 ? a.M : a.M - 1) / 2;
  return line(a, -center / a.tau, (-center + a.M - 1) / a.tau)
    .abs()
    .neg()
    .exp();
});
export const cosine = define('cosine', (a) => {
  check('cosine', a);
  if (a.M === 0) return empty(a);
  const constant = Math.PI / (!a.sym && a.M > 1 ? a.M + 1 : a.M);
  return line(a, 0.5 * constant, (a.M - 0.5) * constant).sin();
});
export const gaussian = define('gaussian', (a) => {
  check('gaussian', a);
  if (!(a.std > 0)) bad('gaussian', `std must be positive, got ${a.std}`);
  if (a.M === 0) return empty(a);
  const start = -(!a.sym && a.M > 1 ? a.M : a.M - 1) / 2;
  const constant = 1 / (a.std * Math.SQRT2);
  return line(a, start * constant, (start + a.M - 1) * constant)
    .pow(2)
    .neg()
    .exp();
});
export const kaiser = define('kaiser', (a) => {
  check('kaiser', a);
  if (!(a.beta >= 0)) bad('kaiser', `beta must not be negative, got ${a.beta}`);
  if (a.M === 0) return empty(a);
  if (a.M === 1) return torch.ones([1], options(a));
  // In tensors, so that the last point is beta itself in the window's precision.
  const beta = torch.full([], a.beta, { dtype: a.dtype ?? torch.empty([0]).dtype, device: a.device });
  const end = torch.minimum(
    beta,
    beta.neg().add(
      beta
        .mul(2)
        .div(a.sym ? a.M - 1 : a.M)
        .mul(a.M - 1),
    ),
  );
  const k = torch.linspace(beta.neg(), end, a.M, options(a));
  return torch.i0(beta.mul(beta).sub(k.pow(2)).sqrt()).div(torch.i0(beta));
});
export const bartlett = define('bartlett', (a) => {
  check('bartlett', a);
  if (a.M === 0) return empty(a);
  if (a.M === 1) return torch.ones([1], options(a));
  return line(a, -1, -1 + (a.M - 1) * step(a, 2))
    .abs()
    .neg()
    .add(1);
});

/** Sum of cosines of multiples of the angle, with alternating signs. */
function cosineSum(name: string, a: Common, coefficients: readonly number[]): Tensor {
  check(name, a);
  if (a.M === 0) return empty(a);
  if (a.M === 1) return torch.ones([1], options(a));
  if (coefficients.length === 0) bad(name, 'coefficients must not be empty');
  const k = line(a, 0, (a.M - 1) * step(a, 2 * Math.PI));
  const { dtype, device, requires_grad } = k;
  const signed = torch.stack(coefficients.map((w, i) => torch.full([], i % 2 === 0 ? w : -w, { dtype, device })));
  const i = torch.arange(coefficients.length, { dtype, device });
  const leaf = requires_grad ? signed.requires_grad_() : signed;
  return leaf.unsqueeze(-1).mul(i.unsqueeze(-1).mul(k).cos()).sum(0);
}
export const general_cosine = define('general_cosine', (a) => cosineSum('general_cosine', a, a.a));
export const general_hamming = define('general_hamming', (a) =>
  cosineSum('general_hamming', a, [a.alpha, 1 - a.alpha]),
);
export const hamming = define('hamming', (a) => cosineSum('hamming', a, [0.54, 1 - 0.54]));
export const hann = define('hann', (a) => cosineSum('hann', a, [0.5, 0.5]));
export const blackman = define('blackman', (a) => cosineSum('blackman', a, [0.42, 0.5, 0.08]));
export const nuttall = define('nuttall', (a) => cosineSum('nuttall', a, [0.3635819, 0.4891775, 0.1365995, 0.0106411]));
