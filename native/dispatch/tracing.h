// The JavaScript side of recording: opening a trace, lifting tensors into it, errors that belong to it.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <string>

#include "addon.h"
#include "trace/tracer.h"

namespace jorch {

// While a trace is open: the trace tensor that stands for `tensor`. Without one: `tensor`, or LEAKED_TRACE.
at::Tensor lifted(const at::Tensor& tensor);

// Whether the data of `tensor` is unknown now: a trace tensor, or an eager one that the open trace has lifted (the
// program may have changed it). A trace tensor whose trace is over: LEAKED_TRACE.
bool isTraced(const at::Tensor& tensor);

// A factory call inside a trace makes a trace tensor: `device` becomes the trace device.
void placeOnTraceDevice(c10::IValue& device, bool takesTensor);

// A JavaScript number where an operator wants a tensor.
at::Tensor numberTensor(const at::Scalar& value);

// `file:line:column` of the user's code that called into jorch; empty when there is none.
std::string userLine(napi_env env);

// " (used at fit.ts:12:7)": a tensor of a finished trace shows far from where it was made.
std::string usedAt(napi_env env) noexcept;

// While a trace is open: remembers the user's source line for the nodes recorded next.
void noteLine(napi_env env);
// The same where JavaScript has looked it up before the call.
void takeLine(const Addon& addon);

// An entry from JavaScript that may record: `body` of the environment's state.
template <class Body>
Napi::Value noted(const Napi::CallbackInfo& info, const char* where, Body body) {
  return Napi::Value(info.Env(), guarded(info.Env(), where, [&]() -> napi_value {
    noteLine(info.Env());
    return body(Addon::of(info.Env()));
  }));
}

void throwConcretization(napi_env env, const trace::Concretization& error) noexcept;

void initTrace(Napi::Env env, Napi::Object exports);

}  // namespace jorch
