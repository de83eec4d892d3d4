/** @file Opens, closes and lowers the levels, wraps and unwraps tensors; a level never outlives the call that opened it. */
#include "transforms/levels.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/functorch/BatchedFallback.h>
#include <ATen/functorch/BatchedTensorImpl.h>
#include <ATen/functorch/DynamicLayer.h>
#include <ATen/functorch/TensorWrapper.h>
#include <c10/core/AutogradState.h>
#include <torch/csrc/autograd/forward_grad.h>

#include "dispatch/tracing.h"
#include "tensor/tensor.h"
#include "transforms/js.h"

namespace jorch::transforms {

namespace {

namespace ft = at::functorch;
using Type = ft::TransformType;

thread_local int openJvps = 0;

Type typeFrom(const std::string& kind) {
  if (kind == "vmap") return Type::Vmap;
  return kind == "grad" ? Type::Grad : Type::Jvp;
}

const char* kindOf(Type type) {
  switch (type) {
    case Type::Vmap: return "vmap";
    case Type::Grad: return "grad";
    default: return "jvp";
  }
}

ft::RandomnessType randomnessFrom(const std::string& name) {
  if (name == "same") return ft::RandomnessType::Same;
  return name == "different" ? ft::RandomnessType::Different : ft::RandomnessType::Error;
}

const char* randomnessName(ft::RandomnessType type) {
  if (type == ft::RandomnessType::Same) return "same";
  return type == ft::RandomnessType::Different ? "different" : "error";
}

/** One level, from its opening to the end of the C++ scope, whatever is thrown. */
class Level {
 public:
  Level(Type type, int64_t size, ft::RandomnessType randomness) : state_(c10::AutogradState::get_tls_state()), jvp_(type == Type::Jvp) {
    switch (type) {
      case Type::Vmap: level = ft::initAndPushDynamicLayer(type, c10::SymInt(size), randomness); break;
      case Type::Grad:
        level = ft::initAndPushDynamicLayer(type, std::nullopt, std::nullopt, state_.get_grad_mode());
        at::GradMode::set_enabled(true);
        break;
      default:
        level = ft::initAndPushDynamicLayer(type, std::nullopt, std::nullopt, std::nullopt, state_.get_fw_grad_mode());
        c10::AutogradState::get_tls_state().set_fw_grad_mode(true);
        // Every jvp level uses forward mode's one level: their tensors differ by their wrappers.
        if (openJvps++ == 0) dual_ = torch::autograd::ForwardADLevel::get_next_idx();
    }
  }
  ~Level() {
    if (jvp_ && --openJvps == 0) torch::autograd::ForwardADLevel::release_idx(dual_);
    ft::popDynamicLayerAndDeleteMetadata();
    c10::AutogradState::set_tls_state(state_);
  }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  int64_t level;

 private:
  c10::AutogradState state_;
  bool jvp_;
  uint64_t dual_ = 0;
};

/** The innermost level put aside: what runs meanwhile runs one level below. */
class Lowered {
 public:
  Lowered() : state_(c10::AutogradState::get_tls_state()), layer_(ft::popDynamicLayer()) {
    auto& state = c10::AutogradState::get_tls_state();
    const ft::Interpreter& interpreter = layer_.interpreter();
    if (layer_.key() == Type::Grad) state.set_grad_mode(ft::GradInterpreterPtr(&interpreter).prevGradMode());
    if (layer_.key() == Type::Jvp) state.set_fw_grad_mode(ft::JvpInterpreterPtr(&interpreter).prevFwdGradMode());
  }
  ~Lowered() {
    ft::pushDynamicLayer(std::move(layer_));
    c10::AutogradState::set_tls_state(state_);
  }
  Lowered(const Lowered&) = delete;
  Lowered& operator=(const Lowered&) = delete;

