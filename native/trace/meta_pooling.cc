/** @file Shape functions of pooling and padding that libtorch has no Meta kernel for. */
#include <ATen/ops/pixel_shuffle.h>
#include <ATen/ops/pixel_unshuffle.h>
#include <ATen/ops/reflection_pad3d.h>
#include <ATen/ops/replication_pad2d.h>
#include <ATen/ops/replication_pad3d.h>

#include "meta.h"

namespace jorch::trace {
namespace {
using at::IntArrayRef;
using at::Tensor;

/** `self` with its last dimensions replaced. */
std::vector<int64_t> tail(const Tensor& self, IntArrayRef last) {
  TORCH_CHECK(static_cast<size_t>(self.dim()) > last.size(), "pooling: expected at least ", last.size() + 1,
              " dimensions, but got input of size ", self.sizes());
  std::vector<int64_t> sizes = self.sizes().vec();
  std::copy(last.begin(), last.end(), sizes.end() - last.size());
  return sizes;
}

int64_t per(IntArrayRef list, size_t i) { return list.size() == 1 ? list[0] : list[i]; }

int64_t pooled(int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation, bool ceil) {
  TORCH_CHECK(kernel > 0 && stride > 0 && dilation > 0, "pooling: kernel, stride and dilation must be positive");
  TORCH_CHECK(pad >= 0 && pad <= kernel / 2, "pad should be at most half of effective kernel size, but got pad=", pad,
              ", kernel_size=", kernel);
  const int64_t span = in + 2 * pad - dilation * (kernel - 1) - 1;
  int64_t n = (span >= 0 ? (span + (ceil ? stride - 1 : 0)) / stride : -1) + 1;
  if (ceil && (n - 1) * stride >= in + pad) --n;  // the last window must start inside the input or its left padding
  TORCH_CHECK(n >= 1, "pooling: output size is too small");
  return n;
}

Tensor reflected(const Tensor& self, IntArrayRef padding) {
  std::vector<int64_t> sizes = self.sizes().vec();
  for (size_t i = 0; i < padding.size() / 2; ++i) {
    int64_t& n = sizes[sizes.size() - 1 - i];
    TORCH_CHECK(padding[2 * i] < n && padding[2 * i + 1] < n, "Argument #4: Padding size should be less than the "
                "corresponding input dimension, but got: padding (", padding[2 * i], ", ", padding[2 * i + 1],
                ") at input ", self.sizes());
    n += padding[2 * i] + padding[2 * i + 1];
  }
  return image(sizes, self);
}
}  // namespace

void addPoolingMeta() {
  meta("aten::_adaptive_avg_pool2d", [](const Tensor& self, IntArrayRef output) { return image(tail(self, output), self); });
  meta("aten::_adaptive_avg_pool3d", [](const Tensor& self, IntArrayRef output) { return dense(tail(self, output), self); });
  meta("aten::_adaptive_avg_pool2d_backward",
       [](const Tensor&, const Tensor& self) { return image(self.sizes(), self); });
  meta("aten::_adaptive_avg_pool3d_backward",
       [](const Tensor&, const Tensor& self) { return dense(self.sizes(), self); });
  meta("aten::max_pool3d_with_indices", [](const Tensor& self, IntArrayRef kernel, IntArrayRef stride,
                                           IntArrayRef padding, IntArrayRef dilation, bool ceil) {
    TORCH_CHECK(self.dim() == 4 || self.dim() == 5, "max_pool3d: expected 4D or 5D input, got ", self.sizes());
    std::vector<int64_t> sizes = self.sizes().vec();
    for (size_t i = 0; i < 3; ++i) {
      int64_t& n = sizes[sizes.size() - 3 + i];
      n = pooled(n, per(kernel, i), stride.empty() ? per(kernel, i) : per(stride, i), per(padding, i),
                 per(dilation, i), ceil);
    }
    return std::make_tuple(image(sizes, self), image(sizes, self, at::kLong));
  });
  meta("aten::max_pool3d_with_indices_backward",
       [](const Tensor&, const Tensor& self, IntArrayRef, IntArrayRef, IntArrayRef, IntArrayRef, bool, const Tensor&) {
         return dense(self.sizes(), self);
       });
  meta("aten::max_unpool2d", [](const Tensor& self, const Tensor&, IntArrayRef output) {
    return dense(tail(self, output), self);
  });
  meta("aten::max_unpool3d", [](const Tensor& self, const Tensor&, IntArrayRef output, IntArrayRef, IntArrayRef) {
    return dense(tail(self, output), self);
  });
  meta("aten::reflection_pad2d", &reflected);
  // libtorch's own Meta kernels forget that channels stay last.
  meta("aten::reflection_pad3d",
       [](const Tensor& self, IntArrayRef padding) { return image(at::reflection_pad3d(self, padding).sizes(), self); });
  meta("aten::replication_pad2d",
       [](const Tensor& self, IntArrayRef padding) { return image(at::replication_pad2d(self, padding).sizes(), self); });
  meta("aten::replication_pad3d",
       [](const Tensor& self, IntArrayRef padding) { return image(at::replication_pad3d(self, padding).sizes(), self); });
  meta("aten::pixel_shuffle",
       [](const Tensor& self, int64_t factor) { return image(at::pixel_shuffle(self, factor).sizes(), self); });
  meta("aten::pixel_unshuffle",
       [](const Tensor& self, int64_t factor) { return image(at::pixel_unshuffle(self, factor).sizes(), self); });
  for (const char* op : {"aten::reflection_pad2d_backward", "aten::reflection_pad3d_backward",
                         "aten::replication_pad2d_backward", "aten::replication_pad3d_backward"}) {
    meta(op, [](const Tensor&, const Tensor& self, IntArrayRef) { return image(self.sizes(), self); });
  }
}

}  // namespace jorch::trace
