/** @file What random graphs are made of: operators on any tensors; where they do not fit, torch refuses, and the graph goes on with the first operand. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

/** Operands, two small whole numbers, and a number with a fraction. */
export type Step = (a: Tensor, b: Tensor, c: Tensor, n: number, m: number, s: number) => Tensor;

const dim = (a: Tensor, n: number): number => (a.ndim === 0 ? 0 : (n % a.ndim) - (n % 2 === 0 ? 0 : a.ndim));
/** exp and its like would leave all numbers infinite in a few steps. */
const tamed = (a: Tensor): Tensor => (a.is_floating_point() || a.is_complex() ? a.mul(0.25).clamp(-4, 4) : a);

/** With 1 for NaN, whose sign is nobody's promise. */
const signed = (a: Tensor): Tensor => (a.is_floating_point() ? torch.where(a.isnan(), 1, a) : a);

const unary = Object.fromEntries(
  [
    ...[
      'neg',
      'abs',
      'sin',
      'cos',
      'tanh',
      'sigmoid',
      'relu',
      'square',
      'erf',
      'atan',
      'expm1',
      'isnan',
      'isfinite',
      'logical_not',
      'bitwise_not',
      'sign',
      'floor',
      'ceil',
    ],
    ...[
      'round',
      'trunc',
      'frac',
      'sqrt',
      'rsqrt',
      'reciprocal',
      'exp',
      'exp2',
      'log',
      'log1p',
      'sgn',
      'positive',
      'deg2rad',
      'asinh',
      'sinc',
      'logit',
      'isposinf',
    ],
  ].map((name): [string, Step] => [
    name,
    (a) => (a as unknown as Record<string, () => Tensor>)[name]!.call(/exp/.test(name) ? tamed(a) : a),
  ]),
);

const binary = Object.fromEntries(
  [
    ...[
      'add',
      'sub',
      'mul',
      'div',
      'maximum',
      'minimum',
      'fmax',
      'fmin',
      'remainder',
      'fmod',
      'atan2',
      'hypot',
      'eq',
      'ne',
      'lt',
      'le',
      'gt',
      'ge',
      'logical_and',
    ],
    ...[
      'logical_or',
      'logical_xor',
      'bitwise_and',
      'bitwise_or',
      'bitwise_xor',
      'floor_divide',
      'xlogy',
      'heaviside',
      'logaddexp',
      'true_divide',
      'dist',
      'mm',
      'matmul',
      'mv',
    ],
    ...['bmm', 'dot', 'outer', 'kron', 'inner'],
  ].map((name): [string, Step] => [name, (a, b) => (a as unknown as Record<string, (b: Tensor) => Tensor>)[name]!(b)]),
);

const inPlace = Object.fromEntries(
  ['add_', 'sub_', 'mul_', 'copy_', 'div_', 'maximum_', 'logical_and_', 'bitwise_or_', 'eq_', 'atan2_']
    .filter((name) => name !== 'maximum_')
    .map((name): [string, Step] => [name, (a, b) => (a as unknown as Record<string, (b: Tensor) => Tensor>)[name]!(b)]),
);

const inPlaceAlone = Object.fromEntries(
  ['neg_', 'zero_', 'relu_', 'sin_', 'tanh_', 'abs_', 'square_', 'floor_', 'sigmoid_', 't_'].map(
    (name): [string, Step] => [name, (a) => (a as unknown as Record<string, () => Tensor>)[name]!()],
  ),
);

