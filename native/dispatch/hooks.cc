/** @file Tensor.register_hook and register_post_accumulate_grad_hook, on libtorch's own lists of hooks. */
#include "dispatch/hooks.h"

#include <torch/csrc/autograd/cpp_hook.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "dispatch/tracing.h"
#include "tensor/tensor.h"
#include "trace/tracer.h"
#include "transforms/js.h"

namespace jorch::hooks {

namespace {

std::atomic<uint64_t> stamps{1};

// One function, on the thread and in the environment it was made in.
struct Hook {
  napi_env env;
  std::thread::id thread = std::this_thread::get_id();
  std::shared_ptr<Reaper> reaper;
  napi_ref callback = nullptr;

  Hook(Addon& addon, napi_value function) : env(addon.env), reaper(addon.reaper) { check(env, napi_create_reference(env, function, 1, &callback)); }
  Hook(const Hook&) = delete;
  Hook& operator=(const Hook&) = delete;
  ~Hook() {
    if (callback) reaper->bury(callback);  // may run inside garbage collection
  }

  at::Tensor operator()(const at::Tensor& t) const {
    TORCH_CHECK(std::this_thread::get_id() == thread, "a hook of a tensor is a JavaScript function of another thread");
    Napi::HandleScope scope(env);
    Addon& addon = Addon::of(env);
    napi_value function;
    check(env, napi_get_reference_value(env, callback, &function));
    const napi_value result = callJs(env, function, {wrap(addon, env, t)});
    napi_valuetype type;
    check(env, napi_typeof(env, result, &type));
    return type == napi_undefined || type == napi_null ? at::Tensor() : tensorArgument(addon, env, result, "register_hook: what the hook returns");
  }
};

// The hooks of one tensor, in order. Its numbers tell lists apart that hold other hooks.
struct List {
  std::vector<std::shared_ptr<Hook>> hooks;
  uint64_t stamp = 0;

  void add(std::shared_ptr<Hook> hook) {
    hooks.push_back(std::move(hook));
    stamp = stamps++;
  }
  void remove(const std::shared_ptr<Hook>& hook) {
    const auto found = std::find(hooks.begin(), hooks.end(), hook);
    if (found == hooks.end()) return;
    hooks.erase(found);
    stamp = hooks.empty() ? 0 : stamps++;
  }
};
using SharedList = std::shared_ptr<List>;

// libtorch calls this one with the gradient of the tensor; no tensor back leaves it as it is.
struct OnGradient {
  SharedList list;
  std::shared_ptr<bool> active;  // null: always

