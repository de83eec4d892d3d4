/** @file Probes and substitutions: the two halves of turning a closure into a function of all it uses. */
#include "transforms/closure.h"

#include "dispatch/tracing.h"
#include "tensor/tensor.h"
#include "trace/tracer.h"
#include "transforms/js.h"

namespace jorch::closure {

namespace {
thread_local std::vector<Probe*> probes;
thread_local std::vector<Substitution*> substitutions;
}  // namespace

Probe::Probe() { probes.push_back(this); }
Probe::~Probe() { probes.pop_back(); }

void Probe::made(const at::Tensor& t) {
  if (known_.insert(t.unsafeGetTensorImpl()).second) held_.push_back(t);
}

void Probe::used(const at::Tensor& t) {
  if (!known_.insert(t.unsafeGetTensorImpl()).second) return;
  held_.push_back(t);
  seen.push_back(t);
}

Substitution::Substitution(const std::vector<at::Tensor>& from, std::vector<at::Tensor> to) : from_(from), to_(std::move(to)) {
  for (size_t i = 0; i < from_.size(); i++) at_[from_[i].unsafeGetTensorImpl()] = i;
  substitutions.push_back(this);
}
Substitution::~Substitution() { substitutions.pop_back(); }

const at::Tensor* Substitution::find(const c10::TensorImpl* impl) const {
  const auto found = at_.find(impl);
  return found == at_.end() ? nullptr : &to_[found->second];
}

const at::Tensor& use(const at::Tensor& t) {
  if (!t.defined()) return t;
  for (Probe* probe : probes) probe->used(t);
  for (auto it = substitutions.rbegin(); it != substitutions.rend(); ++it)
    if (const at::Tensor* to = (*it)->find(t.unsafeGetTensorImpl())) return *to;
  return t;
}

bool isExchanged(const at::Tensor& t) {
  for (const Substitution* scope : substitutions)
    if (scope->find(t.unsafeGetTensorImpl())) return true;
  return false;
}

void note(const at::Tensor& t) {
  for (Probe* probe : probes) probe->made(t);
}

bool probing() { return !probes.empty(); }

namespace {

// probe(fn, given, isolated) → { seen, result }: runs fn(...); `given` count as made inside. Isolated: what it records is thrown away.
Napi::Value RunProbe(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "probe", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    std::vector<at::Tensor> seen;
    napi_value result;
    {
      Probe probe;
      for (const at::Tensor& t : rawTensors(addon, info.Env(), info[1])) probe.made(t);
      std::optional<trace::Tracer> tracer;
      std::optional<trace::TraceScope> scope;
      if (info[2].ToBoolean() && trace::current()) {
        tracer.emplace();
        scope.emplace(*tracer);
      }
      result = callJs(info.Env(), info[0], {});
      seen = std::move(probe.seen);
    }
    auto made = Napi::Object::New(info.Env());
    made.Set("seen", tensorArray(addon, info.Env(), seen));
    made.Set("result", Napi::Value(info.Env(), result));
    return made;
  }));
}

// substitute(from, to, fn) → what fn returns
Napi::Value Substitute(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "substitute", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    // What is given may itself stand for another tensor, in a substitution around this one.
    std::vector<at::Tensor> to = rawTensors(addon, info.Env(), info[1]);
    for (at::Tensor& t : to) t = use(t);
    const Substitution scope(rawTensors(addon, info.Env(), info[0]), std::move(to));
    return callJs(info.Env(), info[2], {});
  }));
}

Napi::Value IsProbing(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), probing()); }

}  // namespace

void init(Napi::Env env, Napi::Object exports) {
  exports.Set("probe", Napi::Function::New(env, RunProbe, "probe"));
  exports.Set("substitute", Napi::Function::New(env, Substitute, "substitute"));
  exports.Set("isProbing", Napi::Function::New(env, IsProbing, "isProbing"));
}

}  // namespace jorch::closure
