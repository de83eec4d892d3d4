/** @file A program per lowering rule that neither the conformance corpus nor the tests reach: its overload called directly, arguments made from its schema. */
import { plan } from '../../lib/compile/build.js';
import { traceAlone } from '../../lib/compile/compile.js';
import * as torch from '../../lib/index.js';
import { native } from '../../lib/runtime/load.js';
import type { Program } from './programs.js';

const { tensor } = torch;
type Arguments = readonly unknown[];
const f = (...shape: number[]) => torch.rand(shape);
const long = (...data: number[]) => tensor(data, { dtype: 'int64' });
const matrix = () => torch.eye(4).mul(2);
/** Stands for a generator, which is no argument of a program. */
const GENERATOR = 'a generator';

/** Arguments where a float32 [2, 4, 6, 8] for every tensor and 1 for every number will not do. */
const ARGUMENTS: Readonly<Record<string, () => Arguments>> = {
  'aten::bitwise_and.Scalar': () => [long(1, 2), 1],
  'aten::bitwise_xor.Scalar': () => [long(1, 2), 1],
  'aten::bitwise_left_shift.Tensor': () => [long(1, 2), long(1, 2)],
  'aten::bitwise_left_shift.Tensor_Scalar': () => [long(1, 2), 1],
  'aten::bitwise_right_shift.Tensor': () => [long(8, 2), long(1, 2)],
  'aten::_linalg_slogdet': () => [matrix()],
  'aten::_pdist_forward': () => [f(4, 3), 2],
  'aten::addbmm': () => [f(2, 4), f(3, 2, 5), f(3, 5, 4)],
  'aten::baddbmm': () => [f(3, 2, 4), f(3, 2, 5), f(3, 5, 4)],
  'aten::as_strided_scatter': () => [f(3, 4), f(2, 2), [2, 2], [4, 1]],
  'aten::col2im': () => [f(1, 8, 9), [4, 4], [2, 2], [1, 1], [0, 0], [1, 1]],
  'aten::nonzero_static': () => [long(0, 1, 2), { size: 2 }],
  'aten::searchsorted.Scalar': () => [f(6), 0.5],
  'aten::trace': () => [f(3, 3)],
  'aten::reflection_pad3d': () => [f(1, 2, 4, 4, 4), [1, 1, 1, 1, 1, 1]],
  'aten::replication_pad3d': () => [f(1, 2, 4, 4, 4), [1, 1, 1, 1, 1, 1]],
  'aten::_adaptive_avg_pool3d_backward': () => [f(2, 4, 2, 2, 2), f(2, 4, 4, 4, 4)],
  'aten::_batch_norm_with_update_functional': () => [f(2, 4, 6), f(4), f(4), f(4), f(4), 0.1, 1e-5],
  'aten::_cdist_backward': () => [f(3, 5), f(3, 4), f(5, 4), 2, f(3, 5)],
  'aten::_cholesky_solve_helper': () => [f(4, 2), matrix(), false],
  'aten::_convolution': () => [
    f(1, 2, 6, 6),
    f(3, 2, 3, 3),
    null,
    [1, 1],
    [0, 0],
    [1, 1],
    false,
    [0, 0],
    1,
    false,
    false,
    true,
    true,
  ],
  'aten::_efficientzerotensor': () => [[2, 3]],
  'aten::_embedding_bag_dense_backward': () => [
    f(2, 3),
    long(0, 1, 2, 1),
    long(0, 0, 1, 1),
    long(2, 2),
    long(0, 0),
    10,
    false,
    0,
    null,
  ],
  'aten::_embedding_bag_per_sample_weights_backward': () => [
    f(2, 3),
    f(10, 3),
    long(0, 1, 2, 1),
    long(0, 2),
    long(0, 0, 1, 1),
    0,
  ],
  'aten::_euclidean_dist': () => [f(3, 4), f(5, 4)],
  'aten::_native_batch_norm_legit_no_training': () => [f(2, 4, 6), f(4), f(4), f(4), f(4), 0.1, 1e-5],
  'aten::_pdist_backward': () => [f(6), f(4, 3), 2, f(6)],
  'aten::_reshape_alias': () => [f(2, 6), [3, 4], [4, 1]],
  'aten::_reshape_copy': () => [f(2, 6), [3, 4]],
  'aten::_scaled_dot_product_flash_attention_for_cpu': () => [f(1, 2, 4, 8), f(1, 2, 4, 8), f(1, 2, 4, 8)],
  'aten::_scaled_dot_product_flash_attention_for_cpu_backward': () => [
    f(1, 2, 4, 8),
    f(1, 2, 4, 8),
    f(1, 2, 4, 8),
    f(1, 2, 4, 8),
    f(1, 2, 4, 8),
    f(1, 2, 4),
    0,
    false,
  ],
  'aten::_unsafe_index.Tensor': () => [f(4, 3), [long(0, 2)]],
  'aten::_unsafe_index_put': () => [f(4, 3), [long(0, 2)], f(2, 3)],
  'aten::_upsample_bilinear2d_aa': () => [f(1, 2, 6, 6), [3, 4], false],
  'aten::_upsample_bilinear2d_aa_backward': () => [f(1, 2, 3, 4), [3, 4], [1, 2, 6, 6], false],
  'aten::_upsample_nearest_exact1d': () => [f(1, 2, 6), [9]],
  'aten::_upsample_nearest_exact1d_backward': () => [f(1, 2, 9), [9], [1, 2, 6]],
  'aten::_upsample_nearest_exact2d': () => [f(1, 2, 4, 4), [6, 8]],
  'aten::_upsample_nearest_exact2d_backward': () => [f(1, 2, 6, 8), [6, 8], [1, 2, 4, 4]],
  'aten::_upsample_nearest_exact3d': () => [f(1, 2, 2, 2, 2), [3, 4, 4]],
  'aten::_upsample_nearest_exact3d_backward': () => [f(1, 2, 3, 4, 4), [3, 4, 4], [1, 2, 2, 2, 2]],
  'aten::adaptive_avg_pool1d': () => [f(2, 4, 6), [3]],
  'aten::addmv': () => [f(3), f(3, 4), f(4)],
  'aten::addr': () => [f(3, 4), f(3), f(4)],
  'aten::argsort.stable': () => [f(3, 4), { stable: true, dim: 0 }],
  'aten::as_strided_copy': () => [f(3, 4), [2, 2], [4, 1]],
  'aten::avg_pool1d': () => [f(2, 4, 6), [2]],
  'aten::avg_pool3d': () => [f(1, 2, 4, 4, 4), [2, 2, 2]],
  'aten::avg_pool3d_backward': () => [
    f(1, 2, 2, 2, 2),
    f(1, 2, 4, 4, 4),
    [2, 2, 2],
    [2, 2, 2],
    [0, 0, 0],
    false,
    true,
    null,
  ],
  'aten::batch_norm_backward': () => [
    f(2, 4, 6),
    f(2, 4, 6),
    f(4),
    f(4),
    f(4),
    f(4),
    f(4),
    true,
    1e-5,
    [true, true, true],
    torch.empty([0]),
  ],
  'aten::bitwise_or.Scalar': () => [long(1, 2), 1],
  'aten::bitwise_right_shift.Tensor_Scalar': () => [long(8, 2), 1],
  'aten::bmm.dtype': () => [f(2, 3, 4).to('bfloat16'), f(2, 4, 5).to('bfloat16'), 'float32'],
  'aten::bucketize.Scalar': () => [0.5, f(6)],
  'aten::block_diag': () => [[f(2, 2), f(1, 3)]],
  'aten::cholesky': () => [matrix()],
  'aten::cholesky_inverse': () => [matrix()],
  'aten::cholesky_solve': () => [f(4, 2), matrix()],
  'aten::convolution_backward_overrideable': () => [
    f(1, 3, 4, 4),
    f(1, 2, 6, 6),
    f(3, 2, 3, 3),
    [1, 1],
    [0, 0],
    [1, 1],
    false,
    [0, 0],
    1,
    [true, true, true],
  ],
  'aten::convolution_overrideable': () => [
    f(1, 2, 6, 6),
    f(3, 2, 3, 3),
    null,
    [1, 1],
    [0, 0],
    [1, 1],
    false,
    [0, 0],
    1,
  ],
  'aten::div.Scalar_mode': () => [f(3, 4), 2, { rounding_mode: 'floor' }],
  'aten::empty_permuted': () => [
    [2, 3],
    [1, 0],
  ],
  'aten::fill.Tensor': () => [f(3, 4), tensor(2)],
  'aten::fractional_max_pool2d': () => [f(1, 2, 6, 6), [2, 2], [3, 3], f(1, 2, 2)],
  'aten::fractional_max_pool2d_backward': () => [
    f(1, 2, 3, 3),
    f(1, 2, 6, 6),
    [2, 2],
    [3, 3],
    torch.zeros([1, 2, 3, 3], { dtype: 'int64' }),
  ],
  'aten::fractional_max_pool3d': () => [f(1, 2, 6, 6, 6), [2, 2, 2], [3, 3, 3], f(1, 2, 3)],
  'aten::fractional_max_pool3d_backward': () => [
    f(1, 2, 3, 3, 3),
    f(1, 2, 6, 6, 6),
    [2, 2, 2],
    [3, 3, 3],
    torch.zeros([1, 2, 3, 3, 3], { dtype: 'int64' }),
  ],
  'aten::gcd': () => [long(4, 6), long(6, 9)],
  'aten::glu_backward': () => [f(2, 3), f(2, 6), 1],
  'aten::index_fill.int_Tensor': () => [f(3, 4), 0, long(0, 2), tensor(1)],
  'aten::index_reduce': () => [f(3, 4), 0, long(0, 2), f(2, 4), 'amax'],
  'aten::linalg_cross': () => [f(4, 3), f(4, 3)],
  'aten::linspace.Scalar_Tensor': () => [0, tensor(1), 5],
  'aten::linspace.Tensor_Scalar': () => [tensor(0), 1, 5],
  'aten::linspace.Tensor_Tensor': () => [tensor(0), tensor(1), 5],
  'aten::logspace': () => [0, 1, 5],
  'aten::logspace.Scalar_Tensor': () => [0, tensor(1), 5],
  'aten::logspace.Tensor_Scalar': () => [tensor(0), 1, 5],
  'aten::logspace.Tensor_Tensor': () => [tensor(0), tensor(1), 5],
  'aten::max_pool3d_with_indices_backward': () => [
    f(1, 2, 2, 2, 2),
    f(1, 2, 4, 4, 4),
    [2, 2, 2],
    [2, 2, 2],
    [0, 0, 0],
    [1, 1, 1],
    false,
    torch.zeros([1, 2, 2, 2, 2], { dtype: 'int64' }),
  ],
  'aten::max_unpool3d': () => [
    f(1, 2, 2, 2, 2),
    torch.zeros([1, 2, 2, 2, 2], { dtype: 'int64' }),
    [4, 4, 4],
    [2, 2, 2],
    [0, 0, 0],
  ],
  'aten::mm.dtype': () => [f(3, 4).to('bfloat16'), f(4, 5).to('bfloat16'), 'float32'],
  'aten::multilabel_margin_loss_backward': () => [
    tensor(1),
    f(2, 4),
    torch.zeros([2, 4], { dtype: 'int64' }),
    1,
    f(2, 4),
  ],
  'aten::multilabel_margin_loss_forward': () => [f(2, 4), torch.zeros([2, 4], { dtype: 'int64' }), 1],
  'aten::narrow_copy': () => [f(3, 4), 0, 1, 2],
  'aten::native_channel_shuffle': () => [f(1, 4, 3, 3), 2],
  'aten::new_ones': () => [f(3), [2, 3]],
  'aten::nll_loss2d_backward': () => [
    tensor(1),
    f(1, 3, 2, 2),
    torch.zeros([1, 2, 2], { dtype: 'int64' }),
    null,
    1,
    -100,
    tensor(4),
  ],
  'aten::norm.ScalarOpt_dim_dtype': () => [f(3, 4), 2, [1], false, { dtype: 'float64' }],
  'aten::ormqr': () => [f(4, 3), f(3), f(4, 2)],
  'aten::randint.generator': () => [5, [3], { generator: GENERATOR }],
  'aten::randint.low_generator': () => [1, 5, [3], { generator: GENERATOR }],
  'aten::randint': () => [5, [3]],
  'aten::rand.generator': () => [[3], { generator: GENERATOR }],
  'aten::rand_like.generator': () => [f(3), { generator: GENERATOR }],
  'aten::randn_like.generator': () => [f(3), { generator: GENERATOR }],
  'aten::randperm.generator': () => [5, { generator: GENERATOR }],
  'aten::reflection_pad3d_backward': () => [f(1, 2, 6, 6, 6), f(1, 2, 4, 4, 4), [1, 1, 1, 1, 1, 1]],
  'aten::round.decimals': () => [f(3, 4), { decimals: 1 }],
  'aten::_conj_copy': () => [torch.randn([3], { dtype: 'complex64' })],
  'aten::renorm': () => [f(3, 4), 2, 0, 1],
  'aten::replication_pad1d': () => [f(1, 2, 4), [1, 1]],
  'aten::replication_pad1d_backward': () => [f(1, 2, 6), f(1, 2, 4), [1, 1]],
  'aten::replication_pad3d_backward': () => [f(1, 2, 6, 6, 6), f(1, 2, 4, 4, 4), [1, 1, 1, 1, 1, 1]],
  'aten::reshape': () => [f(2, 6), [3, 4]],
  'aten::resize': () => [f(2, 6), [3, 4]],
  'aten::scatter.reduce': () => [f(3, 4), 0, torch.zeros([2, 4], { dtype: 'int64' }), f(2, 4), { reduce: 'add' }],
  'aten::scatter.value_reduce': () => [f(3, 4), 0, torch.zeros([2, 4], { dtype: 'int64' }), 2, { reduce: 'multiply' }],
  'aten::sort.stable': () => [f(3, 4), { stable: true }],
  'aten::split_with_sizes': () => [f(4, 3), [1, 3]],
  'aten::squeeze_copy.dims': () => [f(2, 1, 3), [1]],
  'aten::threshold': () => [f(3, 4), 0.1, 20],
  'aten::transpose_copy.int': () => [f(3, 4), 0, 1],
  'aten::t_copy': () => [f(3, 4)],
  'aten::triangular_solve': () => [f(4, 2), matrix()],
  'aten::triu_indices': () => [3, 4],
  'aten::unfold_copy': () => [f(3, 6), 1, 2, 2],
  'aten::unsafe_split_with_sizes': () => [f(4, 3), [1, 3]],
  'aten::upsample_bicubic2d': () => [f(1, 2, 4, 4), [6, 8], false],
  'aten::upsample_bicubic2d_backward': () => [f(1, 2, 6, 8), [6, 8], [1, 2, 4, 4], false],
  'aten::upsample_bilinear2d.vec': () => [f(1, 2, 4, 4), [6, 8], false, null],
  'aten::upsample_linear1d': () => [f(1, 2, 4), [6], false],
  'aten::upsample_linear1d_backward': () => [f(1, 2, 6), [6], [1, 2, 4], false],
  'aten::upsample_nearest2d.vec': () => [f(1, 2, 4, 4), [6, 8], null],
  'aten::upsample_trilinear3d': () => [f(1, 2, 2, 2, 2), [3, 4, 4], false],
  'aten::upsample_trilinear3d_backward': () => [f(1, 2, 3, 4, 4), [3, 4, 4], [1, 2, 2, 2, 2], false],
  'aten::view.dtype': () => [f(3, 4), 'int32'],
  'aten::view_copy.dtype': () => [f(3, 4), 'int32'],
  'aten::view_as_complex_copy': () => [f(3, 2)],
  'aten::view_as_real_copy': () => [torch.randn([3], { dtype: 'complex64' })],
  'aten::view_copy': () => [f(2, 6), [3, 4]],
};

