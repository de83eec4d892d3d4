#include "dispatch/tracing.h"

#include <ATen/EmptyTensor.h>
#include <ATen/ScalarOps.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <torch/csrc/autograd/autograd.h>

#include "dispatch/aliases.h"
#include "dispatch/generator.h"
#include "tensor/tensor.h"
#include "trace/autocast.h"
#include "trace/graph_js.h"
#include "trace/record.h"
#include "trace/trace_tensor.h"
#include "transforms/closure.h"
#include "transforms/js.h"
#include "transforms/levels.h"

namespace jorch {

namespace {

[[noreturn]] void leaked() {
  throw JsError("LEAKED_TRACE",
                "this tensor belongs to a trace that is over: it was made while compile() recorded a function and kept in an outer variable; return it from the compiled function instead");
}

}  // namespace

at::Tensor lifted(const at::Tensor& met) {
  const at::Tensor& tensor = closure::use(met);
  if (auto* tracer = trace::current()) return tracer->lift(tensor);
  if (trace::isTraceTensor(tensor)) leaked();
  return tensor;
}

bool isTraced(const at::Tensor& tensor) {
  const auto* tracer = trace::current();
  if (trace::isTraceTensor(tensor)) {
    if (!tracer) leaked();
    return true;
  }
  return tracer != nullptr;
}

void placeOnTraceDevice(c10::IValue& device, bool takesTensor) {
  if (!trace::current()) return;
  const bool factory = device.isNone() && !takesTensor;
  if (factory || (device.isDevice() && device.toDevice().is_cpu())) device = c10::Device(c10::DeviceType::Lazy, 0);
}

at::Tensor numberTensor(const at::Scalar& value) {
  at::Tensor made = c10::scalar_to_tensor(value);
  made.unsafeGetTensorImpl()->set_wrapped_number(true);
  return made;
}

namespace {

// undefined when there is no such function yet.
napi_value ask(napi_env env, napi_ref reference) {
  napi_value function, answer;
  check(env, napi_get_undefined(env, &answer));
  if (!reference || napi_get_reference_value(env, reference, &function) != napi_ok) return answer;
  check(env, napi_call_function(env, answer, function, 0, nullptr, &answer));
  return answer;
}

}  // namespace

std::string userLine(napi_env env) {
  const napi_ref reader = Addon::of(env).lineReader;
  return reader ? textOf(env, ask(env, reader)) : std::string();
}

std::string usedAt(napi_env env) noexcept {
  try {
    const std::string line = userLine(env);
    return line.empty() ? "" : " (used at " + line + ")";
  } catch (...) {
    return "";
  }
}

void noteLine(napi_env env) {
  if (!trace::current()) return;
  const Addon& addon = Addon::of(env);
  ask(env, addon.lineNoter);
  takeLine(addon);
}

void takeLine(const Addon& addon) {
  auto* tracer = trace::current();
  if (tracer && addon.line) tracer->setLine(*addon.line);
}

namespace {

// What to write instead of an operator whose result has a shape that only the data can tell.
std::string staticForm(const std::string& op) {
  const std::pair<const char*, const char*> forms[] = {
      {"nonzero", "nonzero_static(input, { size }) gives a fixed number of rows; where(mask, a, b) chooses without indices"},
      {"masked_select", "where(mask, input, 0) keeps the shape; input.mul(mask).sum() reduces over the chosen elements"},
      {"index", "where(mask, input, 0) keeps the shape; integer indices of a fixed number (nonzero_static, topk) can be taken"},
      {"repeat_interleave", "the argument output_size fixes the length: repeat_interleave(input, repeats, { output_size })"},
      {"bincount", "zeros(n).scatter_add(0, index, weights) counts into a fixed number of bins"},
      {"unique", "sort(input) and a comparison of neighbours mark the first of each value in a fixed shape"},
  };
  for (const auto& [name, form] : forms)
    if (op.find(name) != std::string::npos) return form;
  return "use an operator with a result of fixed shape";
}

// " (fit.ts:12:7)", empty when unknown.
std::string at(napi_env env) {
  try {
    const std::string line = userLine(env);
    return line.empty() ? "" : " (" + line + ")";
  } catch (...) {
    return "";
  }
}

}  // namespace

void throwConcretization(napi_env env, const trace::Concretization& error) noexcept {
  using Kind = trace::Concretization::Kind;
  std::string op = error.op().rfind("aten::", 0) == 0 ? error.op().substr(6) : error.op();
  if (op == "_local_scalar_dense") op = "item";
  if (error.kind() == Kind::LeakedTrace) {
    try {
      leaked();
    } catch (const JsError& leak) {
      throwJs(env, leak.code, leak.what() + usedAt(env));
    }
  } else if (error.kind() == Kind::DynamicShape) {
    throwJs(env, "DYNAMIC_SHAPE",
            op + at(env) + ": the shape of its result depends on the data, so a compiled program cannot hold it. Instead: " + staticForm(op) + "; or call it outside compile()");
  } else {
    throwJs(env, "CONCRETIZATION",
            op + at(env) + ": needs the value of a tensor while compile() records the function, when there are shapes and dtypes but no data. Use where(condition, a, b) or cond(…) to choose, "
                 "return the tensor and read it outside, or pass the number as a plain (static) argument");
  }
}

namespace {

std::vector<napi_value> elements(napi_env env, napi_value array) {
  uint32_t length = 0;
  check(env, napi_get_array_length(env, array, &length));
  std::vector<napi_value> result(length);
  for (uint32_t i = 0; i < length; i++) check(env, napi_get_element(env, array, i, &result[i]));
  return result;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) { check(env, napi_set_named_property(env, object, name, value)); }

// `leaf`: the first argument leaf that it is, -1 for a tensor that the function met by itself. `own`: the caller's object for it, if known.
napi_value captureJs(Addon& addon, napi_env env, const trace::Capture& capture, const trace::Effect& effect, int64_t leaf, napi_value own) {
  napi_value object, closedOver, cleared, seen;
  check(env, napi_create_object(env, &object));
  check(env, napi_get_boolean(env, capture.closedOver, &closedOver));
  check(env, napi_get_boolean(env, effect.gradCleared, &cleared));
  check(env, napi_get_boolean(env, capture.gradSeen, &seen));
  set(env, object, "tensor", own ? own : wrap(addon, env, capture.eager));
  set(env, object, "identity", number(env, static_cast<double>(reinterpret_cast<uintptr_t>(capture.eager.unsafeGetTensorImpl()))));
  set(env, object, "leaf", number(env, static_cast<double>(leaf)));
  set(env, object, "gradOf", number(env, static_cast<double>(capture.gradOf)));
  set(env, object, "storageOf", number(env, static_cast<double>(capture.storageOf)));
  set(env, object, "closedOver", closedOver);
  set(env, object, "input", number(env, static_cast<double>(capture.inputIndex)));
  set(env, object, "mutated", number(env, static_cast<double>(effect.mutated)));
  set(env, object, "grad", number(env, static_cast<double>(effect.grad)));
  set(env, object, "gradCleared", cleared);
  set(env, object, "gradSeen", seen);
  napi_value history, requiresGrad;
  check(env, napi_get_boolean(env, effect.history, &history));
  check(env, napi_get_null(env, &requiresGrad));
  if (effect.requiresGrad) check(env, napi_get_boolean(env, *effect.requiresGrad, &requiresGrad));
  set(env, object, "history", history);
  set(env, object, "requiresGrad", requiresGrad);
  return object;
}

napi_value viewJs(napi_env env, const std::optional<ViewOf>& view) {
  napi_value object;
  if (!view) {
    check(env, napi_get_null(env, &object));
    return object;
  }
  napi_value ofCapture, history;
  check(env, napi_create_object(env, &object));
  check(env, napi_get_boolean(env, view->ofCapture, &ofCapture));
  check(env, napi_create_string_utf8(env, view->history.c_str(), view->history.size(), &history));
  set(env, object, "ofCapture", ofCapture);
  set(env, object, "base", number(env, static_cast<double>(view->base)));
  set(env, object, "shape", integers(env, view->sizes));
  set(env, object, "strides", integers(env, view->strides));
  set(env, object, "offset", number(env, static_cast<double>(view->offset)));
  set(env, object, "history", history);
  return object;
}

// The backward of a trace: gradients of its differentiable results, and of the new values of what it changed, with respect to the
// captures that require grad, as values of the same graph, with one more input per such result.
struct Joint {
  std::vector<int64_t> results;     // value ids
  std::vector<int64_t> cotangents;  // value ids of the new inputs
  std::vector<int64_t> captures;    // positions among the captures
  std::vector<int64_t> gradients;   // value ids, -1 for none

