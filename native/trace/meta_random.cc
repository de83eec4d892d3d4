/** @file Shape functions of random operators that libtorch has no Meta kernel for. */
#include "meta.h"

namespace jorch::trace {
namespace {
using at::Tensor;
using Rng = std::optional<at::Generator>;

Tensor sample(const Tensor& self, Rng) { return dense(self.sizes(), self); }
}  // namespace

void addRandomMeta() {
  for (const char* op : {"aten::_standard_gamma", "aten::_sample_dirichlet", "aten::poisson"}) meta(op, &sample);
  meta("aten::binomial", [](const Tensor& count, const Tensor& prob, Rng) {
    return broadcast(count, prob, count.scalar_type());
  });
  meta("aten::_dirichlet_grad",
       [](const Tensor& x, const Tensor&, const Tensor&) { return dense(x.sizes(), x); });
  const auto permutation = [](int64_t n, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                              std::optional<at::Device>, std::optional<bool>) {
    TORCH_CHECK(n >= 0, "n must be non-negative, got", n);
    return dense({n}, dtype.value_or(at::kLong));
  };
  meta("aten::randperm", permutation);
  meta("aten::randperm.generator",
       [permutation](int64_t n, Rng, std::optional<at::ScalarType> dtype, std::optional<at::Layout> layout,
                     std::optional<at::Device> device, std::optional<bool> pin) {
         return permutation(n, dtype, layout, device, pin);
       });
  meta("aten::multinomial", [](const Tensor& self, int64_t samples, bool replacement, Rng) {
    TORCH_CHECK(self.dim() == 1 || self.dim() == 2, "prob_dist must be 1 or 2 dim");
    TORCH_CHECK(samples > 0, "cannot sample n_sample <= 0 samples");
    TORCH_CHECK(replacement || samples <= self.size(-1),
                "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
    return self.dim() == 1 ? dense({samples}, at::kLong) : dense({self.size(0), samples}, at::kLong);
  });
  meta("aten::native_dropout", [](const Tensor& input, double, std::optional<bool>) {
    return std::make_tuple(like(input), like(input, at::kBool));
  });
}

}  // namespace jorch::trace
