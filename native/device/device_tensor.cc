#include "device/device_tensor.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <atomic>

#include "device/bridge.h"
#include "device/devices.h"
#include "program/program.h"

namespace jorch::device {

namespace {

const c10::DispatchKeySet kKeys{c10::DispatchKey::Lazy, c10::DispatchKey::AutogradLazy};
Runner theRunner = nullptr;
std::atomic<int64_t> live{0};

}  // namespace

Memory::Memory(std::shared_ptr<pjrt::Buffer> held, int64_t size) noexcept : buffer(std::move(held)), bytes(size) { live += size; }
Memory::~Memory() { live -= bytes; }
int64_t liveBytes() noexcept { return live.load(std::memory_order_relaxed); }

DeviceTensor::DeviceTensor(std::shared_ptr<Memory> held, c10::IntArrayRef sizes, c10::ScalarType dtype, c10::DeviceIndex device)
    : c10::TensorImpl(kKeys, c10::scalarTypeToTypeMeta(dtype), c10::Device(c10::DeviceType::Lazy, device)), memory(std::move(held)) {
  set_sizes_contiguous(sizes);
  set_storage_access_should_throw();
}

DeviceTensor::DeviceTensor(const DeviceTensor& other)
    : c10::TensorImpl(kKeys, other.dtype(), other.device()), memory(other.memory) {
  set_storage_access_should_throw();
}

c10::intrusive_ptr<c10::TensorImpl> DeviceTensor::shallow_copy_and_detach(const c10::VariableVersion& version, bool allowChange) const {
  auto copy = c10::intrusive_ptr<TensorImpl>::unsafe_steal_from_new(new DeviceTensor(*this));
  copy_tensor_metadata(this, copy.get(), version, allowChange);
  return copy;
}

c10::intrusive_ptr<c10::TensorImpl> DeviceTensor::shallow_copy_and_detach(c10::VariableVersion&& version, bool allowChange) const {
  auto copy = c10::intrusive_ptr<TensorImpl>::unsafe_steal_from_new(new DeviceTensor(*this));
  copy_tensor_metadata(this, copy.get(), std::move(version), allowChange);
  return copy;
}

void DeviceTensor::shallow_copy_from(const c10::intrusive_ptr<TensorImpl>& impl) {
  auto* other = dynamic_cast<DeviceTensor*>(impl.get());
  TORCH_CHECK(other != nullptr, "a tensor on a device can only take the data of another one there");
  copy_tensor_metadata(other, this, version_counter(), allow_tensor_metadata_change());
  memory = other->memory;
}

DeviceTensor* deviceTensor(const at::Tensor& t) {
  if (!t.defined() || t.device().type() != c10::DeviceType::Lazy || t.device().index() <= 0) return nullptr;
  return dynamic_cast<DeviceTensor*>(t.unsafeGetTensorImpl());
}

const void* memoryOf(const at::Tensor& t) {
  if (t.has_storage()) return t.storage().unsafeGetStorageImpl();
  if (const DeviceTensor* own = deviceTensor(t)) return own->memory.get();
  return t.unsafeGetTensorImpl();
}

at::Tensor makeDeviceTensor(std::shared_ptr<pjrt::Buffer> buffer, c10::IntArrayRef sizes, c10::ScalarType dtype, c10::DeviceIndex device) {
  int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype));
  for (int64_t size : sizes) bytes *= size;
  return at::detail::make_tensor<DeviceTensor>(std::make_shared<Memory>(std::move(buffer), bytes), sizes, dtype, device);
}

at::Tensor copyOf(const at::Tensor& t) {
  const DeviceTensor& own = *deviceTensor(t);
  return makeDeviceTensor(own.memory->buffer, own.sizes(), t.scalar_type(), own.device().index());
}

at::Tensor toHost(const at::Tensor& t) {
  if (const Bridge* bridge = bridgeOf(t)) {
    at::AutoDispatchBelowADInplaceOrView below;
    bridge->await(t);
    return t.to(c10::kCPU);
  }
  const DeviceTensor& own = *deviceTensor(t);
  at::Tensor host(at::detail::empty_cpu(own.sizes(), t.scalar_type(), std::nullopt, std::nullopt, std::nullopt, std::nullopt));
  if (host.nbytes() > 0) own.memory->buffer->toHost(host.mutable_data_ptr(), host.nbytes());
  return host;
}

at::Tensor toDevice(const at::Tensor& t, c10::DeviceIndex device) {
  if (const c10::DeviceIndex there = numberOf(t)) return there == device ? t : toDevice(toHost(t), device);
  auto buffer = std::make_shared<pjrt::Buffer>(program::upload(clientOf(device), t));
  if (Bridge* bridge = bridgeOf(device)) return bridge->tensor(std::move(buffer), t.sizes(), t.scalar_type());
  return makeDeviceTensor(std::move(buffer), t.sizes(), t.scalar_type(), device);
}

void overwrite(const at::Tensor& target, const at::Tensor& values) {
  DeviceTensor& there = *deviceTensor(target);
  TORCH_CHECK(values.sizes() == target.sizes() && values.scalar_type() == target.scalar_type(), "a tensor of ", target.scalar_type(), target.sizes(),
              " on a device cannot be given ", values.scalar_type(), values.sizes());
  // Aliases share the place, copies only the buffer in it.
  there.memory->buffer = deviceTensor(toDevice(values, there.device().index()))->memory->buffer;
  if (!target.is_inference()) there.bump_version();
}

bool any(const torch::jit::Stack& stack, size_t from) {
  for (size_t i = from; i < stack.size(); i++) {
    const c10::IValue& v = stack[i];
    if (v.isTensor() && isDeviceTensor(v.toTensor())) return true;
    if (v.isTensorList())
      for (const at::Tensor& t : v.toTensorList())
        if (isDeviceTensor(t)) return true;
    if (v.isOptionalTensorList())
      for (const std::optional<at::Tensor>& t : v.toOptionalTensorList())
        if (t && isDeviceTensor(*t)) return true;
  }
  return false;
}

void run(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const std::string& name = op.schema().name();
  const size_t first = stack->size() - op.schema().arguments().size();
  if (name == "aten::detach" || name == "aten::alias") {
    const at::Tensor self = (*stack)[first].toTensor();
    torch::jit::drop(*stack, op.schema().arguments().size());
    stack->emplace_back(at::Tensor(self.unsafeGetTensorImpl()->shallow_copy_and_detach(self.unsafeGetTensorImpl()->version_counter(), true)));
    return;
  }
  if (name == "aten::clone") {
    const at::Tensor self = (*stack)[first].toTensor();
    torch::jit::drop(*stack, op.schema().arguments().size());
    stack->emplace_back(copyOf(self));
    return;
  }
  TORCH_CHECK(theRunner != nullptr, name, ": a tensor on a device can only be computed with from JavaScript");
  theRunner(op, stack);
}

void setRunner(Runner runner) { theRunner = runner; }

}  // namespace jorch::device
