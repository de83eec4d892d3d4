#include "device/late_cuda.h"

#include <ATen/detail/CUDAHooksInterface.h>

#include <atomic>
#include <mutex>

namespace jorch::device {
namespace {

constexpr const char* kName = "CUDAHooks";

std::atomic<bool> loaded{false};

/** The library's own, once it has registered them; nullptr before. */
const at::CUDAHooksInterface* libraryHooks();

// What the base class answers, in words about what is missing, is the answer until the library is there.
#define JORCH_LATE(result, name, parameters, arguments)                        \
  result name parameters const override {                                      \
    if (const at::CUDAHooksInterface* own = libraryHooks()) return own->name arguments; \
    return at::CUDAHooksInterface::name arguments;                             \
  }

class LateHooks final : public at::CUDAHooksInterface {
 public:
  using Index = c10::DeviceIndex;
  explicit LateHooks(const at::CUDAHooksArgs&) {}

  JORCH_LATE(bool, isBuilt, (), ())
  JORCH_LATE(bool, isAvailable, (), ())
  JORCH_LATE(bool, hasPrimaryContext, (Index device), (device))
  JORCH_LATE(void, init, (), ())
  JORCH_LATE(Index, deviceCount, (), ())
  JORCH_LATE(void, setCurrentDevice, (Index device), (device))
  JORCH_LATE(Index, getCurrentDevice, (), ())
  JORCH_LATE(Index, exchangeDevice, (Index device), (device))
  JORCH_LATE(Index, maybeExchangeDevice, (Index device), (device))
  JORCH_LATE(bool, isPinnedPtr, (const void* data), (data))
  JORCH_LATE(at::Allocator*, getPinnedMemoryAllocator, (), ())
  JORCH_LATE(at::Device, getDeviceFromPtr, (void* data), (data))
  JORCH_LATE(const at::Generator&, getDefaultGenerator, (Index device), (device))
  JORCH_LATE(at::Generator, getNewGenerator, (Index device), (device))
  JORCH_LATE(bool, hasCUDA, (), ())
  JORCH_LATE(bool, hasCUDART, (), ())
  JORCH_LATE(bool, hasMAGMA, (), ())
  JORCH_LATE(bool, hasCuDNN, (), ())
  JORCH_LATE(bool, hasCuSOLVER, (), ())
  JORCH_LATE(bool, hasCuBLASLt, (), ())
  JORCH_LATE(bool, hasROCM, (), ())
  JORCH_LATE(bool, hasCKSDPA, (), ())
  JORCH_LATE(bool, hasCKGEMM, (), ())
  JORCH_LATE(const at::cuda::NVRTC&, nvrtc, (), ())
  JORCH_LATE(Index, current_device, (), ())
  JORCH_LATE(at::Allocator*, getCUDADeviceAllocator, (), ())
  JORCH_LATE(bool, compiledWithCuDNN, (), ())
  JORCH_LATE(bool, compiledWithMIOpen, (), ())
  JORCH_LATE(bool, supportsDilatedConvolutionWithCuDNN, (), ())
  JORCH_LATE(bool, supportsDepthwiseConvolutionWithCuDNN, (), ())
  JORCH_LATE(bool, supportsBFloat16ConvolutionWithCuDNNv8, (), ())
  JORCH_LATE(bool, supportsBFloat16RNNWithCuDNN, (), ())
  JORCH_LATE(long, versionCuDNN, (), ())
  JORCH_LATE(long, versionRuntimeCuDNN, (), ())
  JORCH_LATE(long, versionCuDNNFrontend, (), ())
  JORCH_LATE(long, versionMIOpen, (), ())
  JORCH_LATE(long, versionHipBLASLt, (), ())
  JORCH_LATE(long, versionCUDART, (), ())
  JORCH_LATE(std::string, showConfig, (), ())
  JORCH_LATE(double, batchnormMinEpsilonCuDNN, (), ())
  JORCH_LATE(int64_t, cuFFTGetPlanCacheMaxSize, (Index device), (device))
  JORCH_LATE(void, cuFFTSetPlanCacheMaxSize, (Index device, int64_t size), (device, size))
  JORCH_LATE(int64_t, cuFFTGetPlanCacheSize, (Index device), (device))
  JORCH_LATE(void, cuFFTClearPlanCache, (Index device), (device))
  JORCH_LATE(int, getNumGPUs, (), ())
  JORCH_LATE(void, deviceSynchronize, (Index device), (device))
};
#undef JORCH_LATE

const at::CUDAHooksInterface* libraryHooks() {
  static std::atomic<const at::CUDAHooksInterface*> known{nullptr};
  if (const auto* hooks = known.load(std::memory_order_acquire)) return hooks;
  if (!loaded.load(std::memory_order_acquire)) return nullptr;
  static auto* mutex = new std::mutex;
  std::lock_guard<std::mutex> lock(*mutex);
  if (known.load(std::memory_order_relaxed) == nullptr) {
    std::unique_ptr<at::CUDAHooksInterface> made = at::CUDAHooksRegistry()->Create(kName, at::CUDAHooksArgs{});
    if (made == nullptr || dynamic_cast<LateHooks*>(made.get()) != nullptr) return nullptr;
    known.store(made.release(), std::memory_order_release);  // for the life of the process, as libtorch keeps its own
  }
  return known.load(std::memory_order_relaxed);
}

}  // namespace

void lateCudaIsLoaded() noexcept { loaded.store(true, std::memory_order_release); }

void allowLateCuda() {
  static const bool once = [] {
    // Below the library's own priority: its registration replaces this one.
    if (!at::CUDAHooksRegistry()->Has(kName))
      at::CUDAHooksRegistry()->Register(
          kName, [](at::CUDAHooksArgs args) -> std::unique_ptr<at::CUDAHooksInterface> { return std::make_unique<LateHooks>(args); }, c10::REGISTRY_FALLBACK);
    return true;
  }();
  (void)once;
}

}  // namespace jorch::device
