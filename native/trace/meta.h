/** @file Shape functions: what an operator would return, found without data. */
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/boxing/KernelFunction.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <string>
#include <type_traits>
#include <utility>

namespace jorch::trace {

/** Replaces the Meta arguments on `stack` by Meta results: our own shape function, libtorch's Meta kernel, or, for
    small tensors, the operator's CPU kernel on filled twins. Throws c10::Error where eager would (shapes, dtypes). */
void inferMeta(const c10::OperatorHandle& op, const std::string& name, torch::jit::Stack* stack);

/** The same without libtorch's Meta kernel, for operators that have one only through the out= form that asks. */
void inferWithoutMeta(const c10::OperatorHandle& op, const std::string& name, torch::jit::Stack* stack);

/** The Meta twin of a tensor: sizes, strides, offset, dtype and the wrapped-number flag (type promotion needs it). */
at::Tensor toMeta(const at::Tensor& t);

/** Adds a shape function; typed like the operator, taking and returning Meta tensors. */
void addMeta(const std::string& op, c10::KernelFunction fn);
template <class F>
void meta(const std::string& op, F&& f) {
  if constexpr (std::is_pointer_v<std::decay_t<F>>) {
    addMeta(op, c10::KernelFunction::makeFromUnboxedRuntimeFunction(f));
  } else {
    addMeta(op, c10::KernelFunction::makeFromUnboxedLambda(std::forward<F>(f)));
  }
}

/** Meta results, in the layouts that CPU kernels give them. */
at::Tensor like(const at::Tensor& t);                       // strides kept where they are dense
at::Tensor like(const at::Tensor& t, at::ScalarType dtype);
at::Tensor dense(at::IntArrayRef sizes, at::ScalarType dtype);    // row-major
at::Tensor dense(at::IntArrayRef sizes, const at::Tensor& dtypeOf);
at::Tensor image(at::IntArrayRef sizes, const at::Tensor& like, at::ScalarType dtype);  // channels last where `like` is
at::Tensor image(at::IntArrayRef sizes, const at::Tensor& like);
at::Tensor columns(at::IntArrayRef sizes, at::ScalarType dtype);  // batches of column-major matrices, LAPACK's
at::Tensor broadcast(const at::Tensor& a, const at::Tensor& b, at::ScalarType dtype);  // what TensorIterator makes
at::Tensor broadcast(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c, at::ScalarType dtype);
at::ScalarType realOf(at::ScalarType dtype);
at::ScalarType complexOf(at::ScalarType dtype);
at::ScalarType floatOf(at::ScalarType dtype);  // integers become the default dtype

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
