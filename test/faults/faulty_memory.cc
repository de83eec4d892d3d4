// libtorch's memory for tensors, which fails when faults.cc says so: an exception out of the middle of any kernel, on any thread.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <node_api.h>

#include <new>

extern "C" bool jorchFaultIsDue(int kind);

namespace {

struct FaultyAllocator final : c10::Allocator {
  explicit FaultyAllocator(c10::Allocator* allocator) : inner(allocator) {}
  c10::DataPtr allocate(size_t bytes) override {
    TORCH_CHECK(!jorchFaultIsDue(2), "injected: this kernel fails");
    if (jorchFaultIsDue(3)) throw std::bad_alloc();
    return inner->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return inner->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t bytes) const override { inner->copy_data(to, from, bytes); }
  c10::Allocator* inner;
};

}  // namespace

NAPI_MODULE_INIT() {
  static auto* allocator = new FaultyAllocator(c10::GetCPUAllocator());
  c10::SetCPUAllocator(allocator, /*priority=*/100);
  return exports;
}
