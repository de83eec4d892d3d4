/** @file Custom derivatives, checkpoints and control flow hang their backward functions into autograd's graph here. */
#include "transforms/callback_node.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <thread>

#include "dispatch/tracing.h"
#include "tensor/tensor.h"
#include "transforms/js.h"

namespace jorch::transforms {

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

struct CallbackNode : torch::autograd::Node {
  napi_env env;
  std::thread::id thread = std::this_thread::get_id();
  std::shared_ptr<Reaper> reaper;
  napi_ref callback = nullptr;
  std::string label;
  std::vector<SavedVariable> saved;
  bool released = false;

  ~CallbackNode() override {
    if (callback) reaper->bury(callback);  // may run inside garbage collection
  }

  // callback(saved, gradients | null each, needed: boolean[]) → gradients of the inputs, null for none
  variable_list apply(variable_list&& gradients) override {
    std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(std::this_thread::get_id() == thread, label, ": its backward is a JavaScript function of another thread");
    TORCH_CHECK(!released, "Trying to backward through the graph a second time: what ", label, " saved is freed. Specify { retain_graph: true } for the first call");
    Napi::HandleScope scope(env);
    Addon& addon = Addon::of(env);
    std::vector<at::Tensor> unpacked;
    for (auto& variable : saved) unpacked.push_back(variable.unpack(shared_from_this()));
    auto needed = Napi::Array::New(env, num_outputs());
    for (uint32_t i = 0; i < num_outputs(); i++) needed.Set(i, Napi::Boolean::New(env, task_should_compute_output(i)));
    napi_value function;
    check(env, napi_get_reference_value(env, callback, &function));
    const napi_value result = callJs(env, function, {tensorArray(addon, env, unpacked), tensorArray(addon, env, gradients), needed});
    variable_list made = usedTensors(addon, env, Napi::Value(env, result));
    TORCH_CHECK(made.size() == num_outputs(), label, ": its backward returned ", made.size(), " gradients for ", num_outputs(), " inputs");
    return made;
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    released = true;
    for (auto& variable : saved) variable.reset_data();
  }

  std::string name() const override { return label + "Backward"; }
};

// attach(label, inputs, outputs, saved, callback): the outputs' history leads through `callback` to the inputs. Does
// nothing when none of the inputs requires grad.
Napi::Value Attach(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "autograd", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    const std::string label = textOf(info.Env(), info[0]);
    const auto inputs = usedTensors(addon, info.Env(), info[1]);
    const auto outputs = usedTensors(addon, info.Env(), info[2]);
    const auto saved = usedTensors(addon, info.Env(), info[3]);
    if (!torch::autograd::compute_requires_grad(inputs)) return info.Env().Undefined();
    auto node = std::shared_ptr<CallbackNode>(new CallbackNode, torch::autograd::deleteNode);
    node->env = info.Env();
    node->label = label;
    node->reaper = addon.reaper;
    check(info.Env(), napi_create_reference(info.Env(), info[4], 1, &node->callback));
    node->set_next_edges(torch::autograd::collect_next_edges(inputs));
    for (const at::Tensor& output : outputs) torch::autograd::set_history(output, node);
    for (const at::Tensor& t : saved) {
      bool own = false;  // an output that is saved must not hold the node that holds it
      for (const at::Tensor& output : outputs) own = own || output.is_same(t);
      node->saved.emplace_back(t, own);
    }
    return info.Env().Undefined();
  }));
}

}  // namespace

void initCallbackNode(Napi::Env env, Napi::Object exports) { exports.Set("attach", Napi::Function::New(env, Attach, "attach")); }

}  // namespace jorch::transforms
