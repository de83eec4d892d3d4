#include "device/bridge.h"

#include <c10/core/Allocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <array>
#include <atomic>

#include "device/device_tensor.h"
#include "device/devices.h"

namespace jorch::device {

namespace {

constexpr c10::DeviceIndex kDevices = 8;  // numbers of opened devices, from 1
std::array<std::atomic<Bridge*>, kDevices> bridges{};
std::atomic<bool> anyBuilt{false};

c10::impl::VirtualGuardImpl backendOf(c10::Device device) {
  TORCH_CHECK(c10::impl::hasDeviceGuardImpl(device.type()), "libtorch has no backend for ", device);
  return c10::impl::VirtualGuardImpl(device.type());
}

c10::DispatchKeySet keysOf(c10::DeviceType type) {
  switch (type) {
    case c10::DeviceType::CUDA: return c10::DispatchKeySet(c10::DispatchKey::CUDA);
    case c10::DeviceType::PrivateUse1: return c10::DispatchKeySet(c10::DispatchKey::PrivateUse1);
    default: TORCH_CHECK(false, "tensors on ", type, " are not XLA's to read");
  }
}

/** XLA's compute stream is not libtorch's: a number is all that both know of a stream. */
c10::Stream foreign(c10::Device device, pjrt::NativeStream stream) { return c10::Stream(c10::Stream::UNSAFE, device, stream); }

// Compiled code relies on it.
constexpr uintptr_t kAlignment = 64;

}  // namespace

/** A buffer of XLA's as the context of a c10::DataPtr. */
struct Bridge::Lent {
  Bridge& bridge;
  std::shared_ptr<pjrt::Buffer> buffer;
};

Bridge::Bridge(const pjrt::Client& client, c10::Device own) : client_(client), streams_(client), device_(own), keys_(keysOf(own.type())) { backendOf(own); }

c10::Stream Bridge::current() const { return backendOf(device_).getStream(device_); }

bool Bridge::viewable(const at::Tensor& plain) { return reinterpret_cast<uintptr_t>(plain.const_data_ptr()) % kAlignment == 0; }

pjrt::NativeStream Bridge::settle() const {
  const c10::Stream stream = current();
  if (!streams_.has()) {
    stream.synchronize();
    return 0;
  }
  const pjrt::NativeStream external = streams_.external();
  c10::Event done(device_.type());
  done.record(stream);
  done.block(foreign(device_, external));
  return external;
}

pjrt::Buffer Bridge::view(const at::Tensor& plain, PJRT_Buffer_Type type, pjrt::NativeStream settled) const {
  alignas(kAlignment) static char nothing[kAlignment];  // XLA wants an address even for tensors without elements
  void* data = plain.numel() == 0 ? nothing : const_cast<void*>(plain.const_data_ptr());
  return pjrt::Buffer::view(client_, data, type, plain.sizes().data(), plain.sizes().size(), settled);
}

at::Tensor Bridge::tensor(std::shared_ptr<pjrt::Buffer> buffer, c10::IntArrayRef sizes, c10::ScalarType dtype) {
  reclaim(false);
  int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype));
  for (int64_t size : sizes) bytes *= size;
  void* data = pjrt::lend(client_.api(), buffer->get());
  auto lent = std::unique_ptr<Lent>(new Lent{*this, buffer});
  c10::DataPtr memory(data, lent.release(), &giveBack, device_);
  if (streams_.has()) {
    const auto handle = backendOf(device_).getStreamNativeHandle(current());
    streams_.wait(reinterpret_cast<pjrt::NativeStream>(handle), buffer->get());
  } else {
    pjrt::await(client_.api(), buffer->get());
  }
  // Resizable like any tensor of libtorch's: resize_ then moves the data to its own allocator.
  auto storage = c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), bytes, std::move(memory), c10::GetAllocator(device_.type()), /*resizable=*/true);
  at::Tensor made = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(std::move(storage)), keys_, c10::scalarTypeToTypeMeta(dtype));
  made.unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
  return made;
}

void Bridge::await(const at::Tensor& t) const {
  if (!t.has_storage()) return;
  const c10::DataPtr& memory = t.storage().data_ptr();
  if (memory.get_deleter() == &giveBack) pjrt::await(client_.api(), static_cast<const Lent*>(memory.get_context())->buffer->get());
}

// Runs wherever the tensor's last reference dies: a finalizer during garbage collection, another thread. libtorch may have been told to read the memory just before.
void Bridge::giveBack(void* context) noexcept {
  const std::unique_ptr<Lent> lent(static_cast<Lent*>(context));
  Bridge& bridge = lent->bridge;
  pjrt::takeBack(bridge.client_.api(), lent->buffer->get());
  try {
    c10::Event used(bridge.device_.type());
    used.record(bridge.current());
    std::lock_guard<std::mutex> lock(bridge.mutex_);
    bridge.returned_.push_back({std::move(used), std::move(lent->buffer)});
  } catch (...) {
    // A device that is lost, or no memory for a note: nothing can be said to be done with the memory any more, so it stays where it is.
    if (lent->buffer) new std::shared_ptr<pjrt::Buffer>(std::move(lent->buffer));
  }
}

void Bridge::reclaim(bool wait) {
  if (wait) current().synchronize();
  std::deque<Returned> free;  // destroyed without the lock
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // In the order of one stream, but for what other threads gave back.
    while (!returned_.empty() && returned_.front().used.query()) {
      free.push_back(std::move(returned_.front()));
      returned_.pop_front();
    }
  }
  if (wait && device_.is_cuda()) c10::getDeviceAllocator(device_.type())->emptyCache();
}

Bridge* bridgeOf(c10::DeviceIndex device) noexcept {
  return device > 0 && device <= kDevices ? bridges[device - 1].load(std::memory_order_acquire) : nullptr;
}

void build(c10::DeviceIndex device, c10::Device own) {
  static auto* mutex = new std::mutex;
  std::lock_guard<std::mutex> lock(*mutex);
  TORCH_CHECK(device <= kDevices, "there are ", static_cast<int>(kDevices), " devices at most");
  const pjrt::Client& client = clientOf(device);  // throws for one that was not opened
  if (bridgeOf(device) != nullptr) return;
  bridges[device - 1].store(new Bridge(client, own), std::memory_order_release);
  anyBuilt.store(true, std::memory_order_release);
}

void remove(c10::DeviceIndex device) noexcept {
  if (device > 0 && device <= kDevices) bridges[device - 1].store(nullptr, std::memory_order_release);
}

bool anyBridge() noexcept { return anyBuilt.load(std::memory_order_relaxed); }

Bridge* bridgeOf(const at::Tensor& t) noexcept {
  if (C10_LIKELY(!anyBridge()) || !t.defined() || t.device().is_cpu()) return nullptr;
  for (auto& place : bridges)
    if (Bridge* bridge = place.load(std::memory_order_acquire); bridge != nullptr && bridge->device() == t.device()) return bridge;
  return nullptr;
}

c10::DeviceIndex numberOf(const at::Tensor& t) noexcept {
  if (const DeviceTensor* own = deviceTensor(t)) return own->device().index();
  if (const Bridge* bridge = bridgeOf(t))
    for (c10::DeviceIndex i = 1; i <= kDevices; i++)
      if (bridgeOf(i) == bridge) return i;
  return 0;
}

void reclaim(bool wait) {
  for (auto& place : bridges)
    if (Bridge* bridge = place.load(std::memory_order_acquire)) bridge->reclaim(wait);
}

}  // namespace jorch::device
