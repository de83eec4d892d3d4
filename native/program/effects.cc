#include "program/effects.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Allocator.h>

#include <cstring>

#include "device/bridge.h"
#include "device/device_tensor.h"
#include "shard/sharded.h"

namespace jorch::program {

namespace {

// Below this a copy is cheaper than the new address, which every argument buffer that PJRT holds would have to follow.
constexpr size_t kCopyBytes = 16 * 1024;

// Memory of libtorch's allocator belongs to the storage alone. Other memory (a typed array's, a file's) is somebody
// else's too: he must see the new values there.
bool ownsItsMemory(const at::Tensor& tensor) { return tensor.storage().allocator() == c10::GetAllocator(tensor.device().type()); }

bool isPlain(const at::Tensor& tensor) {
  constexpr auto kLazyBits = c10::DispatchKeySet({c10::DispatchKey::Conjugate, c10::DispatchKey::Negative, c10::DispatchKey::ZeroTensor});
  return tensor.device().is_cpu() && tensor.layout() == c10::kStrided && tensor.is_contiguous() && tensor.numel() > 0 && !tensor.key_set().has_any(kLazyBits);
}

bool coversItsStorage(const at::Tensor& tensor) {
  return tensor.storage_offset() == 0 && tensor.is_contiguous() && tensor.storage().nbytes() == static_cast<size_t>(tensor.nbytes());
}

}  // namespace

void assign(const at::Tensor& target, const at::Tensor& fresh) {
  if (shard::assign(target, fresh)) return;
  at::AutoDispatchBelowADInplaceOrView belowAutograd;
  if (device::isDeviceTensor(target)) return device::overwrite(target, fresh);
  if (device::numberOf(fresh) != 0 && target.device().is_cpu()) return assign(target, device::toHost(fresh));
  if (target.const_data_ptr() == fresh.const_data_ptr()) {
    if (!target.is_inference()) target.unsafeGetTensorImpl()->bump_version();
    return;
  }
  const bool exchange = static_cast<size_t>(target.nbytes()) > kCopyBytes && ownsItsMemory(target) && coversItsStorage(target) && coversItsStorage(fresh) &&
                        fresh.storage().use_count() == 1 && target.scalar_type() == fresh.scalar_type();
  if (!exchange) {
    // Below autograd nobody else bumps the version. Of a few numbers libtorch's look at what is to be copied costs more than the copy.
    if (isPlain(target) && isPlain(fresh) && target.scalar_type() == fresh.scalar_type() && target.sizes() == fresh.sizes())
      std::memcpy(target.mutable_data_ptr(), fresh.const_data_ptr(), target.nbytes());
    else target.copy_(fresh);
  } else {
    c10::StorageImpl& memory = *target.storage().unsafeGetStorageImpl();
    memory.set_data_ptr_noswap(std::move(fresh.storage().unsafeGetStorageImpl()->_mutable_data_ptr_no_checks()));
  }
  if (!target.is_inference()) target.unsafeGetTensorImpl()->bump_version();
}

}  // namespace jorch::program