 private:
  c10::AutogradState state_;
  ft::DynamicLayer layer_;
};

int64_t integer(const Napi::Value& value) { return value.As<Napi::Number>().Int64Value(); }

// withLevel(kind, size, randomness, fn) → fn(level)
Napi::Value WithLevel(const Napi::CallbackInfo& info) {
  return noted(info, "transform", [&](Addon&) -> napi_value {
    const Level scope(typeFrom(textOf(info.Env(), info[0])), integer(info[1]), randomnessFrom(textOf(info.Env(), info[2])));
    return callJs(info.Env(), info[3], {number(info.Env(), static_cast<double>(scope.level))});
  });
}

// lower(fn): fn() one level below
Napi::Value Lower(const Napi::CallbackInfo& info) {
  return noted(info, "transform", [&](Addon&) -> napi_value {
    if (!active()) throw JsError("BAD_ARGUMENT", "no transform is open");
    const Lowered scope;
    return callJs(info.Env(), info[0], {});
  });
}

// currentLevel() → null | { kind, level, size, randomness }
Napi::Value CurrentLevel(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "transform", [&]() -> napi_value {
    const auto& stack = ft::getDynamicLayerStack();
    if (stack.empty()) return info.Env().Null();
    const ft::DynamicLayer& top = stack.back();
    auto made = Napi::Object::New(info.Env());
    made.Set("kind", kindOf(top.key()));
    made.Set("level", static_cast<double>(top.layerId()));
    const bool vmap = top.key() == Type::Vmap;
    made.Set("size", static_cast<double>(vmap ? top.batchSize().expect_int() : 0));
    made.Set("randomness", vmap ? randomnessName(top.randomness()) : "error");
    return made;
  }));
}

// wrapGrad(tensor, level, requiresGrad): the tensor as the level's own variable
Napi::Value WrapGrad(const Napi::CallbackInfo& info) {
  return noted(info, "grad", [&](Addon& addon) -> napi_value {
    const at::Tensor t = tensorArgument(addon, info.Env(), info[0], "the tensor");
    at::Tensor wrapped = ft::makeTensorWrapper(t, integer(info[1]));
    if (info[2].ToBoolean()) wrapped.set_requires_grad(true);
    return wrap(addon, info.Env(), wrapped);
  });
}

// unwrapDead(tensor): what stands for it now; a variable of a level that is over is what it holds
Napi::Value UnwrapDead(const Napi::CallbackInfo& info) {
  return noted(info, "grad", [&](Addon& addon) -> napi_value {
    const at::Tensor t = tensorArgument(addon, info.Env(), info[0], "the tensor");
    const bool itself = t.is_same(wrapArgument(addon, info.Env(), info[0], "the tensor").tensor());
    if (itself && !ft::isDeadTensorWrapper(t)) return info[0];
    at::Tensor now = t;
    while (ft::isDeadTensorWrapper(now)) now = ft::unwrapIfDead(now);
    return wrap(addon, info.Env(), now);
  });
}

// unwrapGrad(tensor, level): what a level's variable holds; any other tensor is itself
Napi::Value UnwrapGrad(const Napi::CallbackInfo& info) {
  return noted(info, "grad", [&](Addon& addon) -> napi_value {
    const at::Tensor t = tensorArgument(addon, info.Env(), info[0], "the tensor");
    const auto* wrapper = ft::maybeGetTensorWrapper(t);
    if (wrapper == nullptr || wrapper->level() != integer(info[1])) return info[0];
    return wrap(addon, info.Env(), wrapper->value());
  });
}

// makeDual(primal, tangent)
Napi::Value MakeDual(const Napi::CallbackInfo& info) {
  return noted(info, "jvp", [&](Addon& addon) -> napi_value {
    return wrap(addon, info.Env(), at::_make_dual(tensorArgument(addon, info.Env(), info[0], "a primal"), tensorArgument(addon, info.Env(), info[1], "a tangent"), 0));
  });
}

// unpackDual(tensor) → [primal, tangent | null]
Napi::Value UnpackDual(const Napi::CallbackInfo& info) {
  return noted(info, "jvp", [&](Addon& addon) -> napi_value {
    const auto [primal, tangent] = at::_unpack_dual(tensorArgument(addon, info.Env(), info[0], "the tensor"), 0);
    return tensorArray(addon, info.Env(), {primal, tangent});
  });
}

