/** @file Why an operator has no lowering: what XLA has no form for, and what jorch leaves to libtorch. */

const REASONS: readonly (readonly [RegExp, string])[] = [
  [/_eig$|_eigvals$/, 'XLA has no eigenvalues of general matrices'],
  [/quant|_fq_|int4pack|int8pack|_int_mm|_scaled_mm|dyn_quant|fake_/, 'quantized arithmetic'],
  [/sparse|coalesce|_csr|_coo|_bsr|_bsc|_csc|_spdiags/, 'sparse layouts'],
  [/mkldnn/, 'a oneDNN kernel with a layout of its own'],
  [/nested|jagged/, 'nested tensors'],
  [/_fused_(sgd|adam|adagrad)|_foreach|_amp_/, 'a fused kernel over lists of tensors; the plain operators lower'],
  [/_standard_gamma_grad|_dirichlet_grad/, 'a piecewise approximation of implicit derivatives'],
  [/(cudnn|miopen)_ctc_loss/, 'a CUDA kernel; _ctc_loss lowers'],
  [/(_test_|_foobar|_print|_assert|_make_dep|sym_constrain)/, "libtorch's own tools"],
  [/set(\.|$)|resize|from_file|\.names$|generator_with_names/, 'changes memory or names, not values'],
  [/_transformer_encoder|_multi_head|_transform_bias|_masked_softmax/, 'a fused inference kernel; its parts lower'],
  [/slow_conv/, 'reached only by direct calls: conv1d … conv3d lower as convolution'],
  [/_jvp$/, 'forward mode of one operator; its reverse mode lowers'],
];

/** The reason that an ATen call is explained with. */
export const whyUnlowered = (op: string): string =>
  REASONS.find(([pattern]) => pattern.test(op))?.[1] ?? 'no lowering rule';
