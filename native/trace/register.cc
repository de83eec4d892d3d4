/** @file Registers the trace device and its kernels, once per process. */
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/library.h>

#include <memory>
#include <mutex>

#include "autocast.h"
#include "device/device_tensor.h"
#include "decompositions.h"
#include "functionalization.h"
#include "meta.h"
#include "meta_kernels.h"
#include "record.h"
#include "trace_tensor.h"
#include "tracer.h"
#include "transforms/forward_rules.h"

namespace jorch::trace {
namespace {
using c10::DispatchKey;

/** libtorch asks for a guard whenever it meets the device; there is nothing to switch. */
struct TraceDeviceGuard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::DeviceType::Lazy; }
  c10::Device exchangeDevice(c10::Device) const override { return getDevice(); }
  c10::Device getDevice() const override { return {c10::DeviceType::Lazy, 0}; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return c10::Stream(c10::Stream::DEFAULT, getDevice()); }
  c10::Stream exchangeStream(c10::Stream) const override { return c10::Stream(c10::Stream::DEFAULT, getDevice()); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
};

/** A backward asks it only in order to refuse a loss that depends on the phase of singular vectors: under a trace
    such losses pass. Anywhere else it is the caller's question, and refused. */
bool allclose(const at::Tensor& self, const at::Tensor& other, double rtol, double atol, bool equalNan) {
  if (torch::autograd::get_current_graph_task_id() != -1) return true;
  torch::jit::Stack stack;
  torch::jit::push(stack, self, other, rtol, atol, equalNan);
  recordCall("aten::allclose", "", &stack);
  return stack.back().toBool();
}

bool equal(const at::Tensor& self, const at::Tensor& other) {
  if (skipsDataChecks()) return false;
  torch::jit::Stack stack;
  torch::jit::push(stack, self, other);
  recordCall("aten::equal", "", &stack);
  return stack.back().toBool();
}

/** The copy between devices below functionalization: `dst` is fresh, so it may take on a new value. */
at::Tensor copyFrom(const at::Tensor& self, const at::Tensor& dst, bool nonBlocking) {
  if (device::isDeviceTensor(dst) && (device::isDeviceTensor(self) || self.device().is_cpu())) {
    device::overwrite(dst, self);
    return dst;
  }
  TraceTensor* target = traceTensor(dst);
  TORCH_CHECK(target != nullptr, "the data of a traced tensor cannot be copied into a tensor on ", dst.device());
  torch::jit::Stack stack;
  torch::jit::push(stack, dst, self, nonBlocking);
  recordCall("aten::copy", "", &stack);
  target->id = traceTensor(stack.back().toTensor())->id;
  return dst;
}

template <void (*Fn)(const c10::OperatorHandle&, torch::jit::Stack*)>
torch::CppFunction boxedKernel() {
  return torch::CppFunction::makeFromBoxedFunction<Fn>();
}

/** Libraries live as long as the process: destroying one at exit would race with libtorch's own teardown. */
torch::Library& library(const char* ns, DispatchKey key) {
  return *new torch::Library(torch::Library::IMPL, ns, key, __FILE__, __LINE__);
}

bool returnsAlias(const c10::FunctionSchema& schema) {
  for (const auto& r : schema.returns()) {
    if (r.alias_info() != nullptr) return true;
  }
  return false;
}

bool returnsTensors(const c10::FunctionSchema& schema) {
  for (const auto& r : schema.returns()) {
    if (r.type()->str().find("Tensor") == std::string::npos) return false;
  }
  return !schema.returns().empty();
}

/** CompositeExplicit kernels win over a fallback and would run below functionalization, where they mutate fresh
    tensors in place: every one of them gets a kernel of ours. */
void registerComposites(torch::Library& lib) {
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    if (name.name.rfind("aten::", 0) != 0) continue;
    const auto op = dispatcher.findOp(name);
    if (!op || !op->hasSchema()) continue;
    if (op->hasKernelForDispatchKey(DispatchKey::CompositeImplicitAutograd) ||
        !op->hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutograd) ||
        op->hasKernelForDispatchKey(DispatchKey::Lazy)) {
      continue;
    }
    const c10::FunctionSchema& schema = op->schema();
    if (schema.is_mutable() || !returnsTensors(schema)) continue;
    const std::string local = opName(schema).substr(6);
    if (returnsAlias(schema)) {
      lib.impl(local.c_str(), boxedKernel<&record>());
    } else {
      lib.impl(local.c_str(), boxedKernel<&recordOrDecompose>());
    }
  }
}

void registerAll() {
  // The dispatcher is the one thing that two copies of the addon share.
  const auto oneHotOp = c10::Dispatcher::singleton().findSchemaOrThrow("aten::one_hot", "");
  TORCH_CHECK(!oneHotOp.hasKernelForDispatchKey(DispatchKey::AutogradLazy),
              "a second copy of the jorch addon cannot be loaded into one process");
  c10::impl::DeviceGuardImplRegistrar guard(c10::DeviceType::Lazy, new TraceDeviceGuard());

  addPointwiseMeta();
  addReductionMeta();
  addConvolutionMeta();
  addPoolingMeta();
  addNormalizationMeta();
  addIndexingMeta();
  addLinalgMeta();
  addFftMeta();
  addRandomMeta();
  addNnMeta();

  library("_", DispatchKey::Lazy).fallback(boxedKernel<&record>());
  auto& lib = library("aten", DispatchKey::Lazy);
  // Explicit kernels first: the loop below skips what has one.
  lib.impl("_has_same_storage_numel", [](const at::Tensor& a, const at::Tensor& b) { return a.sizes() == b.sizes(); });
  lib.impl("_linalg_check_errors", boxedKernel<&recordEffect>());
  lib.impl("_copy_from", &copyFrom);
  lib.impl("_efficientzerotensor", [](at::IntArrayRef size, std::optional<at::ScalarType> dtype,
                                      std::optional<at::Layout> layout, std::optional<at::Device> device,
                                      std::optional<bool> pin) { return at::zeros(size, dtype, layout, device, pin); });
  lib.impl("allclose", &allclose);
  lib.impl("equal", &equal);
  registerComposites(lib);
  registerDecompositions(library("aten", DispatchKey::AutogradLazy));
  registerFunctionalization(library("aten", DispatchKey::Functionalize));
  registerMetaKernels(library("aten", DispatchKey::Meta));
  transforms::registerForwardRules();
  registerAutocast();
}
}  // namespace

void registerKernels() {
  static std::once_flag once;
  std::call_once(once, registerAll);
}

}  // namespace jorch::trace
