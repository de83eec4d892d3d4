#include "program/entry.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>

#include "dispatch/generator.h"
#include "program/effects.h"
#include "tensor/tensor.h"
#include "trace/tracer.h"
#include "transforms/closure.h"

namespace jorch::program {

bool Entry::fits(uint32_t askedStructure, c10::ArrayRef<at::Tensor> given, uint64_t askedMode) const {
  if (structure != askedStructure || mode != askedMode || args.size() != given.size()) return false;
  for (size_t i = 0; i < given.size(); i++)
    if (!args[i].matches(given[i])) return false;
  for (size_t i = 0; i < captures.size(); i++)
    if (!captureSignatures[i].matches(captures[i])) return false;
  if (!sameTensor.empty() && sameTensors(given, captures) != sameTensor) return false;
  if (!sameMemory.empty() && sameMemories(given, captures) != sameMemory) return false;
  return positions.empty() || program::positions(given, captures) == positions;
}

at::Tensor Entry::at(c10::ArrayRef<at::Tensor> given, Place place) const {
  const at::Tensor& owner = place.isArg ? given[place.index] : captures[place.index];
  if (C10_UNLIKELY(place.ofStorage)) return trace::wholeStorage(owner);
  return place.ofGrad ? owner.grad() : owner;
}

namespace {

// In the place of an entry's id: the result is no list (SINGLE in lib/torch/handle.ts).
constexpr uint32_t kSingle = 0xffffffff;

Tensors parametersOf(const Entry& entry, c10::ArrayRef<at::Tensor> args) {
  Tensors parameters;
  for (Place place : entry.parameters) parameters.push_back(entry.at(args, place));
  for (const at::Generator& generator : entry.keys) parameters.push_back(drawKey(generator));
  return parameters;
}

// Autograd may refuse to change a tensor whose twin in the trace it did not: a view made in a way of which the trace knows nothing.
void checkHistories(const Entry& entry, c10::ArrayRef<at::Tensor> args) {
  for (const EffectPlan& effect : entry.effects)
    if (effect.kind == EffectPlan::Kind::History) torch::autograd::check_inplace(entry.at(args, effect.target), /*requires_grad=*/true);
}

// Whoever asks for gradients of a parameter hears of the words at the end of the result's history.
void leadTo(const at::Tensor& result, c10::ArrayRef<at::Tensor> parameters) {
  torch::autograd::edge_list edges;
  for (const at::Tensor& parameter : parameters)
    if (parameter.requires_grad()) edges.push_back(torch::autograd::impl::gradient_edge(parameter));
  result.grad_fn()->set_next_edges(std::move(edges));
}

void applyEffect(const at::Tensor& target, const at::Tensor& output, EffectPlan::Kind kind) {
  switch (kind) {
    case EffectPlan::Kind::Value: return assign(target, output);
    case EffectPlan::Kind::Grad: target.mutable_grad() = output; return;
    case EffectPlan::Kind::History: {
      // As in-place operators do: what the tensor is a view of, and other views of that, get the history too.
      at::AutoGradMode recording(true);
      target.copy_(output);
      return;
    }
  }
}

// Whether results may stay unmade now: who is told of every tensor that is made is told at once, and inference tensors are made in their mode.
bool mayWait(const Addon& addon, const Entry& entry) {
  return !entry.unmade.empty() && !addon.creationHook && !closure::probing() && entry.results.size() + 2 <= addon.handles.capacity &&
         !c10::InferenceMode::is_enabled();
}

void applyFlag(const at::Tensor& target, bool requiresGrad) {
  if (requiresGrad || target.is_leaf()) target.set_requires_grad(requiresGrad);
  else target.detach_();
}

}  // namespace

napi_value finishEntry(Addon& addon, napi_env env, const Entry& entry, c10::ArrayRef<at::Tensor> args, napi_value leaves,
                       c10::ArrayRef<at::Tensor> parameters, const std::vector<at::Tensor>& outputs, std::unique_ptr<Unmade> unmade) {
  checkHistories(entry, args);
  // From here on nothing fails: mutations take effect only after the program has.
  for (const FlagPlan& flag : entry.flags)
    if (flag.requiresGrad) applyFlag(entry.at(args, flag.target), true);  // gradients of the results lead to it
  if (entry.backward) attach(entry.backward, parameters, outputs);
  for (const EndPlan& end : entry.ends) {
    if (!torch::autograd::isDifferentiableType(outputs[end.output].scalar_type())) continue;
    endHistory(outputs[end.output], end.why);
    if (!end.why.empty()) leadTo(outputs[end.output], parameters);
  }
  for (const EffectPlan& effect : entry.effects) applyEffect(entry.at(args, effect.target), outputs[effect.output], effect.kind);
  for (Place place : entry.clearedGrads) entry.at(args, place).mutable_grad() = at::Tensor();
  for (const FlagPlan& flag : entry.flags)
    if (!flag.requiresGrad) applyFlag(entry.at(args, flag.target), false);
  const auto resultAt = [&](const ResultPlan& plan) {
    if (C10_UNLIKELY(plan.view)) {
      const at::Tensor base = plan.output >= 0 ? outputs[plan.output] : entry.at(args, plan.same);
      at::AutoGradMode recording(at::GradMode::is_enabled() && !plan.noGrad);
      at::Tensor view = (plan.detached ? base.detach() : base).as_strided(plan.sizes, plan.strides, base.storage_offset() + plan.offset);
      if (plan.leaf) view.set_requires_grad(true);
      return wrap(addon, env, view);
    }
    if (plan.output >= 0) return wrap(addon, env, outputs[plan.output]);
    if (plan.same.ofGrad) return wrap(addon, env, entry.at(args, plan.same));
    napi_value object = nullptr;
    if (plan.same.isArg) check(env, napi_get_element(env, leaves, plan.same.index, &object));
    else check(env, napi_get_reference_value(env, entry.captureObjects[plan.same.index], &object));
    return object;
  };
  Handles& handles = addon.handles;
  if (entry.shape == Shape::Single) {
    if (unmade) {
      const auto output = static_cast<uint32_t>(entry.results[0].output);
      napi_value batch = handles.takeUnmade(addon, env, std::move(unmade), output, handles.exchange + 2);
      handles.exchange[0] = 1;
      handles.exchange[1] = kSingle;
      return batch;
    }
    napi_value single = resultAt(entry.results[0]);
    handles.exchange[0] = 0;
    return single;
  }
  c10::SmallVector<napi_value, 16> items;
  c10::SmallVector<uint32_t, 16> waiting, numbers;
  if (unmade) items.push_back(nullptr);
  else if (entry.shape == Shape::Tree) items.push_back(number(env, entry.id));
  for (const ResultPlan& plan : entry.results) {
    if (unmade && plan.output >= 0 && entry.unmade[plan.output]) waiting.push_back(plan.output);
    else items.push_back(resultAt(plan));
  }
  if (unmade) {
    numbers.resize(waiting.size());
    items[0] = handles.takeUnmade(addon, env, std::move(unmade), waiting, numbers.data());
    uint32_t* place = handles.exchange;
    *place++ = static_cast<uint32_t>(entry.results.size());
    *place++ = entry.shape == Shape::Tree ? entry.id + 1 : 0;
    const uint32_t* next = numbers.data();
    for (const ResultPlan& plan : entry.results) *place++ = plan.output >= 0 && entry.unmade[plan.output] ? *next++ : 0;
    if (items.size() == 1) return items[0];
  } else {
    handles.exchange[0] = 0;
  }
  napi_value undefined, arrayOf, array;
  check(env, napi_get_undefined(env, &undefined));
  check(env, napi_get_reference_value(env, addon.arrayOf, &arrayOf));
  check(env, napi_call_function(env, undefined, arrayOf, items.size(), items.data(), &array));
  return array;
}

napi_value runEntry(Addon& addon, napi_env env, const Entry& entry, const Tensors& args, napi_value leaves) {
  Tensors made;
  if (!entry.plain) made = parametersOf(entry, args);
  const c10::ArrayRef<at::Tensor> parameters = entry.plain ? args : made;
  std::vector<at::Tensor> outputs;
  Later later{entry.unmade, nullptr};
  try {
    entry.program->run(parameters, outputs, /*inPlace=*/true, mayWait(addon, entry) ? &later : nullptr);
  } catch (const c10::Error&) {
    if (entry.reports) entry.reports->failed(parameters);
    throw;
  }
  if (entry.reports) entry.reports->deliver(parameters, outputs);
  return finishEntry(addon, env, entry, args, leaves, parameters, outputs, std::move(later.unmade));
}

}  // namespace jorch::program
