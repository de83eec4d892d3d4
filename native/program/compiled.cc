// The JavaScript side of a compiled function: a cache of programs by signature, and the hit path.
#include "program/compiled.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/SmallVector.h>

#include <list>

#include "dispatch/generator.h"
#include "dispatch/tracing.h"
#include "program/aten_call.h"
#include "program/backward.h"
#include "program/effects.h"
#include "program/executable_js.h"
#include "program/jobs.h"
#include "program/program.h"
#include "program/reports.h"
#include "program/snapshot.h"
#include "tensor/tensor.h"
#include "trace/tracer.h"
#include "transforms/levels.h"

namespace jorch {

namespace {

using program::Program;

// What a compiled program was specialised on, for one tensor.
struct Signature {
  c10::SmallVector<int64_t, 8> sizesAndStrides;
  c10::ScalarType dtype;
  bool requiresGrad;
  bool hasGrad;
  bool gradMatters = false;  // the program reads or changes its .grad, or the function asked whether there is one

  static bool gradDefined(const at::Tensor& t) { return t.requires_grad() && t.is_leaf() && t.grad().defined(); }
  static Signature of(const at::Tensor& t) {
    Signature s{{}, t.scalar_type(), t.requires_grad(), gradDefined(t)};
    s.sizesAndStrides.append(t.sizes().begin(), t.sizes().end());
    s.sizesAndStrides.append(t.strides().begin(), t.strides().end());
    return s;
  }
  bool matches(const at::Tensor& t) const {
    const size_t n = t.dim();
    if (n * 2 != sizesAndStrides.size() || t.scalar_type() != dtype || t.requires_grad() != requiresGrad) return false;
    if (!std::equal(t.sizes().begin(), t.sizes().end(), sizesAndStrides.begin())) return false;
    if (!std::equal(t.strides().begin(), t.strides().end(), sizesAndStrides.begin() + n)) return false;
    return !gradMatters || hasGrad == gradDefined(t);
  }
};

// Everything outside the arguments that changes what a function computes.
uint64_t modes() {
  uint64_t bits = at::GradMode::is_enabled();
  bits |= static_cast<uint64_t>(c10::InferenceMode::is_enabled()) << 1;
  bits |= static_cast<uint64_t>(at::autocast::is_autocast_enabled(at::kCPU)) << 2;
  bits |= static_cast<uint64_t>(at::autocast::get_autocast_dtype(at::kCPU)) << 8;
  bits |= static_cast<uint64_t>(c10::typeMetaToScalarType(c10::get_default_dtype())) << 16;
  return bits;
}

// Where a parameter of the program comes from, and where a result goes: argument leaf k, or captured tensor k, or the
// .grad or the storage of one.
struct Place {
  bool isArg;
  uint32_t index;
  bool ofGrad = false;
  bool ofStorage = false;
};

struct ResultPlan {
  int32_t output = -1;  // program output, or
  Place same{};         // the very object that was given
  bool view = false;    // or a view of either:
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;
  bool detached = false, leaf = false, noGrad = false;
};

struct EffectPlan {
  uint32_t output;
  Place target;
  bool gradient;  // sets .grad instead of the value
};

enum class Shape : uint8_t { Single, Array, Tree };

struct Entry {
  explicit Entry(std::shared_ptr<Reaper> reaperOfEnv) : reaper(std::move(reaperOfEnv)) {}
  // On any thread: a run that goes on holds its entry.
  ~Entry() {
    for (napi_ref reference : captureObjects) reaper->bury(reference);
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  std::shared_ptr<Reaper> reaper;
  uint32_t id;
  uint32_t structure;
  uint64_t mode;
  std::vector<Signature> args;
  std::vector<at::Tensor> captures;
  std::vector<napi_ref> captureObjects;
  std::vector<Signature> captureSignatures;
  std::vector<Place> parameters;
  std::vector<at::Generator> keys;  // parameters behind those: a fresh random key each; undefined: the default generator
  std::vector<ResultPlan> results;
  std::vector<EffectPlan> effects;
  std::vector<Place> clearedGrads;
  // Which arguments and captured tensors are one: the same tensor (checked if any were), or, for a program that changes
  // something, tensors in the same memory.
  std::vector<uint32_t> sameTensor, sameMemory;
  std::vector<int64_t> positions;  // for a program that takes whole storages
  Shape shape;
  std::unique_ptr<Program> program;
  std::shared_ptr<program::BackwardPlan> backward;  // for calls that autograd records
  std::shared_ptr<const Reports> reports;           // of debug.print, debug.check and { checks: true }
};

// Tensors numbered by what `keyOf` says of them: the first of each kind gives the number.
template <class KeyOf>
std::vector<uint32_t> pattern(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures, KeyOf keyOf) {
  std::vector<uint32_t> result;
  ska::flat_hash_map<const void*, uint32_t> seen;
  for (const auto& list : {args, captures})
    for (const auto& tensor : list) result.push_back(seen.emplace(keyOf(tensor), static_cast<uint32_t>(result.size())).first->second);
  return result;
}

// Where in its storage each tensor is, and how large that is.
std::vector<int64_t> positions(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures) {
  std::vector<int64_t> result;
  for (const auto& list : {args, captures})
    for (const auto& tensor : list) {
      result.push_back(tensor.has_storage() ? tensor.storage_offset() : 0);
      result.push_back(tensor.has_storage() ? static_cast<int64_t>(tensor.storage().nbytes()) : 0);
    }
  return result;
}

const void* tensorOf(const at::Tensor& t) { return t.unsafeGetTensorImpl(); }
const void* memoryOf(const at::Tensor& t) { return t.has_storage() ? static_cast<const void*>(t.storage().unsafeGetStorageImpl()) : tensorOf(t); }

bool hasTwins(const std::vector<uint32_t>& numbers) {
  for (uint32_t i = 0; i < numbers.size(); i++)
    if (numbers[i] != i) return true;
  return false;
}

class CompiledWrap {
 public:
  std::list<std::shared_ptr<Entry>> entries;  // the latest used first

