/** @file Shape functions of reductions and scans that libtorch has no Meta kernel for. */
#include <ATen/WrapDimUtils.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/sum.h>

#include "meta.h"

namespace jorch::trace {
namespace {
using at::Scalar;
using at::Tensor;
using Dims = at::OptionalIntArrayRef;

Tensor whole(const Tensor& self) { return dense({}, self); }

Tensor spread(const Tensor& self, Dims dim, const std::optional<Scalar>&, bool keepdim) {
  TORCH_CHECK(self.is_floating_point() || self.is_complex(),
              "std and var only support floating point and complex dtypes");
  return at::mean(like(self, realOf(self.scalar_type())), dim, keepdim);
}

Tensor meanOf(const Tensor& self, Dims dim, const std::optional<Scalar>&, bool keepdim) {
  return at::mean(self, dim, keepdim);
}

std::tuple<Tensor, Tensor> withIndices(const Tensor& self, int64_t dim, bool keepdim) {
  // A scalar has one row; max would refuse an empty dimension just as these do.
  return at::max(self, dim, keepdim);
}
}  // namespace

void addReductionMeta() {
  for (const char* op : {"aten::max", "aten::min", "aten::median", "aten::nanmedian"}) meta(op, &whole);
  meta("aten::_aminmax", [](const Tensor& self) { return std::make_tuple(whole(self), whole(self)); });
  meta("aten::_aminmax.dim", [](const Tensor& self, int64_t dim, bool keepdim) {
    const Tensor one = std::get<0>(at::max(self, dim, keepdim));
    return std::make_tuple(one, like(one));
  });
  for (const char* op : {"aten::mode", "aten::median.dim", "aten::nanmedian.dim"}) meta(op, &withIndices);
  meta("aten::kthvalue",
       [](const Tensor& self, int64_t, int64_t dim, bool keepdim) { return at::max(self, dim, keepdim); });
  const auto product = [](const Tensor& self, const Tensor& other) {
    TORCH_CHECK(self.dim() == 1 && other.dim() == 1, "1D tensors expected, but got ", self.dim(), "D and ",
                other.dim(), "D tensors");
    TORCH_CHECK(self.numel() == other.numel(), "inconsistent tensor size, expected tensors to have the same number of "
                "elements, but got ", self.numel(), " and ", other.numel(), " elements respectively");
    TORCH_CHECK(self.scalar_type() == other.scalar_type(), "dot : expected both vectors to have same dtype, but found ",
                self.scalar_type(), " and ", other.scalar_type());
    return whole(self);
  };
  meta("aten::dot", product);
  meta("aten::vdot", product);
  meta("aten::prod", [](const Tensor& self, std::optional<at::ScalarType> dtype) { return at::sum(self, dtype); });
  meta("aten::nansum", [](const Tensor& self, Dims dim, bool keepdim, std::optional<at::ScalarType> dtype) {
    return at::sum(self, dim, keepdim, dtype);
  });
  meta("aten::count_nonzero.dim_IntList", [](const Tensor& self, at::IntArrayRef dim) {
    return at::sum(self, dim, false, at::kLong);
  });
  meta("aten::trace", [](const Tensor& self) {
    TORCH_CHECK(self.dim() == 2, "trace: expected a matrix, but got tensor with dim ", self.dim());
    return at::sum(self.diagonal());
  });
  for (const char* op : {"aten::var.correction", "aten::std.correction"}) meta(op, &spread);
  for (const char* op : {"aten::var_mean.correction", "aten::std_mean.correction"}) {
    meta(op, [](const Tensor& self, Dims dim, const std::optional<Scalar>& correction, bool keepdim) {
      return std::make_tuple(spread(self, dim, correction, keepdim), meanOf(self, dim, correction, keepdim));
    });
  }
  meta("aten::_logcumsumexp", [](const Tensor& self, int64_t) { return like(self); });
  for (const char* op : {"aten::cummax", "aten::cummin"}) {
    meta(op, [](const Tensor& self, int64_t dim) {
      at::maybe_wrap_dim(dim, self.dim());
      return std::make_tuple(dense(self.sizes(), self), dense(self.sizes(), at::kLong));
    });
  }
  meta("aten::histc", [](const Tensor& self, int64_t bins, const Scalar&, const Scalar&) {
    TORCH_CHECK(bins > 0, "bins must be > 0");
    return dense({bins}, self);
  });
}

}  // namespace jorch::trace
