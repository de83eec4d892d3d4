/** @file torch.nn.init: initial values, in place and outside of autograd. With the same seed the numbers are PyTorch's. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import * as torch from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import type { Generator, Tensor } from '../torch/python-types.js';

export interface InitOptions {
  generator?: Generator | undefined;
}
const seeded = ({ generator }: InitOptions): { generator?: Generator } =>
  generator === undefined ? {} : { generator };
const bad = (name: string, message: string): never => {
  throw new JorchError('BAD_ARGUMENT', `nn.init.${name}: ${message}`);
};

export type Nonlinearity =
  | 'linear'
  | 'conv1d'
  | 'conv2d'
  | 'conv3d'
  | 'conv_transpose1d'
  | 'conv_transpose2d'
  | 'conv_transpose3d'
  | 'sigmoid'
  | 'tanh'
  | 'relu'
  | 'leaky_relu'
  | 'selu';

/** The factor by which a nonlinearity wants its weights scaled. @param param the negative slope of leaky_relu, 0.01 if left out. @see https://docs.pytorch.org/docs/stable/nn.init.html */
export const calculate_gain = (nonlinearity: Nonlinearity, param?: number): number => {
  if (nonlinearity === 'tanh') return 5 / 3;
  if (nonlinearity === 'relu') return Math.SQRT2;
  if (nonlinearity === 'leaky_relu') return Math.sqrt(2 / (1 + (param ?? 0.01) ** 2));
  if (nonlinearity === 'selu') return 3 / 4;
  if (nonlinearity === 'sigmoid' || nonlinearity === 'linear' || /^conv(_transpose)?[123]d$/.test(nonlinearity))
    return 1;
  return bad('calculate_gain', `unknown nonlinearity '${String(nonlinearity)}'`);
};

/** How many dimensions it has, if it is a tensor. */
const dims = (tensor: Tensor): number =>
  native().isTensor(tensor)
    ? tensor.ndim
    : bad('init', `expected a tensor, got ${tensor === null ? 'null' : typeof tensor}`);

/** Inputs and outputs of one unit: the products of the sizes that a weight connects. */
export const _calculate_fan_in_and_fan_out = (tensor: Tensor): [fan_in: number, fan_out: number] => {
  if (dims(tensor) < 2)
    bad('fan', `fan in and fan out need at least 2 dimensions, got shape [${tensor.shape.join(', ')}]`);
  const field = tensor.shape.slice(2).reduce((a, b) => a * b, 1);
  return [tensor.shape[1] * field, tensor.shape[0] * field];
};

const filled = (tensor: Tensor, fill: () => unknown): Tensor => {
  dims(tensor);
  no_grad(fill);
  return tensor;
};

export const uniform_ = (tensor: Tensor, a = 0, b = 1, options: InitOptions = {}): Tensor =>
  filled(tensor, () => tensor.uniform_(a, b, seeded(options)));
export const normal_ = (tensor: Tensor, mean = 0, std = 1, options: InitOptions = {}): Tensor =>
  filled(tensor, () => tensor.normal_(mean, std, seeded(options)));
export const constant_ = (tensor: Tensor, val: number): Tensor => filled(tensor, () => tensor.fill_(val));
export const ones_ = (tensor: Tensor): Tensor => constant_(tensor, 1);
export const zeros_ = (tensor: Tensor): Tensor => filled(tensor, () => tensor.zero_());

/** The standard normal distribution function. */
const phi = (x: number): number => (1 + erf(x / Math.SQRT2)) / 2;
const erf = (x: number): number => torch.erf(torch.scalar_tensor(x, { dtype: 'float64' })).item();

/** A normal distribution cut off outside [a, b], by inversion. */
export const trunc_normal_ = (tensor: Tensor, mean = 0, std = 1, a = -2, b = 2, options: InitOptions = {}): Tensor =>
  filled(tensor, () => {
    const low = phi((a - mean) / std);
    const high = phi((b - mean) / std);
    tensor.uniform_(2 * low - 1, 2 * high - 1, seeded(options));
    tensor.erfinv_();
    tensor.mul_(std * Math.SQRT2);
    tensor.add_(mean);
    tensor.clamp_({ min: a, max: b });
  });

export const eye_ = (tensor: Tensor): Tensor => {
  if (dims(tensor) !== 2) bad('eye_', `needs 2 dimensions, got ${dims(tensor)}`);
  return filled(tensor, () => tensor.copy_(torch.eye(tensor.shape[0], tensor.shape[1], { dtype: tensor.dtype })));
};

