/** @file Shape functions: what an operator would return, found without data. */
#pragma once
#include <ATen/core/boxing/KernelFunction.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <string>
#include <utility>

namespace jorch::trace {

/** Replaces the Meta arguments on `stack` by Meta results: our own shape function, libtorch's Meta kernel, or, for
    small tensors, the operator's CPU kernel on filled twins. Throws c10::Error where eager would (shapes, dtypes). */
void inferMeta(const c10::OperatorHandle& op, const std::string& name, torch::jit::Stack* stack);

/** The Meta twin of a tensor: sizes, strides, offset, dtype and the wrapped-number flag (type promotion needs it). */
at::Tensor toMeta(const at::Tensor& t);

/** Adds a shape function; typed like the operator, taking and returning Meta tensors. */
void addMeta(const std::string& op, c10::KernelFunction fn);
template <class F>
void meta(const std::string& op, F&& f) {
  addMeta(op, c10::KernelFunction::makeFromUnboxedLambda(std::forward<F>(f)));
}

/** Called once, before the first trace. One function a file. */
void addPointwiseMeta();
void addReductionMeta();
void addConvolutionMeta();
void addPoolingMeta();
void addNormalizationMeta();
void addIndexingMeta();
void addLinalgMeta();
void addFftMeta();
void addRandomMeta();
void addNnMeta();

}  // namespace jorch::trace