  // Shared with the list, which may drop it while it runs.
  std::shared_ptr<Entry> find(uint32_t structure, c10::ArrayRef<at::Tensor> args, uint64_t mode) {
    for (auto it = entries.begin(); it != entries.end(); ++it) {
      const Entry& entry = **it;
      if (entry.structure != structure || entry.mode != mode || entry.args.size() != args.size() || !matches(entry, args)) continue;
      entries.splice(entries.begin(), entries, it);
      return entries.front();
    }
    return nullptr;
  }

 private:
  static bool matches(const Entry& entry, c10::ArrayRef<at::Tensor> args) {
    for (size_t i = 0; i < args.size(); i++)
      if (!entry.args[i].matches(args[i])) return false;
    for (size_t i = 0; i < entry.captures.size(); i++)
      if (!entry.captureSignatures[i].matches(entry.captures[i])) return false;
    if (!entry.sameTensor.empty() && pattern(args, entry.captures, tensorOf) != entry.sameTensor) return false;
    if (!entry.sameMemory.empty() && pattern(args, entry.captures, memoryOf) != entry.sameMemory) return false;
    return entry.positions.empty() || positions(args, entry.captures) == entry.positions;
  }
};

at::Tensor at_(const Entry& entry, c10::ArrayRef<at::Tensor> args, Place place) {
  const at::Tensor& owner = place.isArg ? args[place.index] : entry.captures[place.index];
  if (C10_UNLIKELY(place.ofStorage)) return trace::wholeStorage(owner);
  return place.ofGrad ? owner.grad() : owner;
}

using Tensors = c10::SmallVector<at::Tensor, 8>;

Tensors parametersOf(const Entry& entry, c10::ArrayRef<at::Tensor> args) {
  Tensors parameters;
  for (Place place : entry.parameters) parameters.push_back(at_(entry, args, place));
  for (const at::Generator& generator : entry.keys) parameters.push_back(drawKey(generator));
  return parameters;
}

// After the run, on the JS thread: history, mutations, results as JavaScript's values.
napi_value finishEntry(Addon& addon, napi_env env, const Entry& entry, c10::ArrayRef<at::Tensor> args, c10::ArrayRef<napi_value> argObjects,
                       c10::ArrayRef<at::Tensor> parameters, const std::vector<at::Tensor>& outputs) {
  if (entry.backward) program::attach(entry.backward, parameters, outputs);
  // From here on nothing fails: mutations take effect only after the program has.
  for (const EffectPlan& effect : entry.effects) {
    const at::Tensor target = at_(entry, args, effect.target);
    if (effect.gradient) target.mutable_grad() = outputs[effect.output];
    else program::assign(target, outputs[effect.output]);
  }
  for (Place place : entry.clearedGrads) at_(entry, args, place).mutable_grad() = at::Tensor();
  const auto resultAt = [&](const ResultPlan& plan) {
    if (C10_UNLIKELY(plan.view)) {
      const at::Tensor base = plan.output >= 0 ? outputs[plan.output] : at_(entry, args, plan.same);
      at::AutoGradMode recording(at::GradMode::is_enabled() && !plan.noGrad);
      at::Tensor view = (plan.detached ? base.detach() : base).as_strided(plan.sizes, plan.strides, base.storage_offset() + plan.offset);
      if (plan.leaf) view.set_requires_grad(true);
      return wrap(addon, env, view);
    }
    if (plan.output >= 0) return wrap(addon, env, outputs[plan.output]);
    if (plan.same.ofGrad) return wrap(addon, env, at_(entry, args, plan.same));
    if (plan.same.isArg) return argObjects[plan.same.index];
    napi_value object = nullptr;
    check(env, napi_get_reference_value(env, entry.captureObjects[plan.same.index], &object));
    return object;
  };
  if (entry.shape == Shape::Single) return resultAt(entry.results[0]);
  const uint32_t skip = entry.shape == Shape::Tree;
  napi_value array;
  check(env, napi_create_array_with_length(env, entry.results.size() + skip, &array));
  if (skip) check(env, napi_set_element(env, array, 0, number(env, entry.id)));
  for (uint32_t i = 0; i < entry.results.size(); i++) check(env, napi_set_element(env, array, i + skip, resultAt(entry.results[i])));
  return array;
}

napi_value runEntry(Addon& addon, napi_env env, const Entry& entry, const Tensors& args, c10::ArrayRef<napi_value> argObjects) {
  const Tensors parameters = parametersOf(entry, args);
  std::vector<at::Tensor> outputs;
  try {
    entry.program->run(parameters, outputs, /*inPlace=*/true);
  } catch (const c10::Error&) {
    if (entry.reports) entry.reports->failed(addon, env, parameters);
    throw;
  }
  if (entry.reports) entry.reports->deliver(addon, env, parameters, outputs);
  return finishEntry(addon, env, entry, args, argObjects, parameters, outputs);
}

CompiledWrap& self(napi_env env, napi_callback_info info, size_t& count, napi_value* args) {
  napi_value receiver;
  check(env, napi_get_cb_info(env, info, &count, args, &receiver, nullptr));
  void* data = nullptr;
  if (napi_unwrap(env, receiver, &data) != napi_ok || !data) throw JsError("BAD_ARGUMENT", "not a compiled function");
  return *static_cast<CompiledWrap*>(data);
}

struct Leaves {
  Tensors tensors;
  c10::SmallVector<napi_value, 8> objects;
};

void readLeaves(Addon& addon, napi_env env, napi_value array, Leaves& leaves) {
  uint32_t length = 0;
  check(env, napi_get_array_length(env, array, &length));
  for (uint32_t i = 0; i < length; i++) {
    napi_value object;
    check(env, napi_get_element(env, array, i, &object));
    leaves.tensors.push_back(wrapArgument(addon, env, object, "an argument").tensor());
    leaves.objects.push_back(object);
  }
}

// call(structure, leaves) → the results, or undefined when no program fits.
napi_value callCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 2;
    napi_value args[2];
    CompiledWrap& compiled = self(env, info, count, args);
    if (trace::current() || transforms::active()) return nullptr;
    Addon& addon = Addon::of(env);
    addon.reaper->drain(env);
    uint32_t structure = 0;
    check(env, napi_get_value_uint32(env, args[0], &structure));
    Leaves leaves;
    readLeaves(addon, env, args[1], leaves);
    const std::shared_ptr<Entry> entry = compiled.find(structure, leaves.tensors, modes());
    if (!entry) return nullptr;
    return translated("BAD_ARGUMENT", [&] { return runEntry(addon, env, *entry, leaves.tensors, leaves.objects); });
  });
}