const NEUTRAL: readonly (readonly [RegExp, () => unknown])[] = [
  [/^Tensor$/, () => f(2, 4, 6, 8)],
  [/^Tensor\[\]$/, () => [f(2, 4), f(2, 4)]],
  [/^(int|float|Scalar|SymInt)$/, () => 1],
  [/^bool$/, () => false],
  [/^(Sym)?[Ii]nt\[(\d*)\]$/, () => [1]],
];

/** Arguments for every parameter that has no default. */
const fromSchema = (schema: string): Arguments => {
  const inside = /\((.*)\) -> /.exec(schema)?.[1] ?? '';
  const [positional] = inside.split('*');
  return positional!
    .split(/, /)
    .filter((p) => p.trim() !== '' && !p.includes('='))
    .map((p) => {
      const type = p
        .trim()
        .split(' ')[0]!
        .replace(/\(.*?\)/, '');
      if (type.endsWith('?')) return null;
      return (NEUTRAL.find(([pattern]) => pattern.test(type)) ?? [undefined, () => 1])[1]();
    });
};

const withGenerators = (args: Arguments): Arguments =>
  args.map((a) =>
    typeof a === 'object' && a !== null && (a as { generator?: unknown }).generator === GENERATOR
      ? { ...a, generator: native().generator() }
      : a,
  );

