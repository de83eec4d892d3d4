/** @file Shape inference: own shape functions first, then libtorch's Meta kernels, then CPU kernels on filled twins. */
#include "meta.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/empty_strided.h>

#include <unordered_map>

namespace jorch::trace {
namespace {
using torch::jit::Stack;

constexpr int64_t kTwinElements = 1'000'000;  // a CPU run on larger twins could take seconds

std::unordered_map<std::string, c10::KernelFunction>& shapeFunctions() {
  static auto* all = new std::unordered_map<std::string, c10::KernelFunction>();  // never destroyed: exit order
  return *all;
}

int64_t elements(const c10::IValue& v) {
  if (v.isTensor()) return v.toTensor().defined() ? v.toTensor().numel() : 0;
  int64_t n = 0;
  if (v.isTensorList()) {
    for (const at::Tensor& t : v.toTensorList()) n += t.defined() ? t.numel() : 0;
  } else if (v.isOptionalTensorList()) {
    for (const std::optional<at::Tensor>& t : v.toOptionalTensorList()) n += t && t->defined() ? t->numel() : 0;
  }
  return n;
}

at::Tensor cpuTwin(const at::Tensor& t, int64_t integer) {
  if (!t.defined()) return t;
  at::Tensor twin = at::empty_strided(t.sizes(), t.strides(), t.options().device(c10::kCPU));
  const bool floating = t.is_floating_point() || t.is_complex();
  twin.fill_(floating ? 1 : integer);
  if (t.unsafeGetTensorImpl()->is_wrapped_number()) twin.unsafeGetTensorImpl()->set_wrapped_number(true);
  return twin;
}

c10::IValue cpuArg(const c10::IValue& v, int64_t integer) {
  if (v.isTensor()) return cpuTwin(v.toTensor(), integer);
  if (v.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& t : v.toTensorList()) list.push_back(cpuTwin(t, integer));
    return list;
  }
  if (v.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& t : v.toOptionalTensorList()) {
      list.push_back(t ? std::optional<at::Tensor>(cpuTwin(*t, integer)) : std::nullopt);
    }
    return list;
  }
  if (v.isDevice()) return c10::Device(c10::kCPU);
  return v;
}

void toMetaResults(Stack* stack) {
  for (c10::IValue& v : *stack) {
    if (v.isTensor()) {
      v = toMeta(v.toTensor());
    } else if (v.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : v.toTensorList()) list.push_back(toMeta(t));
      v = list;
    }
  }
}

/** The operator's own CPU kernel on twins full of ones and zeros (valid indices, mostly valid numbers). */
void inferOnCpu(const c10::OperatorHandle& op, const std::string& name, Stack* stack) {
  int64_t n = 0;
  for (const c10::IValue& v : *stack) n += elements(v);
  TORCH_CHECK_NOT_IMPLEMENTED(n <= kTwinElements, name, " has no shape function and its arguments (", n,
                              " elements) are too large to try it out");
  for (int64_t integer : {0, 1}) {
    Stack twins;
    for (const c10::IValue& v : *stack) twins.push_back(cpuArg(v, integer));
    try {
      op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &twins);
    } catch (const c10::Error&) {
      if (integer == 1) throw;
      continue;
    }
    toMetaResults(&twins);
    *stack = std::move(twins);
    return;
  }
}

/** Asked of the kernels, because every operator has a fallback on Meta: one that throws, which is slow to catch. */
bool runsOnMeta(const c10::OperatorHandle& op) {
  using K = c10::DispatchKey;
  return op.hasKernelForDispatchKey(K::Meta) || op.hasKernelForDispatchKey(K::CompositeExplicitAutograd) ||
         op.hasKernelForDispatchKey(K::CompositeExplicitAutogradNonFunctional) ||
         op.hasKernelForDispatchKey(K::CompositeImplicitAutograd);
}

/** libtorch reports a byte count that overflows in words of its own; it is the same mistake as a huge tensor. */
[[noreturn]] void rethrowSize(const c10::Error& e) {
  const std::string text = e.what_without_backtrace();
  if (text.find("overflow") != std::string::npos && text.find("TOO_LARGE") == std::string::npos) {
    TORCH_CHECK(false, "TOO_LARGE: ", text);
  }
  throw;
}
}  // namespace

