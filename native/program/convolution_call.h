/** @file Convolutions of images with what follows them element by element, a few images at a time. */
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <vector>

#include "aten_call_text.h"

namespace jorch::program {

/**
 * Runs a call that has steps. Each thread takes its share of the batch and in it as many images at once as the cache holds: libtorch's kernel, which
 * runs on one thread then, and the steps on what that has just written. Of a batch that cannot be shared out evenly the kernel gets the whole on all threads.
 * `stack`: the operator's arguments. `operands`: those of the steps. `out`: where the result is to be, [N, C, H, W] with its channels last, or of an average N rows of C.
 */
void runConvolution(const AtenCall& call, const std::vector<c10::IValue>& stack, std::vector<at::Tensor> operands, const at::Tensor& out);

}  // namespace jorch::program
