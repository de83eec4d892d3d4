/** @file The levels of torch.func: grad, vmap and jvp on libtorch's functorch interpreter stack. */
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <napi.h>

namespace jorch::transforms {

/** Whether a grad, vmap or jvp level is open on this thread. */
bool active();

/** What an operator would see of `t` below every level; an undefined tensor when `t` is batched. */
at::Tensor bottom(const at::Tensor& t);

/** While it lives, operators run as if no level were open: for data that has nothing to do with the transforms. */
class Below {
 public:
  Below();

 private:
  c10::impl::ExcludeDispatchKeyGuard keys_;
};

void init(Napi::Env env, Napi::Object exports);

}  // namespace jorch::transforms
