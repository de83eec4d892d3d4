/** @file The batch shared out among threads. */
#include "convolution_call.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>

#include "epilogue.h"
#include "plain_kernels.h"
#include "result_memory.h"

namespace jorch::program {
namespace {

// Bytes of images, read and written, that a thread works on at once: still near when the kernel is done with them, and so many that what a call of the kernel costs
// besides is little (with 512 KiB the whole of a small net takes a sixth longer).
constexpr int64_t kAtOnce = 2 << 20;
constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

// Pixels whose channels are brought together at once, a line of the cache: read one channel after the other, since lines of the same pixels often lie in the same few places of
// the cache.
constexpr int64_t kPixels = 16;

/** Images with their channels last. */
at::Tensor laidOut(const at::Tensor& images) {
  if (images.is_contiguous(kChannelsLast) || !images.is_contiguous() || images.scalar_type() != at::kFloat) return images.contiguous(kChannelsLast);
  at::Tensor result = at::empty(images.sizes(), images.options(), kChannelsLast);
  const int64_t channels = images.size(1), pixels = images.size(2) * images.size(3);
  const float* from = images.const_data_ptr<float>();
  float* to = result.mutable_data_ptr<float>();
  for (int64_t n = 0; n < images.size(0); n++, from += channels * pixels, to += channels * pixels)
    for (int64_t first = 0; first < pixels; first += kPixels)
      for (int64_t c = 0; c < channels; c++)
        for (int64_t p = first; p < std::min(first + kPixels, pixels); p++) to[p * channels + c] = from[c * pixels + p];
  return result;
}

struct Job {
  const AtenCall& call;
  const std::vector<c10::IValue>& stack;
  const Epilogue& epilogue;
  const at::Tensor& out;

  // The kernel's result for `count` images from `first` on, channels last: in the memory of `out`, unless only means of it go there.
  at::Tensor convolve(int64_t first, int64_t count) const {
    std::vector<c10::IValue> arguments = stack;
    arguments[0] = laidOut(stack[0].toTensor().narrow(0, first, count));
    if (epilogue.averages()) {
      call.op.callBoxed(arguments);
      return checked(arguments.at(0).toTensor(), count).contiguous(kChannelsLast);
    }
    at::Tensor target = out.narrow(0, first, count);
    void* data = target.mutable_data_ptr();
    std::vector<ResultMemory::Block> blocks;
    if (reinterpret_cast<uintptr_t>(data) % 64 == 0) blocks.push_back({data, target.nbytes()});
    ResultMemory memory(std::move(blocks));
    call.op.callBoxed(arguments);
    memory.stop();
    const at::Tensor result = checked(arguments.at(0).toTensor(), count);
    TORCH_CHECK(result.sizes() == target.sizes(), call.op.operator_name(), ": the result is ", result.sizes(), ", the compiled program expects ", target.sizes());
    if (result.const_data_ptr() != data || !result.is_contiguous(kChannelsLast)) target.copy_(memory.isLent(result.storage().data()) ? result.clone() : result);
    return target;
  }
  const at::Tensor& checked(const at::Tensor& result, int64_t count) const {
    TORCH_CHECK(result.dim() == 4 && result.size(0) == count && result.size(1) == out.size(1) && result.scalar_type() == at::kFloat, call.op.operator_name(),
                ": the result is ", result.scalar_type(), result.sizes(), ", the compiled program expects ", out.scalar_type(), out.sizes());
    return result;
  }

  // Images from `begin` to `end` of those that are the batch's from `first` on.
  void average(const at::Tensor& images, int64_t first, int64_t begin, int64_t end) const {
    const int64_t channels = out.size(1), pixels = images.size(2) * images.size(3);
    for (int64_t i = begin; i < end; i++)
      epilogue.average(images.mutable_data_ptr<float>() + i * pixels * channels, (first + i) * pixels, pixels, out.mutable_data_ptr<float>() + (first + i) * channels);
  }
};

}  // namespace

void runConvolution(const AtenCall& call, const std::vector<c10::IValue>& stack, std::vector<at::Tensor> operands, const at::Tensor& out) {
  if (out.numel() == 0) return;
  const int64_t images = out.size(0), channels = out.size(1);
  const Epilogue epilogue(call.steps, std::move(operands), channels);
  const Job job{call, stack, epilogue, out};
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const int64_t share = (images + threads - 1) / threads;
  if (share * threads * 10 > images * 11) {  // the others would wait for the one with most
    const at::Tensor result = job.convolve(0, images);
    if (epilogue.averages()) {
      at::parallel_for(0, images, 1, [&](int64_t begin, int64_t end) {
        const PlainKernels plain;
        job.average(result, 0, begin, end);
      });
    } else {
      at::parallel_for(0, result.numel() / channels, std::max<int64_t>(1, (1 << 15) / channels), [&](int64_t begin, int64_t end) {
        const PlainKernels plain;
        epilogue.apply(result.mutable_data_ptr<float>() + begin * channels, begin, end - begin);
      });
    }
    return;
  }
  const int64_t bytes = static_cast<int64_t>(out.nbytes() + stack[0].toTensor().nbytes()) / images;
  const int64_t fit = std::clamp<int64_t>(kAtOnce / std::max<int64_t>(1, bytes), 1, share);
  const int64_t rounds = (share + fit - 1) / fit;
  const int64_t group = (share + rounds - 1) / rounds;
  at::parallel_for(0, images, 1, [&](int64_t begin, int64_t end) {
    const PlainKernels plain;
    for (int64_t first = begin; first < end; first += group) {
      const int64_t count = std::min(group, end - first);
      const at::Tensor result = job.convolve(first, count);
      const int64_t pixels = result.size(2) * result.size(3);
      if (epilogue.averages()) job.average(result, first, 0, count);
      else epilogue.apply(result.mutable_data_ptr<float>(), first * pixels, count * pixels);
    }
  });
}

}  // namespace jorch::program
