/** @file Lists of tensors between JavaScript and C++. */
#include "transforms/js.h"

#include "tensor/tensor.h"

namespace jorch {

namespace {
template <class Read>
std::vector<at::Tensor> read(const Napi::Value& value, Read one) {
  const auto array = value.As<Napi::Array>();
  std::vector<at::Tensor> list;
  for (uint32_t i = 0; i < array.Length(); i++) list.push_back(one(Napi::Value(array.Get(i))));
  return list;
}
}  // namespace

std::vector<at::Tensor> rawTensors(Addon& addon, Napi::Env env, const Napi::Value& array) {
  return read(array, [&](const Napi::Value& item) { return wrapArgument(addon, env, item, "a tensor").tensor(); });
}

std::vector<at::Tensor> usedTensors(Addon& addon, Napi::Env env, const Napi::Value& array) {
  return read(array, [&](const Napi::Value& item) { return item.IsNull() ? at::Tensor() : tensorArgument(addon, env, item, "a tensor"); });
}

Napi::Array tensorArray(Addon& addon, Napi::Env env, const std::vector<at::Tensor>& tensors) {
  auto array = Napi::Array::New(env, tensors.size());
  for (uint32_t i = 0; i < tensors.size(); i++) array.Set(i, Napi::Value(env, wrap(addon, env, tensors[i])));
  return array;
}

napi_value callJs(napi_env env, napi_value function, std::initializer_list<napi_value> args) {
  napi_value undefined, result;
  check(env, napi_get_undefined(env, &undefined));
  check(env, napi_call_function(env, undefined, function, args.size(), args.begin(), &result));
  return result;
}

}  // namespace jorch
