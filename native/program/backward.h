// Gradients through a compiled call: an autograd node whose backward is a compiled program too.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <napi.h>
#include <torch/csrc/autograd/function.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "addon.h"
#include "program/program.h"
#include "program/reports.h"

namespace jorch::program {

// Where a parameter of the backward program comes from.
struct BackwardArgument {
  enum class Kind { Residual, Input, Cotangent } kind;
  uint32_t index;  // of the forward program's output, of the forward program's parameter, of the differentiable result
};

// The backward as a function that can be differentiated itself: JavaScript's, since it is compiled when first asked for.
class SecondOrder {
 public:
  // spec: undefined, or { inputs, handler } | { refused }
  static std::shared_ptr<const SecondOrder> from(Addon& addon, napi_env env, const Napi::Value& spec);
  ~SecondOrder();
  SecondOrder(const SecondOrder&) = delete;
  SecondOrder& operator=(const SecondOrder&) = delete;

  // handler(inputs, gradients of the results) → gradients of the function's inputs. Throws in words where there is no such function.
  torch::autograd::variable_list run(const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& gradients) const;
  // Parameters of the forward program that it reads.
  const std::vector<uint32_t>& inputs() const { return inputs_; }

 private:
  SecondOrder() = default;
  napi_env env_ = nullptr;
  std::thread::id thread_ = std::this_thread::get_id();
  std::shared_ptr<Reaper> reaper_;
  napi_ref handler_ = nullptr;
  std::string refused_;
  std::vector<uint32_t> inputs_;
};

// Made once per compiled program; nodes share it, so that they outlive the program's eviction.
struct BackwardPlan {
  std::unique_ptr<Callable> program;
  std::vector<BackwardArgument> arguments;
  std::vector<at::Generator> keys;  // as in the forward program: parameters behind the arguments
  std::vector<uint32_t> results;   // forward outputs that get a grad_fn, in the order of the cotangents
  std::vector<uint32_t> inputs;    // forward parameters that gradients flow to
  std::vector<int32_t> gradients;  // per such parameter: the backward program's output, or -1 for none
  std::shared_ptr<const SecondOrder> second;
  std::shared_ptr<const Reports> reports;  // of { checks: true }
};

// A result that requires grad as a leaf, or whose backward() says why it cannot be.
void endHistory(const at::Tensor& output, const std::string& why);

// Gives the forward `outputs` named by the plan a grad_fn that leads to `parameters`.
void attach(const std::shared_ptr<const BackwardPlan>& plan, c10::ArrayRef<at::Tensor> parameters, c10::ArrayRef<at::Tensor> outputs);

}  // namespace jorch::program
