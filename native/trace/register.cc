/** @file Registers the trace device and its kernels, once per process. */
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/_native_batch_norm_legit.h>
#include <ATen/ops/native_batch_norm.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <memory>
#include <mutex>
#include <unordered_map>

#include "decompositions.h"
#include "meta.h"
#include "record.h"
#include "trace_tensor.h"
#include "tracer.h"

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

/** native_batch_norm mutates its running statistics without saying so in its schema; its `legit` twin says it. */
std::tuple<at::Tensor, at::Tensor, at::Tensor> batchNorm(c10::DispatchKeySet keys, const at::Tensor& input,
                                                         const std::optional<at::Tensor>& weight,
                                                         const std::optional<at::Tensor>& bias,
                                                         const std::optional<at::Tensor>& mean,
                                                         const std::optional<at::Tensor>& var, bool training,
                                                         double momentum, double eps) {
  const bool stats = mean && mean->defined() && var && var->defined();
  if (training && stats) {
    at::Tensor m = *mean, v = *var;
    return at::_native_batch_norm_legit(input, weight, bias, m, v, training, momentum, eps);
  }
  if (training) return at::_native_batch_norm_legit(input, weight, bias, training, momentum, eps);
  torch::jit::Stack stack;
  torch::jit::push(stack, input, weight, bias, mean, var, training, momentum, eps);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("aten::native_batch_norm", "");
  for (c10::IValue& v : stack) {
    if (!v.isTensor()) continue;
    at::functionalization::impl::sync(v.toTensor());
    v = at::functionalization::impl::from_functional_tensor(v.toTensor(), false);
  }
  {
    at::functionalization::impl::FunctionalizationReapplyViewsGuard views(true);
    c10::impl::ExcludeDispatchKeyGuard skip(DispatchKey::Functionalize);
    op.callBoxed(&stack);
  }
  const auto wrap = [&](size_t i) {
    const at::Tensor& t = stack[i].toTensor();
    return t.defined() ? at::functionalization::impl::to_functional_tensor(t) : t;
  };
  return {wrap(0), wrap(1), wrap(2)};
}

/** In-place operators on lists: libtorch's own functionalization refuses an empty list (adam without amsgrad). */
void functionalizeLists(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  namespace fn = at::functionalization::impl;
  const c10::FunctionSchema& schema = op.schema();
  const std::string functional = schema.name().substr(0, schema.name().size() - 1);
  static auto& dispatcher = c10::Dispatcher::singleton();
  const auto pure = dispatcher.findSchemaOrThrow(functional.c_str(), schema.overload_name().c_str());
  const size_t count = schema.arguments().size();
  const torch::jit::Stack args(stack->end() - count, stack->end());
  torch::jit::drop(*stack, count);
  torch::jit::Stack bare;
  for (const c10::IValue& a : args) {
    if (a.isTensor()) {
      fn::sync(a.toTensor());
      bare.emplace_back(fn::from_functional_tensor(a.toTensor(), false));
    } else if (a.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : a.toTensorList()) {
        fn::sync(t);
        list.push_back(fn::from_functional_tensor(t, false));
      }
      bare.emplace_back(std::move(list));
    } else {
      bare.push_back(a);
    }
  }
  {
    c10::impl::ExcludeDispatchKeyGuard skip(DispatchKey::Functionalize);
    pure.callBoxed(&bare);
  }
  const auto put = [](const at::Tensor& t, const at::Tensor& value) {
    TORCH_CHECK(fn::isFunctionalTensor(t), "a tensor outside the trace cannot be mutated inside it");
    fn::replace_(t, value);
    fn::commit_update(t);
    fn::sync(t);
  };
  size_t out = 0;
  for (size_t i = 0; i < count; ++i) {
    if (schema.arguments()[i].alias_info() == nullptr || !schema.arguments()[i].alias_info()->isWrite()) continue;
    const c10::IValue& now = bare.at(out++);
    if (args[i].isTensor()) {
      put(args[i].toTensor(), now.toTensor());
      continue;
    }
    const auto before = args[i].toTensorVector(), after = now.toTensorVector();
    for (size_t k = 0; k < before.size(); ++k) put(before[k], after[k]);
  }
}

/** The copy between devices below functionalization: `dst` is fresh, so it may take on a new value. */
at::Tensor copyFrom(const at::Tensor& self, const at::Tensor& dst, bool nonBlocking) {
  TraceTensor* target = traceTensor(dst);
  TORCH_CHECK(target != nullptr, "the data of a traced tensor cannot be copied into a tensor on ", dst.device());
  torch::jit::Stack stack;
  torch::jit::push(stack, dst, self, nonBlocking);
  recordCall("aten::copy", "", &stack);
  target->id = traceTensor(stack.back().toTensor())->id;
  return dst;
}

