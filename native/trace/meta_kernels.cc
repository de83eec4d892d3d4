/** @file Meta kernels that the dispatcher itself needs, beside the shape functions that only the recorder asks. */
#include "meta_kernels.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <unordered_map>

#include "meta.h"
#include "record.h"

namespace jorch::trace {
namespace {
using c10::DispatchKey;

bool returnsTensors(const c10::FunctionSchema& schema) {
  for (const auto& r : schema.returns()) {
    if (r.type()->str().find("Tensor") == std::string::npos) return false;
  }
  return !schema.returns().empty();
}

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

void noOp(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  torch::jit::drop(*stack, op.schema().arguments().size());
}

bool hasMeta(const c10::OperatorHandle& op) {
  return op.hasKernelForDispatchKey(DispatchKey::Meta) ||
         op.hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutograd) ||
         op.hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutogradNonFunctional) ||
         op.hasKernelForDispatchKey(DispatchKey::CompositeImplicitAutograd);
}
}  // namespace

void registerMetaKernels(torch::Library& lib) {
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    const auto op = dispatcher.findOp(name);
    if (name.name.rfind("aten::", 0) != 0 || !op || !op->hasSchema() || !op->schema().is_mutable()) continue;
    if (hasMeta(*op)) continue;
    const c10::FunctionSchema& schema = op->schema();
    const std::string local = opName(schema).substr(6);
    if (schema.returns().empty()) {
      lib.impl(local.c_str(), torch::CppFunction::makeFromBoxedFunction<&noOp>());  // shapes stay as they are
    } else if (schema.arguments().back().is_out() && returnsTensors(schema)) {
      lib.impl(local.c_str(), torch::CppFunction::makeFromBoxedFunction<&outOnMeta>());
    }
  }
}

}  // namespace jorch::trace