std::vector<int64_t> longs(const Napi::Value& value) {
  std::vector<int64_t> result;
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) result.push_back(array.Get(i).As<Napi::Number>().Int64Value());
  return result;
}

Place placeFrom(const Napi::Object& object) {
  return {object.Get("isArg").ToBoolean(), object.Get("index").As<Napi::Number>().Uint32Value(), object.Get("ofGrad").ToBoolean(), object.Get("ofStorage").ToBoolean()};
}

template <class Each>
void forEach(const Napi::Value& value, Each each) {
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) each(Napi::Value(array.Get(i)).As<Napi::Object>());
}

c10::ScalarType dtypeOf(const Napi::Object& object) { return dtypeFrom(object.Get("dtype").As<Napi::String>()); }

// { executable, inputs, outputs }
std::unique_ptr<Program> programFrom(napi_env env, const Napi::Object& spec) {
  std::vector<program::InputSpec> inputs;
  std::vector<program::OutputSpec> outputs;
  forEach(spec.Get("inputs"), [&](const Napi::Object& o) { inputs.push_back({longs(o.Get("shape")), dtypeOf(o)}); });
  forEach(spec.Get("outputs"), [&](const Napi::Object& o) { outputs.push_back({longs(o.Get("shape")), dtypeOf(o), longs(o.Get("strides"))}); });
  auto made = std::make_unique<Program>(executableFrom(env, spec.Get("executable")), std::move(inputs), std::move(outputs));
  if (spec.Get("donated").IsArray())
    forEach(spec.Get("donated"), [&](const Napi::Object& o) { made->donate(o.Get("input").As<Napi::Number>().Uint32Value(), o.Get("output").As<Napi::Number>().Uint32Value()); });
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

// { executable, inputs, outputs, keys, arguments: { kind, index }[], results, gradientInputs, gradients }
std::shared_ptr<program::BackwardPlan> backwardFrom(napi_env env, const Napi::Object& spec) {
  auto plan = std::make_shared<program::BackwardPlan>();
  plan->program = programFrom(env, spec);
  forEach(spec.Get("arguments"), [&](const Napi::Object& o) {
    using Kind = program::BackwardArgument::Kind;
    const std::string kind = o.Get("kind").As<Napi::String>();
    plan->arguments.push_back({kind == "residual" ? Kind::Residual : kind == "input" ? Kind::Input : Kind::Cotangent, o.Get("index").As<Napi::Number>().Uint32Value()});
  });
  plan->keys = keysFrom(env, spec);
  for (int64_t index : longs(spec.Get("results"))) plan->results.push_back(static_cast<uint32_t>(index));
  for (int64_t index : longs(spec.Get("gradientInputs"))) plan->inputs.push_back(static_cast<uint32_t>(index));
  for (int64_t index : longs(spec.Get("gradients"))) plan->gradients.push_back(static_cast<int32_t>(index));
  return plan;
}

template <class T>
napi_value externalOf(napi_env env, T value, const napi_type_tag& tag) {
  auto external = Napi::External<T>::New(env, new T(std::move(value)), [](Napi::BasicEnv, T* held) { delete held; });
  check(env, napi_type_tag_object(env, external, &tag));
  return external;
}

template <class T>
T& externalFrom(napi_env env, napi_value value, const napi_type_tag& tag, const char* what) {
  bool tagged = false;
  const Napi::Value given(env, value);
  if (!given.IsExternal() || napi_check_object_type_tag(env, value, &tag, &tagged) != napi_ok || !tagged)
    throw JsError("BAD_ARGUMENT", std::string("expected ") + what);
  return *given.As<Napi::External<T>>().Data();
}

constexpr napi_type_tag kCircumstancesTag = {0x6a6f726368206369ULL, 0x54d1a87e0bc93f26ULL};

// What a program is compiled for.
struct Circumstances {
  uint64_t mode;
  std::vector<Signature> args, captures;
  std::vector<uint32_t> sameTensor, sameMemory;
  std::vector<int64_t> where;

  static Circumstances of(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures) {
    Circumstances result{modes(), {}, {}, pattern(args, captures, tensorOf), pattern(args, captures, memoryOf), positions(args, captures)};
    for (const auto& tensor : args) result.args.push_back(Signature::of(tensor));
    for (const auto& tensor : captures) result.captures.push_back(Signature::of(tensor));
    return result;
  }
};

// describe(leaves, captures) → the circumstances of this moment, for an add() that comes later
napi_value describeCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compile", [&]() -> napi_value {
    size_t count = 2;
    napi_value args[2];
    self(env, info, count, args);
    Leaves leaves, captures;
    readLeaves(Addon::of(env), env, args[0], leaves);
    readLeaves(Addon::of(env), env, args[1], captures);
    return externalOf(env, Circumstances::of(leaves.tensors, captures.tensors), kCircumstancesTag);
  });
}