/** Convolutions that keep their input: ones in the middle of the kernel's field. */
export const dirac_ = (tensor: Tensor, groups = 1): Tensor => {
  if (dims(tensor) < 3 || dims(tensor) > 5) bad('dirac_', `needs 3, 4 or 5 dimensions, got ${dims(tensor)}`);
  if (tensor.shape[0] % groups !== 0) bad('dirac_', `dim 0 must be divisible by ${groups} groups`);
  const perGroup = tensor.shape[0] / groups;
  const middle = tensor.shape.slice(2).map((n) => Math.floor(n / 2));
  return filled(tensor, () => {
    tensor.zero_();
    for (let g = 0; g < groups; g++)
      for (let d = 0; d < Math.min(perGroup, tensor.shape[1]); d++) tensor.setAt([g * perGroup + d, d, ...middle], 1);
  });
};

export const xavier_uniform_ = (tensor: Tensor, gain = 1, options: InitOptions = {}): Tensor => {
  const [fanIn, fanOut] = _calculate_fan_in_and_fan_out(tensor);
  const bound = Math.sqrt(3) * (gain * Math.sqrt(2 / (fanIn + fanOut)));
  return uniform_(tensor, -bound, bound, options);
};
export const xavier_normal_ = (tensor: Tensor, gain = 1, options: InitOptions = {}): Tensor => {
  const [fanIn, fanOut] = _calculate_fan_in_and_fan_out(tensor);
  return normal_(tensor, 0, gain * Math.sqrt(2 / (fanIn + fanOut)), options);
};

export type FanMode = 'fan_in' | 'fan_out';
const kaimingStd = (tensor: Tensor, a: number, mode: FanMode, nonlinearity: Nonlinearity): number => {
  const [fanIn, fanOut] = _calculate_fan_in_and_fan_out(tensor);
  if (mode !== 'fan_in' && mode !== 'fan_out')
    bad('kaiming', `mode must be 'fan_in' or 'fan_out', got '${String(mode)}'`);
  return calculate_gain(nonlinearity, a) / Math.sqrt(mode === 'fan_in' ? fanIn : fanOut);
};
export const kaiming_uniform_ = (
  tensor: Tensor,
  a = 0,
  mode: FanMode = 'fan_in',
  nonlinearity: Nonlinearity = 'leaky_relu',
  options: InitOptions = {},
): Tensor => {
  if (dims(tensor) > 0 && tensor.shape.includes(0)) return tensor;
  const bound = Math.sqrt(3) * kaimingStd(tensor, a, mode, nonlinearity);
  return uniform_(tensor, -bound, bound, options);
};
export const kaiming_normal_ = (
  tensor: Tensor,
  a = 0,
  mode: FanMode = 'fan_in',
  nonlinearity: Nonlinearity = 'leaky_relu',
  options: InitOptions = {},
): Tensor => {
  if (dims(tensor) > 0 && tensor.shape.includes(0)) return tensor;
  return normal_(tensor, 0, kaimingStd(tensor, a, mode, nonlinearity), options);
};

/** A (semi-)orthogonal matrix from the QR factors of a normal one; further dimensions are flattened into the second. */
export const orthogonal_ = (tensor: Tensor, gain = 1, options: InitOptions = {}): Tensor => {
  if (dims(tensor) < 2) bad('orthogonal_', `needs at least 2 dimensions, got ${dims(tensor)}`);
  if (tensor.numel() === 0) return tensor;
  const rows = tensor.shape[0];
  const cols = tensor.numel() / rows;
  return filled(tensor, () => {
    const flat = torch.empty([rows, cols], { dtype: tensor.dtype }).normal_(0, 1, seeded(options));
    const [q, r] = torch.qr(rows < cols ? flat.t() : flat);
    const signed = q.mul(r.diag().sign());
    tensor.copy_((rows < cols ? signed.t() : signed).reshape(tensor.shape));
    tensor.mul_(gain);
  });
};

/** Normal columns with a fraction `sparsity` of zeros each. */
export const sparse_ = (tensor: Tensor, sparsity: number, std = 0.01, options: InitOptions = {}): Tensor => {
  if (dims(tensor) !== 2) bad('sparse_', `needs 2 dimensions, got ${dims(tensor)}`);
  const [rows, cols] = tensor.shape;
  const zeros = Math.ceil(sparsity * rows);
  return filled(tensor, () => {
    tensor.normal_(0, std, seeded(options));
    for (let col = 0; col < cols; col++) {
      const chosen = torch.randperm(rows).narrow(0, 0, zeros);
      tensor.setAt([chosen, col], 0);
    }
  });
};
