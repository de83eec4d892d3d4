/** @file Shape functions of random operators that libtorch has no Meta kernel for. */
#include "meta.h"

namespace jorch::trace {
namespace {
using at::Tensor;
using Rng = std::optional<at::Generator>;

Tensor sample(const Tensor& self, Rng) { return dense(self.sizes(), self); }

/** Checks the bounds of random_(from, to). */
Tensor integers(const Tensor& self, int64_t from, std::optional<int64_t> to) {
  if (to) {
    TORCH_CHECK(from < *to, "random_ expects 'from' to be less than 'to', but got from=", from, " >= to=", *to);
    if (at::isIntegralType(self.scalar_type(), /*includeBool=*/false) && self.element_size() < 8) {
      const int64_t bits = self.element_size() * 8 - (self.scalar_type() == at::kByte ? 0 : 1);
      const int64_t highest = (int64_t{1} << bits) - 1, lowest = self.scalar_type() == at::kByte ? 0 : -highest - 1;
      TORCH_CHECK(from >= lowest && from <= highest, "from is out of bounds for ", self.scalar_type());
      TORCH_CHECK(*to - 1 >= lowest && *to - 1 <= highest, "to - 1 is out of bounds for ", self.scalar_type());
    }
  }
  return like(self);
}
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
  // What the kernels of libtorch check, in their words.
  meta("aten::bernoulli.p", [](const Tensor& self, double p, Rng) {
    TORCH_CHECK(p >= 0 && p <= 1, "bernoulli_ expects p to be in [0, 1], but got p=", p);
    return like(self);
  });
  meta("aten::exponential", [](const Tensor& self, double lambda, Rng) {
    TORCH_CHECK(lambda > 0, "exponential_ expects lambda > 0.0, but found lambda=", lambda);
    return like(self);
  });
  meta("aten::geometric", [](const Tensor& self, double p, Rng) {
    TORCH_CHECK(p > 0 && p < 1, "geometric_ expects p to be in (0, 1), but got p=", p);
    return like(self);
  });
  meta("aten::cauchy", [](const Tensor& self, double, double sigma, Rng) {
    TORCH_CHECK(sigma > 0, "cauchy_ expects sigma > 0.0, but found sigma=", sigma);
    return like(self);
  });
  meta("aten::log_normal", [](const Tensor& self, double, double std, Rng) {
    TORCH_CHECK(std > 0, "log_normal_ expects std > 0.0, but found std=", std);
    return like(self);
  });
  meta("aten::random.to", [](const Tensor& self, int64_t to, Rng) { return integers(self, 0, to); });
  meta("aten::random.from",
       [](const Tensor& self, int64_t from, std::optional<int64_t> to, Rng) { return integers(self, from, to); });
  const auto randint = [](int64_t low, int64_t high, at::IntArrayRef size, std::optional<at::ScalarType> dtype) {
    return integers(dense(size, dtype.value_or(at::typeMetaToScalarType(at::get_default_dtype()))), low, high);
  };
  using Layout = std::optional<at::Layout>;
  using Device = std::optional<at::Device>;
  using Type = std::optional<at::ScalarType>;
  using Flag = std::optional<bool>;
  meta("aten::randint", [randint](int64_t high, at::IntArrayRef size, Type dtype, Layout, Device, Flag) {
    return randint(0, high, size, dtype);
  });
  meta("aten::randint.generator", [randint](int64_t high, at::IntArrayRef size, Rng, Type dtype, Layout, Device, Flag) {
    return randint(0, high, size, dtype);
  });
  meta("aten::randint.low", [randint](int64_t low, int64_t high, at::IntArrayRef size, Type dtype, Layout, Device, Flag) {
    return randint(low, high, size, dtype);
  });
  meta("aten::randint.low_generator",
       [randint](int64_t low, int64_t high, at::IntArrayRef size, Rng, Type dtype, Layout, Device, Flag) {
         return randint(low, high, size, dtype);
       });
  meta("aten::native_dropout", [](const Tensor& input, double p, std::optional<bool>) {
    TORCH_CHECK(p >= 0 && p <= 1, "dropout probability has to be between 0 and 1, but got ", p);
    return std::make_tuple(like(input), like(input, at::kBool));
  });
}

}  // namespace jorch::trace