// add(structure, leaves, spec): spec = { id, executable, inputs, outputs, captures, parameters, keys, results, effects, clearedGrads, grads, shape, backward?, described? }
napi_value addEntry(napi_env env, napi_callback_info info) {
  return guarded(env, "compile", [&]() -> napi_value {
    size_t count = 3;
    napi_value args[3];
    CompiledWrap& compiled = self(env, info, count, args);
    Addon& addon = Addon::of(env);
    const auto spec = Napi::Value(env, args[2]).As<Napi::Object>();
    Leaves leaves;
    readLeaves(addon, env, args[1], leaves);
    auto added = std::make_shared<Entry>(addon.reaper);
    Entry& entry = *added;
    entry.id = spec.Get("id").As<Napi::Number>().Uint32Value();
    entry.structure = Napi::Value(env, args[0]).As<Napi::Number>().Uint32Value();
    Tensors captures;
    forEach(spec.Get("captures"), [&](const Napi::Object& o) { captures.push_back(wrapArgument(addon, env, o, "a captured tensor").tensor()); });
    const auto described = spec.Get("described");
    const Circumstances now = described.IsExternal() ? externalFrom<Circumstances>(env, described, kCircumstancesTag, "circumstances") : Circumstances::of(leaves.tensors, captures);
    entry.mode = now.mode;
    entry.args = now.args;
    entry.captureSignatures = now.captures;
    forEach(spec.Get("grads"), [&](const Napi::Object& o) {
      const Place place = placeFrom(o);
      (place.isArg ? entry.args : entry.captureSignatures)[place.index].gradMatters = true;
    });
    entry.program = programFrom(env, spec);
    forEach(spec.Get("parameters"), [&](const Napi::Object& o) { entry.parameters.push_back(placeFrom(o)); });
    entry.keys = keysFrom(env, spec);
    forEach(spec.Get("results"), [&](const Napi::Object& o) {
      ResultPlan plan;
      if (o.Has("output")) plan.output = o.Get("output").As<Napi::Number>().Int32Value();
      else plan.same = placeFrom(o);
      if (o.Get("view").IsObject()) {
        const auto view = o.Get("view").As<Napi::Object>();
        plan.view = true;
        plan.sizes = longs(view.Get("shape"));
        plan.strides = longs(view.Get("strides"));
        plan.offset = view.Get("offset").As<Napi::Number>().Int64Value();
        const std::string history = view.Get("history").As<Napi::String>();
        plan.leaf = history == "leaf";
        plan.detached = plan.leaf || history == "none";
        plan.noGrad = history == "no_grad";
      }
      entry.results.push_back(plan);
    });
    forEach(spec.Get("effects"), [&](const Napi::Object& o) {
      entry.effects.push_back({o.Get("output").As<Napi::Number>().Uint32Value(), placeFrom(o), o.Get("gradient").ToBoolean()});
    });
    forEach(spec.Get("clearedGrads"), [&](const Napi::Object& o) { entry.clearedGrads.push_back(placeFrom(o)); });
    if (spec.Get("backward").IsObject()) entry.backward = backwardFrom(env, spec.Get("backward").As<Napi::Object>());
    entry.reports = Reports::from(addon, env, spec.Get("reports"));
    entry.shape = static_cast<Shape>(spec.Get("shape").As<Napi::Number>().Uint32Value());
    entry.captures.assign(captures.begin(), captures.end());
    if (hasTwins(now.sameTensor)) entry.sameTensor = now.sameTensor;
    if (!entry.effects.empty()) entry.sameMemory = now.sameMemory;
    for (Place place : entry.parameters)
      if (place.ofStorage) entry.positions = now.where;
    // References last: everything that can throw is over.
    forEach(spec.Get("captures"), [&](const Napi::Object& o) {
      napi_ref reference;
      check(env, napi_create_reference(env, o, 1, &reference));
      entry.captureObjects.push_back(reference);
    });
    compiled.entries.push_front(std::move(added));
    return nullptr;
  });
}

