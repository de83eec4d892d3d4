/** @file Meta kernels that the dispatcher itself needs, beside the shape functions that only the recorder asks. */
#pragma once
#include <torch/library.h>

namespace jorch::trace {

/** Functionalization tries every in-place operator on Meta twins first: out= forms and fused steps need a kernel. */
void registerMetaKernels(torch::Library& meta);

}  // namespace jorch::trace
