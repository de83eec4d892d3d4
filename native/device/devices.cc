#include "device/devices.h"

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/AutogradState.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "device/bridge.h"
#include "device/device_tensor.h"
#include "device/late_cuda.h"
#include "dispatch/convert.h"
#include "dispatch/tracing.h"
#include "pjrt/options_js.h"
#include "program/aten_call.h"
#include "program/executable_js.h"
#include "tensor/tensor.h"
#include "transforms/closure.h"
#include "transforms/js.h"

namespace jorch::device {

namespace {

struct Device {
  std::string name;
  pjrt::Client* client;
};

// Never destroyed, like the clients; shared by all environments of the process.
struct Devices {
  std::mutex mutex;
  std::vector<Device> all;
  static Devices& get() {
    static auto* devices = new Devices;
    return *devices;
  }
};

std::atomic<bool> opened{false};

Device find(c10::DeviceIndex device) {
  Devices& devices = Devices::get();
  std::lock_guard<std::mutex> lock(devices.mutex);
  TORCH_CHECK(device >= 1 && static_cast<size_t>(device) <= devices.all.size(), "there is no device ", static_cast<int>(device));
  return devices.all[device - 1];
}

c10::DeviceIndex indexFrom(const Napi::Value& value) { return static_cast<c10::DeviceIndex>(value.As<Napi::Number>().Int32Value()); }

// openDevice(name, plugin, options) → its number, from 1
Napi::Value OpenDevice(const Napi::CallbackInfo& info) {
  return entry(info, "device", "RUNTIME_MISSING", [&]() -> napi_value {
    const std::string name = info[0].As<Napi::String>();
    pjrt::Client& client = pjrt::Client::get(pjrt::Plugin::load(info[1].As<Napi::String>()), pjrt::optionsFrom<pjrt::NamedOptions>(info[2]));
    Devices& devices = Devices::get();
    std::lock_guard<std::mutex> lock(devices.mutex);
    for (size_t i = 0; i < devices.all.size(); i++)
      if (devices.all[i].name == name) return number(info.Env(), static_cast<double>(i + 1));
    devices.all.push_back({name, &client});
    opened.store(true, std::memory_order_release);
    return number(info.Env(), static_cast<double>(devices.all.size()));
  });
}

// moveTo(tensor, number) → its values on that device, on the CPU for 0; the tensor itself when it is there
Napi::Value MoveTo(const Napi::CallbackInfo& info) {
  return entry(info, "to", "DEVICE_LOST", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    const at::Tensor tensor = wrapArgument(addon, info.Env(), info[0], "the tensor").tensor();
    const c10::DeviceIndex device = indexFrom(info[1]);
    if (isTraced(tensor)) throw JsError("BAD_ARGUMENT", "to: a traced tensor has no device of its own");
    if (device == 0) return numberOf(tensor) != 0 ? wrap(addon, info.Env(), toHost(tensor)) : napi_value(info[0]);
    const at::Tensor moved = toDevice(tensor, device);
    return moved.is_same(tensor) ? napi_value(info[0]) : wrap(addon, info.Env(), moved);
  });
}

// deviceOf(tensor) → its device's number, 0 for the CPU
Napi::Value DeviceOf(const Napi::CallbackInfo& info) {
  return entry(info, "device", "BAD_ARGUMENT", [&]() -> napi_value {
    const TensorWrap* wrapped = TensorWrap::from(Addon::of(info.Env()), info.Env(), info[0]);
    return number(info.Env(), wrapped ? numberOf(closure::use(wrapped->tensor())) : 0);
  });
}

// isOpaque(tensor): whether its data is where libtorch's kernels cannot read it
Napi::Value IsOpaque(const Napi::CallbackInfo& info) {
  return entry(info, "device", "BAD_ARGUMENT", [&]() -> napi_value {
    const TensorWrap* wrapped = TensorWrap::from(Addon::of(info.Env()), info.Env(), info[0]);
    return Napi::Boolean::New(info.Env(), wrapped != nullptr && isDeviceTensor(closure::use(wrapped->tensor())));
  });
}

// useLibtorch(number, device | null): tensors on the opened device are libtorch's own from now on, on `device` as libtorch names it; null: they are XLA's again
Napi::Value UseLibtorch(const Napi::CallbackInfo& info) {
  return entry(info, "device", "RUNTIME_MISSING", [&]() -> napi_value {
    if (info[1].IsNull()) {
      remove(indexFrom(info[0]));
      return nullptr;
    }
    const c10::Device own{std::string(info[1].As<Napi::String>())};
    build(indexFrom(info[0]), own);
    // Functions of JavaScript's in a backward run where JavaScript is: on the thread that calls it, not on one that libtorch has for the device.
    c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
    if (own.is_cuda()) {
      lateCudaIsLoaded();
      // What manual_seed() said before there were generators for it.
      at::globalContext().lazyInitDevice(c10::kCUDA);
      at::Generator generator = at::globalContext().defaultGenerator(own);
      std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_current_seed(at::globalContext().defaultGenerator(c10::kCPU).current_seed());
    }
    return nullptr;
  });
}

// allowCudaCalls(plugin): programs for the plugin's GPUs may call libtorch's kernels
Napi::Value AllowCudaCalls(const Napi::CallbackInfo& info) {
  return entry(info, "device", "RUNTIME_MISSING", [&]() -> napi_value {
    program::registerCudaAtenCall(pjrt::Plugin::load(info[0].As<Napi::String>()));
    return nullptr;
  });
}

// reclaimDevices(): memory that libtorch is done with, or that its allocator keeps for later, goes back to XLA and the device
Napi::Value ReclaimDevices(const Napi::CallbackInfo& info) {
  return entry(info, "device", "DEVICE_LOST", [&]() -> napi_value {
    reclaim(true);
    return nullptr;
  });
}

thread_local Addon* currentAddon = nullptr;  // of the thread's environment
thread_local napi_ref operatorHook = nullptr;

napi_value argumentOf(Addon& addon, const c10::IValue& value, const c10::Argument& argument) {
  return toJs(addon, addon.env, value, argument.real_type());
}

/** libtorch's own call of an operator, handed to JavaScript with its arguments by the schema. */
void runFromBelow(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  TORCH_CHECK(currentAddon != nullptr && operatorHook != nullptr, schema.name(), ": a tensor on a device was used on a thread without JavaScript");
  Addon& addon = *currentAddon;
  const napi_env env = addon.env;
  Napi::HandleScope scope(env);
  const size_t count = schema.arguments().size();
  const size_t first = stack->size() - count;
  auto args = Napi::Array::New(env);
  auto keywords = Napi::Object::New(env);
  for (size_t i = 0; i < count; i++) {
    const c10::Argument& argument = schema.arguments()[i];
    const c10::IValue& value = (*stack)[first + i];
    if (!argument.kwarg_only()) {
      args.Set(args.Length(), Napi::Value(env, argumentOf(addon, value, argument)));
      continue;
    }
    // Where results lie is this function's to decide.
    if (value.isNone() || argument.name() == "layout" || argument.name() == "device" || argument.name() == "pin_memory" || argument.name() == "memory_format") continue;
    if (argument.name() == "dtype") keywords.Set(argument.name(), dtypeName(value.toScalarType()));
    else keywords.Set(argument.name(), Napi::Value(env, argumentOf(addon, value, argument)));
  }
  if (keywords.GetPropertyNames().Length() > 0) args.Set(args.Length(), keywords);
  torch::jit::drop(*stack, count);
  napi_value hook;
  check(env, napi_get_reference_value(env, operatorHook, &hook));
  const Napi::Value result(env, callJs(env, hook, {text(env, schema.name()), text(env, schema.overload_name()), args}));
  const auto push = [&](const Napi::Value& value) { stack->emplace_back(wrapArgument(addon, env, value, "a result").tensor()); };
  if (!result.IsArray()) return push(result);
  const auto results = result.As<Napi::Array>();
  for (uint32_t i = 0; i < results.Length(); i++) push(results.Get(i));
}

// setDeviceOperator(fn): fn(name, overload | undefined, args) runs an operator on device tensors and answers its results
Napi::Value SetDeviceOperator(const Napi::CallbackInfo& info) {
  return entry(info, "device", "BAD_ARGUMENT", [&]() -> napi_value {
    currentAddon = &Addon::of(info.Env());
    check(info.Env(), napi_create_reference(info.Env(), info[0], 1, &operatorHook));
    setRunner(&runFromBelow);
    return nullptr;
  });
}

}  // namespace