// trim(limit) → ids of the entries dropped, the least recently used
napi_value trimEntries(napi_env env, napi_callback_info info) {
  return guarded(env, "compile", [&]() -> napi_value {
    size_t count = 1;
    napi_value args[1];
    CompiledWrap& compiled = self(env, info, count, args);
    uint32_t limit = 0;
    check(env, napi_get_value_uint32(env, args[0], &limit));
    std::vector<int64_t> dropped;
    while (compiled.entries.size() > limit) {
      dropped.push_back(compiled.entries.back()->id);
      compiled.entries.pop_back();
    }
    return integers(env, dropped);
  });
}

// Memory that an asynchronous run reads, as it was at the call, and how often what it belongs to had been written by then.
struct Frozen {
  at::Tensor original, values;
  uint32_t version = 0;

  static Frozen of(const at::Tensor& tensor) { return {tensor, program::snapshot(tensor), versionOf(tensor)}; }
  static uint32_t versionOf(const at::Tensor& tensor) {
    return tensor.is_inference() ? 0 : tensor.unsafeGetTensorImpl()->version_counter().current_version();
  }
  bool changed() const { return versionOf(original) != version; }
};

constexpr napi_type_tag kSnapshotTag = {0x6a6f72636820736eULL, 0x8f0c3be1d7554a10ULL};
constexpr napi_type_tag kRunTag = {0x6a6f726368207275ULL, 0x1b6e09c4f2a84d73ULL};

