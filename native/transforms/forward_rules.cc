/** @file Python's torch takes these operators apart when they meet a tangent (torch/_decomp/decompositions_for_jvp.py); C++ would refuse them. */
#include "transforms/forward_rules.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/library.h>

namespace jorch::transforms {

namespace {

using at::Tensor;
using c10::DispatchKey;
using torch::jit::Stack;

Tensor softmaxBackward(const Tensor& grad, const Tensor& output, int64_t dim, at::ScalarType type) {
  const Tensor weighted = grad * output;
  return (weighted - output * weighted.sum(dim, /*keepdim=*/true)).to(type);
}

Tensor logSoftmaxBackward(const Tensor& grad, const Tensor& output, int64_t dim, at::ScalarType type) {
  return (grad - output.exp() * grad.sum(dim, /*keepdim=*/true)).to(type);
}

/** Minus the weight of its class at the target, which is where the loss reads. */
Tensor nllLossBackward(const Tensor& grad, const Tensor& self, const Tensor& target, const std::optional<Tensor>& weight,
                       int64_t reduction, int64_t ignore, const Tensor& total) {
  const int64_t channel = self.dim() < 2 ? 0 : 1;
  Tensor scale = reduction == at::Reduction::Mean ? grad / total : grad;
  const Tensor at = target.unsqueeze(channel);
  const Tensor counts = at.ne(ignore);
  const Tensor safe = at::where(counts, at, at::zeros_like(at));
  if (self.dim() > scale.dim() && scale.dim() > 0) scale = scale.unsqueeze(channel);
  if (weight && weight->defined()) {
    std::vector<int64_t> shape(self.dim(), 1);
    shape[channel] = weight->size(0);
    scale = scale * weight->reshape(shape);
  }
  const Tensor picked = at::zeros_like(self).scatter(channel, safe, -1);
  return picked * at::where(counts, scale, at::zeros_like(scale));
}

bool hasTangent(const Stack& stack, size_t count) {
  for (size_t i = stack.size() - count; i < stack.size(); i++)
    if (stack[i].isTensor() && torch::autograd::isFwGradDefined(stack[i].toTensor())) return true;
  return false;
}

template <auto Parts, class... Args>
void run(Stack& stack) {
  std::tuple<std::decay_t<Args>...> args;
  size_t i = stack.size() - sizeof...(Args);
  std::apply([&](auto&... each) { ((each = stack[i++].to<std::decay_t<decltype(each)>>()), ...); }, args);
  Tensor result = std::apply(Parts, args);
  torch::jit::drop(stack, sizeof...(Args));
  stack.emplace_back(std::move(result));
}

/** Taken apart when a tangent is there; else libtorch's own autograd kernel. */
template <auto Parts, class... Args>
void kernel(const c10::OperatorHandle& op, Stack* stack) {
  if (hasTangent(*stack, sizeof...(Args))) return run<Parts, Args...>(*stack);
  op.callBoxedForDispatchKey(DispatchKey::Autograd, *stack);
}

template <class Signature, Signature Parts>
struct Rule;
template <class... Args, Tensor (*Parts)(Args...)>
struct Rule<Tensor (*)(Args...), Parts> {
  static void call(const c10::OperatorHandle& op, Stack* stack) { kernel<Parts, Args...>(op, stack); }
};

template <auto Parts>
void rule(torch::Library& lib, const char* name) {
  lib.impl(name, torch::CppFunction::makeFromBoxedFunction<&Rule<decltype(Parts), Parts>::call>());
}

}  // namespace

void registerForwardRules() {
  // Wrappers of the levels around trace tensors carry no backend: AutogradOther.
  for (DispatchKey key : {DispatchKey::AutogradCPU, DispatchKey::AutogradLazy, DispatchKey::AutogradOther}) {
    // Lives as long as the process: destroying it at exit would race with libtorch's own teardown.
    auto& lib = *new torch::Library(torch::Library::IMPL, "aten", key, __FILE__, __LINE__);
    rule<&softmaxBackward>(lib, "_softmax_backward_data");
    rule<&logSoftmaxBackward>(lib, "_log_softmax_backward_data");
    rule<&nllLossBackward>(lib, "nll_loss_backward");
  }
}

}  // namespace jorch::transforms
