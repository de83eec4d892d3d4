/** @file Shape functions of the Fourier transforms. */
#include <algorithm>

#include "meta.h"

namespace jorch::trace {
namespace {
using at::IntArrayRef;
using at::Tensor;

/** MKL's layout: batch dimensions outside, then the transformed ones, each group by falling stride (`keepLast`: the
    last one stays last). Only libtorch's strides show it; values are row-major anyway. */
Tensor transformed(const Tensor& self, IntArrayRef sizes, IntArrayRef dim, bool keepLast, at::ScalarType dtype) {
  const auto byStride = [&](int64_t a, int64_t b) { return self.stride(a) > self.stride(b); };
  std::vector<int64_t> order, signal = dim.vec();
  for (int64_t d = 0; d < self.dim(); ++d) {
    if (std::find(signal.begin(), signal.end(), d) == signal.end()) order.push_back(d);
  }
  std::sort(order.begin(), order.end(), byStride);
  std::sort(signal.begin(), signal.end() - (keepLast ? 1 : 0), byStride);
  order.insert(order.end(), signal.begin(), signal.end());
  std::vector<int64_t> permuted, back(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    permuted.push_back(sizes[order[i]]);
    back[order[i]] = static_cast<int64_t>(i);
  }
  return dense(permuted, dtype).permute(back);
}
}  // namespace

void addFftMeta() {
  meta("aten::_fft_c2c", [](const Tensor& self, IntArrayRef dim, int64_t, bool) {
    TORCH_CHECK(self.is_complex(), "_fft_c2c: expected a complex tensor, got ", self.scalar_type());
    if (dim.empty()) return like(self);
    return transformed(self, self.sizes(), dim, false, self.scalar_type());
  });
  meta("aten::_fft_r2c", [](const Tensor& self, IntArrayRef dim, int64_t, bool onesided) {
    TORCH_CHECK(self.is_floating_point(), "_fft_r2c: expected a floating point tensor, got ", self.scalar_type());
    std::vector<int64_t> sizes = self.sizes().vec();
    if (onesided) sizes[dim.back()] = sizes[dim.back()] / 2 + 1;
    return transformed(self, sizes, dim, true, complexOf(self.scalar_type()));
  });
  meta("aten::_fft_c2r", [](const Tensor& self, IntArrayRef dim, int64_t, int64_t last) {
    TORCH_CHECK(self.is_complex(), "_fft_c2r: expected a complex tensor, got ", self.scalar_type());
    std::vector<int64_t> sizes = self.sizes().vec();
    sizes[dim.back()] = last;
    if (dim.size() == 1) return transformed(self, sizes, dim, true, realOf(self.scalar_type()));
    const Tensor inner = transformed(self, self.sizes(), dim.slice(0, dim.size() - 1), false, self.scalar_type());
    return transformed(inner, sizes, dim.slice(dim.size() - 1), true, realOf(self.scalar_type()));
  });
}

}  // namespace jorch::trace
