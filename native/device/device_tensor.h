/** @file A tensor whose data is a PJRT buffer: libtorch sees a geometry, only compiled programs and copies to the host see the data. */
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/stack.h>
#include <c10/core/TensorImpl.h>

#include <memory>
#include <string>

#include "pjrt/buffer.h"

namespace jorch::device {

/**
 * Memory on a device, shared by a tensor and its aliases (detach, data). Buffers never change: an in-place operator puts another one
 * here, and a copy shares the buffer.
 */
struct Memory {
  Memory(std::shared_ptr<pjrt::Buffer> held, int64_t size) noexcept;
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::shared_ptr<pjrt::Buffer> buffer;
  const int64_t bytes;
};

/** Bytes of all memory on devices that tensors of the process hold; copies that share a buffer count each. */
int64_t liveBytes() noexcept;

/** Always row-major. The libtorch device is lazy:1, lazy:2 …; lazy:0 is that of traces. */
class DeviceTensor final : public c10::TensorImpl {
 public:
  DeviceTensor(std::shared_ptr<Memory> memory, c10::IntArrayRef sizes, c10::ScalarType dtype, c10::DeviceIndex device);

  std::shared_ptr<Memory> memory;

  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(const c10::VariableVersion& version, bool allowChange) const override;
  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(c10::VariableVersion&& version, bool allowChange) const override;
  void shallow_copy_from(const c10::intrusive_ptr<TensorImpl>& impl) override;

 private:
  DeviceTensor(const DeviceTensor& other);
  const char* tensorimpl_type_name() const override { return "jorch::DeviceTensor"; }
};

/** The device tensor that `t` is; nullptr for any other. */
DeviceTensor* deviceTensor(const at::Tensor& t);
/** Bytes on a device; 0 for any other tensor. */
inline int64_t bytesOf(const at::Tensor& t) {
  const DeviceTensor* own = deviceTensor(t);
  return own ? own->memory->bytes : 0;
}
inline bool isDeviceTensor(const at::Tensor& t) { return deviceTensor(t) != nullptr; }
/** What identifies the memory of any tensor: two that can see each other's writes have the same. */
const void* memoryOf(const at::Tensor& t);

at::Tensor makeDeviceTensor(std::shared_ptr<pjrt::Buffer> buffer, c10::IntArrayRef sizes, c10::ScalarType dtype, c10::DeviceIndex device);
/** The same values, in memory of their own as far as in-place operators are concerned. */
at::Tensor copyOf(const at::Tensor& t);
/** On the CPU, waiting for what computes it. Throws what that failed with (PjrtError). */
at::Tensor toHost(const at::Tensor& t);
/** On the device with this number (there a tensor of libtorch's if it has a Bridge), copied from the host or from another device. Throws c10::Error, PjrtError. */
at::Tensor toDevice(const at::Tensor& t, c10::DeviceIndex device);

/** Gives a device tensor other values, from wherever they are; aliases see them. Throws c10::Error for another shape or dtype. */
void overwrite(const at::Tensor& target, const at::Tensor& values);

/** Whether a device tensor is among the arguments of a call. */
bool any(const torch::jit::Stack& stack, size_t from = 0);

/**
 * Called by libtorch's own code (gradients that are summed, say) for an operator on device tensors: copies are made here, everything
 * else goes to the function that `setRunner` has been given. Takes the arguments off the stack and puts the results there.
 */
void run(const c10::OperatorHandle& op, torch::jit::Stack* stack);
using Runner = void (*)(const c10::OperatorHandle& op, torch::jit::Stack* stack);
void setRunner(Runner runner);

}  // namespace jorch::device