/** Calls the overload on tensors that are parameters of the program. */
const programOf = (rule: string, schema: string): Program => {
  const [name, overload = ''] = rule.split('.') as [string, string?];
  const call = native().packet(name, overload);
  const { trace } = traceAlone(
    (args: Arguments) => call(...withGenerators(args)) as torch.Tensor,
    [ARGUMENTS[rule]?.() ?? fromSchema(schema)],
  );
  const values = { ...trace, backward: null, views: trace.views.map(() => null) };
  const [lowered] = plan(values, { fallback: 'aten', optimize: 'xla', target: 'gpu' }).programs;
  const { text, lowered: rules, calls } = lowered!;
  return { source: `rule ${rule}`, text, rules, calls: calls.map(({ op }) => op) };
};

/** A program for each of these rules; those that cannot be called alone are left out, with the reason told. */
export const rulePrograms = (
  rules: readonly string[],
  tell: (rule: string, why: string) => void = () => {},
): Program[] => {
  const schemas = new Map(
    native()
      .schemas()
      .map((s) => [s.slice(0, s.indexOf('(')), s]),
  );
  const programs: Program[] = [];
  for (const rule of rules) {
    try {
      const program = torch.no_grad(() => programOf(rule, schemas.get(rule) ?? ''));
      if (program.rules.includes(rule)) programs.push(program);
      else tell(rule, `the call is recorded as ${program.rules.join(', ') || 'nothing'}`);
    } catch (error) {
      tell(rule, (error as Error).message.split('\n')[0]!);
    }
  }
  return programs;
};