void noOp(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  torch::jit::drop(*stack, op.schema().arguments().size());
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

/** libtorch warns when a kernel is replaced; here that is meant. */
struct Quiet final : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

std::vector<c10::OperatorHandle> overloadsOf(const std::string& name) {
  static const auto all = [] {
    std::unordered_map<std::string, std::vector<c10::OperatorHandle>> found;
    auto& dispatcher = c10::Dispatcher::singleton();
    for (const auto& n : dispatcher.getAllOpNames()) {
      const auto op = dispatcher.findOp(n);
      if (op && op->hasSchema()) found[n.name].push_back(*op);
    }
    return found;
  }();
  const auto it = all.find(name);
  return it == all.end() ? std::vector<c10::OperatorHandle>() : it->second;
}

/** out= on Meta by the shapes of the functional form. Functionalization tries an in-place operator on Meta twins first,
    and many an in-place kernel ends in an out= form that libtorch gave no Meta kernel. */
void outOnMeta(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  const auto isOut = [](const c10::Argument& a) { return a.alias_info() != nullptr && a.alias_info()->isWrite(); };
  std::optional<c10::OperatorHandle> pure;
  for (const c10::OperatorHandle& other : overloadsOf(schema.name())) {
    const auto& theirs = other.schema().arguments();
    if (other.schema().is_mutable()) continue;
    size_t k = 0;
    bool fits = true;
    for (const c10::Argument& a : schema.arguments()) {
      if (isOut(a)) continue;
      fits = fits && k < theirs.size() && theirs[k].name() == a.name() && *theirs[k].type() == *a.type();
      ++k;
    }
    if (fits && k == theirs.size()) pure = other;
  }
  TORCH_CHECK_NOT_IMPLEMENTED(pure.has_value(), opName(schema), " has no Meta kernel");
  const size_t count = schema.arguments().size();
  torch::jit::Stack inputs, outs;
  for (size_t i = 0; i < count; ++i) {
    (isOut(schema.arguments()[i]) ? outs : inputs).push_back((*stack)[stack->size() - count + i]);
  }
  torch::jit::drop(*stack, count);
  inferWithoutMeta(*pure, opName(pure->schema()), &inputs);
  for (size_t i = 0; i < outs.size() && outs[i].isTensor() && inputs[i].isTensor(); ++i) {
    const at::Tensor& out = outs[i].toTensor();
    const at::Tensor& like = inputs[i].toTensor();
    if (!out.sizes().equals(like.sizes())) out.resize_(like.sizes()).as_strided_(like.sizes(), like.strides());
  }
  for (size_t i = 0; i < schema.returns().size(); ++i) stack->push_back(outs[i]);
}

void registerOutMeta() {
  auto& lib = library("aten", DispatchKey::Meta);
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    const auto op = dispatcher.findOp(name);
    if (name.name.rfind("aten::", 0) != 0 || !op || !op->hasSchema()) continue;
    const c10::FunctionSchema& schema = op->schema();
    if (schema.arguments().empty() || !schema.arguments().back().is_out() || !returnsTensors(schema)) continue;
    if (op->hasKernelForDispatchKey(DispatchKey::Meta) ||
        op->hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutograd) ||
        op->hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutogradNonFunctional) ||
        op->hasKernelForDispatchKey(DispatchKey::CompositeImplicitAutograd)) {
      continue;
    }
    lib.impl(opName(schema).substr(6).c_str(), boxedKernel<&outOnMeta>());
  }
}

/** Fused optimizer steps: a functionalization of ours, and a Meta kernel, which their functional forms run on. */
void registerFused() {
  Quiet quiet;
  c10::WarningUtils::WarningHandlerGuard silence(&quiet);
  auto& lib = library("aten", DispatchKey::Meta);
  auto& above = library("aten", DispatchKey::Functionalize);
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    if (name.name.rfind("aten::_fused_", 0) != 0 && name.name.rfind("aten::_amp_", 0) != 0) continue;
    const auto op = dispatcher.findOp(name);
    if (!op || !op->hasSchema() || !op->schema().is_mutable() || !op->schema().returns().empty()) continue;
    const std::string local = opName(op->schema()).substr(6);
    if (!op->hasKernelForDispatchKey(DispatchKey::Meta)) lib.impl(local.c_str(), boxedKernel<&noOp>());
    above.impl(local.c_str(), boxedKernel<&functionalizeLists>());
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
  lib.impl("_linalg_check_errors", boxedKernel<&noOp>());  // a failed factorisation gives NaN, as in XLA
  lib.impl("_copy_from", &copyFrom);
  lib.impl("_efficientzerotensor", [](at::IntArrayRef size, std::optional<at::ScalarType> dtype,
                                      std::optional<at::Layout> layout, std::optional<at::Device> device,
                                      std::optional<bool> pin) { return at::zeros(size, dtype, layout, device, pin); });
  lib.impl("allclose", boxedKernel<&record>());  // refused there; its own kernel would mutate below functionalization
  registerComposites(lib);
  registerOutMeta();
  registerFused();
  registerDecompositions(library("aten", DispatchKey::AutogradLazy));
  library("aten", DispatchKey::Functionalize).impl("native_batch_norm", &batchNorm);
}
}  // namespace

void registerKernels() {
  static std::once_flag once;
  std::call_once(once, registerAll);
}

}  // namespace jorch::trace
