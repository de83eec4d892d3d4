/** @file Shape functions of indexing, gathering and searching that libtorch has no Meta kernel for. */
#include <ATen/WrapDimUtilsMulti.h>

#include "meta.h"

namespace jorch::trace {
namespace {
using at::IntArrayRef;
using at::Tensor;

void checkIndex(const char* op, const Tensor& index) {
  TORCH_CHECK(index.dim() <= 1, op, "(): Index is supposed to be a vector");
  TORCH_CHECK(index.scalar_type() == at::kLong || index.scalar_type() == at::kInt, op,
              "(): Expected dtype int32 or int64 for index");
}

Tensor found(IntArrayRef sizes, bool int32) { return dense(sizes, int32 ? at::kInt : at::kLong); }
}  // namespace

void addIndexingMeta() {
  meta("aten::flip", [](const Tensor& self, IntArrayRef dims) {
    at::dim_list_to_bitset(dims, self.dim());  // refuses what is out of range or named twice
    return like(self);
  });
  meta("aten::roll", [](const Tensor& self, IntArrayRef shifts, IntArrayRef dims) {
    TORCH_CHECK(!shifts.empty(), "`shifts` required");
    TORCH_CHECK(dims.empty() ? shifts.size() == 1 : shifts.size() == dims.size(),
                "shifts and dimensions must align. shifts: ", shifts.size(), ", dims:", dims.size());
    for (int64_t d : dims) at::maybe_wrap_dim(d, self.dim());
    return image(self.sizes(), self);
  });
  meta("aten::index_select", [](const Tensor& self, int64_t dim, const Tensor& index) {
    checkIndex("index_select", index);
    std::vector<int64_t> sizes = self.sizes().vec();
    const int64_t at = at::maybe_wrap_dim(dim, self.dim());
    if (!sizes.empty()) sizes[at] = index.numel();
    return dense(sizes, self);
  });
  meta("aten::take", [](const Tensor& self, const Tensor& index) {
    TORCH_CHECK(index.scalar_type() == at::kLong, "take(): Expected a long tensor for index, but got ",
                index.scalar_type());
    return dense(index.sizes(), self);
  });
  meta("aten::segment_reduce", [](const Tensor& data, c10::string_view, const std::optional<Tensor>& lengths,
                                  const std::optional<Tensor>&, const std::optional<Tensor>& offsets, int64_t axis,
                                  bool, const std::optional<at::Scalar>&) {
    TORCH_CHECK(lengths || offsets, "segment_reduce(): Either lengths or offsets must be defined.");
    const int64_t at = at::maybe_wrap_dim(axis, data.dim());
    std::vector<int64_t> sizes = data.sizes().vec();
    sizes[at] = lengths ? lengths->size(at) : offsets->size(at) - 1;
    return dense(sizes, data);
  });
  meta("aten::masked_scatter_backward",
       [](const Tensor& grad, const Tensor&, IntArrayRef sizes) { return dense(sizes, grad); });
  meta("aten::repeat_interleave.Tensor", [](const Tensor& repeats, std::optional<int64_t> size) {
    TORCH_CHECK(repeats.dim() == 1, "repeat_interleave only accept 1D vector as repeat");
    TORCH_CHECK(repeats.scalar_type() == at::kLong || repeats.scalar_type() == at::kInt,
                "repeats has to be Long or Int tensor");
    return dense({size.value_or(0)}, repeats);
  });
  meta("aten::unfold_backward", [](const Tensor& grad, IntArrayRef sizes, int64_t, int64_t, int64_t) {
    return dense(sizes, grad);
  });
  meta("aten::embedding", [](const Tensor& weight, const Tensor& indices, int64_t, bool, bool) {
    TORCH_CHECK(weight.dim() == 2, "'weight' must be 2-D");
    std::vector<int64_t> sizes = indices.sizes().vec();
    sizes.push_back(weight.size(1));
    return dense(sizes, weight);
  });
  meta("aten::embedding_dense_backward", [](const Tensor& grad, const Tensor&, int64_t weights, int64_t, bool) {
    return dense({weights, grad.size(-1)}, grad);
  });
  for (const char* op : {"aten::_embedding_bag", "aten::_embedding_bag_forward_only"}) {
    meta(op, [](const Tensor& weight, const Tensor& indices, const Tensor& offsets, bool, int64_t mode, bool,
                const std::optional<Tensor>&, bool includeLast, int64_t) {
      TORCH_CHECK(weight.dim() == 2, "embedding_bag: expected a 2D weight, got ", weight.sizes());
      const int64_t bags = offsets.size(0) - (includeLast ? 1 : 0);
      const at::ScalarType type = offsets.scalar_type();
      constexpr int64_t kMax = 2;
      // What the CPU kernel keeps for the backward; sums of float weights need no map of indices to bags.
      const bool mapped = mode != 0 || weight.scalar_type() != at::kFloat;
      return std::make_tuple(dense({bags, weight.size(1)}, weight),
                             mapped ? dense(indices.sizes(), type) : dense({0}, type), dense({bags}, type),
                             mode == kMax ? dense({bags, weight.size(1)}, type) : dense({bags}, type));
    });
  }
  meta("aten::searchsorted.Tensor",
       [](const Tensor& sorted, const Tensor& self, bool int32, bool, std::optional<c10::string_view>,
          const std::optional<Tensor>&) {
         TORCH_CHECK(sorted.dim() == 1 || sorted.sizes().slice(0, sorted.dim() - 1).equals(
                                              self.sizes().slice(0, std::max<int64_t>(self.dim() - 1, 0))),
                     "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
                     "boundaries tensor and input value tensor must match, but we got boundaries tensor ",
                     sorted.sizes(), " and input value tensor ", self.sizes());
         return found(self.sizes(), int32);
       });
  meta("aten::searchsorted.Scalar", [](const Tensor&, const at::Scalar&, bool int32, bool,
                                       std::optional<c10::string_view>, const std::optional<Tensor>&) {
    return found({}, int32);
  });
  meta("aten::bucketize.Tensor",
       [](const Tensor& self, const Tensor&, bool int32, bool) { return found(self.sizes(), int32); });
  meta("aten::bucketize.Scalar",
       [](const at::Scalar&, const Tensor&, bool int32, bool) { return found({}, int32); });
  // libtorch's own gives one of shape [0].
  meta("aten::isin.Scalar_Tensor",
       [](const at::Scalar&, const Tensor&, bool, bool) { return dense({}, at::kBool); });
  meta("aten::nonzero_static", [](const Tensor& self, int64_t size, int64_t) {
    TORCH_CHECK(size >= 0, "nonzero_static: 'size' must be an non-negative integer");
    return dense({size, self.dim()}, at::kLong);
  });
  meta("aten::channel_shuffle", [](const Tensor& self, int64_t groups) {
    TORCH_CHECK(self.dim() > 2 && groups > 0 && self.size(1) % groups == 0,
                "channel_shuffle: the channels of ", self.sizes(), " must be divisible by groups=", groups);
    return image(self.sizes(), self);
  });
}

}  // namespace jorch::trace
