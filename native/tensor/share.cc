// Tensors that workers of one process share: handed over by number, through a table of the process. The memory is counted by libtorch's own
// reference counts, which are atomic; it lives as long as a handle in any worker, or a place in the table, holds it.
#include "tensor/share.h"

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "dispatch/tracing.h"
#include "tensor/data.h"
#include "tensor/tensor.h"
#include "trace/tracer.h"

namespace jorch {

namespace {

struct Shared {
  at::Tensor tensor;
  bool requiresGrad;
  uint32_t receivers;
};

// Never destroyed: workers may end after the static destructors have begun.
struct Table {
  std::mutex mutex;
  std::unordered_map<uint64_t, Shared> entries;
  uint64_t next = 1;
};
Table& table() {
  static auto* instance = new Table;
  return *instance;
}

uint64_t numberOf(napi_env env, napi_value value) {
  int64_t number = 0;
  if (napi_get_value_int64(env, value, &number) != napi_ok || number <= 0) throw JsError("BAD_ARGUMENT", "receive: this is no token of share()");
  return static_cast<uint64_t>(number);
}

// shareTensor(tensor, receivers) → number
Napi::Value ShareTensor(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "share", [&]() -> napi_value {
    const at::Tensor tensor = wrapArgument(Addon::of(info.Env()), info.Env(), info[0], "the tensor").get("the tensor");
    const auto wrapped = c10::DispatchKeySet({c10::DispatchKey::FuncTorchBatched, c10::DispatchKey::FuncTorchGradWrapper});
    if (trace::current() || tensor.is_lazy() || tensor.key_set().has_any(wrapped))
      throw JsError("BAD_ARGUMENT", "share: not inside compile() or a transform; share the tensor outside");
    if (tensor.requires_grad() && !tensor.is_leaf())
      throw JsError("BAD_ARGUMENT", "share: the tensor has an autograd history, which stays in its thread; share x.detach()");
    if (tensor.has_storage() && isLent(tensor.storage().data()))
      throw JsError("BAD_ARGUMENT", "share: the tensor's memory belongs to a typed array of this thread (frombuffer), which can end before it; share x.clone()");
    Table& all = table();
    std::lock_guard<std::mutex> lock(all.mutex);
    const uint64_t number = all.next++;
    all.entries.emplace(number, Shared{tensor.detach(), tensor.requires_grad(), info[1].As<Napi::Number>().Uint32Value()});
    return Napi::Number::New(info.Env(), static_cast<double>(number));
  }));
}

// receiveTensor(number) → Tensor with the same memory
Napi::Value ReceiveTensor(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "receive", [&]() -> napi_value {
    const uint64_t number = numberOf(info.Env(), info[0]);
    Table& all = table();
    at::Tensor tensor;
    bool requiresGrad = false;
    {
      std::lock_guard<std::mutex> lock(all.mutex);
      const auto found = all.entries.find(number);
      if (found == all.entries.end())
        throw JsError("BAD_ARGUMENT", "receive: the token was received already, withdrawn, or is of another process; share(tree, { receivers: n }) lets n take it");
      tensor = found->second.tensor.detach();
      requiresGrad = found->second.requiresGrad;
      if (--found->second.receivers == 0) all.entries.erase(found);
    }
    if (requiresGrad) tensor.requires_grad_(true);
    return wrap(Addon::of(info.Env()), info.Env(), std::move(tensor));
  }));
}

// withdrawTensor(number) → whether it was still there
Napi::Value WithdrawTensor(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "withdraw", [&]() -> napi_value {
    at::Tensor last;  // dies outside the lock
    Table& all = table();
    std::lock_guard<std::mutex> lock(all.mutex);
    const auto found = all.entries.find(numberOf(info.Env(), info[0]));
    const bool there = found != all.entries.end();
    if (there) {
      last = std::move(found->second.tensor);
      all.entries.erase(found);
    }
    return Napi::Boolean::New(info.Env(), there);
  }));
}

}  // namespace

void initShare(Napi::Env env, Napi::Object exports) {
  exports.Set("shareTensor", Napi::Function::New(env, ShareTensor, "shareTensor"));
  exports.Set("receiveTensor", Napi::Function::New(env, ReceiveTensor, "receiveTensor"));
  exports.Set("withdrawTensor", Napi::Function::New(env, WithdrawTensor, "withdrawTensor"));
}

}  // namespace jorch
