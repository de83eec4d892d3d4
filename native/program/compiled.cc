// The JavaScript side of a compiled function: a cache of programs by signature, and the hit path.
#include "program/compiled.h"

#include <list>

#include "dispatch/tracing.h"
#include "program/async_run.h"
#include "program/entry.h"
#include "program/entry_spec.h"
#include "program/executable_js.h"
#include "program/external.h"
#include "tensor/tensor.h"
#include "trace/tracer.h"
#include "transforms/levels.h"

namespace jorch {

namespace {

using program::Circumstances;
using program::Entry;
using program::Tensors;

constexpr napi_type_tag kCircumstancesTag = {0x6a6f726368206369ULL, 0x54d1a87e0bc93f26ULL};

class CompiledWrap {
 public:
  std::list<std::shared_ptr<Entry>> entries;  // the latest used first

  // Shared with the list, which may drop it while it runs.
  std::shared_ptr<Entry> find(uint32_t structure, c10::ArrayRef<at::Tensor> args, uint64_t mode) {
    for (auto it = entries.begin(); it != entries.end(); ++it) {
      if (!(*it)->fits(structure, args, mode)) continue;
      entries.splice(entries.begin(), entries, it);
      return entries.front();
    }
    return nullptr;
  }
};

CompiledWrap& self(napi_env env, napi_callback_info info, size_t& count, napi_value* args) {
  napi_value receiver;
  check(env, napi_get_cb_info(env, info, &count, args, &receiver, nullptr));
  void* data = nullptr;
  if (napi_unwrap(env, receiver, &data) != napi_ok || !data) throw JsError("BAD_ARGUMENT", "not a compiled function");
  return *static_cast<CompiledWrap*>(data);
}


// `gaps`: null stands for a tensor that is not defined.
void readLeaves(Addon& addon, napi_env env, napi_value array, Tensors& leaves, bool gaps = false) {
  uint32_t length = 0;
  check(env, napi_get_array_length(env, array, &length));
  for (uint32_t i = 0; i < length; i++) {
    napi_value object;
    check(env, napi_get_element(env, array, i, &object));
    const bool gap = gaps && Napi::Value(env, object).IsNull();
    leaves.push_back(gap ? at::Tensor() : wrapArgument(addon, env, object, "an argument").tensor());
  }
}

int64_t integer(napi_env env, napi_value value) { return Napi::Value(env, value).As<Napi::Number>().Int64Value(); }

// call(structure, leaves, count) → the results as finishEntry gives them, or undefined when no program fits. The exchange has the leaves' numbers:
// taking objects from an array and asking for what they wrap takes fifty times as long.
napi_value callCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 3;
    napi_value args[3];
    CompiledWrap& compiled = self(env, info, count, args);
    if (trace::current() || transforms::active()) return nullptr;
    Addon& addon = Addon::of(env);
    uint32_t structure = 0, leafCount = 0;
    check(env, napi_get_value_uint32(env, args[0], &structure));
    check(env, napi_get_value_uint32(env, args[2], &leafCount));
    TORCH_INTERNAL_ASSERT(leafCount <= addon.handles.capacity);
    Tensors leaves;
    leaves.reserve(leafCount);
    for (uint32_t i = 0; i < leafCount; i++) leaves.push_back(addon.handles.tensor(addon.handles.exchange[i], "an argument"));
    addon.reaper->drain(env);
    const std::shared_ptr<Entry> entry = compiled.find(structure, leaves, program::modes());
    if (!entry) return nullptr;
    return translated("BAD_ARGUMENT", [&] { return program::runEntry(addon, env, *entry, leaves, args[1]); });
  });
}

// describe(leaves, captures) → the circumstances of this moment, for an add() that comes later
napi_value describeCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compile", [&]() -> napi_value {
    size_t count = 2;
    napi_value args[2];
    self(env, info, count, args);
    Tensors leaves, captures;
    readLeaves(Addon::of(env), env, args[0], leaves);
    readLeaves(Addon::of(env), env, args[1], captures);
    return externalOf(env, Circumstances::of(leaves, captures), kCircumstancesTag);
  });
}

// add(structure, spec): `spec.described` says what it was traced for
napi_value addEntry(napi_env env, napi_callback_info info) {
  return guarded(env, "compile", [&]() -> napi_value {
    size_t count = 2;
    napi_value args[2];
    CompiledWrap& compiled = self(env, info, count, args);
    Addon& addon = Addon::of(env);
    const auto spec = Napi::Value(env, args[1]).As<Napi::Object>();
    const auto& circumstances = externalFrom<Circumstances>(env, spec.Get("described"), kCircumstancesTag, "circumstances");
    const Tensors captures = program::capturesOf(addon, env, spec);
    compiled.entries.push_front(program::entryFrom(addon, env, static_cast<uint32_t>(integer(env, args[0])), spec, captures, circumstances));
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

// modes() → the modes of this moment, for find() and start()
napi_value currentModes(napi_env env, napi_callback_info) { return number(env, static_cast<double>(program::modes())); }

// find(structure, leaves, modes) → the id of the program that a call would run, or undefined
napi_value findCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 3;
    napi_value args[3];
    CompiledWrap& compiled = self(env, info, count, args);
    Tensors leaves;
    readLeaves(Addon::of(env), env, args[1], leaves);
    const auto entry = compiled.find(static_cast<uint32_t>(integer(env, args[0])), leaves, integer(env, args[2]));
    return entry ? number(env, entry->id) : nullptr;
  });
}

// snapshot(tensors, earlier?) → their values as they are now, or as `earlier` has them, for start(); null for what counts as it is then
napi_value snapshotCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 2;
    napi_value args[2];
    self(env, info, count, args);
    Tensors leaves;
    readLeaves(Addon::of(env), env, args[0], leaves, true);
    return program::takeSnapshot(env, leaves, args[1]);
  });
}

// start(structure, leaves, modes, snapshot?) → a promise of a run to finish(), or undefined when no program fits
napi_value startCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 4;
    napi_value args[4];
    CompiledWrap& compiled = self(env, info, count, args);
    Addon& addon = Addon::of(env);
    addon.reaper->drain(env);
    Tensors leaves;
    readLeaves(addon, env, args[1], leaves);
    const std::shared_ptr<Entry> entry = compiled.find(static_cast<uint32_t>(integer(env, args[0])), leaves, integer(env, args[2]));
    if (!entry) return nullptr;
    return program::startRun(addon, env, entry, std::move(leaves), args[3]);
  });
}

// finish(run, leaves) → the results, as call() gives them
napi_value finishCompiled(napi_env env, napi_callback_info info) {
  return guarded(env, "compiled call", [&]() -> napi_value {
    size_t count = 2;
    napi_value args[2];
    self(env, info, count, args);
    return program::finishRun(Addon::of(env), env, args[0], args[1]);
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
  const auto method = [](const char* name, napi_callback body) {
    return napi_property_descriptor{name, nullptr, body, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  };
  const napi_property_descriptor properties[] = {
      method("call", callCompiled),     method("add", addEntry),        method("describe", describeCompiled),
      method("modes", currentModes),    method("find", findCompiled),   method("snapshot", snapshotCompiled),
      method("start", startCompiled),   method("finish", finishCompiled), method("trim", trimEntries),
  };
  napi_value constructor;
  check(env, napi_define_class(env, "Compiled", NAPI_AUTO_LENGTH, construct, nullptr, std::size(properties), properties, &constructor));
  exports.Set("Compiled", Napi::Value(env, constructor));
}

}  // namespace jorch
