/** @file What is done to the result of a convolution before it leaves the cache. */
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "aten_call_text.h"

namespace jorch::program {

/** The steps of a call with their operands: float32, images with their channels last. Numbers come out as libtorch's kernels give them. */
class Epilogue {
 public:
  /** `operands` as the steps name them, for images of `channels`. Throws c10::Error where one does not fit. */
  Epilogue(const std::vector<AtenCall::Step>& steps, std::vector<at::Tensor> operands, int64_t channels);
  /** Whether only the mean of each channel of an image is wanted. */
  bool averages() const { return averages_; }
  /** Changes `count` pixels of all channels, which begin at `data` and are those from `first` on of the whole batch. */
  void apply(float* data, int64_t first, int64_t count) const;
  /** The same for the `count` pixels of one image, whose means by channel go to `means`; what `data` holds afterwards is not said. */
  void average(float* data, int64_t first, int64_t count, float* means) const;

 private:
  /** One walk over the numbers: y·scale + shift, held between bounds, an image added, held between bounds; what is missing changes nothing. */
  struct Round {
    std::vector<float> scale, shift;  // for as many pixels as are done at once
    float low, high;
    const float* image = nullptr;
    float lowest, highest;
    int steps = 0;  // the place of the last one that it took
  };
  Round& roundFor(int place);
  /** Up to `pixels_` of them. */
  void applyNear(float* data, int64_t first, int64_t count) const;

  std::vector<at::Tensor> operands_;
  std::vector<Round> rounds_;
  int64_t channels_, pixels_;
  bool averages_ = false;
};

}  // namespace jorch::program
