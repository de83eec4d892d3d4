#include "program/backward.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>

#include "device/bridge.h"
#include "device/device_tensor.h"
#include "dispatch/generator.h"
#include "transforms/js.h"

namespace jorch::program {

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

struct CompiledBackward : torch::autograd::Node {
  std::shared_ptr<const BackwardPlan> plan;
  std::vector<SavedVariable> saved;    // one per residual and input among the plan's arguments; in-place changes are noticed
  std::vector<SavedVariable> originals;  // what the backward depends on, with its history, for a backward through the backward
  std::vector<at::Tensor> likeResults; // shapes for results that no gradient came to: 0-strided, no memory
  std::vector<bool> onHost;            // per input: its gradient belongs to the CPU although the program may run elsewhere
  bool released = false;

  variable_list apply(variable_list&& gradients) override {
    std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(!released, "Trying to backward through the graph a second time: what the compiled function saved is freed. Specify { retain_graph: true } for the first call");
    if (at::GradMode::is_enabled()) return applyAgain(gradients);
    std::vector<at::Tensor> arguments;
    size_t next = 0;
    for (const auto& argument : plan->arguments) {
      if (argument.kind != BackwardArgument::Kind::Cotangent) {
        arguments.push_back(saved[next++].unpack(shared_from_this()));
        continue;
      }
      arguments.push_back(gradientOf(gradients, argument.index));
    }
    for (const at::Generator& generator : plan->keys) arguments.push_back(drawKey(generator));
    std::vector<at::Tensor> outputs;
    try {
      plan->program->run(arguments, outputs);
    } catch (const c10::Error&) {
      if (plan->reports) plan->reports->failed(arguments);
      throw;
    }
    if (plan->reports) plan->reports->deliver(arguments, outputs);
    variable_list result;
    for (size_t i = 0; i < plan->gradients.size(); i++) {
      const int32_t output = plan->gradients[i];
      result.push_back(output < 0 ? at::Tensor() : outputs[output]);
      if (output >= 0 && onHost[i] && device::numberOf(result.back()) != 0) result.back() = device::toHost(result.back());
    }
    return result;
  }

  // With a graph of its own: a function of what the function was given and of the gradients.
  variable_list applyAgain(const variable_list& gradients) {
    std::vector<at::Tensor> inputs, cotangents;
    for (SavedVariable& variable : originals) inputs.push_back(variable.unpack(shared_from_this()));
    for (size_t i = 0; i < likeResults.size(); i++) cotangents.push_back(gradientOf(gradients, i));
    return plan->second->run(inputs, cotangents);
  }

  at::Tensor gradientOf(const variable_list& gradients, size_t result) const {
    const at::Tensor& like = likeResults[result];
    return gradients[result].defined() ? gradients[result] : at::zeros(like.sizes(), like.options());
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    released = true;
    for (auto& variable : saved) variable.reset_data();
    for (auto& variable : originals) variable.reset_data();
  }

  std::string name() const override { return "CompiledBackward"; }
};

}  // namespace

std::shared_ptr<const SecondOrder> SecondOrder::from(Addon& addon, napi_env env, const Napi::Value& spec) {
  std::shared_ptr<SecondOrder> made(new SecondOrder);
  made->env_ = env;
  made->reaper_ = addon.reaper;
  const auto object = spec.As<Napi::Object>();
  if (object.Get("refused").IsString()) {
    made->refused_ = object.Get("refused").As<Napi::String>();
    return made;
  }
  const auto inputs = object.Get("inputs").As<Napi::Array>();
  for (uint32_t i = 0; i < inputs.Length(); i++) made->inputs_.push_back(Napi::Value(inputs.Get(i)).As<Napi::Number>().Uint32Value());
  check(env, napi_create_reference(env, object.Get("handler"), 1, &made->handler_));
  return made;
}

SecondOrder::~SecondOrder() {
  if (handler_) reaper_->bury(handler_);  // may run inside garbage collection
}

variable_list SecondOrder::run(const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& gradients) const {
  TORCH_CHECK(refused_.empty(), "double backward through a compiled call: ", refused_, ". Take the second derivative inside the compiled function (autograd.grad with create_graph), or call the function uncompiled");
  TORCH_CHECK(std::this_thread::get_id() == thread_, "double backward through a compiled call: the function belongs to another thread");
  Napi::HandleScope scope(env_);
  Addon& addon = Addon::of(env_);
  napi_value function;
  check(env_, napi_get_reference_value(env_, handler_, &function));
  const napi_value result = callJs(env_, function, {tensorArray(addon, env_, inputs), tensorArray(addon, env_, gradients)});
  return usedTensors(addon, env_, Napi::Value(env_, result));
}

namespace {

// Whole numbers have a history in eager where one of libtorch's in-place comparisons wrote into them, and its backward fails on it; here they have none.
void setHistory(const at::Tensor& output, const std::shared_ptr<torch::autograd::Node>& node) {
  const uint32_t nr = node->add_input_metadata(output);
  if (torch::autograd::isDifferentiableType(output.scalar_type())) torch::autograd::impl::set_gradient_edge(output, {node, nr});
}

}  // namespace

void endHistory(const at::Tensor& output, const std::string& why) {
  if (why.empty()) output.set_requires_grad(true);
  else setHistory(output, std::shared_ptr<torch::autograd::Error>(new torch::autograd::Error(why), torch::autograd::deleteNode));
}

void attach(const std::shared_ptr<const BackwardPlan>& plan, c10::ArrayRef<at::Tensor> parameters, c10::ArrayRef<at::Tensor> outputs) {
  std::shared_ptr<CompiledBackward> node(new CompiledBackward, torch::autograd::deleteNode);  // long chains of calls are freed without recursion
  node->plan = plan;
  torch::autograd::edge_list edges;
  for (uint32_t index : plan->inputs) {
    edges.push_back(torch::autograd::impl::gradient_edge(parameters[index]));
    node->onHost.push_back(parameters[index].device().is_cpu());
  }
  node->set_next_edges(std::move(edges));
  for (uint32_t index : plan->results) {
    node->likeResults.push_back(at::empty({}, outputs[index].options().device(at::kCPU)).expand(outputs[index].sizes()));
    setHistory(outputs[index], node);
  }
  for (uint32_t index : plan->second->inputs()) node->originals.emplace_back(parameters[index], /*is_output=*/false);
  // After setHistory: a result that is saved too must not hold the node that holds it.
  for (const auto& argument : plan->arguments) {
    if (argument.kind == BackwardArgument::Kind::Input) node->saved.emplace_back(parameters[argument.index], /*is_output=*/false);
    if (argument.kind != BackwardArgument::Kind::Residual) continue;
    const auto& results = plan->results;
    node->saved.emplace_back(outputs[argument.index], std::find(results.begin(), results.end(), argument.index) != results.end());
  }
}

}  // namespace jorch::program
