// Methods of a script as the interpreter runs them: without fusers and profiling; for traces with every new tensor on the trace device.
#pragma once

#include <ATen/core/stack.h>
#include <torch/csrc/jit/api/method.h>
#include <torch/csrc/jit/runtime/interpreter.h>

namespace jorch::jit {

// `traced`: to be run while a trace is open.
torch::jit::Code prepare(const torch::jit::Method& method, bool traced);

// Runs `code` on the stack, which then holds the result. Whatever the script forks runs on this thread, in its place.
void run(const torch::jit::Code& code, torch::jit::Stack& stack);

}  // namespace jorch::jit
