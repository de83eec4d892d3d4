#include "program/reports.h"

#include <algorithm>

#include "shard/sharded.h"
#include "tensor/tensor.h"

namespace jorch {

namespace {

napi_value wrapAll(Addon& addon, napi_env env, c10::ArrayRef<at::Tensor> tensors) {
  napi_value array;
  check(env, napi_create_array_with_length(env, tensors.size(), &array));
  for (uint32_t i = 0; i < tensors.size(); i++) check(env, napi_set_element(env, array, i, wrap(addon, env, tensors[i])));
  return array;
}

bool anySet(const at::Tensor& flags) {
  const bool* data = shard::gathered(flags).const_data_ptr<bool>();
  return std::any_of(data, data + flags.numel(), [](bool set) { return set; });
}

}  // namespace

std::shared_ptr<const Reports> Reports::from(Addon& addon, napi_env env, const Napi::Value& spec) {
  if (!spec.IsObject()) return nullptr;
  const auto object = spec.As<Napi::Object>();
  std::shared_ptr<Reports> made(new Reports);
  const auto outputs = object.Get("outputs").As<Napi::Array>();
  for (uint32_t i = 0; i < outputs.Length(); i++) made->outputs_.push_back(Napi::Value(outputs.Get(i)).As<Napi::Number>().Uint32Value());
  made->flags_ = object.Get("flags").As<Napi::Number>().Int32Value();
  made->reaper_ = addon.reaper;
  made->env_ = env;
  check(env, napi_create_reference(env, object.Get("handler"), 1, &made->handler_));
  return made;
}

Reports::~Reports() {
  if (handler_) reaper_->bury(handler_);
}

void Reports::call(napi_value values, napi_value flags, c10::ArrayRef<at::Tensor> parameters) const {
  napi_value undefined, handler;
  check(env_, napi_get_undefined(env_, &undefined));
  check(env_, napi_get_reference_value(env_, handler_, &handler));
  const napi_value args[] = {values, flags, wrapAll(Addon::of(env_), env_, parameters)};
  check(env_, napi_call_function(env_, undefined, handler, std::size(args), args, nullptr));
}

void Reports::deliver(c10::ArrayRef<at::Tensor> parameters, c10::ArrayRef<at::Tensor> outputs) const {
  const bool raised = flags_ >= 0 && anySet(outputs[flags_]);
  if (outputs_.empty() && !raised) return;
  const Napi::HandleScope scope(env_);
  std::vector<at::Tensor> values;
  for (uint32_t output : outputs_) values.push_back(outputs[output]);
  napi_value flags;
  check(env_, napi_get_null(env_, &flags));
  if (raised) flags = wrap(Addon::of(env_), env_, outputs[flags_]);
  call(wrapAll(Addon::of(env_), env_, values), flags, raised ? parameters : c10::ArrayRef<at::Tensor>());
}

void Reports::failed(c10::ArrayRef<at::Tensor> parameters) const {
  const Napi::HandleScope scope(env_);
  napi_value null;
  check(env_, napi_get_null(env_, &null));
  call(null, null, parameters);
}

}  // namespace jorch
