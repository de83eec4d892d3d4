#include "rt/programs.h"

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pjrt/buffer.h"
#include "pjrt/client.h"
#include "pjrt/cpu_features.h"
#include "pjrt/executable.h"
#include "pjrt/options_js.h"
#include "pjrt/plugin.h"
#include "pjrt/profiler.h"
#include "pjrt/topology.h"
#include "rt/element_types.h"
#include "throw_again.h"

namespace jorch::rt {

namespace {

using Executable = std::shared_ptr<pjrt::Executable>;
using Buffer = pjrt::Buffer;

constexpr napi_type_tag kExecutableTag = {0x6a6f726368207274ULL, 0x2e9f04b77c1a4d58ULL};
constexpr napi_type_tag kBufferTag = {0x6a6f726368207262ULL, 0x97c3ad10e56f4b21ULL};

// A code that lib/runtime/errors.ts knows, and a text.
[[noreturn]] void fail(Napi::Env env, const char* code, const std::string& text) {
  // Node throws the error again when the call returns; a collection at that moment runs finalizers, and Node takes the error for one of theirs
  // and ends the process. Room in the young generation prevents it.
  auto* collector = env.GetInstanceData<Napi::FunctionReference>();
  if (collector != nullptr) collector->Call({Napi::Boolean::New(env, false)});
  Napi::Error error = Napi::Error::New(env, text);
  error.Set("code", Napi::String::New(env, code));
  throw error;
}

// Every entry: what PJRT reports becomes a JavaScript error with a code.
template <class Body>
Napi::Value guarded(const Napi::CallbackInfo& info, const char* code, Body body) {
  try {
    return body();
  } catch (const Napi::Error& error) {
    throwAgain(info.Env(), error);
    return Napi::Value();
  } catch (const pjrt::TooLarge& error) {
    fail(info.Env(), "TOO_LARGE", error.what());
  } catch (const pjrt::PjrtError& error) {
    if (std::string_view(error.function()) == "RUNTIME_MISSING") fail(info.Env(), "RUNTIME_MISSING", error.message());
    const std::string text = error.what();
    const bool memory = text.find("RESOURCE_EXHAUSTED") != std::string::npos || text.find("Out of memory") != std::string::npos;
    fail(info.Env(), memory ? "OUT_OF_MEMORY" : code, text);
  } catch (const std::bad_alloc&) {
    fail(info.Env(), "OUT_OF_MEMORY", "out of memory");
  }
}

pjrt::Client& clientOf(const Napi::Value& plugin) { return pjrt::Client::get(pjrt::Plugin::load(plugin.As<Napi::String>())); }

template <class T>
Napi::Value wrap(Napi::Env env, T value, const napi_type_tag& tag) {
  auto external = Napi::External<T>::New(env, new T(std::move(value)), [](Napi::BasicEnv, T* held) { delete held; });
  napi_type_tag_object(env, external, &tag);
  return external;
}

template <class T>
T* unwrap(Napi::Env env, const Napi::Value& value, const napi_type_tag& tag) {
  bool tagged = false;
  if (!value.IsExternal() || napi_check_object_type_tag(env, value, &tag, &tagged) != napi_ok || !tagged) return nullptr;
  return value.As<Napi::External<T>>().Data();
}

pjrt::Executable& executableFrom(const Napi::CallbackInfo& info) {
  auto* executable = unwrap<Executable>(info.Env(), info[0], kExecutableTag);
  if (executable == nullptr) fail(info.Env(), "BAD_ARGUMENT", "expected an executable");
  return **executable;
}

const ElementType& typeFrom(Napi::Env env, const std::string& name) {
  if (const ElementType* type = typeNamed(name)) return *type;
  fail(env, "BAD_ARGUMENT", "unknown dtype '" + name + "'");
}

const char* nameOf(PJRT_Buffer_Type type) {
  for (const ElementType& known : kTypes)
    if (known.type == type) return known.name;
  return "unknown";
}

struct Bytes {
  const uint8_t* data;
  size_t length;
};

Bytes bytesOf(Napi::Env env, const Napi::Value& value) {
  if (!value.IsTypedArray()) fail(env, "BAD_ARGUMENT", "expected a typed array");
  const auto array = value.As<Napi::TypedArray>();
  return {static_cast<const uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

// A buffer with a copy of `data`: JavaScript may write to its memory at any time.
Buffer upload(Napi::Env env, const pjrt::Client& client, const Napi::Value& data, const std::string& dtype, const Napi::Array& shape) {
  const ElementType& type = typeFrom(env, dtype);
  std::vector<int64_t> dims;
  size_t expected = type.bytes;
  for (uint32_t i = 0; i < shape.Length(); i++) {
    dims.push_back(Napi::Value(shape.Get(i)).As<Napi::Number>().Int64Value());
    if (dims.back() < 0 || __builtin_mul_overflow(expected, static_cast<size_t>(dims.back()), &expected))
      fail(env, "BAD_ARGUMENT", "the shape is negative or too large");
  }
  const Bytes bytes = bytesOf(env, data);
  if (bytes.length != expected)
    fail(env, "BAD_ARGUMENT", "expected " + std::to_string(expected) + " bytes for the shape, got " + std::to_string(bytes.length));
  static const char nothing[64] = {};
  const void* source = bytes.length ? static_cast<const void*>(bytes.data) : nothing;
  return Buffer::fromHost(client, source, type.type, dims.data(), dims.size(), PJRT_HostBufferSemantics_kImmutableOnlyDuringCall);
}

Napi::Value copyOf(Napi::Env env, const std::string& bytes) { return Napi::Buffer<char>::Copy(env, bytes.data(), bytes.size()); }

// compileProgram(plugin, stablehlo, overrides) → an executable
Napi::Value CompileProgram(const Napi::CallbackInfo& info) {
  return guarded(info, "COMPILE_FAILED", [&] {
    return wrap(info.Env(), clientOf(info[0]).compile(info[1].As<Napi::String>(), pjrt::optionsFrom(info[2])), kExecutableTag);
  });
}

// loadProgram(plugin, bytes) → an executable. The bytes must be whole: damaged ones may end the process.
Napi::Value LoadProgram(const Napi::CallbackInfo& info) {
  return guarded(info, "COMPILE_FAILED", [&] {
    const Bytes bytes = bytesOf(info.Env(), info[1]);
    return wrap(info.Env(), clientOf(info[0]).deserialize(std::string(reinterpret_cast<const char*>(bytes.data), bytes.length)), kExecutableTag);
  });
}

Napi::Value SerializeProgram(const Napi::CallbackInfo& info) {
  return guarded(info, "COMPILE_FAILED", [&] { return copyOf(info.Env(), executableFrom(info).compiled().serialize()); });
}

Napi::Value CompilerIdentity(const Napi::CallbackInfo& info) {
  return guarded(info, "COMPILE_FAILED",
                 [&] { return Napi::Value(Napi::String::New(info.Env(), clientOf(info[0]).identity() + "\n" + pjrt::cpuFeatures())); });
}

Napi::Value CompileOptions(const Napi::CallbackInfo& info) {
  return guarded(info, "COMPILE_FAILED",
                 [&] { return copyOf(info.Env(), clientOf(info[0]).compileOptions(pjrt::optionsFrom(info[1]))); });
}

// gpuTargets() → names of the cards that compileFor knows
Napi::Value GpuTargets(const Napi::CallbackInfo& info) {
  auto result = Napi::Array::New(info.Env());
  for (const std::string& name : pjrt::gpuTargets()) result.Set(result.Length(), name);
  return result;
}

// compileFor(plugin, cudaDirectory, target, stablehlo, overrides) → { bytes, format, hlo, memory, cost }: a program for a card that need
// not be here
Napi::Value CompileFor(const Napi::CallbackInfo& info) {
  return guarded(info, "COMPILE_FAILED", [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    const auto text = [&](size_t i) { return info[i].As<Napi::String>().Utf8Value(); };
    const auto compiled = pjrt::compileFor(pjrt::Plugin::load(text(0)), text(2), text(3), text(1), pjrt::optionsFrom(info[4]));
    auto result = Napi::Object::New(env);
    result.Set("bytes", copyOf(env, compiled->serialize()));
    const auto [hlo, format] = compiled->optimizedProgram();
    result.Set("format", format);
    result.Set("hlo", copyOf(env, hlo));
    const pjrt::MemoryStats stats = compiled->memoryStats();
    auto memory = Napi::Object::New(env);
    memory.Set("code", static_cast<double>(stats.code));
    memory.Set("arguments", static_cast<double>(stats.arguments));
    memory.Set("outputs", static_cast<double>(stats.outputs));
    memory.Set("temporaries", static_cast<double>(stats.temporaries));
    result.Set("memory", memory);
    auto cost = Napi::Object::New(env);
    for (const auto& [name, figure] : compiled->costAnalysis()) cost.Set(name, figure);
    result.Set("cost", cost);
    return result;
  });
}

// outputTypes(executable) → { dtype, shape }[]
Napi::Value OutputTypes(const Napi::CallbackInfo& info) {
  return guarded(info, "BAD_ARGUMENT", [&] {
    auto result = Napi::Array::New(info.Env());
    for (const pjrt::ResultShape& shape : executableFrom(info).compiled().outputShapes()) {
      auto dims = Napi::Array::New(info.Env());
      for (int64_t d : shape.dims) dims.Set(dims.Length(), static_cast<double>(d));
      auto object = Napi::Object::New(info.Env());
      object.Set("dtype", nameOf(shape.type));
      object.Set("shape", dims);
      result.Set(result.Length(), object);
    }
    return result;
  });
}

// hold(executable, typedArray, dtype, shape) → a buffer that runs can be given again and again
Napi::Value Hold(const Napi::CallbackInfo& info) {
  return guarded(info, "BAD_ARGUMENT", [&] {
    return wrap(info.Env(), upload(info.Env(), executableFrom(info).client(), info[1], info[2].As<Napi::String>(), info[3].As<Napi::Array>()), kBufferTag);
  });
}

// run(executable, parameters) → ArrayBuffer[]; a parameter is a held buffer or { data, dtype, shape }
Napi::Value Run(const Napi::CallbackInfo& info) {
  return guarded(info, "BAD_ARGUMENT", [&] {
    const Napi::Env env = info.Env();
    pjrt::Executable& executable = executableFrom(info);
    const auto given = info[1].As<Napi::Array>();
    std::vector<Buffer> uploaded;
    std::vector<PJRT_Buffer*> parameters;
    for (uint32_t i = 0; i < given.Length(); i++) {
      const Napi::Value value = given.Get(i);
      if (auto* held = unwrap<Buffer>(env, value, kBufferTag)) {
        parameters.push_back(held->get());
        continue;
      }
      const auto object = value.As<Napi::Object>();
      uploaded.push_back(upload(env, executable.client(), object.Get("data"), object.Get("dtype").As<Napi::String>(), Napi::Value(object.Get("shape")).As<Napi::Array>()));
      parameters.push_back(uploaded.back().get());
    }
    std::vector<PJRT_Buffer*> raw(executable.outputCount());
    executable.execute(parameters.data(), parameters.size(), raw.data());
    std::vector<Buffer> outputs;
    for (PJRT_Buffer* buffer : raw) outputs.emplace_back(executable.client().api(), buffer);
    auto result = Napi::Array::New(env);
    const auto shapes = executable.compiled().outputShapes();
    for (size_t i = 0; i < outputs.size(); i++) {
      size_t bytes = 0;
      for (const ElementType& type : kTypes)
        if (type.type == shapes[i].type) bytes = type.bytes;
      for (int64_t d : shapes[i].dims) bytes *= static_cast<size_t>(d);
      auto data = Napi::ArrayBuffer::New(env, bytes);
      if (bytes) outputs[i].toHost(data.Data(), bytes);
      result.Set(static_cast<uint32_t>(i), data);
    }
    return result;
  });
}

using Recording = std::shared_ptr<pjrt::Profiler>;
constexpr napi_type_tag kRecordingTag = {0x6a6f726368207072ULL, 0x4be1d3f05a7c9826ULL};

// beginProfile(plugin) → a recording of what the plugin does, or undefined when it cannot make one
Napi::Value BeginProfile(const Napi::CallbackInfo& info) {
  return guarded(info, "BAD_ARGUMENT", [&]() -> Napi::Value {
    const auto& plugin = pjrt::Plugin::load(info[0].As<Napi::String>());
    if (!pjrt::Profiler::isThere(plugin)) return info.Env().Undefined();
    return wrap(info.Env(), std::make_shared<pjrt::Profiler>(plugin), kRecordingTag);
  });
}

// endProfile(recording) → an XSpace as a serialized protobuf
Napi::Value EndProfile(const Napi::CallbackInfo& info) {
  return guarded(info, "BAD_ARGUMENT", [&]() -> Napi::Value {
    auto* recording = unwrap<Recording>(info.Env(), info[0], kRecordingTag);
    if (recording == nullptr || *recording == nullptr) fail(info.Env(), "BAD_ARGUMENT", "expected a recording");
    const Recording ended = std::move(*recording);
    return copyOf(info.Env(), ended->stop());
  });
}

}  // namespace

void initPrograms(Napi::Env env, Napi::Object exports) {
  exports.Set("compileProgram", Napi::Function::New(env, CompileProgram, "compileProgram"));
  exports.Set("loadProgram", Napi::Function::New(env, LoadProgram, "loadProgram"));
  exports.Set("serializeProgram", Napi::Function::New(env, SerializeProgram, "serializeProgram"));
  exports.Set("compilerIdentity", Napi::Function::New(env, CompilerIdentity, "compilerIdentity"));
  exports.Set("compileOptions", Napi::Function::New(env, CompileOptions, "compileOptions"));
  exports.Set("gpuTargets", Napi::Function::New(env, GpuTargets, "gpuTargets"));
  exports.Set("compileFor", Napi::Function::New(env, CompileFor, "compileFor"));
  exports.Set("beginProfile", Napi::Function::New(env, BeginProfile, "beginProfile"));
  exports.Set("endProfile", Napi::Function::New(env, EndProfile, "endProfile"));
  exports.Set("outputTypes", Napi::Function::New(env, OutputTypes, "outputTypes"));
  exports.Set("hold", Napi::Function::New(env, Hold, "hold"));
  exports.Set("run", Napi::Function::New(env, Run, "run"));
}

}  // namespace jorch::rt
