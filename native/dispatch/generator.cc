#include "dispatch/generator.h"

#include "tensor/tensor.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/EmptyTensor.h>

namespace jorch {

namespace {

constexpr napi_type_tag kGeneratorTag = {0x6a6f726368206765ULL, 0x91f7a5c2d3e40b18ULL};

uint64_t seedFrom(const Napi::Value& value) {
  if (value.IsBigInt()) {
    bool lossless = false;
    return value.As<Napi::BigInt>().Uint64Value(&lossless);
  }
  if (!value.IsNumber()) throw JsError("BAD_ARGUMENT", "manual_seed: the seed must be an integer or a bigint");
  return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value());
}

napi_value MakeGenerator(napi_env env, napi_callback_info info) {
  return guarded(env, "Generator", [&] { return generatorObject(env, at::detail::createCPUGenerator()); });
}

Napi::Value ManualSeed(const Napi::CallbackInfo& info) {
  const napi_value result = guarded(info.Env(), "manual_seed", [&]() -> napi_value {
    const uint64_t seed = seedFrom(info[0]);
    const at::Generator* own = info.Length() > 1 && info[1].IsObject() ? generatorFrom(info.Env(), info[1]) : nullptr;
    at::Generator generator = own ? *own : at::detail::getDefaultCPUGenerator();
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_current_seed(seed);
    return info.Env().Undefined();
  });
  return Napi::Value(info.Env(), result);
}

Napi::Value InitialSeed(const Napi::CallbackInfo& info) {
  const at::Generator* own = info.Length() && info[0].IsObject() ? generatorFrom(info.Env(), info[0]) : nullptr;
  const at::Generator generator = own ? *own : at::detail::getDefaultCPUGenerator();
  return Napi::BigInt::New(info.Env(), generator.current_seed());
}

}  // namespace

const at::Generator* generatorFrom(napi_env env, napi_value value) {
  bool tagged = false;
  if (napi_check_object_type_tag(env, value, &kGeneratorTag, &tagged) != napi_ok || !tagged) return nullptr;
  void* data = nullptr;
  return napi_unwrap(env, value, &data) == napi_ok ? static_cast<at::Generator*>(data) : nullptr;
}

// An object that owns a generator; lib/torch/generator.ts gives it its methods.
napi_value generatorObject(napi_env env, const at::Generator& generator) {
  napi_value self;
  check(env, napi_create_object(env, &self));
  const auto finalize = [](node_api_basic_env, void* data, void*) { delete static_cast<at::Generator*>(data); };
  check(env, napi_wrap(env, self, new at::Generator(generator), finalize, nullptr, nullptr));
  check(env, napi_type_tag_object(env, self, &kGeneratorTag));
  return self;
}

at::Tensor drawKey(at::Generator generator) {
  if (!generator.defined()) generator = at::detail::getDefaultCPUGenerator();
  at::Tensor key = at::detail::empty_cpu({}, at::kUInt64, std::nullopt, std::nullopt, std::nullopt, std::nullopt);
  std::lock_guard<std::mutex> lock(generator.mutex());
  *static_cast<uint64_t*>(key.mutable_data_ptr()) = at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
  return key;
}

namespace {

// generatorState(generator?, state?) → the state of a generator, of the default one without; then sets it if one is given
Napi::Value GeneratorState(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "generator", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    const at::Generator* own = info.Length() > 0 && info[0].IsObject() ? generatorFrom(info.Env(), info[0]) : nullptr;
    at::Generator generator = own ? *own : at::detail::getDefaultCPUGenerator();
    std::lock_guard<std::mutex> lock(generator.mutex());
    at::Tensor before = generator.get_state();
    if (info.Length() > 1 && info[1].IsObject()) generator.set_state(wrapArgument(addon, info.Env(), info[1], "the state").tensor());
    return wrap(addon, info.Env(), before);
  }));
}

}  // namespace

void initGenerator(Napi::Env env, Napi::Object exports) {
  napi_value make;
  check(env, napi_create_function(env, "generator", NAPI_AUTO_LENGTH, MakeGenerator, nullptr, &make));
  exports.Set("generator", Napi::Value(env, make));
  exports.Set("generatorState", Napi::Function::New(env, GeneratorState, "generatorState"));
  exports.Set("manualSeed", Napi::Function::New(env, ManualSeed, "manualSeed"));
  exports.Set("initialSeed", Napi::Function::New(env, InitialSeed, "initialSeed"));
}

}  // namespace jorch
