/** @file Tensors of libtorch's own on a device: their memory as XLA's buffers, XLA's results as such tensors, and both sides' work in order. */
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <deque>
#include <memory>
#include <mutex>

#include "pjrt/buffer.h"
#include "pjrt/borrow.h"

namespace jorch::device {

/**
 * Between libtorch's backend for a device (CUDA's library, say) and XLA's client for it. Each has streams and an allocator of its own and knows nothing of the
 * other, so all that is handed over is ordered here:
 * - XLA begins with a view after what libtorch had queued on the thread's current stream (`settle`);
 * - what libtorch queues later on its stream waits for XLA's results (`tensor`), and so does its allocator, which reuses memory in the order of that stream:
 *   tensors that a program reads may be freed as soon as its results have been handed over;
 * - XLA's allocator takes back the memory of a result only when libtorch is done with it (`giveBack`).
 * Nothing waits on the host, unless the plugin has no streams. Thread-safe, never destroyed.
 */
class Bridge {
 public:
  /** Throws c10::Error when libtorch has no backend for `own`. */
  Bridge(const pjrt::Client& client, c10::Device own);

  /** As libtorch knows it: `cuda:0`. */
  c10::Device device() const noexcept { return device_; }
  c10::DispatchKeySet keys() const noexcept { return keys_; }
  bool owns(const at::Tensor& t) const { return t.defined() && t.device() == device_; }

  /** What views are to be made with from now on, so that XLA sees what libtorch has been told to do until now. Throws c10::Error, PjrtError. */
  pjrt::NativeStream settle() const;
  /** XLA's view of a dense row-major tensor, which must live until the results of the program that reads it have been handed over. */
  pjrt::Buffer view(const at::Tensor& plain, PJRT_Buffer_Type type, pjrt::NativeStream settled) const;
  /** Whether XLA can read the tensor where it is: it wants aligned addresses. */
  static bool viewable(const at::Tensor& plain);

  /** The same memory as a row-major tensor of libtorch's. Throws PjrtError when what computes it has failed already. */
  at::Tensor tensor(std::shared_ptr<pjrt::Buffer> buffer, c10::IntArrayRef sizes, c10::ScalarType dtype);
  /** Waits for a tensor's values. Throws PjrtError when it is a program's result and the program failed. */
  void await(const at::Tensor& t) const;

  /** Frees what libtorch is done with; `wait`: makes it be done, and gives back the memory that libtorch's allocator keeps for later. */
  void reclaim(bool wait);

 private:
  struct Lent;
  struct Returned {
    c10::Event used;
    std::shared_ptr<pjrt::Buffer> buffer;
  };
  static void giveBack(void* context) noexcept;
  c10::Stream current() const;

  const pjrt::Client& client_;
  const pjrt::Streams streams_;
  const c10::Device device_;
  const c10::DispatchKeySet keys_;

  std::mutex mutex_;
  std::deque<Returned> returned_;
};

/** That of an opened device; nullptr as long as tensors there are DeviceTensors. */
Bridge* bridgeOf(c10::DeviceIndex device) noexcept;
/** From now on tensors on the opened device are libtorch's. Throws c10::Error as Bridge does. */
void build(c10::DeviceIndex device, c10::Device own);
/** Undoes `build`; tensors of libtorch's that are there stay its own, and are elsewhere from then on. */
void remove(c10::DeviceIndex device) noexcept;
/** Whether any device has one. */
bool anyBridge() noexcept;

/** The bridge of the device that a tensor of libtorch's is on; nullptr for the CPU and DeviceTensors. */
Bridge* bridgeOf(const at::Tensor& t) noexcept;
/** The opened device that `t` is on, whoever has the memory; 0 for the CPU and traces. */
c10::DeviceIndex numberOf(const at::Tensor& t) noexcept;
/** As Bridge::reclaim, of all. */
void reclaim(bool wait);

}  // namespace jorch::device