export const STEPS: Readonly<Record<string, Step>> = {
  ...unary,
  ...binary,
  ...inPlace,
  ...inPlaceAlone,
  nothing: (a) => a,
  signbit: (a) => signed(a).signbit(),
  copysign: (a, b) => a.copysign(signed(b)),
  // Numbers.
  'add number': (a, _b, _c, n) => a.add(n),
  'sub fraction': (a, _b, _c, _n, _m, s) => a.sub(s),
  'mul number': (a, _b, _c, n) => a.mul(n - 2),
  'div number': (a, _b, _c, n) => a.div(n + 1),
  'number minus': (a, _b, _c, _n, _m, s) => torch.rsub(a, s),
  'pow number': (a, _b, _c, n) => a.pow(n),
  'pow fraction': (a, _b, _c, _n, _m, s) => a.abs().add(0.5).pow(s),
  'number to the power': (a, _b, _c, n) => torch.pow(n + 1, tamed(a)),
  'remainder number': (a, _b, _c, n) => a.remainder(n + 2),
  'floor_divide number': (a, _b, _c, n) => a.floor_divide(n + 1),
  'gt number': (a, _b, _c, _n, _m, s) => a.gt(s),
  clamp: (a, _b, _c, n, m) => a.clamp(-n, m),
  'clamp tensor': (a, b, c) => a.clamp(b, c),
  'add alpha': (a, b, _c, n) => a.add(b, { alpha: n }),
  addcmul: (a, b, c, _n, _m, s) => torch.addcmul(a, b, c, { value: s }),
  addcdiv: (a, b, c) => torch.addcdiv(a, b, c.abs().add(1)),
  addmm: (a, b, c, n) => torch.addmm(a, b, c, { beta: n, alpha: 2 }),
  lerp: (a, b, _c, _n, _m, s) => a.lerp(b, s),
  where: (a, b, c) => torch.where(c.to('bool'), a, b),
  'where number': (a, b, _c, n) => torch.where(b.gt(0), a, n),
  masked_fill: (a, b, _c, n) => a.masked_fill(b.gt(0), n),
  nan_to_num: (a) => a.nan_to_num(),
  threshold: (a, _b, _c, n, m) => torch.nn.functional.threshold(a, n, m),
  gelu: (a) => torch.nn.functional.gelu(a),
  silu: (a) => torch.nn.functional.silu(a),
  softplus: (a) => torch.nn.functional.softplus(a),
  hardtanh: (a) => torch.nn.functional.hardtanh(a),
  leaky_relu: (a) => torch.nn.functional.leaky_relu(a, 0.1),
  'div floor': (a, b) => a.div(b, { rounding_mode: 'floor' }),
  'div trunc': (a, b) => a.div(b, { rounding_mode: 'trunc' }),
  // Types.
  float: (a) => a.to('float32'),
  double: (a) => a.to('float64'),
  int: (a) => tamed(a).nan_to_num().to('int32'),
  long: (a) => tamed(a).nan_to_num().to('int64'),
  bool: (a) => a.to('bool'),
  complex: (a) => a.to('complex64'),
  real: (a) => torch.real(a),
  imag: (a) => torch.imag(a),
  conj: (a) => a.conj(),
  'type as': (a, b) => a.type_as(b),
  view_as_real: (a) => torch.view_as_real(a),
  angle: (a) => a.angle(),
  // Reductions.
  sum: (a) => a.sum(),
  'sum dim': (a, _b, _c, n, m) => a.sum(dim(a, n), m % 2 === 0),
  mean: (a, _b, _c, n) => a.mean(dim(a, n)),
  prod: (a, _b, _c, n) => a.prod(dim(a, n)),
  amax: (a, _b, _c, n, m) => a.amax(dim(a, n), m % 2 === 0),
  amin: (a, _b, _c, n) => a.amin(dim(a, n)),
  'max values': (a, _b, _c, n) => a.max(dim(a, n)).values,
  'min indices': (a, _b, _c, n) => a.min(dim(a, n)).indices,
  argmax: (a, _b, _c, n) => a.argmax(dim(a, n)),
  any: (a, _b, _c, n) => a.any(dim(a, n)),
  all: (a) => a.all(),
  var: (a, _b, _c, n) => a.var(dim(a, n)),
  std: (a, _b, _c, n) => a.std(dim(a, n), { correction: 0 }),
  norm: (a, _b, _c, n) => torch.linalg.vector_norm(a, 2, [dim(a, n)]),
  logsumexp: (a, _b, _c, n) => a.logsumexp(dim(a, n)),
  count_nonzero: (a, _b, _c, n) => a.count_nonzero(dim(a, n)),
  cumsum: (a, _b, _c, n) => a.cumsum(dim(a, n)),
  cumprod: (a, _b, _c, n) => a.cumprod(dim(a, n)),
  cummax: (a, _b, _c, n) => a.cummax(dim(a, n)).values,
  softmax: (a, _b, _c, n) => a.softmax(dim(a, n)),
  log_softmax: (a, _b, _c, n) => a.log_softmax(dim(a, n)),
  sort: (a, _b, _c, n, m) => a.sort(dim(a, n), m % 2 === 0).values,
  argsort: (a, _b, _c, n) => a.argsort({ dim: dim(a, n), stable: true }),
  topk: (a, _b, _c, n) => a.topk(1, dim(a, n)).values,
  'gather sorted': (a, _b, _c, n) => a.gather(dim(a, n), a.argsort({ dim: dim(a, n), stable: true })),
  trace: (a) => a.trace(),
  diff: (a, _b, _c, n) => a.diff(1, dim(a, n)),
  // Shapes and views.
  transpose: (a, _b, _c, n, m) => a.transpose(dim(a, n), dim(a, m)),
  permute: (a) => a.permute(a.shape.map((_, i) => a.ndim - 1 - i)),
  reshape: (a) => a.reshape([-1]),
  view: (a) => a.view([-1]),
  unsqueeze: (a, _b, _c, n) => a.unsqueeze(n % (a.ndim + 1)),
  squeeze: (a) => a.squeeze(),
  select: (a, _b, _c, n, m) => a.select(dim(a, n), m % (a.size(dim(a, n)) as number)),
  slice: (a, _b, _c, n, m) => a.narrow(dim(a, n), m % (a.size(dim(a, n)) as number), 1),
  'every second': (a) => a.at('::2'),
  expand: (a, _b, _c, n) => a.expand([n + 1, ...a.shape]),
  'expand as': (a, b) => a.expand_as(b),
  diagonal: (a, _b, _c, n) => a.diagonal(n - 1),
  diag_embed: (a) => a.diag_embed(),
  flip: (a, _b, _c, n) => a.flip(dim(a, n)),
  roll: (a, _b, _c, n, m) => a.roll(m, dim(a, n)),
  repeat: (a, _b, _c, n) => a.repeat([n, ...a.shape.map(() => 1)]),
  tril: (a, _b, _c, n) => a.tril(n - 1),
  unfold: (a, _b, _c, n) => a.unfold(dim(a, n), 2, 1),
  split: (a, _b, _c, n) => a.split(1, dim(a, n)).at(-1)!,
  chunk: (a, _b, _c, n) => a.chunk(2, dim(a, n)).at(0)!,
  unbind: (a) => a.unbind().at(-1)!,
  pad: (a, _b, _c, n, m) => torch.nn.functional.pad(a, [n, m - 1]),
  cat: (a, b, _c, n) => torch.cat([a, b, a], dim(a, n)),
  stack: (a, b, _c, n) => torch.stack([a, b], dim(a, n)),
  contiguous: (a) => a.contiguous(),
  clone: (a) => a.clone(),
  detach: (a) => a.detach(),
  index_select: (a, _b, _c, n) => a.index_select(dim(a, n), torch.tensor([0n, 0n])),
  'index with a list': (a) => a.at([0, -1, 0]),
  meshgrid: (a, b) => torch.meshgrid([a, b], { indexing: 'ij' })[1]!,
  // Writes, through views too.
  fill_: (a, _b, _c, n) => a.fill_(n),
  masked_fill_: (a, b, _c, n) => a.masked_fill_(b.gt(0), n),
  clamp_: (a) => a.clamp_(-1, 1),
  'add_ to a row': (a, b) => a.select(0, 0).add_(b),
  'copy_ to a slice': (a, b, _c, n) => a.narrow(dim(a, n), 0, 1).copy_(b),
  'fill_ a diagonal': (a, _b, _c, n) => a.diagonal().fill_(n),
  'mul_ transposed': (a, b) => a.mT.mul_(b),
  'set at': (a, b) => {
    a.setAt([0], b);
    return a;
  },
  index_put_: (a, b) => a.index_put_([torch.tensor([0n])], b, true),
  scatter_add: (a, b, _c, n) => a.scatter_add(dim(a, n), torch.zeros_like(b, { dtype: 'int64' }), b),
  addmm_: (a, b, c) => a.addmm_(b, c),
  'add_ itself': (a) => a.add_(a),
  unsqueeze_: (a) => a.unsqueeze_(0),
  requires_grad_: (a) => a.detach().requires_grad_(a.is_floating_point()),
};

/** Steps that jump: what rounding did to their operands may be seen as a whole. */
export const JUMPS =
  /^(floor|ceil|round|trunc|frac|sign|sgn|signbit|eq|ne|lt|le|gt|ge|logical_|heaviside|remainder|fmod|floor_divide|div (floor|trunc)$|gt number|where|masked_fill|threshold|bool|int|long|arg|min indices|topk|sort|gather sorted|count_nonzero|isposinf)(?!.*_$)/;