at::Tensor toMeta(const at::Tensor& t) {
  if (!t.defined() || t.is_meta()) return t;
  at::Tensor m = at::Tensor(at::detail::empty_strided_meta(t.sizes(), t.strides(), t.scalar_type()));
  if (t.storage_offset() != 0) m.unsafeGetTensorImpl()->set_storage_offset(t.storage_offset());
  if (t.unsafeGetTensorImpl()->is_wrapped_number()) m.unsafeGetTensorImpl()->set_wrapped_number(true);
  return m;
}

at::Tensor like(const at::Tensor& t) { return at::empty_like(t); }
at::Tensor like(const at::Tensor& t, at::ScalarType dtype) { return at::empty_like(t, t.options().dtype(dtype)); }

at::Tensor dense(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::Tensor(at::detail::empty_meta(sizes, dtype));
}
at::Tensor dense(at::IntArrayRef sizes, const at::Tensor& dtypeOf) { return dense(sizes, dtypeOf.scalar_type()); }

at::Tensor image(at::IntArrayRef sizes, const at::Tensor& like, at::ScalarType dtype) {
  return at::Tensor(at::detail::empty_meta(sizes, dtype, like.suggest_memory_format()));
}
at::Tensor image(at::IntArrayRef sizes, const at::Tensor& like) { return image(sizes, like, like.scalar_type()); }

at::Tensor columns(at::IntArrayRef sizes, at::ScalarType dtype) {
  std::vector<int64_t> transposed = sizes.vec();
  if (transposed.size() >= 2) std::swap(transposed[transposed.size() - 1], transposed[transposed.size() - 2]);
  at::Tensor t = dense(transposed, dtype);
  return sizes.size() >= 2 ? t.mT() : t;
}

namespace {
at::Tensor retyped(const at::Tensor& t, at::ScalarType dtype) {
  return at::Tensor(at::detail::empty_strided_meta(t.sizes(), t.strides(), dtype));
}
}  // namespace

at::Tensor broadcast(const at::Tensor& a, const at::Tensor& b, at::ScalarType dtype) {
  return retyped(at::add(retyped(a, at::kFloat), retyped(b, at::kFloat)), dtype);
}
at::Tensor broadcast(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c, at::ScalarType dtype) {
  return retyped(at::addcmul(retyped(a, at::kFloat), retyped(b, at::kFloat), retyped(c, at::kFloat)), dtype);
}

at::ScalarType realOf(at::ScalarType dtype) { return at::isComplexType(dtype) ? c10::toRealValueType(dtype) : dtype; }
at::ScalarType complexOf(at::ScalarType dtype) {
  return at::isComplexType(dtype) ? dtype : c10::toComplexType(floatOf(dtype));
}
at::ScalarType floatOf(at::ScalarType dtype) {
  return at::isIntegralType(dtype, true) ? c10::typeMetaToScalarType(at::get_default_dtype()) : dtype;
}

void addMeta(const std::string& op, c10::KernelFunction fn) { shapeFunctions()[op] = std::move(fn); }

void inferWithoutMeta(const c10::OperatorHandle& op, const std::string& name, Stack* stack) {
  const auto own = shapeFunctions().find(name);
  if (own != shapeFunctions().end()) {
    own->second.callBoxed(op, c10::DispatchKeySet(c10::DispatchKey::Meta), stack);
  } else {
    inferOnCpu(op, name, stack);
  }
}

void inferMeta(const c10::OperatorHandle& op, const std::string& name, Stack* stack) {
  // Meta tensors are not functional, but factories inside Meta kernels must not be treated as ours either.
  c10::impl::ExcludeDispatchKeyGuard plain(c10::DispatchKeySet(c10::DispatchKey::Functionalize));
  at::AutoDispatchBelowADInplaceOrView below;
  const c10::DispatchKeySet metaKey(c10::DispatchKey::Meta);
  try {
    const auto own = shapeFunctions().find(name);
    if (own != shapeFunctions().end()) {
      own->second.callBoxed(op, metaKey, stack);
      return;
    }
    Stack args = *stack;
    if (runsOnMeta(op)) {
      try {
        op.redispatchBoxed(metaKey, stack);
        return;
      } catch (const c10::NotImplementedError&) {  // an operator that it calls has no Meta kernel
        *stack = args;
      }
    }
    inferOnCpu(op, name, stack);
  } catch (const c10::Error& e) {
    rethrowSize(e);
  }
}

}  // namespace jorch::trace