  // A value that requires grad although nothing leads backward from it, and why; no words for a leaf.
  struct End {
    int64_t value;
    std::string why;
  };
  std::vector<End> ends;
};

using TensorList = std::vector<at::Tensor>;

// backward() runs outside autocast: what it multiplies has been cast on the way.
TensorList gradientsOf(const TensorList& roots, const TensorList& leaves, const TensorList& cotangents) {
  c10::impl::ExcludeDispatchKeyGuard noAutocast(c10::DispatchKeySet{trace::kAutocastKey, c10::DispatchKey::AutocastCPU});
  return torch::autograd::grad(roots, leaves, cotangents, /*retain_graph=*/true, /*create_graph=*/false, /*allow_unused=*/true);
}

Joint traceBackward(trace::Tracer& tracer, const TensorList& results, const std::vector<bool>& isNew, const std::vector<trace::Effect>& effects) {
  Joint joint;
  TensorList roots, leaves, cotangents;
  for (size_t i = 0; i < results.size(); i++)
    if (isNew[i] && results[i].requires_grad()) roots.push_back(results[i]);
  for (size_t k = 0; k < effects.size(); k++)
    if (effects[k].history) roots.push_back(tracer.captures()[k].twin);
  for (size_t k = 0; k < tracer.captures().size(); k++)
    if (const at::Tensor leaf = tracer.captures()[k].leaf(); leaf.defined()) {
      joint.captures.push_back(static_cast<int64_t>(k));
      leaves.push_back(leaf);
    }
  const auto end = [&](const at::Tensor& root, std::string why) { joint.ends.push_back({tracer.valueOf(root), std::move(why)}); };
  TensorList own, gradients;
  for (const at::Tensor& root : roots) {
    if (root.is_leaf()) {
      end(root, "");
    } else if (leaves.empty()) {
      end(root, "what it was computed from requires grad inside the compiled function only; take the gradient inside, or give that tensor as an argument");
    } else {
      own.push_back(root);
      cotangents.push_back(tracer.input(at::empty_strided(root.sizes(), root.strides(), root.options().device(at::kCPU).requires_grad(false)), false));
    }
  }
  try {
    if (!own.empty()) gradients = gradientsOf(own, leaves, cotangents);
  } catch (const c10::Error&) {
    // As in eager, where the function has gone backward itself, or has changed what is needed: not all, but some may still work.
    TensorList some, others;
    for (size_t i = 0; i < own.size(); i++) {
      try {
        gradientsOf({own[i]}, leaves, {cotangents[i]});
        some.push_back(own[i]);
        others.push_back(cotangents[i]);
      } catch (const c10::Error& error) {
        end(own[i], error.what_without_backtrace());
      }
    }
    own = some;
    cotangents = others;
    if (!own.empty()) gradients = gradientsOf(own, leaves, cotangents);
  }
  if (own.empty()) joint.captures.clear();
  for (size_t i = 0; i < own.size(); i++) {
    joint.results.push_back(tracer.valueOf(own[i]));
    joint.cotangents.push_back(tracer.valueOf(cotangents[i]));
  }
  for (const auto& gradient : gradients) joint.gradients.push_back(gradient.defined() ? tracer.valueOf(gradient) : -1);
  return joint;
}

// trace(fn, args, joint = true): runs fn(twins) under a fresh trace; fn returns a flat array of tensors.
// → { graph, ownNodes (recorded by fn itself), resultCount, outputs: valueId[], sameAs: captureIndex[] (-1: a new tensor), views: (null | ViewOf)[], captures, backward: null | { results, cotangents, captures, gradients } }
napi_value traceOnce(napi_env env, napi_callback_info info, const std::unordered_set<const void*>& shared) {
    size_t count = 3;
    napi_value args[3];
    check(env, napi_get_cb_info(env, info, &count, args, nullptr, nullptr));
    bool joint = true;  // with the backward; not for the body of a loop, whose derivatives are loops of their own
    napi_valuetype type;
    check(env, napi_typeof(env, args[2], &type));
    if (type == napi_boolean) check(env, napi_get_value_bool(env, args[2], &joint));
    Addon& addon = Addon::of(env);
    trace::Tracer tracer(shared);
    trace::TraceScope scope(tracer);
    napi_value twins;
    std::vector<int64_t> leafOf;  // by capture
    const auto given = elements(env, args[1]);
    check(env, napi_create_array_with_length(env, given.size(), &twins));
    for (size_t i = 0; i < given.size(); i++) {
      const at::Tensor& eager = wrapArgument(addon, env, given[i], "an argument").tensor();
      const at::Tensor twin = tracer.input(eager, joint && eager.requires_grad());
      // A tensor given twice is one capture.
      size_t k = 0;
      while (!tracer.captures()[k].twin.is_same(twin)) k++;
      leafOf.resize(tracer.captures().size(), -1);
      if (leafOf[k] < 0) leafOf[k] = static_cast<int64_t>(i);
      check(env, napi_set_element(env, twins, i, wrap(addon, env, twin)));
    }
    const auto results = elements(env, callJs(env, args[0], {twins}));
    tracer.dropHooks();
    const size_t ownNodes = tracer.graph().nodes.size();
    std::vector<at::Tensor> traced;
    std::vector<int64_t> same;
    std::vector<napi_value> objects;  // by capture: the caller's own object, where a result shows it
    for (napi_value result : results) {
      const at::Tensor& tensor = wrapArgument(addon, env, result, "a result").tensor();
      traced.push_back(lifted(tensor));
      if (joint && !traced.back().is_leaf() && traced.back().retains_grad())
        throw JsError("BAD_ARGUMENT", "retain_grad: what the compiled function returns is a new tensor; call retain_grad() on the result of the call");
      same.push_back(-1);
      objects.resize(tracer.captures().size(), nullptr);
      for (size_t k = 0; k < tracer.captures().size(); k++) {
        if (!tracer.captures()[k].twin.is_same(traced.back())) continue;
        same.back() = static_cast<int64_t>(k);
        if (tracer.captures()[k].eager.is_same(tensor)) objects[k] = result;
      }
    }
    tracer.refuseChangedShapes();  // what follows compares layouts
    std::vector<std::optional<ViewOf>> viewOf;
    if (joint) viewOf = findViews(tracer, traced, same);
    same.resize(traced.size(), -1);
    viewOf.resize(traced.size());
    // Values first: reading them applies pending mutations, which the effects then see.
    napi_value outputs, views, captures, record, backward;
    std::vector<bool> isNew;
    check(env, napi_create_array_with_length(env, traced.size(), &outputs));
    check(env, napi_create_array_with_length(env, traced.size(), &views));
    for (size_t i = 0; i < traced.size(); i++) {
      check(env, napi_set_element(env, outputs, i, number(env, static_cast<double>(tracer.valueOf(traced[i])))));
      check(env, napi_set_element(env, views, i, viewJs(env, viewOf[i])));
      isNew.push_back(same[i] < 0 && !viewOf[i]);
    }
    const size_t captured = tracer.captures().size();
    const auto effects = tracer.effects();
    const Joint backwardPass = joint ? traceBackward(tracer, traced, isNew, effects) : Joint{};
    check(env, napi_create_array_with_length(env, captured, &captures));
    for (size_t k = 0; k < captured; k++) check(env, napi_set_element(env, captures, k, captureJs(addon, env, tracer.captures()[k], effects[k], k < leafOf.size() ? leafOf[k] : -1, k < objects.size() ? objects[k] : nullptr)));
    check(env, napi_create_object(env, &record));
    set(env, record, "graph", trace::toJs(Napi::Env(env), tracer.graph()));
    set(env, record, "ownNodes", number(env, static_cast<double>(ownNodes)));
    set(env, record, "resultCount", number(env, static_cast<double>(results.size())));
    set(env, record, "outputs", outputs);
    set(env, record, "sameAs", integers(env, same));
    set(env, record, "views", views);
    set(env, record, "captures", captures);
    if (backwardPass.results.empty()) {
      check(env, napi_get_null(env, &backward));
    } else {
      check(env, napi_create_object(env, &backward));
      set(env, backward, "results", integers(env, backwardPass.results));
      set(env, backward, "cotangents", integers(env, backwardPass.cotangents));
      set(env, backward, "captures", integers(env, backwardPass.captures));
      set(env, backward, "gradients", integers(env, backwardPass.gradients));
    }
    set(env, record, "backward", backward);
    auto ends = Napi::Array::New(env);
    for (const Joint::End& end : backwardPass.ends) {
      auto object = Napi::Object::New(env);
      object.Set("value", static_cast<double>(end.value));
      object.Set("why", end.why);
      ends.Set(ends.Length(), object);
    }
    set(env, record, "ends", ends);
    return record;
}

napi_value runTrace(napi_env env, napi_callback_info info) {
  return guarded(env, "compile", [&]() -> napi_value {
    std::unordered_set<const void*> shared;
    for (;;) {
      try {
        return traceOnce(env, info, shared);
      } catch (const trace::SharedStorage& found) {
        if (!shared.insert(found.storage).second) throw JsError("INTERNAL", "compile: a shared storage was met twice");
      }
    }
  });
}

// recordNode(op, operands, attachment, [{ shape, dtype }]) → fresh trace tensors: an operator of our own, with what belongs
// to it kept by TypeScript under the number `attachment`.
Napi::Value RecordNode(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "compile", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    if (!trace::current()) throw JsError("BAD_ARGUMENT", "no trace is open");
    noteLine(info.Env());
    trace::Tracer& tracer = *trace::current();
    trace::Node node;
    node.schema = nullptr;
    node.op = textOf(info.Env(), info[0]);
    trace::Arg operands, attachment;
    operands.kind = trace::Arg::Kind::Tensors;
    for (const at::Tensor& t : usedTensors(addon, info.Env(), info[1])) operands.ids.push_back(tracer.valueOf(t));
    attachment.plain = c10::IValue(info[2].As<Napi::Number>().Int64Value());
    node.args = {std::move(operands), std::move(attachment)};
    std::vector<at::Tensor> results;
    for (napi_value item : elements(info.Env(), info[3])) {
      const auto spec = Napi::Value(info.Env(), item).As<Napi::Object>();
      std::vector<int64_t> sizes;
      for (napi_value size : elements(info.Env(), spec.Get("shape"))) sizes.push_back(Napi::Value(info.Env(), size).As<Napi::Number>().Int64Value());
      const at::Tensor bare = tracer.fresh(at::empty(sizes, at::TensorOptions(dtypeFrom(textOf(info.Env(), spec.Get("dtype")))).device(at::kMeta)));
      node.outs.push_back({false, {static_cast<int64_t>(tracer.graph().values.size()) - 1}});
      results.push_back(at::functionalization::impl::to_functional_tensor(bare));
    }
    tracer.add(std::move(node));
    return tensorArray(addon, info.Env(), results);
  }));
}

