/** @file Operators that libtorch's own kernels cannot trace, because these read data to check their arguments. */
#include "decompositions.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_assert_async.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/full.h>
#include <ATen/ops/istft_native.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/result_type.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/WrapDimMinimal.h>

#include <unordered_map>

#include "tracer.h"

namespace jorch::trace {
namespace {
thread_local int uncheckedDepth = 0;

struct SkipDataChecks {
  SkipDataChecks() { ++uncheckedDepth; }
  ~SkipDataChecks() { --uncheckedDepth; }
};

using at::Tensor;
using Weights = std::optional<Tensor>;

/** Eager refuses classes outside 0..classes-1; here they give a row of zeros, and raise where data is checked. */
Tensor oneHot(const Tensor& self, int64_t classes) {
  if (classes < 0) throw Concretization(Concretization::Kind::DynamicShape, "aten::one_hot");
  TORCH_CHECK(self.scalar_type() == at::kLong, "one_hot is only applicable to index tensor of type LongTensor.");
  if (self.numel() > 0) {
    at::_assert_async(self.ge(0).all(), "Class values must be non-negative.");
    at::_assert_async(self.lt(classes).all(), "Class values must be smaller than num_classes.");
  }
  return at::eq(self.unsqueeze(-1), at::arange(classes, self.options())).to(at::kLong);
}

/** Eager warns when the degrees of freedom are not positive; the divisor is then zero here, too. */
Tensor cov(const Tensor& self, int64_t correction, const Weights& fweights, const Weights& aweights) {
  TORCH_CHECK(self.dim() <= 2, "cov(): expected input to have two or fewer dimensions but got an input with ",
              self.dim(), " dimensions");
  TORCH_CHECK(self.scalar_type() != at::kBool, "cov(): bool dtype is not supported for input");
  const Tensor in = self.dim() < 2 ? self.view({1, -1}) : self;
  const int64_t count = in.size(1);
  const at::ScalarType type = at::result_type(in, at::Scalar(1.0)), real = c10::toRealValueType(type);
  const bool f = fweights && fweights->defined(), a = aweights && aweights->defined();
  Tensor w;
  if (f) w = *fweights;
  if (a) w = f ? w * *aweights : *aweights;
  const bool weighted = w.defined();
  TORCH_CHECK(!weighted || (w.dim() == 1 && w.numel() == count),
              "cov(): expected the weights to be one-dimensional with ", count, " elements");
  const Tensor total = weighted ? w.sum() : at::full({}, count, in.options().dtype(real));
  const Tensor mean = (weighted ? (in * w).sum(1) / total : in.mean(1, false, type)).unsqueeze(1);
  Tensor divisor = total;
  if (correction != 0) divisor = a ? total - correction * (w * *aweights).sum() / total : total - correction;
  if (!weighted && count - correction <= 0) TORCH_WARN("cov(): degrees of freedom is <= 0");
  const Tensor centred = in - mean;
  const Tensor other = (weighted ? centred * w : centred).t().conj();
  return (at::matmul(centred, other) / divisor.clamp_min(0).to(type)).squeeze();
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

/** The start is data, the length is not: an index counts along. */
Tensor narrow(const Tensor& self, int64_t dim, const Tensor& start, at::SymInt length) {
  TORCH_CHECK(start.dim() == 0 && at::isIntegralType(start.scalar_type(), false),
              "start must be an 0-dim integral Tensor.");
  TORCH_CHECK(self.dim() > 0, "narrow() cannot be applied to a 0-dim tensor.");
  const int64_t count = length.expect_int(), size = self.size(dim);
  TORCH_CHECK(count >= 0 && count <= size, "narrow(): length (", count, ") must be between 0 and the size ", size);
  if (count == 0) return self.narrow(dim, 0, 0);
  const Tensor first = at::where(start < 0, start + size, start).to(at::kLong);
  return self.index_select(dim, first + at::arange(count, first.options()));
}

std::vector<Tensor> tensorSplit(const Tensor&, const Tensor&, int64_t) {
  throw Concretization(Concretization::Kind::DynamicShape, "aten::tensor_split");
}

using Indices = c10::List<std::optional<Tensor>>;

/** The mask when it is the only index, spread over the elements it stands for; undefined for any other indices. */
Tensor onlyMask(const Tensor& self, const Indices& indices) {
  const std::optional<Tensor> first = indices.empty() ? std::nullopt : indices.get(0);
  if (!first || first->scalar_type() != at::kBool || first->dim() == 0 || first->dim() > self.dim()) return {};
  for (size_t i = 1; i < indices.size(); ++i) {
    if (indices.get(i)) return {};
  }
  std::vector<int64_t> sizes = first->sizes().vec();
  TORCH_CHECK_INDEX(self.sizes().slice(0, sizes.size()).equals(sizes), "The shape of the mask ", sizes,
                    " does not match the shape of the indexed tensor ", self.sizes());
  sizes.resize(self.dim(), 1);
  return first->view(sizes);
}

/** `self[mask] = values`, `rest` being the dimensions of a row: as many rows as the mask has true ones, or one for all. */
Tensor putAtMask(const Tensor& self, const Tensor& mask, int64_t rest, const Tensor& values, bool accumulate) {
  TORCH_CHECK(values.scalar_type() == self.scalar_type(), "Index put requires the source and destination dtypes match, "
              "got ", self.scalar_type(), " for the destination and ", values.scalar_type(), " for the source.");
  if (values.dim() > rest && values.size(0) != 1) {
    TORCH_CHECK_INDEX(values.dim() == rest + 1, "shape mismatch: value tensor of shape ", values.sizes(),
                      " cannot be broadcast to indexing result");
    std::vector<int64_t> rows{values.size(0)};
    const auto row = self.sizes().slice(self.dim() - rest);
    rows.insert(rows.end(), row.begin(), row.end());
    const Tensor source = values.expand(rows);
    if (!accumulate) return self.masked_scatter(mask, source);
    return self + at::zeros_like(self).masked_scatter(mask, source);
  }
  const Tensor row = values.dim() > rest ? values.squeeze(0) : values;
  return at::where(mask, accumulate ? self + row : row, self);
}

/** The kernels that ours stand before. */
std::unordered_map<std::string, c10::SafeKernelFunction>& originals() {
  static auto* all = new std::unordered_map<std::string, c10::SafeKernelFunction>();  // never destroyed: exit order
  return *all;
}

/** libtorch's derivative by `values` reads the gradient through the mask, which has a shape only the data knows. */
void indexPut(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  const auto args = torch::jit::last(*stack, 4);
  Tensor self = args[0].toTensor();
  const Indices indices = args[1].toOptionalTensorList();
  const Tensor mask = onlyMask(self, indices);
  if (!mask.defined()) {
    originals().at(op.schema().name()).callBoxed(op, keys, stack);
    return;
  }
  const Tensor result = putAtMask(self, mask, self.dim() - indices.get(0)->dim(), args[2].toTensor(), args[3].toBool());
  torch::jit::drop(*stack, 4);
  stack->emplace_back(op.schema().is_mutable() ? self.copy_(result) : result);
}

/** libtorch refuses windows that leave samples uncovered, which only the data tells; here those become infinite. */
Tensor istft(const Tensor& self, int64_t nFft, std::optional<int64_t> hop, std::optional<int64_t> winLength,
             const Weights& window, bool center, bool normalized, std::optional<bool> onesided,
             std::optional<int64_t> length, bool returnComplex) {
  const SkipDataChecks unchecked;
  return at::native::istft(self, nFft, hop, winLength, window, center, normalized, onesided, length, returnComplex);
}
}  // namespace

bool skipsDataChecks() { return uncheckedDepth > 0; }

void registerDecompositions(torch::Library& lib) {
  lib.impl("index_fill.int_Tensor", &indexFill);
  lib.impl("index_fill_.int_Tensor", &indexFill_);
  lib.impl("combinations", &combinations);
  lib.impl("one_hot", &oneHot);
  lib.impl("cov", &cov);
  lib.impl("narrow.Tensor", &narrow);
  lib.impl("tensor_split.tensor_indices_or_sections", &tensorSplit);
  lib.impl("istft", &istft);
  for (const char* name : {"index_put", "index_put_"}) {
    const auto op = c10::Dispatcher::singleton().findSchemaOrThrow((std::string("aten::") + name).c_str(), "");
    originals().emplace(op.schema().name(), op.getComputedKernelForDispatchKey(c10::DispatchKey::AutogradLazy));
    lib.impl(name, torch::CppFunction::makeFromBoxedFunction<&indexPut>());
  }
}

}  // namespace jorch::trace
