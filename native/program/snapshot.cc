#include "program/snapshot.h"

#include <ATen/ops/_lazy_clone.h>
#include <ATen/ops/clone.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/impl/COW.h>

#include "device/bridge.h"
#include "device/device_tensor.h"
#include "program/program.h"
#include "shard/sharded.h"

namespace jorch::program {

namespace {

// Whether libtorch can turn the memory into one that is copied when written.
bool sharable(const at::Tensor& tensor) {
  c10::StorageImpl& storage = *tensor.storage().unsafeGetStorageImpl();
  if (storage.nbytes() == 0) return false;
  return c10::impl::cow::is_cow_data_ptr(storage.data_ptr()) || makeSimple(storage) ||
         (storage.allocator() != nullptr && c10::impl::cow::has_simple_data_ptr(storage));
}

}  // namespace

at::Tensor snapshot(const at::Tensor& tensor) {
  at::AutoDispatchBelowADInplaceOrView below;
  if (device::isDeviceTensor(tensor)) return device::copyOf(tensor);
  if (device::bridgeOf(tensor) != nullptr) return tensor.clone();
  if (!tensor.defined() || tensor._is_zerotensor() || !tensor.has_storage() || !tensor.device().is_cpu()) return tensor;
  if (shard::memoryOf(tensor) != nullptr) return shard::share(tensor);
  return sharable(tensor) ? at::_lazy_clone(tensor) : tensor.clone();
}

}  // namespace jorch::program
