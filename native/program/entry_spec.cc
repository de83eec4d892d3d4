#include "program/entry_spec.h"

#include <c10/util/accumulate.h>

#include <algorithm>

#include "dispatch/generator.h"
#include "program/executable_js.h"
#include "shard/shard_js.h"
#include "tensor/tensor.h"

namespace jorch::program {

namespace {

uint32_t index(const Napi::Object& object, const char* name) { return object.Get(name).As<Napi::Number>().Uint32Value(); }

Place placeFrom(const Napi::Object& object) {
  return {object.Get("isArg").ToBoolean(), index(object, "index"), object.Get("ofGrad").ToBoolean(), object.Get("ofStorage").ToBoolean()};
}

template <class Each>
void forEach(const Napi::Value& value, Each each) {
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) each(Napi::Value(array.Get(i)).As<Napi::Object>());
}

c10::ScalarType dtypeOf(const Napi::Object& object) { return dtypeFrom(object.Get("dtype").As<Napi::String>()); }

// { executable, inputs, outputs, placements?, donated?, device? }
std::unique_ptr<Callable> programFrom(napi_env env, const Napi::Object& spec) {
  if (spec.Get("placements").IsObject()) return shard::programFrom(env, spec);
  std::vector<InputSpec> inputs;
  std::vector<OutputSpec> outputs;
  forEach(spec.Get("inputs"), [&](const Napi::Object& o) { inputs.push_back({integersFrom(o.Get("shape")), dtypeOf(o)}); });
  forEach(spec.Get("outputs"), [&](const Napi::Object& o) { 
    outputs.push_back({integersFrom(o.Get("shape")), dtypeOf(o), integersFrom(o.Get("strides"))});
    if (!o.Get("pack").IsNumber()) return;
    outputs.back().pack = o.Get("pack").As<Napi::Number>().Int32Value();
    outputs.back().offset = o.Get("offset").As<Napi::Number>().Int64Value();
  });
  const auto device = static_cast<c10::DeviceIndex>(spec.Get("device").IsNumber() ? index(spec, "device") : 0);
  auto made = std::make_unique<Program>(executableFrom(env, spec.Get("executable")), std::move(inputs), std::move(outputs), device);
  if (spec.Get("donated").IsArray()) forEach(spec.Get("donated"), [&](const Napi::Object& o) { made->donate(index(o, "input"), index(o, "output")); });
  return made;
}

// keys: (Generator | null)[]
std::vector<at::Generator> keysFrom(napi_env env, const Napi::Object& spec) {
  std::vector<at::Generator> keys;
  const auto array = spec.Get("keys").As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value key = array.Get(i);
    keys.push_back(key.IsNull() ? at::Generator() : *generatorFrom(env, key));
  }
  return keys;
}

// BackwardSpec
std::shared_ptr<BackwardPlan> backwardFrom(Addon& addon, napi_env env, const Napi::Object& spec) {
  auto plan = std::make_shared<BackwardPlan>();
  plan->program = programFrom(env, spec);
  forEach(spec.Get("arguments"), [&](const Napi::Object& o) {
    using Kind = BackwardArgument::Kind;
    const std::string kind = o.Get("kind").As<Napi::String>();
    plan->arguments.push_back({kind == "residual" ? Kind::Residual : kind == "input" ? Kind::Input : Kind::Cotangent, index(o, "index")});
  });
  plan->keys = keysFrom(env, spec);
  for (int64_t i : integersFrom(spec.Get("results"))) plan->results.push_back(static_cast<uint32_t>(i));
  for (int64_t i : integersFrom(spec.Get("gradientInputs"))) plan->inputs.push_back(static_cast<uint32_t>(i));
  for (int64_t i : integersFrom(spec.Get("gradients"))) plan->gradients.push_back(static_cast<int32_t>(i));
  plan->reports = Reports::from(addon, env, spec.Get("reports"));
  plan->second = SecondOrder::from(addon, env, spec.Get("second"));
  return plan;
}

ResultPlan resultFrom(const Napi::Object& spec) {
  ResultPlan plan;
  if (spec.Has("output")) plan.output = spec.Get("output").As<Napi::Number>().Int32Value();
  else plan.same = placeFrom(spec);
  if (!spec.Get("view").IsObject()) return plan;
  const auto view = spec.Get("view").As<Napi::Object>();
  plan.view = true;
  plan.sizes = integersFrom(view.Get("shape"));
  plan.strides = integersFrom(view.Get("strides"));
  plan.offset = view.Get("offset").As<Napi::Number>().Int64Value();
  const std::string history = view.Get("history").As<Napi::String>();
  plan.leaf = history == "leaf";
  plan.detached = plan.leaf || history == "none";
  plan.noGrad = history == "no_grad";
  return plan;
}

EffectPlan effectFrom(const Napi::Object& spec) {
  using Kind = EffectPlan::Kind;
  const std::string kind = spec.Get("kind").As<Napi::String>();
  return {kind == "grad" ? Kind::Grad : kind == "history" ? Kind::History : Kind::Value, index(spec, "output"), placeFrom(spec)};
}