using Snapshot = std::vector<Frozen>;

// snapshot(tensors) → their values as they are now, for start()
napi_value takeSnapshot(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 1;
    napi_value args[1];
    self(env, info, count, args);
    Leaves leaves;
    readLeaves(Addon::of(env), env, args[0], leaves);
    Snapshot frozen;
    for (const at::Tensor& tensor : leaves.tensors) frozen.push_back(Frozen::of(tensor));
    return externalOf(env, std::move(frozen), kSnapshotTag);
  });
}

// A run on a thread of our own. What it was given does not change under it, and nothing of it is seen before finish().
struct AsyncRun : Job, std::enable_shared_from_this<AsyncRun> {
  std::shared_ptr<const Entry> entry;
  Tensors args;
  std::vector<Frozen> parameters;
  std::vector<Frozen> targets;  // of the program's effects
  std::vector<at::Tensor> outputs;

  void run() override {
    Tensors values;
    for (const Frozen& parameter : parameters) values.push_back(parameter.values);
    entry->program->run(values, outputs);
    // What backward saves must be what the run has read.
    if (!entry->backward && !entry->reports)
      for (Frozen& parameter : parameters) parameter.values = at::Tensor();
  }
  napi_value result(napi_env env) override { return externalOf(env, shared_from_this(), kRunTag); }
};

// modes() → the modes of this moment, for fits() and start()
napi_value currentModes(napi_env env, napi_callback_info) { return number(env, static_cast<double>(modes())); }

// fits(structure, leaves, modes) → whether a program is there
napi_value fitsCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 3;
    napi_value args[3];
    CompiledWrap& compiled = self(env, info, count, args);
    Leaves leaves;
    readLeaves(Addon::of(env), env, args[1], leaves);
    const auto number = [&](napi_value value) { return Napi::Value(env, value).As<Napi::Number>().Int64Value(); };
    napi_value result;
    check(env, napi_get_boolean(env, compiled.find(static_cast<uint32_t>(number(args[0])), leaves.tensors, number(args[2])) != nullptr, &result));
    return result;
  });
}