// addBatch(tensor, dim, level)
Napi::Value AddBatch(const Napi::CallbackInfo& info) {
  return noted(info, "vmap", [&](Addon& addon) -> napi_value {
    return wrap(addon, info.Env(), ft::makeBatched(tensorArgument(addon, info.Env(), info[0], "the tensor"), integer(info[1]), integer(info[2])));
  });
}

// removeBatch(tensor, level) → [value, dim], dim -1 for a tensor that this level does not batch
Napi::Value RemoveBatch(const Napi::CallbackInfo& info) {
  return noted(info, "vmap", [&](Addon& addon) -> napi_value {
    const at::Tensor t = tensorArgument(addon, info.Env(), info[0], "the tensor");
    const auto* batched = ft::maybeGetBatchedImpl(t);
    const bool own = batched != nullptr && batched->level() == integer(info[1]);
    auto result = Napi::Array::New(info.Env(), 2);
    result.Set(0u, own ? Napi::Value(info.Env(), wrap(addon, info.Env(), batched->value())) : info[0]);
    result.Set(1u, static_cast<double>(own ? batched->bdim() : -1));
    return result;
  });
}

// insideVmap(): whether some vmap is open
Napi::Value InsideVmap(const Napi::CallbackInfo& info) {
  bool found = false;
  for (const auto& layer : ft::getDynamicLayerStack()) found = found || layer.key() == Type::Vmap;
  return Napi::Boolean::New(info.Env(), found);
}

// isBatched(tensor): whether it has a value for every example of some open vmap
Napi::Value IsBatched(const Napi::CallbackInfo& info) {
  return noted(info, "vmap", [&](Addon& addon) -> napi_value {
    return Napi::Boolean::New(info.Env(), !bottom(tensorArgument(addon, info.Env(), info[0], "the tensor")).defined());
  });
}

}  // namespace

bool active() { return !ft::getDynamicLayerStack().empty(); }

at::Tensor bottom(const at::Tensor& t) {
  at::Tensor now = t;
  for (;;) {
    if (ft::isBatchedTensor(now)) return {};
    const auto* wrapper = ft::maybeGetTensorWrapper(now);
    if (wrapper == nullptr) return now;
    now = wrapper->value();
  }
}

Below::Below() : keys_(c10::DispatchKeySet({c10::DispatchKey::FuncTorchDynamicLayerFrontMode, c10::DispatchKey::FuncTorchDynamicLayerBackMode})) {}

void init(Napi::Env env, Napi::Object exports) {
  ft::setVmapFallbackWarningEnabled(false);  // an operator without a batching rule runs example by example
  exports.Set("withLevel", Napi::Function::New(env, WithLevel, "withLevel"));
  exports.Set("lower", Napi::Function::New(env, Lower, "lower"));
  exports.Set("currentLevel", Napi::Function::New(env, CurrentLevel, "currentLevel"));
  exports.Set("insideVmap", Napi::Function::New(env, InsideVmap, "insideVmap"));
  exports.Set("isBatched", Napi::Function::New(env, IsBatched, "isBatched"));
  exports.Set("wrapGrad", Napi::Function::New(env, WrapGrad, "wrapGrad"));
  exports.Set("unwrapGrad", Napi::Function::New(env, UnwrapGrad, "unwrapGrad"));
  exports.Set("unwrapDead", Napi::Function::New(env, UnwrapDead, "unwrapDead"));
  exports.Set("makeDual", Napi::Function::New(env, MakeDual, "makeDual"));
  exports.Set("unpackDual", Napi::Function::New(env, UnpackDual, "unpackDual"));
  exports.Set("addBatch", Napi::Function::New(env, AddBatch, "addBatch"));
  exports.Set("removeBatch", Napi::Function::New(env, RemoveBatch, "removeBatch"));
}

}  // namespace jorch::transforms
