/** @file Hooks of tensors: functions of JavaScript that autograd calls with gradients. */
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <memory>

namespace jorch::hooks {

/** What stands for the hooks a tensor has now; 0 for none. Another number after each hook that is added or taken away. */
uint64_t stampOf(const at::Tensor& t);

/** While it lives, `twin` runs the hooks of `original` as its own. */
class Borrowed {
 public:
  Borrowed(const at::Tensor& original, const at::Tensor& twin);
  ~Borrowed() { *active_ = false; }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

 private:
  std::shared_ptr<bool> active_ = std::make_shared<bool>(true);
};

void init(Napi::Env env, Napi::Object exports);

}  // namespace jorch::hooks
