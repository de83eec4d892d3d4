#include "jit/script_js.h"

#include <torch/csrc/jit/serialization/import.h>

#include "dispatch/tracing.h"
#include "jit/script.h"
#include "jit/values.h"
#include "tensor/tensor.h"

namespace jorch::jit {

namespace {

constexpr napi_type_tag kScriptTag = {0x6a6f726368207473ULL, 0x5be20c7d91f3a648ULL};

Script& scriptFrom(napi_env env, napi_value value) {
  bool tagged = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(env, value, &kScriptTag, &tagged) != napi_ok || !tagged || napi_unwrap(env, value, &data) != napi_ok)
    throw JsError("BAD_ARGUMENT", "expected a TorchScript program");
  return *static_cast<Script*>(data);
}

napi_value wrapScript(napi_env env, torch::jit::Module root) {
  auto script = std::make_unique<Script>(std::move(root));
  napi_value self;
  check(env, napi_create_object(env, &self));
  const auto finalize = [](node_api_basic_env, void* data, void*) { delete static_cast<Script*>(data); };
  check(env, napi_type_tag_object(env, self, &kScriptTag));
  check(env, napi_wrap(env, self, script.get(), finalize, nullptr, nullptr));
  script.release();
  return self;
}

// loadScript(path) → a program
Napi::Value LoadScript(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Napi::Value(env, guarded(env, "jit.load", [&]() -> napi_value {
    return wrapScript(env, torch::jit::load(std::string(info[0].As<Napi::String>()), c10::Device(c10::kCPU), /*load_debug_files=*/true));
  }));
}

// copyScript(program) → one of its own, with copies of all that the slots hold
Napi::Value CopyScript(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Napi::Value(env, guarded(env, "deepcopy", [&]() -> napi_value { return wrapScript(env, scriptFrom(env, info[0]).root().deepcopy()); }));
}

Napi::Array methodsOf(Napi::Env env, const torch::jit::Object& module) {
  auto methods = Napi::Array::New(env);
  for (const auto& method : module.get_methods()) {
    auto entry = Napi::Object::New(env);
    entry.Set("name", method.name());
    std::ostringstream schema;
    schema << method.function().getSchema();
    entry.Set("schema", schema.str());
    methods.Set(methods.Length(), entry);
  }
  return methods;
}

// describeScript(program) → { tensors, places: [tensor, …], objects: [{ type, methods, slots: [{ name, kind, index }] }] }. A slot's index is that of an
// object or a place; values have none.
Napi::Value DescribeScript(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Napi::Value(env, guarded(env, "jit.load", [&]() -> napi_value {
    Addon& addon = Addon::of(env);
    const Script& script = scriptFrom(env, info[0]);
    auto tensors = Napi::Array::New(env), places = Napi::Array::New(env), objects = Napi::Array::New(env);
    for (const auto& tensor : script.tensors()) tensors.Set(tensors.Length(), Napi::Value(env, wrap(addon, env, tensor)));
    for (const auto& place : script.places()) places.Set(places.Length(), static_cast<double>(place.tensor));
    size_t place = 0;
    for (const auto& module : script.objects()) {
      auto entry = Napi::Object::New(env);
      auto slots = Napi::Array::New(env);
      const auto type = module.type();
      for (size_t i = 0; i < type->numAttributes(); i++) {
        auto slot = Napi::Object::New(env);
        slot.Set("name", type->getAttributeName(i));
        const c10::IValue& value = module._ivalue()->getSlot(i);
        if (type->getAttribute(i)->is_module()) {
          if (!value.isObject()) continue;  // None where a module might be
          slot.Set("kind", "module");
          slot.Set("index", static_cast<double>(script.indexOf(*value.toObject())));
        } else if (place < script.places().size() && script.places()[place].object == module._ivalue() && script.places()[place].slot == i) {
          slot.Set("kind", type->is_parameter(i) ? "parameter" : type->is_buffer(i) ? "buffer" : "tensor");
          slot.Set("index", static_cast<double>(place++));
        } else {
          slot.Set("kind", "value");
        }
        slots.Set(slots.Length(), slot);
      }
      for (size_t i = 0; i < type->numConstants(); i++) {
        auto slot = Napi::Object::New(env);
        slot.Set("name", type->getConstantName(i));
        slot.Set("kind", "constant");
        slots.Set(slots.Length(), slot);
      }
      entry.Set("type", type->name() ? type->name()->name() : std::string("Module"));
      entry.Set("methods", methodsOf(env, module));
      entry.Set("slots", slots);
      objects.Set(objects.Length(), entry);
    }
    auto result = Napi::Object::New(env);
    result.Set("tensors", tensors);
    result.Set("places", places);
    result.Set("objects", objects);
    return result;
  }));
}

// callScript(program, object, method, args, held) → { result, changes: [[place, tensor | null], …] }
Napi::Value CallScript(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = info[2].As<Napi::String>();
  return Napi::Value(env, guarded(env, name.c_str(), [&]() -> napi_value {
    Addon& addon = Addon::of(env);
    addon.reaper->drain(env);
    noteLine(env);
    Script& script = scriptFrom(env, info[0]);
    const auto object = static_cast<size_t>(info[1].As<Napi::Number>().Int64Value());
    const auto method = script.objects().at(object).get_method(name);
    const auto& schema = method.function().getSchema();
    const auto args = info[3].As<Napi::Array>();
    const auto holders = info[4].As<Napi::Array>();

    Known known;
    std::vector<at::Tensor> held;
    for (uint32_t i = 0; i < holders.Length(); i++) {
      const Napi::Value holder = holders.Get(i);
      if (holder.IsNull()) {
        held.emplace_back();
        continue;
      }
      held.push_back(wrapArgument(addon, env, holder, "a tensor of the script").tensor());
      known.emplace_back(held.back().unsafeGetTensorImpl(), holder);
    }
    torch::jit::Stack stack{script.objects()[object]._ivalue()};
    const size_t most = schema.arguments().size() - 1;
    if (args.Length() > most) throw JsError("BAD_ARGUMENT", name + " takes at most " + std::to_string(most) + " arguments, got " + std::to_string(args.Length()));
    for (size_t i = 0; i < most; i++) {
      const auto& argument = schema.arguments()[i + 1];
      const Napi::Value value = i < args.Length() ? args.Get(static_cast<uint32_t>(i)) : env.Undefined();
      if (value.IsUndefined() && argument.default_value()) stack.push_back(*argument.default_value());
      else if (value.IsUndefined()) throw JsError("BAD_ARGUMENT", name + ": missing argument '" + argument.name() + "' (" + argument.type()->repr_str() + ")");
      else stack.push_back(fromJs(addon, env, value, argument.type(), argument.name(), known));
    }
    const auto outcome = script.call(object, name, std::move(stack), held);
    auto changes = Napi::Array::New(env);
    for (const auto& [place, now] : outcome.changes) {
      auto pair = Napi::Array::New(env, 2);
      pair.Set(0u, static_cast<double>(place));
      pair.Set(1u, Napi::Value(env, wrap(addon, env, now)));
      changes.Set(changes.Length(), pair);
    }
    auto result = Napi::Object::New(env);
    result.Set("result", Napi::Value(env, toJs(addon, env, outcome.result, known)));
    result.Set("changes", changes);
    return result;
  }));
}

// scriptValue(program, object, name) → the attribute, which is no tensor or module
Napi::Value ScriptValue(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = info[2].As<Napi::String>();
  return Napi::Value(env, guarded(env, name.c_str(), [&]() -> napi_value {
    const Script& script = scriptFrom(env, info[0]);
    return toJs(Addon::of(env), env, script.objects().at(info[1].As<Napi::Number>().Uint32Value()).attr(name), {});
  }));
}

// setScriptValue(program, object, name, value)
Napi::Value SetScriptValue(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = info[2].As<Napi::String>();
  return Napi::Value(env, guarded(env, name.c_str(), [&]() -> napi_value {
    Script& script = scriptFrom(env, info[0]);
    const auto object = info[1].As<Napi::Number>().Uint32Value();
    auto module = script.objects().at(object);
    Known known;
    module.setattr(name, fromJs(Addon::of(env), env, info[3], module.type()->getAttribute(name), name, known));
    script.watch(object, name);
    return env.Undefined();
  }));
}

// scriptKey(program) → a text that changes when an attribute does that programs depend on
Napi::Value ScriptKey(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Napi::Value(env, guarded(env, "jit", [&]() -> napi_value { return text(env, scriptFrom(env, info[0]).key()); }));
}

}  // namespace

void init(Napi::Env env, Napi::Object exports) {
  exports.Set("loadScript", Napi::Function::New(env, LoadScript, "loadScript"));
  exports.Set("copyScript", Napi::Function::New(env, CopyScript, "copyScript"));
  exports.Set("describeScript", Napi::Function::New(env, DescribeScript, "describeScript"));
  exports.Set("callScript", Napi::Function::New(env, CallScript, "callScript"));
  exports.Set("scriptValue", Napi::Function::New(env, ScriptValue, "scriptValue"));
  exports.Set("setScriptValue", Napi::Function::New(env, SetScriptValue, "setScriptValue"));
  exports.Set("scriptKey", Napi::Function::New(env, ScriptKey, "scriptKey"));
}

}  // namespace jorch::jit