Napi::Value SetRules(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "setRules", [&]() -> napi_value {
    std::vector<std::string> names;
    for (napi_value name : elements(info.Env(), info[0])) names.push_back(textOf(info.Env(), name));
    trace::setRules(std::move(names));
    return nullptr;
  }));
}

// → [name, fate, core][]
Napi::Value OperatorFates(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "operatorFates", [&]() -> napi_value {
    auto list = Napi::Array::New(info.Env());
    for (const auto& [name, fate, core] : trace::fates()) {
      auto entry = Napi::Array::New(info.Env(), 3);
      entry.Set(0u, name);
      entry.Set(1u, fate);
      entry.Set(2u, Napi::Boolean::New(info.Env(), core));
      list.Set(list.Length(), entry);
    }
    return list;
  }));
}

// setLineReader(read, note, now)
Napi::Value SetLineReader(const Napi::CallbackInfo& info) {
  Addon& addon = Addon::of(info.Env());
  napi_create_reference(info.Env(), info[0], 1, &addon.lineReader);
  napi_create_reference(info.Env(), info[1], 1, &addon.lineNoter);
  napi_create_reference(info.Env(), info[2], 1, &addon.lineMemory);
  addon.line = info[2].As<Napi::Int32Array>().Data();
  return info.Env().Undefined();
}

