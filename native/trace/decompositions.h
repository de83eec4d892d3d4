/** @file Operators that libtorch's own kernels cannot trace, because these read data to check their arguments. */
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/library.h>

namespace jorch::trace {

/** Registers them above functionalization, where CompositeImplicit operators are taken apart. */
void registerDecompositions(torch::Library& autogradLazy);

/** Whether an operator is being traced that only checks its data: such checks pass. */
bool skipsDataChecks();

}  // namespace jorch::trace
