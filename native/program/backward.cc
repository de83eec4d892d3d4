#include "program/backward.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>

#include "dispatch/generator.h"

namespace jorch::program {

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

struct CompiledBackward : torch::autograd::Node {
  std::shared_ptr<const BackwardPlan> plan;
  std::vector<SavedVariable> saved;    // one per residual and input among the plan's arguments; in-place changes are noticed
  std::vector<at::Tensor> likeResults; // shapes for results that no gradient came to: 0-strided, no memory
  bool released = false;

  variable_list apply(variable_list&& gradients) override {
    std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(!released, "Trying to backward through the graph a second time: what the compiled function saved is freed. Specify { retain_graph: true } for the first call");
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "double backward through a compiled call: its backward is a compiled program without a graph of its own. Take the second derivative inside the compiled function (autograd.grad with "
                "create_graph), or call the function uncompiled");
    std::vector<at::Tensor> arguments;
    size_t next = 0;
    for (const auto& argument : plan->arguments) {
      if (argument.kind != BackwardArgument::Kind::Cotangent) {
        arguments.push_back(saved[next++].unpack(shared_from_this()));
        continue;
      }
      const at::Tensor& gradient = gradients[argument.index];
      const at::Tensor& like = likeResults[argument.index];
      arguments.push_back(gradient.defined() ? gradient : at::zeros(like.sizes(), like.options()));
    }
    for (const at::Generator& generator : plan->keys) arguments.push_back(drawKey(generator));
    std::vector<at::Tensor> outputs;
    plan->program->run(arguments, outputs);
    variable_list result;
    for (int32_t output : plan->gradients) result.push_back(output < 0 ? at::Tensor() : outputs[output]);
    return result;
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    released = true;
    for (auto& variable : saved) variable.reset_data();
  }

  std::string name() const override { return "CompiledBackward"; }
};

}  // namespace

void attach(const std::shared_ptr<const BackwardPlan>& plan, c10::ArrayRef<at::Tensor> parameters, c10::ArrayRef<at::Tensor> outputs) {
  auto node = std::make_shared<CompiledBackward>();
  node->plan = plan;
  torch::autograd::edge_list edges;
  for (uint32_t index : plan->inputs) edges.push_back(torch::autograd::impl::gradient_edge(parameters[index]));
  node->set_next_edges(std::move(edges));
  for (uint32_t index : plan->results) {
    node->likeResults.push_back(at::empty({}, outputs[index].options()).expand(outputs[index].sizes()));
    torch::autograd::set_history(outputs[index], node);
  }
  // After set_history: a result that is saved too must not hold the node that holds it.
  for (const auto& argument : plan->arguments) {
    if (argument.kind == BackwardArgument::Kind::Input) node->saved.emplace_back(parameters[argument.index], /*is_output=*/false);
    if (argument.kind != BackwardArgument::Kind::Residual) continue;
    const auto& results = plan->results;
    node->saved.emplace_back(outputs[argument.index], std::find(results.begin(), results.end(), argument.index) != results.end());
  }
}

}  // namespace jorch::program