// asNumber(tensor) → its trace tensor, which promotes as a number
Napi::Value AsNumber(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "compile", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    const at::Tensor twin = lifted(wrapArgument(addon, info.Env(), info[0], "a number").tensor());
    twin.unsafeGetTensorImpl()->set_wrapped_number(true);
    trace::traceTensor(twin)->set_wrapped_number(true);
    return wrap(addon, info.Env(), twin);
  }));
}

// setNumber(tensor, value) → the tensor, a new one for null, also while a trace is open
Napi::Value SetNumber(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "compile", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    const at::Tensor tensor = info[0].IsNull() ? at::Tensor(at::detail::empty_cpu({}, at::kDouble, std::nullopt, std::nullopt, std::nullopt, std::nullopt))
                                               : wrapArgument(addon, info.Env(), info[0], "a number").tensor();
    *tensor.mutable_data_ptr<double>() = info[1].As<Napi::Number>().DoubleValue();
    return info[0].IsNull() ? wrap(addon, info.Env(), tensor) : napi_value(info[0]);
  }));
}

// tracedValue(tensor) → [the value of the open trace's graph that the tensor holds now, nodes recorded before]
Napi::Value TracedValue(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "compile", [&]() -> napi_value {
    const at::Tensor tensor = lifted(wrapArgument(Addon::of(info.Env()), info.Env(), info[0], "a tensor").tensor());
    auto* tracer = trace::current();
    if (!tracer) throw JsError("BAD_ARGUMENT", "no trace is open");
    noteLine(info.Env());
    const int64_t value = tracer->valueOf(tensor);
    auto result = Napi::Array::New(info.Env(), 2);
    result.Set(0u, static_cast<double>(value));
    result.Set(1u, static_cast<double>(tracer->graph().nodes.size()));
    return result;
  }));
}

