/** @file Functionalization of operators that libtorch's own functionalization gets wrong. */
#include "functionalization.h"

#include <ATen/FunctionalTensorWrapper.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_native_batch_norm_legit.h>
#include <c10/util/Exception.h>

#include "record.h"

namespace jorch::trace {
namespace {
using c10::DispatchKey;

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

/** An in-place operator by its functional form: fused optimiser steps, whose empty lists libtorch's own functionalization
    refuses (adam without amsgrad), and the few that it has no functionalization for. */
void byFunctionalForm(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  namespace fn = at::functionalization::impl;
  const c10::FunctionSchema& schema = op.schema();
  const std::string functional = schema.name().substr(0, schema.name().size() - 1);
  static auto& dispatcher = c10::Dispatcher::singleton();
  const auto pure = dispatcher.findSchemaOrThrow(functional.c_str(), schema.overload_name().c_str());
  const size_t count = schema.arguments().size();
  const torch::jit::Stack args(stack->end() - count, stack->end());
  torch::jit::drop(*stack, count);
  const auto bare = [](const at::Tensor& t) {
    if (!t.defined() || !fn::isFunctionalTensor(t)) return t;
    fn::sync(t);
    return fn::from_functional_tensor(t, false);
  };
  torch::jit::Stack inputs;
  for (const c10::Argument& wanted : pure.schema().arguments()) {  // polygamma has another order than polygamma_
    const c10::IValue& a = args.at(*schema.argumentIndexWithName(wanted.name()));
    if (a.isTensor()) {
      inputs.emplace_back(bare(a.toTensor()));
    } else if (a.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : a.toTensorList()) list.push_back(bare(t));
      inputs.emplace_back(std::move(list));
    } else {
      inputs.push_back(a);
    }
  }
  {
    c10::impl::ExcludeDispatchKeyGuard skip(DispatchKey::Functionalize);
    pure.callBoxed(&inputs);
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
    const c10::IValue& now = inputs.at(out++);
    if (args[i].isTensor()) {
      put(args[i].toTensor(), now.toTensor());
      continue;
    }
    const auto before = args[i].toTensorVector(), after = now.toTensorVector();
    for (size_t k = 0; k < before.size(); ++k) put(before[k], after[k]);
  }
  if (!schema.returns().empty()) stack->push_back(args[0]);
}

/** expand, whose inverse in libtorch adds up what every copy of an element was changed by: a fill would count once a copy. */
struct Expanded final : at::functionalization::ViewMeta {
  Expanded(std::vector<c10::SymInt> size, bool implicit) : ViewMeta(false), size_(std::move(size)), implicit_(implicit) {}

  at::Tensor forward(const at::Tensor& base) override { return base.expand_symint(size_, implicit_); }

  /** Of the copies of an element one that was written to: they are equal where there are several. */
  at::Tensor reverse(const at::Tensor& base, const at::Tensor& view) override {
    const int64_t added = view.dim() - base.dim();
    std::vector<int64_t> copied, order, kept;
    for (int64_t d = 0; d < view.dim(); ++d) {
      const bool copies = d < added || view.size(d) != base.size(d - added);
      (copies ? copied : kept).push_back(d);
    }
    if (copied.empty()) return view.reshape(base.sizes());
    if (view.numel() == 0) return base;
    order = copied;
    order.insert(order.end(), kept.begin(), kept.end());
    std::vector<int64_t> shape{-1};
    for (const int64_t d : kept) shape.push_back(view.size(d));
    const at::Tensor after = view.permute(order).reshape(shape);
    const at::Tensor before = base.reshape(at::IntArrayRef(shape).slice(1)).unsqueeze(0);
    at::Tensor changed = after.ne(before);
    if (base.is_floating_point()) changed = changed.logical_or(after.signbit().ne(before.signbit()));
    if (base.is_floating_point() || base.is_complex()) changed = changed.logical_and(after.isnan().logical_and(before.isnan()).logical_not());
    return after.gather(0, changed.to(at::kInt).argmax(0, true)).reshape(base.sizes());
  }

 private:
  std::vector<c10::SymInt> size_;
  bool implicit_;
};

at::Tensor expand(const at::Tensor& self, c10::SymIntArrayRef size, bool implicit) {
  namespace fn = at::functionalization::impl;
  const bool functional = fn::isFunctionalTensor(self);
  at::Tensor seen;
  {
    at::AutoDispatchSkipFunctionalize below;
    seen = (functional ? fn::from_functional_tensor(self) : self).expand_symint(size, implicit);
  }
  if (!functional) return seen;
  return at::detail::make_tensor<at::FunctionalTensorWrapper>(seen, fn::unsafeGetFunctionalWrapper(self), std::make_shared<Expanded>(size.vec(), implicit));
}

/** libtorch warns when a kernel is replaced; here that is meant. */
struct Quiet final : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

bool isFusedStep(const c10::OperatorHandle& op) {
  const std::string& name = op.schema().name();
  return (name.rfind("aten::_fused_", 0) == 0 || name.rfind("aten::_amp_", 0) == 0) && op.schema().is_mutable() &&
         op.schema().returns().empty();
}

/** In-place operators on one tensor that libtorch has no functionalization for, like polygamma_. */
bool isForgotten(const c10::OperatorHandle& op) {
  const c10::FunctionSchema& schema = op.schema();
  const std::string& name = schema.name();
  if (!schema.is_mutable() || name.rfind("aten::", 0) != 0 || name.back() != '_' || schema.returns().size() != 1 ||
      op.hasKernelForDispatchKey(DispatchKey::CompositeImplicitAutograd) ||
      op.hasKernelForDispatchKey(DispatchKey::Functionalize)) {
    return false;
  }
  const auto pure = c10::Dispatcher::singleton().findSchema({name.substr(0, name.size() - 1), schema.overload_name()});
  if (!pure || pure->schema().is_mutable() || pure->schema().arguments().size() != schema.arguments().size()) return false;
  for (const c10::Argument& a : pure->schema().arguments()) {
    if (!schema.argumentIndexWithName(a.name())) return false;
  }
  return schema.arguments()[0].alias_info() != nullptr;
}
}  // namespace

void registerFunctionalization(torch::Library& lib) {
  lib.impl("native_batch_norm", &batchNorm);
  Quiet quiet;
  c10::WarningUtils::WarningHandlerGuard silence(&quiet);
  lib.impl("expand", &expand);
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    const auto op = dispatcher.findOp(name);
    if (!op || !op->hasSchema() || !(isFusedStep(*op) || isForgotten(*op))) continue;
    lib.impl(opName(op->schema()).substr(6).c_str(),
             torch::CppFunction::makeFromBoxedFunction<&byFunctionalForm>());
  }
}

}  // namespace jorch::trace