bool anyOpened() noexcept { return opened.load(std::memory_order_relaxed); }
pjrt::Client& clientOf(c10::DeviceIndex device) { return *find(device).client; }
std::string nameOf(c10::DeviceIndex device) { return find(device).name; }
std::string nameOf(const at::Tensor& t) {
  if (const c10::DeviceIndex device = numberOf(t)) return nameOf(device);
  return t.device().type() == c10::DeviceType::Lazy ? "cpu" : t.device().str();
}

napi_value callOperator(Addon& addon, const std::string& name, const std::string* overload, c10::ArrayRef<napi_value> given) {
  const napi_env env = addon.env;
  if (operatorHook == nullptr) throw JsError("BAD_ARGUMENT", name + ": no device was opened on this thread");
  napi_value hook, args, which;
  check(env, napi_create_array_with_length(env, given.size(), &args));
  for (size_t i = 0; i < given.size(); i++) check(env, napi_set_element(env, args, i, given[i]));
  if (overload) which = text(env, *overload);
  else check(env, napi_get_undefined(env, &which));
  check(env, napi_get_reference_value(env, operatorHook, &hook));
  return callJs(env, hook, {text(env, "aten::" + name), which, args});
}

void initDevices(Napi::Env env, Napi::Object exports) {
  allowLateCuda();
  exports.Set("openDevice", Napi::Function::New(env, OpenDevice, "openDevice"));
  exports.Set("moveTo", Napi::Function::New(env, MoveTo, "moveTo"));
  exports.Set("deviceOf", Napi::Function::New(env, DeviceOf, "deviceOf"));
  exports.Set("isOpaque", Napi::Function::New(env, IsOpaque, "isOpaque"));
  exports.Set("useLibtorch", Napi::Function::New(env, UseLibtorch, "useLibtorch"));
  exports.Set("allowCudaCalls", Napi::Function::New(env, AllowCudaCalls, "allowCudaCalls"));
  exports.Set("reclaimDevices", Napi::Function::New(env, ReclaimDevices, "reclaimDevices"));
  exports.Set("setDeviceOperator", Napi::Function::New(env, SetDeviceOperator, "setDeviceOperator"));
}

}  // namespace jorch::device