Napi::Value RandomCalls(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(trace::randomCalls())); }

// watchDraws(fn) → { result, generators }: what random operators drew from, null for the default generator
Napi::Value WatchDraws(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "compile", [&]() -> napi_value {
    trace::DrawsWatch watch;
    auto made = Napi::Object::New(info.Env());
    made.Set("result", Napi::Value(info.Env(), callJs(info.Env(), info[0], {})));
    auto generators = Napi::Array::New(info.Env());
    for (const at::Generator& g : watch.generators)
      generators.Set(generators.Length(), g.defined() ? Napi::Value(info.Env(), generatorObject(info.Env(), g)) : info.Env().Null());
    made.Set("generators", generators);
    return made;
  }));
}

Napi::Value SameGenerator(const Napi::CallbackInfo& info) {
  const at::Generator *a = generatorFrom(info.Env(), info[0]), *b = generatorFrom(info.Env(), info[1]);
  return Napi::Boolean::New(info.Env(), a && b && *a == *b);
}

Napi::Value IsTracing(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), trace::current() != nullptr); }

}  // namespace

void initTrace(Napi::Env env, Napi::Object exports) {
  napi_value trace;
  check(env, napi_create_function(env, "trace", NAPI_AUTO_LENGTH, runTrace, nullptr, &trace));
  exports.Set("trace", Napi::Value(env, trace));
  exports.Set("setRules", Napi::Function::New(env, SetRules, "setRules"));
  exports.Set("setLineReader", Napi::Function::New(env, SetLineReader, "setLineReader"));
  exports.Set("operatorFates", Napi::Function::New(env, OperatorFates, "operatorFates"));
  exports.Set("recordNode", Napi::Function::New(env, RecordNode, "recordNode"));
  exports.Set("asNumber", Napi::Function::New(env, AsNumber, "asNumber"));
  exports.Set("setNumber", Napi::Function::New(env, SetNumber, "setNumber"));
  exports.Set("tracedValue", Napi::Function::New(env, TracedValue, "tracedValue"));
  exports.Set("randomCalls", Napi::Function::New(env, RandomCalls, "randomCalls"));
  exports.Set("watchDraws", Napi::Function::New(env, WatchDraws, "watchDraws"));
  exports.Set("sameGenerator", Napi::Function::New(env, SameGenerator, "sameGenerator"));
  exports.Set("isTracing", Napi::Function::New(env, IsTracing, "isTracing"));
}

}  // namespace jorch
