#include "dispatch/autograd.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

#include "dispatch/generator.h"
#include "dispatch/tracing.h"
#include "tensor/tensor.h"
#include "trace/tracer.h"
#include "transforms/forward_rules.h"

namespace jorch {

void setRequiresGrad(const at::Tensor& tensor, bool value) {
  if (value && !torch::autograd::isDifferentiableType(tensor.scalar_type()))
    throw JsError("BAD_ARGUMENT", std::string("requires_grad: only floating and complex tensors can require gradients, this one is ") + dtypeName(tensor.scalar_type()));
  if (!value && !tensor.is_leaf()) throw JsError("BAD_ARGUMENT", "requires_grad: only leaf tensors can stop requiring gradients; use detach()");
  tensor.requires_grad_(value);
}

std::string gradFnName(const at::Tensor& tensor) {
  const auto& function = tensor.grad_fn();
  return function ? function->name() : "";
}

namespace {

std::vector<at::Tensor> tensorList(Addon& addon, Napi::Env env, const Napi::Value& value, const char* what, bool allowNull = false) {
  std::vector<at::Tensor> list;
  if (value.IsUndefined() || value.IsNull()) return list;
  if (!value.IsArray()) throw JsError("BAD_ARGUMENT", std::string(what) + " must be an array of Tensors");
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value item = array.Get(i);
    const std::string name = std::string(what) + "[" + std::to_string(i) + "]";
    if (allowNull && (item.IsNull() || item.IsUndefined())) list.emplace_back();
    else list.push_back(tensorArgument(addon, env, item, name.c_str()));
  }
  return list;
}

// backward(tensors, gradients, retainGraph?, createGraph, inputs)
Napi::Value Backward(const Napi::CallbackInfo& info) {
  return noted(info, "backward", [&](Addon& addon) -> napi_value {
    const bool create = info[3].ToBoolean();
    const std::optional<bool> retain = info[2].IsBoolean() ? std::optional<bool>(info[2].As<Napi::Boolean>()) : std::nullopt;
    const auto roots = tensorList(addon, info.Env(), info[0], "tensors");
    for (const auto& root : roots)
      if (!root.requires_grad()) throw JsError("BAD_ARGUMENT", "backward: the tensor does not require grad and has no grad_fn; call requires_grad_() on what it is computed from, outside no_grad");
    torch::autograd::backward(roots, tensorList(addon, info.Env(), info[1], "gradient", true), retain, create, tensorList(addon, info.Env(), info[4], "inputs"));
    return nullptr;
  });
}

JsError unused(size_t i) {
  std::string text = "inputs[" + std::to_string(i) + "] was not used to compute outputs";
  const auto* tracer = trace::current();
  const auto cut = [](const trace::Capture& capture) { return capture.root.defined(); };
  if (tracer && std::any_of(tracer->captures().begin(), tracer->captures().end(), cut))
    text += " inside the compiled function, which knows nothing of the history that its arguments and captured tensors have outside: compute them inside, or call grad() outside";
  return JsError("BAD_ARGUMENT", text + " (allow_unused: true gives null for what was not used)");
}

// grad(outputs, inputs, gradOutputs, retainGraph?, createGraph, allowUnused, ofOpenLevel?) → (Tensor | null)[]
Napi::Value Grad(const Napi::CallbackInfo& info) {
  return noted(info, "grad", [&](Addon& addon) -> napi_value {
    const bool create = info[4].ToBoolean();
    const std::optional<bool> retain = info[3].IsBoolean() ? std::optional<bool>(info[3].As<Napi::Boolean>()) : std::nullopt;
    const auto outputs = tensorList(addon, info.Env(), info[0], "outputs");
    const auto inputs = tensorList(addon, info.Env(), info[1], "inputs");
    const transforms::OwnBackward own(info[6].ToBoolean());
    const auto gradients = torch::autograd::grad(outputs, inputs, tensorList(addon, info.Env(), info[2], "grad_outputs", true), retain, create, /*allow_unused=*/true);
    for (size_t i = 0; i < gradients.size() && !info[5].ToBoolean(); i++)
      if (!gradients[i].defined()) throw unused(i);
    auto result = Napi::Array::New(info.Env(), gradients.size());
    for (uint32_t i = 0; i < gradients.size(); i++) result.Set(i, Napi::Value(info.Env(), wrap(addon, info.Env(), gradients[i])));
    return result;
  });
}

Napi::Value GradEnabled(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), at::GradMode::is_enabled()); }

