#include "tensor/data.h"

#include <ATen/ATen.h>

#include <cstring>
#include <mutex>
#include <unordered_map>

#include "device/bridge.h"
#include "device/device_tensor.h"
#include "dispatch/tracing.h"
#include "program/executable_js.h"
#include "shard/sharded.h"
#include "tensor/tensor.h"
#include "transforms/closure.h"
#include "transforms/levels.h"

namespace jorch {

namespace {

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
  napi_value buffer = nullptr;  // the ArrayBuffer underneath
};

Bytes bytesOf(Napi::Env env, const Napi::Value& value) {
  Bytes bytes;
  if (value.IsTypedArray()) {
    const auto array = value.As<Napi::TypedArray>();
    bytes.buffer = array.ArrayBuffer();
    bytes.length = array.ByteLength();
    bytes.data = static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset();
    return bytes;
  }
  throw JsError("BAD_ARGUMENT", "expected a typed array");
}

std::vector<int64_t> sizesOf(const Napi::Value& value) {
  std::vector<int64_t> sizes;
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) sizes.push_back(array.Get(i).As<Napi::Number>().Int64Value());
  return sizes;
}

// The tensor itself when its memory can be read from here, else why not.
at::Tensor readable(const at::Tensor& met, const char* what) {
  const at::Tensor tensor = transforms::bottom(closure::use(met));
  if (!tensor.defined())
    throw JsError("CONCRETIZATION", std::string(what) + ": vmap runs the function once for all examples, so the tensor has no single value here; return it and read it outside, or choose with where(condition, a, b)");
  if (isTraced(tensor)) throw trace::Concretization(trace::Concretization::Kind::Data, what);
  if (device::numberOf(tensor) == 0) return shard::gathered(tensor);
  try {
    return device::toHost(tensor);
  } catch (const pjrt::PjrtError& error) {
    // What the program that computes it has failed with.
    throw jsErrorFrom(error, "DEVICE_LOST");
  }
}

// fromData(typedArray, dtype, sizes): a copy.
Napi::Value FromData(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "tensor", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    const Bytes bytes = bytesOf(info.Env(), info[0]);
    const auto type = dtypeFrom(info[1].As<Napi::String>());
    const transforms::Below below;  // a literal is the same at every level
    at::Tensor made = at::empty(sizesOf(info[2]), at::TensorOptions(type));
    if (static_cast<size_t>(made.nbytes()) != bytes.length)
      throw JsError("BAD_ARGUMENT", "expected " + std::to_string(made.nbytes()) + " bytes for the shape, got " + std::to_string(bytes.length));
    if (bytes.length) std::memcpy(made.mutable_data_ptr(), bytes.data, bytes.length);
    // Inside a trace a literal is part of the program.
    if (auto* tracer = trace::current()) made = tracer->constant(made);
    return wrap(addon, info.Env(), made);
  }));
}

// The addresses of typed arrays that tensors use, with how many of them.
struct Lent {
  std::mutex mutex;
  std::unordered_map<const void*, size_t> counts;
  void add(const void* data) {
    std::lock_guard<std::mutex> lock(mutex);
    counts[data]++;
  }
  void remove(const void* data) {
    std::lock_guard<std::mutex> lock(mutex);
    if (const auto found = counts.find(data); found != counts.end() && --found->second == 0) counts.erase(found);
  }
};
// Never destroyed: deleters run until the very end.
Lent& lent() {
  static auto* instance = new Lent;
  return *instance;
}

// fromBuffer(typedArray, dtype, sizes): shares the typed array's memory and keeps it alive.
Napi::Value FromBuffer(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "frombuffer", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    const Bytes bytes = bytesOf(info.Env(), info[0]);
    const auto type = dtypeFrom(info[1].As<Napi::String>());
    const auto sizes = sizesOf(info[2]);
    if (bytes.length && reinterpret_cast<uintptr_t>(bytes.data) % c10::elementSize(type))
      throw JsError("BAD_ARGUMENT", "the typed array's memory is not aligned to " + std::to_string(c10::elementSize(type)) + " bytes; copy it with slice()");
    napi_ref reference;
    check(info.Env(), napi_create_reference(info.Env(), bytes.buffer, 1, &reference));
    // The deleter may run on another thread or inside garbage collection; the reference dies later, on the JS thread.
    const auto deleter = [reaper = addon.reaper, reference](void* data) {
      lent().remove(data);
      reaper->bury(reference);
    };
    lent().add(bytes.data);
    return wrap(addon, info.Env(), at::from_blob(bytes.data, sizes, deleter, at::TensorOptions(type)));
  }));
}

// toBytes(tensor) → ArrayBuffer with the elements, row-major.
Napi::Value ToBytes(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "toTypedArray", [&]() -> napi_value {
    const transforms::Below below;
    const at::Tensor source = readable(wrapArgument(Addon::of(info.Env()), info.Env(), info[0], "the tensor").tensor(), "toTypedArray");
    // Gradients of zero (sgn's, say) are tensors without memory until they are cloned.
    const at::Tensor held = source._is_zerotensor() ? source.clone() : source;
    const at::Tensor plain = held.detach().cpu().resolve_conj().resolve_neg().contiguous();
    void* data = nullptr;
    napi_value buffer;
    check(info.Env(), napi_create_arraybuffer(info.Env(), plain.nbytes(), &data, &buffer));
    if (plain.nbytes()) std::memcpy(data, plain.const_data_ptr(), plain.nbytes());
    return buffer;
  }));
}

// item(tensor) → number | boolean | { re, im }; an integer beyond 2^53 throws.
Napi::Value Item(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), guarded(info.Env(), "item", [&]() -> napi_value {
    const transforms::Below below;
    const at::Tensor tensor = readable(wrapArgument(Addon::of(info.Env()), info.Env(), info[0], "the tensor").tensor(), "item");
    if (tensor.numel() != 1) throw JsError("BAD_ARGUMENT", "item: expected a tensor with one element, got " + std::to_string(tensor.numel()) + " elements; use tolist() or toTypedArray()");
    const at::Scalar value = tensor.item();
    if (value.isBoolean()) return Napi::Boolean::New(info.Env(), value.toBool());
    if (value.isComplex()) {
      const auto z = value.toComplexDouble();
      auto object = Napi::Object::New(info.Env());
      object.Set("re", z.real());
      object.Set("im", z.imag());
      return object;
    }
    if (value.isFloatingPoint()) return number(info.Env(), value.toDouble());
    const int64_t n = value.toLong();
    if (n > 9007199254740991 || n < -9007199254740991)
      throw JsError("BAD_ARGUMENT", "item: " + std::to_string(n) + " is beyond 2^53 and would lose digits as a number; use toTypedArray(), which gives bigints");
    return number(info.Env(), static_cast<double>(n));
  }));
}

}  // namespace

bool isLent(const void* data) {
  std::lock_guard<std::mutex> lock(lent().mutex);
  return lent().counts.count(data) != 0;
}

void initData(Napi::Env env, Napi::Object exports) {
  exports.Set("fromData", Napi::Function::New(env, FromData, "fromData"));
  exports.Set("fromBuffer", Napi::Function::New(env, FromBuffer, "fromBuffer"));
  exports.Set("toBytes", Napi::Function::New(env, ToBytes, "toBytes"));
  exports.Set("item", Napi::Function::New(env, Item, "item"));
}

}  // namespace jorch
