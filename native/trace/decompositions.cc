/** @file Operators that libtorch's own kernels cannot trace, because these read data to check their arguments. */
#include "decompositions.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/result_type.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/WrapDimMinimal.h>

#include "tracer.h"

namespace jorch::trace {
namespace {
using at::Tensor;
using Weights = std::optional<Tensor>;

/** Eager refuses classes outside 0..classes-1; here they give a row of zeros. */
Tensor oneHot(const Tensor& self, int64_t classes) {
  if (classes < 0) throw Concretization(Concretization::Kind::DynamicShape, "aten::one_hot");
  TORCH_CHECK(self.scalar_type() == at::kLong, "one_hot is only applicable to index tensor of type LongTensor.");
  return at::eq(self.unsqueeze(-1), at::arange(classes, self.options())).to(at::kLong);
}

/** Eager warns when the degrees of freedom are not positive; the divisor is then zero here, too. */
Tensor cov(const Tensor& self, int64_t correction, const Weights& fweights, const Weights& aweights) {
  TORCH_CHECK(self.dim() <= 2, "cov(): expected input to have two or fewer dimensions but got an input with ",
              self.dim(), " dimensions");
  TORCH_CHECK(self.scalar_type() != at::kBool, "cov(): bool dtype is not supported for input");
  const Tensor in = self.dim() < 2 ? self.view({1, -1}) : self;
  const int64_t count = in.size(1);
  const at::ScalarType type = at::result_type(in, at::Scalar(1.0));
  const bool f = fweights && fweights->defined(), a = aweights && aweights->defined();
  Tensor w;
  if (f) w = *fweights;
  if (a) w = f ? w * *aweights : *aweights;
  const bool weighted = w.defined();
  TORCH_CHECK(!weighted || (w.dim() == 1 && w.numel() == count),
              "cov(): expected the weights to be one-dimensional with ", count, " elements");
  const Tensor total = weighted ? w.sum() : at::full({}, count, in.options().dtype(type));
  const Tensor mean = (weighted ? (in * w).sum(1) / total : in.mean(1, false, type)).unsqueeze(1);
  Tensor divisor = total;
  if (correction != 0) divisor = a ? total - correction * (w * *aweights).sum() / total : total - correction;
  if (!weighted && count - correction <= 0) TORCH_WARN("cov(): degrees of freedom is <= 0");
  const Tensor centred = in - mean;
  const Tensor other = (weighted ? centred * w : centred).t().conj();
  return (at::matmul(centred, other) / divisor.clamp_min(0)).squeeze();
}
/** libtorch selects with a mask of a size it knows; the chosen rows are known as well. */
Tensor combinations(const Tensor& self, int64_t r, bool withReplacement) {
  TORCH_CHECK(self.dim() == 1, "Expect a 1D vector, but got shape ", self.sizes());
  TORCH_CHECK(r >= 0, "Expect a non-negative number, but got ", r);
  const int64_t n = self.numel();
  std::vector<int64_t> rows, pick(r, 0);
  for (int64_t k = 0; k < r && !withReplacement; ++k) pick[k] = k;
  for (bool more = r > 0 && n > 0 && (withReplacement || r <= n); more;) {
    rows.insert(rows.end(), pick.begin(), pick.end());
    int64_t k = r - 1;
    while (k >= 0 && pick[k] == (withReplacement ? n - 1 : n - r + k)) --k;
    more = k >= 0;
    for (int64_t from = k, next = more ? pick[k] + 1 : 0; more && k < r; ++k) {
      pick[k] = withReplacement ? next : next + k - from;
    }
  }
  const int64_t count = r == 0 ? 0 : static_cast<int64_t>(rows.size()) / r;
  Tracer* tracer = current();
  if (tracer == nullptr) throw Concretization(Concretization::Kind::LeakedTrace, "aten::combinations");
  if (count == 0) return r == 0 ? self.new_empty({0}) : self.slice(0, 0, 0).unsqueeze(1).expand({0, r});
  const Tensor index = tracer->constant(at::tensor(rows, at::kLong));
  return self.index_select(0, index).view({count, r});
}
/** libtorch's derivative by `value` asks for the distinct indices, whose number only the data can tell. */
Tensor indexFill(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& value) {
  TORCH_CHECK(value.dim() == 0, "index_fill_ only supports a 0-dimensional value tensor, but got tensor with ",
              value.dim(), " dimension(s).");
  TORCH_CHECK(index.dim() <= 1 && index.scalar_type() == at::kLong,
              "index_fill_(): Expected a vector of int64 for index.");
  if (self.dim() == 0) return indexFill(self.unsqueeze(0), dim, index, value).squeeze(0);
  const int64_t at = c10::maybe_wrap_dim(dim, self.dim());
  std::vector<int64_t> sizes(self.dim(), 1);
  sizes[at] = self.size(at);
  const Tensor hit = at::zeros({self.size(at)}, index.options().dtype(at::kBool)).index_fill(0, index, true);
  return at::where(hit.view(sizes), value.to(self.scalar_type()), self);
}

Tensor& indexFill_(Tensor& self, int64_t dim, const Tensor& index, const Tensor& value) {
  return self.copy_(indexFill(self, dim, index, value));
}
}  // namespace

void registerDecompositions(torch::Library& lib) {
  lib.impl("index_fill.int_Tensor", &indexFill);
  lib.impl("index_fill_.int_Tensor", &indexFill_);
  lib.impl("combinations", &combinations);
  lib.impl("one_hot", &oneHot);
  lib.impl("cov", &cov);
}

}  // namespace jorch::trace
