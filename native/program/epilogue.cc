/** @file Loops over numbers that are in the first level of the cache. */
#include "epilogue.h"

#include <algorithm>
#include <cmath>
#include <limits>

// The addon is built for any processor; these loops are for the widest vectors there are. Sanitizers are not ready when the choice is made.
#if defined(__x86_64__) && defined(__ELF__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define JORCH_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define JORCH_WIDE
#endif

namespace jorch::program {
namespace {

using Kind = AtenCall::Step::Kind;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Numbers that are worked on at once, 4 KiB: they, the scales, the shifts and another image share the first level.
constexpr int64_t kNear = 1024;

// A comparison with NaN is false: it stays, and so does -0 where the bound is 0.
inline float held(float y, float low, float high) {
  y = low > y ? low : y;
  return high < y ? high : y;
}
JORCH_WIDE void change(float* __restrict y, const float* __restrict scale, const float* __restrict shift, float low, float high, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = held(y[i] * scale[i] + shift[i], low, high);
}
JORCH_WIDE void changeAndAdd(float* __restrict y, const float* __restrict scale, const float* __restrict shift, float low, float high, const float* __restrict x,
                             float lowest, float highest, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = held(held(y[i] * scale[i] + shift[i], low, high) + x[i], lowest, highest);
}
JORCH_WIDE void addUp(float* __restrict sums, const float* __restrict y, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; p++, y += channels)
    for (int64_t c = 0; c < channels; c++) sums[c] += y[c];
}

}  // namespace

Epilogue::Round& Epilogue::roundFor(int place) {
  if (rounds_.empty() || rounds_.back().steps >= place) {
    const size_t n = static_cast<size_t>(pixels_ * channels_);
    // What is added is -0, which leaves every number as it is.
    rounds_.push_back({std::vector<float>(n, 1.f), std::vector<float>(n, -0.f), -kInfinity, kInfinity, nullptr, -kInfinity, kInfinity});
  }
  rounds_.back().steps = place;
  return rounds_.back();
}

Epilogue::Epilogue(const std::vector<AtenCall::Step>& steps, std::vector<at::Tensor> operands, int64_t channels)
    : operands_(std::move(operands)), channels_(channels), pixels_(std::max<int64_t>(1, kNear / std::max<int64_t>(1, channels))) {
  auto next = operands_.begin();
  const auto take = [&] {
    TORCH_CHECK(next != operands_.end() && next->scalar_type() == at::kFloat, "jorch_aten: a float32 operand of a step is missing");
    return (next++)->const_data_ptr<float>();
  };
  // Where in a round: 1 scale and shift, 2 and 3 bounds, 4 the image, 5 and 6 the bounds after it.
  const auto second = [&] { return !rounds_.empty() && rounds_.back().steps >= 4; };
  for (const AtenCall::Step& step : steps) {
    const float number = static_cast<float>(step.number);
    switch (step.kind) {
      case Kind::Normalise: {
        Round& round = roundFor(1);
        for (size_t i = 0; i < step.operands(); i++)
          TORCH_CHECK(next + i < operands_.end() && next[i].numel() == channels_, "jorch_aten: a batch norm of ", channels_, " channels lacks numbers");
        const float *mean = take(), *variance = take();
        const float* weight = step.weight ? take() : nullptr;
        const float* bias = step.bias ? take() : nullptr;
        for (int64_t i = 0; i < pixels_ * channels_; i++) {
          const int64_t c = i % channels_;
          round.scale[i] = i < channels_ ? 1 / std::sqrt(variance[c] + number) * (weight ? weight[c] : 1) : round.scale[c];
          round.shift[i] = i < channels_ ? (bias ? bias[c] : 0) - mean[c] * round.scale[c] : round.shift[c];
        }
        break;
      }
      case Kind::AtLeast: {
        const bool late = second() && rounds_.back().steps < 5;
        Round& round = roundFor(late ? 5 : 2);
        (late ? round.lowest : round.low) = number;
        break;
      }
      case Kind::AtMost: {
        const bool late = second() && rounds_.back().steps < 6;
        Round& round = roundFor(late ? 6 : 3);
        (late ? round.highest : round.high) = number;
        break;
      }
      case Kind::Add: roundFor(4).image = take(); break;
      case Kind::Average: averages_ = true; break;
    }
  }
}

void Epilogue::applyNear(float* y, int64_t first, int64_t count) const {
  const int64_t n = count * channels_;
  for (const Round& r : rounds_) {
    if (r.image == nullptr) change(y, r.scale.data(), r.shift.data(), r.low, r.high, n);
    else changeAndAdd(y, r.scale.data(), r.shift.data(), r.low, r.high, r.image + first * channels_, r.lowest, r.highest, n);
  }
}

void Epilogue::apply(float* data, int64_t first, int64_t count) const {
  for (int64_t p = 0; p < count; p += pixels_) applyNear(data + p * channels_, first + p, std::min(pixels_, count - p));
}

void Epilogue::average(float* data, int64_t first, int64_t count, float* means) const {
  std::vector<float> sums(static_cast<size_t>(channels_));
  std::vector<double> totals(static_cast<size_t>(channels_));  // of many sums of few
  for (int64_t p = 0; p < count; p += pixels_) {
    const int64_t pixels = std::min(pixels_, count - p);
    float* y = data + p * channels_;
    applyNear(y, first + p, pixels);
    std::fill(sums.begin(), sums.end(), 0.f);
    addUp(sums.data(), y, pixels, channels_);
    for (int64_t c = 0; c < channels_; c++) totals[c] += sums[c];
  }
  for (int64_t c = 0; c < channels_; c++) means[c] = static_cast<float>(totals[c] / static_cast<double>(count));
}

}  // namespace jorch::program
