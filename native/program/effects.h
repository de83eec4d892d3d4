// How the mutations of a compiled program reach the tensors they belong to.
#pragma once

#include <ATen/core/Tensor.h>

namespace jorch::program {

// Makes `target` hold the values of `fresh` (same shape and dtype), visible through every view of its memory, with its
// version bumped: by exchanging memory where that is safe and pays, else by copying.
void assign(const at::Tensor& target, const at::Tensor& fresh);

}  // namespace jorch::program
