// Arguments of runs that go on while JavaScript does.
#pragma once

#include <ATen/core/Tensor.h>

namespace jorch::program {

// The values of `tensor` as they are now, whatever is written to it later: its memory is shared until somebody writes (libtorch then
// copies), or copied at once where writes cannot be seen (a typed array's memory). Without history; strides and lazy bits are kept.
at::Tensor snapshot(const at::Tensor& tensor);

}  // namespace jorch::program
