/** @file Shape functions of the Fourier transforms. */
#include "meta.h"

namespace jorch::trace {
namespace {
using at::IntArrayRef;
using at::Tensor;
}  // namespace

void addFftMeta() {
  meta("aten::_fft_c2c", [](const Tensor& self, IntArrayRef, int64_t, bool) {
    TORCH_CHECK(self.is_complex(), "_fft_c2c: expected a complex tensor, got ", self.scalar_type());
    return dense(self.sizes(), self);
  });
  meta("aten::_fft_r2c", [](const Tensor& self, IntArrayRef dim, int64_t, bool onesided) {
    TORCH_CHECK(self.is_floating_point(), "_fft_r2c: expected a floating point tensor, got ", self.scalar_type());
    std::vector<int64_t> sizes = self.sizes().vec();
    if (onesided) sizes[dim.back()] = sizes[dim.back()] / 2 + 1;
    return dense(sizes, complexOf(self.scalar_type()));
  });
  meta("aten::_fft_c2r", [](const Tensor& self, IntArrayRef dim, int64_t, int64_t last) {
    TORCH_CHECK(self.is_complex(), "_fft_c2r: expected a complex tensor, got ", self.scalar_type());
    std::vector<int64_t> sizes = self.sizes().vec();
    sizes[dim.back()] = last;
    return dense(sizes, realOf(self.scalar_type()));
  });
}

}  // namespace jorch::trace
