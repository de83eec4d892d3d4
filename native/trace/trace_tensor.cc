/** @file The tensor that stands for a value of an open trace. */
#include "trace_tensor.h"

#include <ATen/FunctionalTensorWrapper.h>

#include "autocast.h"

namespace jorch::trace {
namespace {
// Lazy, not XLA: with XLA the autograd engine would run backward on another thread.
const c10::DispatchKeySet kKeys{c10::DispatchKey::Lazy, c10::DispatchKey::AutogradLazy, kAutocastKey};
const c10::Device kDevice{c10::DeviceType::Lazy, 0};
}  // namespace

TraceTensor::TraceTensor(const at::Tensor& like, int64_t valueId, uint64_t tracerSerial)
    : c10::TensorImpl(kKeys, like.dtype(), kDevice), id(valueId), serial(tracerSerial) {
  set_sizes_and_strides(like.sizes(), like.strides());
  set_storage_offset(like.storage_offset());
  set_storage_access_should_throw();
}

TraceTensor::TraceTensor(const TraceTensor& other)
    : c10::TensorImpl(kKeys, other.dtype(), kDevice), id(other.id), serial(other.serial) {
  set_storage_access_should_throw();
}

c10::intrusive_ptr<c10::TensorImpl> TraceTensor::shallow_copy_and_detach(const c10::VariableVersion& version,
                                                                         bool allowChange) const {
  auto copy = c10::intrusive_ptr<TensorImpl>::unsafe_steal_from_new(new TraceTensor(*this));
  copy_tensor_metadata(this, copy.get(), version, allowChange);
  return copy;
}

c10::intrusive_ptr<c10::TensorImpl> TraceTensor::shallow_copy_and_detach(c10::VariableVersion&& version,
                                                                         bool allowChange) const {
  auto copy = c10::intrusive_ptr<TensorImpl>::unsafe_steal_from_new(new TraceTensor(*this));
  copy_tensor_metadata(this, copy.get(), std::move(version), allowChange);
  return copy;
}

TraceTensor* traceTensor(const at::Tensor& t) {
  if (!t.defined() || t.device().type() != c10::DeviceType::Lazy) return nullptr;
  if (at::functionalization::impl::isFunctionalTensor(t)) {
    return traceTensor(at::functionalization::impl::unsafeGetFunctionalWrapper(t)->value());
  }
  return dynamic_cast<TraceTensor*>(t.unsafeGetTensorImpl());
}

}  // namespace jorch::trace