// start(structure, leaves, modes, snapshot?) → a promise of a run to finish(), or undefined when no program fits. A snapshot holds the
// leaves, and behind them the captured tensors of the program meant.
napi_value startCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 4;
    napi_value args[4];
    CompiledWrap& compiled = self(env, info, count, args);
    Addon& addon = Addon::of(env);
    addon.reaper->drain(env);
    Leaves leaves;
    readLeaves(addon, env, args[1], leaves);
    const auto number = [&](napi_value value) { return Napi::Value(env, value).As<Napi::Number>().Int64Value(); };
    const std::shared_ptr<Entry> entry = compiled.find(static_cast<uint32_t>(number(args[0])), leaves.tensors, number(args[2]));
    if (!entry) return nullptr;
    const Snapshot* earlier = Napi::Value(env, args[3]).IsUndefined() ? nullptr : &externalFrom<Snapshot>(env, args[3], kSnapshotTag, "a snapshot");
    const size_t leafCount = leaves.tensors.size();
    if (earlier && earlier->size() != leafCount && earlier->size() != leafCount + entry->captures.size()) earlier = nullptr;
    const auto before = [&](Place place) -> const Frozen* {
      const size_t index = place.index + (place.isArg ? 0 : leafCount);
      const bool known = earlier && !place.ofGrad && index < earlier->size() && (*earlier)[index].original.is_same(at_(*entry, leaves.tensors, place));
      return known ? &(*earlier)[index] : nullptr;
    };
    auto run = std::make_shared<AsyncRun>();
    run->entry = entry;
    for (Place place : entry->parameters) {
      const Frozen* known = before(place);
      run->parameters.push_back(known ? *known : Frozen::of(at_(*entry, leaves.tensors, place)));
    }
    for (const at::Generator& generator : entry->keys) {
      const at::Tensor key = drawKey(generator);
      run->parameters.push_back({key, key, 0});
    }
    for (const EffectPlan& effect : entry->effects) {
      const at::Tensor target = at_(*entry, leaves.tensors, effect.target);
      const Frozen* known = before(effect.target);
      if (!effect.gradient) run->targets.push_back({target, at::Tensor(), known ? known->version : Frozen::versionOf(target)});
    }
    run->args = std::move(leaves.tensors);
    return submit(addon, env, Lane::Run, "compiled call", std::move(run));
  });
}

// finish(run, leaves) → the results, as call() gives them; what the program changes is changed now. Throws BAD_ARGUMENT, and then
// changes nothing, when somebody else changed it meanwhile.
napi_value finishCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 2;
    napi_value args[2];
    self(env, info, count, args);
    Addon& addon = Addon::of(env);
    const std::shared_ptr<AsyncRun> run = externalFrom<std::shared_ptr<AsyncRun>>(env, args[0], kRunTag, "a run");
    const auto refuse = [](const char* why) { throw JsError("BAD_ARGUMENT", why); };
    for (const Frozen& target : run->targets)
      if (target.changed()) refuse("a tensor that the function changes was changed by others before the asynchronous call was done; await the call first. Nothing was changed by the call");
    Tensors parameters;
    for (const Frozen& parameter : run->parameters) {
      if (run->entry->backward && parameter.original.requires_grad() && parameter.changed())
        refuse("a tensor that requires grad was changed in place before the asynchronous call was done, so that its gradient cannot be computed; await the call first");
      parameters.push_back(parameter.original.requires_grad() || !parameter.values.defined() ? parameter.original : parameter.values);
    }
    uint32_t length = 0;
    check(env, napi_get_array_length(env, args[1], &length));
    c10::SmallVector<napi_value, 8> objects(length);
    for (uint32_t i = 0; i < length; i++) check(env, napi_get_element(env, args[1], i, &objects[i]));
    if (run->entry->reports) {
      Tensors read;
      for (const Frozen& parameter : run->parameters) read.push_back(parameter.values);
      run->entry->reports->deliver(addon, env, read, run->outputs);
    }
    return finishEntry(addon, env, *run->entry, run->args, objects, parameters, run->outputs);
  });
}

napi_value construct(napi_env env, napi_callback_info info) {
  return guarded(env, "compile", [&]() -> napi_value {
    napi_value receiver;
    check(env, napi_get_cb_info(env, info, nullptr, nullptr, &receiver, nullptr));
    auto* made = new CompiledWrap;
    const auto finalize = [](node_api_basic_env, void* data, void*) { delete static_cast<CompiledWrap*>(data); };
    check(env, napi_wrap(env, receiver, made, finalize, nullptr, nullptr));
    return receiver;
  });
}

}  // namespace

void initCompiled(Napi::Env env, Napi::Object exports) {
  const napi_property_descriptor properties[] = {
      {"call", nullptr, callCompiled, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"add", nullptr, addEntry, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"describe", nullptr, describeCompiled, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"modes", nullptr, currentModes, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"fits", nullptr, fitsCompiled, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"snapshot", nullptr, takeSnapshot, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"start", nullptr, startCompiled, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"finish", nullptr, finishCompiled, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"trim", nullptr, trimEntries, nullptr, nullptr, nullptr, napi_default_method, nullptr},
  };
  napi_value constructor;
  check(env, napi_define_class(env, "Compiled", NAPI_AUTO_LENGTH, construct, nullptr, std::size(properties), properties, &constructor));
  exports.Set("Compiled", Napi::Value(env, constructor));
}

}  // namespace jorch
