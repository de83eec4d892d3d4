/** @file Functionalization of operators that libtorch's own functionalization gets wrong. */
#pragma once
#include <torch/library.h>

namespace jorch::trace {

void registerFunctionalization(torch::Library& functionalize);

}  // namespace jorch::trace