bool isPlain(const Entry& entry) {
  if (!entry.keys.empty() || entry.parameters.size() != entry.args.size()) return false;
  for (uint32_t i = 0; i < entry.parameters.size(); i++) {
    const Place& place = entry.parameters[i];
    if (!place.isArg || place.index != i || place.ofGrad || place.ofStorage) return false;
  }
  return true;
}

// Larger ones are worth memory of their own.
constexpr int64_t kSmallBytes = 2048;

// Small results on the CPU that are results and nothing else.
std::vector<bool> unmadeOf(const Entry& entry, const Napi::Object& spec) {
  const bool elsewhere = spec.Get("placements").IsObject() || (spec.Get("device").IsNumber() && index(spec, "device") != 0);
  if (elsewhere || entry.backward || entry.reports || !entry.ends.empty()) return {};
  std::vector<bool> may;
  forEach(spec.Get("outputs"), [&](const Napi::Object& o) {
    may.push_back(c10::multiply_integers(integersFrom(o.Get("shape"))) * static_cast<int64_t>(c10::elementSize(dtypeOf(o))) <= kSmallBytes);
  });
  std::vector<uint32_t> uses(may.size());
  for (const ResultPlan& plan : entry.results)
    if (plan.output >= 0) uses[plan.output] += plan.view ? 2 : 1;
  for (const EffectPlan& effect : entry.effects) may[effect.output] = false;
  for (size_t i = 0; i < may.size(); i++)
    if (uses[i] != 1) may[i] = false;
  return std::find(may.begin(), may.end(), true) != may.end() ? may : std::vector<bool>();
}

}  // namespace

Tensors capturesOf(Addon& addon, napi_env env, const Napi::Object& spec) {
  Tensors captures;
  forEach(spec.Get("captures"), [&](const Napi::Object& o) { captures.push_back(wrapArgument(addon, env, o, "a captured tensor").tensor()); });
  return captures;
}

std::shared_ptr<Entry> entryFrom(Addon& addon, napi_env env, uint32_t structure, const Napi::Object& spec, const Tensors& captures, const Circumstances& circumstances) {
  auto made = std::make_shared<Entry>(addon.reaper);
  Entry& entry = *made;
  entry.id = index(spec, "id");
  entry.structure = structure;
  entry.mode = circumstances.mode;
  entry.args = circumstances.args;
  entry.captureSignatures = circumstances.captures;
  entry.program = programFrom(env, spec);
  forEach(spec.Get("parameters"), [&](const Napi::Object& o) { entry.parameters.push_back(placeFrom(o)); });
  entry.keys = keysFrom(env, spec);
  forEach(spec.Get("results"), [&](const Napi::Object& o) { entry.results.push_back(resultFrom(o)); });
  forEach(spec.Get("effects"), [&](const Napi::Object& o) { entry.effects.push_back(effectFrom(o)); });
  forEach(spec.Get("clearedGrads"), [&](const Napi::Object& o) { entry.clearedGrads.push_back(placeFrom(o)); });
  forEach(spec.Get("flags"), [&](const Napi::Object& o) { entry.flags.push_back({placeFrom(o), o.Get("requiresGrad").ToBoolean()}); });
  forEach(spec.Get("ends"), [&](const Napi::Object& o) { entry.ends.push_back({index(o, "output"), o.Get("why").As<Napi::String>()}); });
  const auto signatureAt = [&](const Place& place) -> Signature& { return (place.isArg ? entry.args : entry.captureSignatures)[place.index]; };
  forEach(spec.Get("grads"), [&](const Napi::Object& o) { signatureAt(placeFrom(o)).gradMatters = true; });
  if (spec.Get("placed").IsArray()) forEach(spec.Get("placed"), [&](const Napi::Object& o) { signatureAt(placeFrom(o)).placement = index(o, "placement"); });
  for (const EffectPlan& effect : entry.effects) signatureAt(effect.target).leafMatters = true;
  for (const FlagPlan& flag : entry.flags) signatureAt(flag.target).leafMatters = true;
  if (spec.Get("backward").IsObject()) entry.backward = backwardFrom(addon, env, spec.Get("backward").As<Napi::Object>());
  entry.reports = Reports::from(addon, env, spec.Get("reports"));
  entry.shape = static_cast<Shape>(index(spec, "shape"));
  entry.plain = isPlain(entry);
  entry.unmade = unmadeOf(entry, spec);
  entry.captures.assign(captures.begin(), captures.end());
  if (hasTwins(circumstances.sameTensor)) entry.sameTensor = circumstances.sameTensor;
  if (!entry.effects.empty()) entry.sameMemory = circumstances.sameMemory;
  for (Place place : entry.parameters)
    if (place.ofStorage) entry.positions = circumstances.where;
  // References last: everything that can throw is over.
  forEach(spec.Get("captures"), [&](const Napi::Object& o) {
    napi_ref reference;
    check(env, napi_create_reference(env, o, 1, &reference));
    entry.captureObjects.push_back(reference);
  });
  return made;
}

}  // namespace jorch::program