Napi::Value SetGradEnabled(const Napi::CallbackInfo& info) {
  const bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(info[0].ToBoolean());
  return Napi::Boolean::New(info.Env(), before);
}

Napi::Value InferenceMode(const Napi::CallbackInfo& info) {
  return noted(info, "inference_mode", [&](Addon&) -> napi_value {
    c10::InferenceMode guard(true);
    napi_value result;
    check(info.Env(), napi_call_function(info.Env(), info.Env().Undefined(), info[0], 0, nullptr, &result));
    return result;
  });
}

// autocast(enabled, dtype, fn): CPU autocast for the duration of fn.
Napi::Value Autocast(const Napi::CallbackInfo& info) {
  return noted(info, "autocast", [&](Addon&) -> napi_value {
    struct Restore {
      bool enabled = at::autocast::is_autocast_enabled(at::kCPU);
      at::ScalarType dtype = at::autocast::get_autocast_dtype(at::kCPU);
      ~Restore() {
        if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
        at::autocast::set_autocast_enabled(at::kCPU, enabled);
        at::autocast::set_autocast_dtype(at::kCPU, dtype);
      }
    } restore;
    const auto dtype = dtypeFrom(textOf(info.Env(), info[1]));
    at::autocast::increment_nesting();
    at::autocast::set_autocast_dtype(at::kCPU, dtype);
    at::autocast::set_autocast_enabled(at::kCPU, info[0].ToBoolean());
    napi_value result;
    check(info.Env(), napi_call_function(info.Env(), info.Env().Undefined(), info[2], 0, nullptr, &result));
    return result;
  });
}

Napi::Value DefaultDtype(const Napi::CallbackInfo& info) {
  return noted(info, "set_default_dtype", [&](Addon&) -> napi_value {
    const std::string before = dtypeName(c10::typeMetaToScalarType(c10::get_default_dtype()));
    if (info.Length() && info[0].IsString()) {
      const auto type = dtypeFrom(info[0].As<Napi::String>());
      if (!c10::isFloatingType(type)) throw JsError("BAD_ARGUMENT", std::string("set_default_dtype: expected a floating dtype, got ") + dtypeName(type));
      c10::set_default_dtype(c10::scalarTypeToTypeMeta(type));
    }
    return text(info.Env(), before);
  });
}

Napi::Value NumThreads(const Napi::CallbackInfo& info) {
  return noted(info, "set_num_threads", [&](Addon&) -> napi_value {
    if (info.Length() && info[0].IsNumber()) {
      const int32_t n = info[0].As<Napi::Number>();
      if (n < 1) throw JsError("BAD_ARGUMENT", "set_num_threads: expected a positive integer, got " + std::to_string(n));
      at::set_num_threads(n);
    }
    return number(info.Env(), at::get_num_threads());
  });
}

}  // namespace

void initAutograd(Napi::Env env, Napi::Object exports) {
  exports.Set("backward", Napi::Function::New(env, Backward, "backward"));
  exports.Set("grad", Napi::Function::New(env, Grad, "grad"));
  exports.Set("gradEnabled", Napi::Function::New(env, GradEnabled, "gradEnabled"));
  exports.Set("setGradEnabled", Napi::Function::New(env, SetGradEnabled, "setGradEnabled"));
  exports.Set("inferenceMode", Napi::Function::New(env, InferenceMode, "inferenceMode"));
  exports.Set("autocast", Napi::Function::New(env, Autocast, "autocast"));
  exports.Set("defaultDtype", Napi::Function::New(env, DefaultDtype, "defaultDtype"));
  exports.Set("numThreads", Napi::Function::New(env, NumThreads, "numThreads"));
  initGenerator(env, exports);
}

}  // namespace jorch
