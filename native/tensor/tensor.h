// The JavaScript handle of an at::Tensor.
#pragma once

#include "addon.h"

namespace jorch {

class TensorWrap {
 public:
  // The wrap behind a JavaScript value, or nullptr when it is not a tensor of this environment.
  static TensorWrap* from(Addon& addon, napi_env env, napi_value value);
  // The wrap of a handle that has this number and no wrap yet; number 0: a number of its own. Throws what Node-API failed with.
  static TensorWrap* attach(Addon& addon, napi_env env, napi_value handle, uint32_t number, at::Tensor tensor);

  const at::Tensor& tensor() const { return tensor_; }
  bool disposed() const { return !tensor_.defined(); }
  // Throws DISPOSED; `what` names the argument.
  const at::Tensor& get(const char* what) const;
  void dispose(Addon& addon);
  // The handle of another tensor with these values and what the old one had: requires_grad, grad. Throws BAD_ARGUMENT for one with a history.
  void replace(Addon& addon, const at::Tensor& data);

 private:
  friend napi_value wrap(Addon&, napi_env, at::Tensor);
  TensorWrap(Addon& addon, at::Tensor tensor, uint32_t number);
  static void finalize(node_api_basic_env env, void* data, void* hint);
  void hold(Addon& addon);
  void release(Addon& addon);

  at::Tensor tensor_;
  uint32_t number_;  // among the handles
  const void* storage_ = nullptr;
};

// A new JavaScript Tensor; an undefined tensor becomes null.
napi_value wrap(Addon& addon, napi_env env, at::Tensor tensor);

// The tensor behind argument `value`, lifted into the open trace if there is one. Throws BAD_ARGUMENT / DISPOSED.
at::Tensor tensorArgument(Addon& addon, napi_env env, napi_value value, const char* what);
// The same without lifting: the eager tensor itself.
TensorWrap& wrapArgument(Addon& addon, napi_env env, napi_value value, const char* what);

const char* dtypeName(c10::ScalarType type);
// Throws BAD_ARGUMENT naming the dtypes that exist.
c10::ScalarType dtypeFrom(const std::string& name);
bool isDtypeName(const std::string& name);

napi_value number(napi_env env, double value);
napi_value integers(napi_env env, c10::IntArrayRef values);
std::vector<int64_t> integersFrom(const Napi::Value& array);
napi_value text(napi_env env, const std::string& value);
std::string textOf(napi_env env, napi_value value);

void initTensor(Napi::Env env, Napi::Object exports);

}  // namespace jorch
