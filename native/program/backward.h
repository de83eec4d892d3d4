// Gradients through a compiled call: an autograd node whose backward is a compiled program too.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "program/program.h"

namespace jorch::program {

// Where a parameter of the backward program comes from.
struct BackwardArgument {
  enum class Kind { Residual, Input, Cotangent } kind;
  uint32_t index;  // of the forward program's output, of the forward program's parameter, of the differentiable result
};

// Made once per compiled program; nodes share it, so that they outlive the program's eviction.
struct BackwardPlan {
  std::unique_ptr<Program> program;
  std::vector<BackwardArgument> arguments;
  std::vector<at::Generator> keys;  // as in the forward program: parameters behind the arguments
  std::vector<uint32_t> results;   // forward outputs that get a grad_fn, in the order of the cotangents
  std::vector<uint32_t> inputs;    // forward parameters that gradients flow to
  std::vector<int32_t> gradients;  // per such parameter: the backward program's output, or -1 for none
};

// Gives the forward `outputs` named by the plan a grad_fn that leads to `parameters`.
void attach(const std::shared_ptr<const BackwardPlan>& plan, c10::ArrayRef<at::Tensor> parameters, c10::ArrayRef<at::Tensor> outputs);

}  // namespace jorch::program
