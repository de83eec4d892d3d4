/** @file Autocast on trace tensors, which libtorch's own casts pass by: they look for the CPU's. */
#include "autocast.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <string>
#include <unordered_set>

#include "record.h"

namespace jorch::trace {
namespace {
using torch::jit::Stack;

// https://docs.pytorch.org/docs/stable/amp.html, "CPU Ops that can autocast to bfloat16" and "… promote to the widest input type". Every other
// operator that has a kernel for the CPU's autocast key runs in float32.
const std::unordered_set<std::string> kLower = {
    "conv1d", "conv2d", "conv3d", "bmm", "mm", "linalg_vecdot", "baddbmm", "addmm", "addbmm", "linear", "_convolution", "matmul", "conv_tbc",
    "mkldnn_rnn_layer", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "prelu", "scaled_dot_product_attention",
    "_native_multi_head_attention"};
const std::unordered_set<std::string> kWidest = {"stack", "cat", "index_copy"};

bool eligible(const at::Tensor& t) { return t.defined() && t.is_floating_point() && t.scalar_type() != at::kDouble; }

template <class Visit>
void forEachTensor(Stack& stack, size_t first, Visit visit) {
  for (size_t i = first; i < stack.size(); ++i) {
    c10::IValue& value = stack[i];
    if (value.isTensor()) {
      if (eligible(value.toTensor())) value = visit(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : value.toTensorList()) list.push_back(eligible(t) ? visit(t) : t);
      value = list;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor>& t : value.toOptionalTensorList()) {
        if (t && eligible(*t)) list.push_back(visit(*t));
        else list.push_back(t);
      }
      value = list;
    }
  }
}

void cast(const c10::OperatorHandle& op, Stack* stack) {
  const bool enabled = at::autocast::is_autocast_enabled(at::kCPU);
  // Operators below do not cast again, as in libtorch.
  c10::impl::ExcludeDispatchKeyGuard once(c10::DispatchKeySet{kAutocastKey, c10::DispatchKey::AutocastCPU});
  if (enabled) {
    const std::string name = op.schema().name().substr(6);
    const size_t first = stack->size() - op.schema().arguments().size();
    at::ScalarType type = kLower.count(name) != 0 ? at::autocast::get_autocast_dtype(at::kCPU) : at::kFloat;
    if (kWidest.count(name) != 0) {
      type = at::autocast::get_autocast_dtype(at::kCPU);
      forEachTensor(*stack, first, [&](const at::Tensor& t) {
        if (t.scalar_type() == at::kFloat) type = at::kFloat;
        return t;
      });
    }
    forEachTensor(*stack, first, [&](const at::Tensor& t) { return t.scalar_type() == type ? t : t.to(type); });
  }
  op.callBoxed(stack);
}

/** Libraries live as long as the process. */
torch::Library& library(const char* ns) { return *new torch::Library(torch::Library::IMPL, ns, kAutocastKey, __FILE__, __LINE__); }
}  // namespace

void registerAutocast() {
  auto& dispatcher = c10::Dispatcher::singleton();
  if (!dispatcher.hasBackendFallbackForDispatchKey(kAutocastKey)) library("_").fallback(torch::CppFunction::makeFallthrough());
  torch::Library& lib = library("aten");
  for (const auto& name : dispatcher.getAllOpNames()) {
    if (name.name.rfind("aten::", 0) != 0) continue;
    const auto op = dispatcher.findSchema(name);
    if (!op || !op->hasKernelForDispatchKey(c10::DispatchKey::AutocastCPU)) continue;
    lib.impl(opName(op->schema()).substr(6).c_str(), torch::CppFunction::makeFromBoxedFunction<&cast>());
  }
}

}  // namespace jorch::trace
