/** @file Shape functions of losses, sampling grids and unfolding that libtorch has no Meta kernel for. */
#include <ATen/core/Reduction.h>

#include <algorithm>
#include <array>

#include "meta.h"

namespace jorch::trace {
namespace {
using at::IntArrayRef;
using at::Tensor;
using Maybe = std::optional<Tensor>;

Tensor reduced(const Tensor& full, int64_t reduction) {
  return reduction == at::Reduction::None ? full : dense({}, full);
}

int64_t per(IntArrayRef list, size_t i) { return list.size() == 1 ? list[0] : list[i]; }

/** How many windows fit; im2col and col2im share the arithmetic. */
int64_t windows(IntArrayRef image, IntArrayRef kernel, IntArrayRef dilation, IntArrayRef padding, IntArrayRef stride) {
  int64_t n = 1;
  for (size_t i = 0; i < 2; ++i) {
    const int64_t span = image[i] + 2 * per(padding, i) - per(dilation, i) * (per(kernel, i) - 1) - 1;
    TORCH_CHECK(span >= 0, "the sliding blocks do not fit into the image of size ", image);
    n *= span / per(stride, i) + 1;
  }
  return n;
}

Tensor sampled(const Tensor& input, const Tensor& grid, int64_t, int64_t, bool) {
  TORCH_CHECK(grid.dim() == input.dim() && grid.size(0) == input.size(0) && grid.size(-1) == input.dim() - 2,
              "grid_sampler(): expected grid and input to have same batch size and grid to have size ",
              input.dim() - 2, " in last dimension, but got input with sizes ", input.sizes(), " and grid with sizes ",
              grid.sizes());
  std::vector<int64_t> sizes{input.size(0), input.size(1)};
  for (int64_t i = 1; i < grid.dim() - 1; ++i) sizes.push_back(grid.size(i));
  return dense(sizes, input);
}
}  // namespace

void addNnMeta() {
  meta("aten::binary_cross_entropy", [](const Tensor& self, const Tensor& target, const Maybe&, int64_t reduction) {
    TORCH_CHECK(self.sizes().equals(target.sizes()), "Using a target size (", target.sizes(),
                ") that is different to the input size (", self.sizes(), ") is deprecated.");
    return reduced(like(self), reduction);
  });
  meta("aten::binary_cross_entropy_backward",
       [](const Tensor&, const Tensor& self, const Tensor&, const Maybe&, int64_t) { return like(self); });
  meta("aten::huber_loss", [](const Tensor& self, const Tensor& target, int64_t reduction, double) {
    return reduced(broadcast(self, target, self.scalar_type()), reduction);
  });
  meta("aten::mse_loss_backward", [](const Tensor& grad, const Tensor& self, const Tensor& target, int64_t) {
    return broadcast(self, target, grad, self.scalar_type());
  });
  for (const char* op : {"aten::huber_loss_backward", "aten::smooth_l1_loss_backward"}) {
    meta(op, [](const Tensor& grad, const Tensor& self, const Tensor& target, int64_t, double) {
      return broadcast(self, target, grad, self.scalar_type());
    });
  }
  meta("aten::multi_margin_loss", [](const Tensor& self, const Tensor& target, const at::Scalar&, const at::Scalar&,
                                     const Maybe&, int64_t reduction) {
    TORCH_CHECK(self.dim() <= 2 && self.numel() != 0, "Expected non-empty vector or matrix with optional 0-dim batch "
                "size, but got: ", self.sizes());
    return reduced(dense(target.sizes(), self), reduction);
  });
  meta("aten::multi_margin_loss_backward",
       [](const Tensor&, const Tensor& self, const Tensor&, const at::Scalar&, const at::Scalar&, const Maybe&,
          int64_t) { return dense(self.sizes(), self); });
  meta("aten::nll_loss2d_forward",
       [](const Tensor& self, const Tensor& target, const Maybe&, int64_t reduction, int64_t) {
         TORCH_CHECK(self.dim() == 4 && target.dim() == 3, "nll_loss2d: expected 4D input and 3D target, got ",
                     self.sizes(), " and ", target.sizes());
         return std::make_tuple(reduced(dense(target.sizes(), self), reduction), dense({}, self));
       });
  meta("aten::nll_loss2d_backward",
       [](const Tensor&, const Tensor& self, const Tensor&, const Maybe&, int64_t, int64_t, const Tensor&) {
         return dense(self.sizes(), self);
       });
  meta("aten::_ctc_loss", [](const Tensor& logProbs, const Tensor&, IntArrayRef inputLengths, IntArrayRef targetLengths,
                             int64_t, bool) {
    TORCH_CHECK(logProbs.dim() == 3 && static_cast<int64_t>(inputLengths.size()) == logProbs.size(1) &&
                    inputLengths.size() == targetLengths.size(),
                "ctc_loss: expected one input and one target length for each of the ", logProbs.size(1), " sequences");
    const int64_t longest = *std::max_element(targetLengths.begin(), targetLengths.end());
    const int64_t batch = logProbs.size(1);
    return std::make_tuple(dense({batch}, logProbs), dense({batch, logProbs.size(0), 2 * longest + 1}, logProbs));
  });
  // Where the lengths are data, the backward gets the states of the longest target that fits.
  meta("aten::_ctc_loss.Tensor", [](const Tensor& logProbs, const Tensor& targets, const Tensor& inputLengths,
                                    const Tensor& targetLengths, int64_t, bool) {
    const int64_t batch = logProbs.dim() == 3 ? logProbs.size(1) : -1;
    TORCH_CHECK(inputLengths.numel() == batch && targetLengths.numel() == batch,
                "ctc_loss: expected log_probs of three dimensions and one input and one target length per sequence");
    const int64_t longest = targets.size(-1);
    return std::make_tuple(dense({batch}, logProbs), dense({batch, logProbs.size(0), 2 * longest + 1}, logProbs));
  });
  meta("aten::_ctc_loss_backward.Tensor",
       [](const Tensor&, const Tensor& logProbs, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
          const Tensor&, int64_t, bool) { return like(logProbs); });
  meta("aten::_ctc_loss_backward",
       [](const Tensor&, const Tensor& logProbs, const Tensor&, IntArrayRef, IntArrayRef, const Tensor&, const Tensor&,
          int64_t, bool) { return like(logProbs); });
  for (const char* op : {"aten::grid_sampler_2d", "aten::grid_sampler_3d"}) meta(op, &sampled);
  for (const char* op : {"aten::grid_sampler_2d_backward", "aten::grid_sampler_3d_backward"}) {
    meta(op, [](const Tensor&, const Tensor& input, const Tensor& grid, int64_t, int64_t, bool,
                std::array<bool, 2> mask) {
      return std::make_tuple(mask[0] ? dense(input.sizes(), input) : Tensor(), dense(grid.sizes(), grid));
    });
  }
  meta("aten::im2col", [](const Tensor& self, IntArrayRef kernel, IntArrayRef dilation, IntArrayRef padding,
                          IntArrayRef stride) {
    TORCH_CHECK(self.dim() == 3 || self.dim() == 4, "im2col: expected a 3D or 4D tensor, got ", self.sizes());
    std::vector<int64_t> sizes = self.sizes().slice(0, self.dim() - 3).vec();
    sizes.push_back(self.size(-3) * per(kernel, 0) * per(kernel, 1));
    sizes.push_back(windows(self.sizes().slice(self.dim() - 2), kernel, dilation, padding, stride));
    return dense(sizes, self);
  });
  meta("aten::col2im", [](const Tensor& self, IntArrayRef output, IntArrayRef kernel, IntArrayRef dilation,
                          IntArrayRef padding, IntArrayRef stride) {
    TORCH_CHECK(self.dim() == 2 || self.dim() == 3, "col2im: expected a 2D or 3D tensor, got ", self.sizes());
    const int64_t n = windows(output, kernel, dilation, padding, stride);
    TORCH_CHECK(self.size(-1) == n, "Given output_size=", output, ", expected the columns to be ", n, ", but got ",
                self.size(-1));
    std::vector<int64_t> sizes = self.sizes().slice(0, self.dim() - 2).vec();
    sizes.push_back(self.size(-2) / (per(kernel, 0) * per(kernel, 1)));
    sizes.insert(sizes.end(), {output[0], output[1]});
    return dense(sizes, self);
  });
}

}  // namespace jorch::trace
