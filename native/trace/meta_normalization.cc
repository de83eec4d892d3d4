/** @file Shape functions of batch, layer and group normalisation. */
#include <ATen/OpMathType.h>

#include <array>

#include "meta.h"

namespace jorch::trace {
namespace {
using at::IntArrayRef;
using at::Tensor;
using Maybe = std::optional<Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

bool has(const Maybe& t) { return t && t->defined(); }

/** Statistics of reduced-precision inputs are kept in float32 when the parameters are. */
at::ScalarType statsType(const Tensor& input, const Maybe& parameter) {
  return has(parameter) ? parameter->scalar_type() : input.scalar_type();
}

Three batchNorm(const Tensor& input, const Maybe& weight, const Maybe& mean, bool training) {
  TORCH_CHECK(input.dim() >= 2, "batch_norm: expected at least a 2D input, got ", input.sizes());
  const int64_t channels = input.size(1);
  TORCH_CHECK(!has(weight) || weight->numel() == channels, "weight should contain ", channels, " elements not ",
              has(weight) ? weight->numel() : 0);
  TORCH_CHECK(!has(mean) || mean->numel() == channels, "running_mean should contain ", channels, " elements not ",
              has(mean) ? mean->numel() : 0);
  const at::ScalarType stats = statsType(input, has(weight) ? weight : mean);
  const int64_t n = training ? channels : 0;
  return {like(input), dense({n}, stats), dense({n}, stats)};
}

Three layerNorm(const Tensor& input, IntArrayRef normalized, const Maybe& weight, const Maybe&, double) {
  const int64_t outer = input.dim() - static_cast<int64_t>(normalized.size());
  TORCH_CHECK(outer >= 0 && input.sizes().slice(outer).equals(normalized), "Given normalized_shape=", normalized,
              ", expected input with shape [*, ", normalized, "], but got input of size ", input.sizes());
  std::vector<int64_t> stats = input.sizes().slice(0, outer).vec();
  stats.resize(input.dim(), 1);
  const at::ScalarType type = statsType(input, weight);
  return {dense(input.sizes(), input), dense(stats, type), dense(stats, type)};
}

Tensor maskedLike(bool wanted, const Tensor& t) { return wanted ? dense(t.sizes(), t) : Tensor(); }
}  // namespace

void addNormalizationMeta() {
  meta("aten::native_batch_norm",
       [](const Tensor& input, const Maybe& weight, const Maybe&, const Maybe& mean, const Maybe&, bool training,
          double, double) { return batchNorm(input, weight, mean, training); });
  meta("aten::_native_batch_norm_legit.no_stats",
       [](const Tensor& input, const Maybe& weight, const Maybe&, bool training, double, double) {
         return batchNorm(input, weight, {}, training);
       });
  meta("aten::_native_batch_norm_legit_no_training",
       [](const Tensor& input, const Maybe& weight, const Maybe&, const Tensor& mean, const Tensor&, double, double) {
         return batchNorm(input, weight, mean, false);
       });
  meta("aten::_native_batch_norm_legit_functional",
       [](const Tensor& input, const Maybe& weight, const Maybe&, const Tensor& mean, const Tensor& var, bool training,
          double, double) {
         return std::tuple_cat(batchNorm(input, weight, mean, training), std::make_tuple(like(mean), like(var)));
       });
  meta("aten::native_batch_norm_backward",
       [](const Tensor&, const Tensor& input, const Maybe& weight, const Maybe&, const Maybe&, const Maybe&,
          const Maybe&, bool, double, std::array<bool, 3> mask) {
         const at::ScalarType type = statsType(input, weight);
         const int64_t channels = input.size(1);
         return std::make_tuple(mask[0] ? like(input) : Tensor(), mask[1] ? dense({channels}, type) : Tensor(),
                                mask[2] ? dense({channels}, type) : Tensor());
       });
  meta("aten::native_layer_norm", &layerNorm);
  meta("aten::native_layer_norm_backward",
       [](const Tensor&, const Tensor& input, IntArrayRef normalized, const Tensor&, const Tensor&,
          const Maybe& weight, const Maybe& bias, std::array<bool, 3> mask) {
         return std::make_tuple(maskedLike(mask[0], input),
                                mask[1] && has(weight) ? dense(normalized, *weight) : Tensor(),
                                mask[2] && has(bias) ? dense(normalized, *bias) : Tensor());
       });
  meta("aten::native_group_norm",
       [](const Tensor& input, const Maybe& weight, const Maybe&, int64_t n, int64_t, int64_t, int64_t group, double) {
         const at::ScalarType type = statsType(input, weight);
         return std::make_tuple(image(input.sizes(), input), dense({n, group}, type), dense({n, group}, type));
       });
  meta("aten::native_group_norm_backward",
       [](const Tensor&, const Tensor& input, const Tensor& mean, const Tensor&, const Maybe&, int64_t,
          int64_t channels, int64_t, int64_t, std::array<bool, 3> mask) {
         return std::make_tuple(mask[0] ? image(input.sizes(), input) : Tensor(),
                                mask[1] ? dense({channels}, mean) : Tensor(),
                                mask[2] ? dense({channels}, mean) : Tensor());
       });
  meta("aten::_weight_norm_interface", [](const Tensor& v, const Tensor& g, int64_t) {
    return std::make_tuple(dense(v.sizes(), v), dense(g.sizes(), at::toOpMathType(g.scalar_type())));
  });
  meta("aten::_weight_norm_interface_backward",
       [](const Tensor&, const Tensor& v, const Tensor& g, const Tensor&, int64_t) {
         return std::make_tuple(dense(v.sizes(), v), dense(g.sizes(), g));
       });
}

}  // namespace jorch::trace
