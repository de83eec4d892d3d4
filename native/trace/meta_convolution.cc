/** @file Shapes of convolutions, so that the graph holds aten::convolution itself and no backend's parts of it. */
#include <array>

#include "meta.h"

namespace jorch::trace {
namespace {
using at::IntArrayRef;
using at::Tensor;

int64_t per(IntArrayRef list, size_t i) { return list.size() == 1 ? list[0] : list[i]; }

std::vector<int64_t> outputSizes(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                                 IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
                                 IntArrayRef outputPadding, int64_t groups) {
  const int64_t spatial = weight.dim() - 2;
  TORCH_CHECK(spatial > 0 && input.dim() == weight.dim(), "Expected ", weight.dim(), "-dimensional input for ",
              weight.dim(), "-dimensional weight ", weight.sizes(), ", but got ", input.dim(),
              "-dimensional input of size ", input.sizes(), " instead");
  TORCH_CHECK(input.scalar_type() == weight.scalar_type(), "Input type (", input.scalar_type(),
              ") and weight type (", weight.scalar_type(), ") should be the same");
  TORCH_CHECK(groups > 0, "non-positive groups is not supported");
  const int64_t expected = transposed ? weight.size(0) : weight.size(1) * groups;
  TORCH_CHECK(input.size(1) == expected, "Given groups=", groups, ", weight of size ", weight.sizes(),
              ", expected input", input.sizes(), " to have ", expected, " channels, but got ", input.size(1),
              " channels instead");
  TORCH_CHECK(weight.size(0) % groups == 0, "Given groups=", groups, ", expected weight to be divisible by ", groups,
              " at dimension 0, but got weight of size ", weight.sizes(), " instead");
  const int64_t channels = transposed ? weight.size(1) * groups : weight.size(0);
  TORCH_CHECK(!bias || !bias->defined() || (bias->dim() == 1 && bias->size(0) == channels), "Given weight of size ",
              weight.sizes(), ", expected bias to be 1-dimensional with ", channels, " elements");
  std::vector<int64_t> out{input.size(0), channels};
  for (int64_t i = 0; i < spatial; ++i) {
    const int64_t reach = per(dilation, i) * (weight.size(i + 2) - 1);
    const int64_t in = input.size(i + 2), step = per(stride, i), pad = per(padding, i);
    TORCH_CHECK(step > 0, "non-positive stride is not supported");
    if (transposed) {
      out.push_back((in - 1) * step - 2 * pad + reach + per(outputPadding, i) + 1);
    } else {
      TORCH_CHECK(in + 2 * pad >= reach + 1, "Calculated padded input size: ", in + 2 * pad, ", kernel size: ",
                  reach + 1, ". Kernel size can't be greater than actual input size");
      out.push_back((in + 2 * pad - reach - 1) / step + 1);
    }
    TORCH_CHECK(out.back() >= 0, "Given input size ", input.sizes(), " and weight ", weight.sizes(),
                ": calculated output size is too small");
  }
  return out;
}

/** The operand whose memory format the results take on: either can ask for channels last. */
const Tensor& formatOf(const Tensor& input, const Tensor& weight) {
  return input.suggest_memory_format() == at::MemoryFormat::Contiguous ? weight : input;
}
}  // namespace

void addConvolutionMeta() {
  meta("aten::convolution",
       [](const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, IntArrayRef stride,
          IntArrayRef padding, IntArrayRef dilation, bool transposed, IntArrayRef outputPadding, int64_t groups) {
         return image(outputSizes(input, weight, bias, stride, padding, dilation, transposed, outputPadding, groups),
                      formatOf(input, weight));
       });
  meta("aten::convolution_backward",
       [](const Tensor& grad, const Tensor& input, const Tensor& weight, at::OptionalIntArrayRef, IntArrayRef,
          IntArrayRef, IntArrayRef, bool transposed, IntArrayRef, int64_t groups, std::array<bool, 3> mask) {
         const int64_t channels = transposed ? weight.size(1) * groups : weight.size(0);
         const Tensor& like = formatOf(input, weight);
         return std::make_tuple(mask[0] ? image(input.sizes(), like) : Tensor(),
                                mask[1] ? image(weight.sizes(), like) : Tensor(),
                                mask[2] ? dense({channels}, grad) : Tensor());
       });
}

}  // namespace jorch::trace