  at::TensorBase operator()(const at::TensorBase& given) const {
    if (active && !*active) return {};
    const at::Tensor gradient(given);
    at::Tensor now;
    for (const auto& hook : std::vector<std::shared_ptr<Hook>>(list->hooks)) {  // a hook may take itself away
      const at::Tensor& before = now.defined() ? now : gradient;
      const at::Tensor made = (*hook)(before);
      if (!made.defined()) continue;
      if (made.sizes() != before.sizes() || made.scalar_type() != before.scalar_type())
        throw JsError("BAD_ARGUMENT", std::string("register_hook: a hook must return a gradient like the one it is given, ") + dtypeName(before.scalar_type()) + c10::str(before.sizes()) +
                                          ", not " + dtypeName(made.scalar_type()) + c10::str(made.sizes()));
      now = made;
    }
    return now;
  }
};

struct OnAccumulated : torch::autograd::PostAccumulateGradHook {
  SharedList list;
  std::shared_ptr<bool> active;
  OnAccumulated(SharedList own, std::shared_ptr<bool> flag) : list(std::move(own)), active(std::move(flag)) {}
  void operator()(const at::Tensor& t) override {
    if (active && !*active) return;
    for (const auto& hook : std::vector<std::shared_ptr<Hook>>(list->hooks)) (*hook)(t);
  }
};

using Meta = torch::autograd::AutogradMeta;
const Meta* metaOf(const at::Tensor& t) { return t.requires_grad() ? static_cast<const Meta*>(t.unsafeGetTensorImpl()->autograd_meta()) : nullptr; }

SharedList gradientHooks(const at::Tensor& t) {
  const Meta* meta = metaOf(t);
  if (!meta || !meta->cpp_hooks_list_) return nullptr;
  for (const auto& hook : *meta->cpp_hooks_list_)
    if (const auto* own = hook.target<OnGradient>(); own && !own->active) return own->list;
  return nullptr;
}

SharedList accumulatedHooks(const at::Tensor& t) {
  const Meta* meta = metaOf(t);
  const auto* own = meta ? dynamic_cast<const OnAccumulated*>(meta->post_acc_grad_hooks_.get()) : nullptr;
  return own && !own->active ? own->list : nullptr;
}

void hang(const at::Tensor& t, OnGradient hook) {
  // TensorBase's keeps the function object itself, which gradientHooks() looks for.
  static_cast<const at::TensorBase&>(t).register_hook(std::move(hook));
}

// The tensor that gets the hook. A hook stays with a tensor, so it must not be one that only stands for another while a program is recorded.
at::Tensor targetOf(Addon& addon, napi_env env, napi_value value) {
  const at::Tensor met = wrapArgument(addon, env, value, "the tensor").tensor();
  const at::Tensor t = lifted(met);
  const trace::Tracer* tracer = trace::current();
  if (!tracer) return t;
  if (trace::isInner())
    throw JsError("BAD_ARGUMENT", "the body of a compiled loop or branch has no history that a hook could be in; register it outside, or write the change with customVjp");
  for (const trace::Capture& capture : tracer->captures())
    if (capture.twin.is_same(t))
      throw JsError("BAD_ARGUMENT", "inside a compiled function, hooks can be registered on what it computes, not on tensors from outside it (an argument, a parameter): they would stay there after the call. Register the hook outside; the function runs it");
  return t;
}

// addHook(tensor, fn, accumulated) → a function that takes it away
Napi::Value Add(const Napi::CallbackInfo& info) {
  const bool accumulated = info[2].ToBoolean();
  const char* name = accumulated ? "register_post_accumulate_grad_hook" : "register_hook";
  return Napi::Value(info.Env(), guarded(info.Env(), name, [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    const at::Tensor t = targetOf(addon, info.Env(), info[0]);
    if (!t.requires_grad()) throw JsError("BAD_ARGUMENT", "the tensor does not require grad, nothing would ever call the hook");
    if (accumulated && !t.is_leaf()) throw JsError("BAD_ARGUMENT", "only leaves accumulate gradients, this tensor has a grad_fn; use register_hook");
    auto hook = std::make_shared<Hook>(addon, info[1]);
    SharedList list = accumulated ? accumulatedHooks(t) : gradientHooks(t);
    if (!list) {
      list = std::make_shared<List>();
      if (accumulated) torch::autograd::impl::set_post_acc_grad_hooks(t, std::make_unique<OnAccumulated>(list, nullptr));
      else hang(t, {list, nullptr});
    }
    list->add(hook);
    // The handle keeps neither the function nor the tensor.
    return Napi::Function::New(info.Env(), [list = std::weak_ptr<List>(list), hook = std::weak_ptr<Hook>(hook)](const Napi::CallbackInfo&) {
      if (const auto own = list.lock()) own->remove(hook.lock());
    });
  }));
}

}  // namespace

uint64_t stampOf(const at::Tensor& t) {
  const Meta* meta = metaOf(t);
  if (!meta || (!meta->cpp_hooks_list_ && !meta->post_acc_grad_hooks_)) return 0;
  const SharedList before = gradientHooks(t), after = accumulatedHooks(t);
  return (before ? before->stamp : 0) * 1000003 + (after ? after->stamp : 0);
}

Borrowed::Borrowed(const at::Tensor& original, const at::Tensor& twin) {
  if (const SharedList list = gradientHooks(original)) hang(twin, {list, active_});
  if (SharedList list = accumulatedHooks(original)) torch::autograd::impl::set_post_acc_grad_hooks(twin, std::make_unique<OnAccumulated>(std::move(list), active_));
}

void init(Napi::Env env, Napi::Object exports) { exports.Set("addHook", Napi::Function::New(env, Add, "addHook")); }

}  // namespace jorch::hooks
