// The Tensor class: life time, accounting and the properties that are not operators.
#include "tensor/tensor.h"

#include <ATen/ATen.h>
#include <c10/core/ScalarType.h>

#include <array>
#include <cmath>
#include <unordered_set>

#include "device/bridge.h"
#include "device/device_tensor.h"
#include "device/devices.h"
#include "dispatch/autograd.h"
#include "dispatch/tracing.h"
#include "shard/sharded.h"
#include "trace/tracer.h"
#include "transforms/closure.h"
#include "transforms/levels.h"

namespace jorch {

namespace {

// What one handle costs besides its storage, measured: the JavaScript object and its reference, TensorImpl, StorageImpl, a small block,
// and what malloc loses between them.
constexpr int64_t kHandleBytes = 2048;

struct DTypeName {
  c10::ScalarType type;
  const char* name;
};
constexpr std::array<DTypeName, 20> kDTypes{{{c10::kFloat, "float32"},
                                             {c10::kDouble, "float64"},
                                             {c10::kHalf, "float16"},
                                             {c10::kBFloat16, "bfloat16"},
                                             {c10::kChar, "int8"},
                                             {c10::kShort, "int16"},
                                             {c10::kInt, "int32"},
                                             {c10::kLong, "int64"},
                                             {c10::kByte, "uint8"},
                                             {c10::kUInt16, "uint16"},
                                             {c10::kUInt32, "uint32"},
                                             {c10::kUInt64, "uint64"},
                                             {c10::kBool, "bool"},
                                             {c10::kComplexFloat, "complex64"},
                                             {c10::kComplexDouble, "complex128"},
                                             {c10::kComplexHalf, "complex32"},
                                             {c10::ScalarType::Float8_e4m3fn, "float8_e4m3fn"},
                                             {c10::ScalarType::Float8_e5m2, "float8_e5m2"},
                                             {c10::ScalarType::Float8_e4m3fnuz, "float8_e4m3fnuz"},
                                             {c10::ScalarType::Float8_e5m2fnuz, "float8_e5m2fnuz"}}};

// torch's second spellings (torch.double is torch.float64).
constexpr std::array<DTypeName, 10> kAliases{{{c10::kFloat, "float"},
                                              {c10::kDouble, "double"},
                                              {c10::kHalf, "half"},
                                              {c10::kShort, "short"},
                                              {c10::kInt, "int"},
                                              {c10::kLong, "long"},
                                              {c10::kComplexFloat, "cfloat"},
                                              {c10::kComplexDouble, "cdouble"},
                                              {c10::kComplexHalf, "chalf"},
                                              {c10::kByte, "byte"}}};

const c10::ScalarType* findDType(const std::string& name) {
  const char* bare = name.rfind("torch.", 0) == 0 ? name.c_str() + 6 : name.c_str();
  for (const auto& entry : kDTypes)
    if (!std::strcmp(entry.name, bare)) return &entry.type;
  for (const auto& entry : kAliases)
    if (!std::strcmp(entry.name, bare)) return &entry.type;
  return nullptr;
}

}  // namespace

const char* dtypeName(c10::ScalarType type) {
  for (const auto& entry : kDTypes)
    if (entry.type == type) return entry.name;
  return c10::toString(type);
}

bool isDtypeName(const std::string& name) { return findDType(name) != nullptr; }

c10::ScalarType dtypeFrom(const std::string& name) {
  if (const auto* type = findDType(name)) return *type;
  std::string known;
  for (const auto& entry : kDTypes) known += std::string(known.empty() ? "" : " ") + entry.name;
  throw JsError("BAD_ARGUMENT", "unknown dtype '" + name + "'; there are: " + known);
}

napi_value number(napi_env env, double value) {
  napi_value result;
  check(env, napi_create_double(env, value, &result));
  return result;
}

napi_value text(napi_env env, const std::string& value) {
  napi_value result;
  check(env, napi_create_string_utf8(env, value.c_str(), value.size(), &result));
  return result;
}

std::string textOf(napi_env env, napi_value value) {
  size_t length = 0;
  check(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length));
  std::string result(length, '\0');
  check(env, napi_get_value_string_utf8(env, value, result.data(), length + 1, &length));
  return result;
}

napi_value integers(napi_env env, c10::IntArrayRef values) {
  napi_value array;
  check(env, napi_create_array_with_length(env, values.size(), &array));
  for (size_t i = 0; i < values.size(); i++) check(env, napi_set_element(env, array, i, number(env, static_cast<double>(values[i]))));
  return array;
}

std::vector<int64_t> integersFrom(const Napi::Value& value) {
  std::vector<int64_t> result;
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) result.push_back(array.Get(i).As<Napi::Number>().Int64Value());
  return result;
}

TensorWrap::TensorWrap(Addon& addon, at::Tensor tensor, uint32_t number) : tensor_(std::move(tensor)), number_(number ? number : addon.handles.take(this)) {
  addon.live.insert(this);
  addon.madeHandles++;
  hold(addon);
}

void TensorWrap::hold(Addon& addon) {
  int64_t bytes = kHandleBytes;
  if (tensor_.has_storage() && !trace::isTraceTensor(tensor_)) {
    storage_ = tensor_.storage().unsafeGetStorageImpl();
    auto& held = addon.storages[storage_];
    if (held.handles++ == 0) {
      held.bytes = static_cast<int64_t>(tensor_.storage().nbytes());
      bytes += held.bytes;
    }
  }
  account(addon, bytes + device::bytesOf(tensor_));
}

void TensorWrap::release(Addon& addon) {
  int64_t bytes = kHandleBytes;
  if (storage_) {
    auto found = addon.storages.find(storage_);
    if (--found->second.handles == 0) {
      bytes += found->second.bytes;
      addon.storages.erase(found);
    }
    storage_ = nullptr;
  }
  bytes += device::bytesOf(tensor_);
  tensor_ = at::Tensor();
  account(addon, -bytes);
}

void TensorWrap::replace(Addon& addon, const at::Tensor& data) {
  const at::Tensor before = tensor_;
  if (before.grad_fn()) throw JsError("BAD_ARGUMENT", "data: the result of an operation cannot move from " + device::nameOf(before) + " to " + device::nameOf(data) + "; make a new tensor with to()");
  at::Tensor fresh = data.variable_data();
  fresh.set_requires_grad(before.requires_grad());
  fresh.mutable_grad() = before.grad();
  release(addon);
  tensor_ = std::move(fresh);
  hold(addon);
}

void TensorWrap::dispose(Addon& addon) {
  if (tensor_.defined()) release(addon);
}

// Runs inside garbage collection: no JavaScript, no exception.
void TensorWrap::finalize(node_api_basic_env basicEnv, void* data, void*) {
  auto env = const_cast<napi_env>(basicEnv);
  auto* self = static_cast<TensorWrap*>(data);
  Addon& addon = Addon::of(env);
  self->dispose(addon);
  addon.live.erase(self);
  addon.handles.give(self->number_);
  delete self;
}

TensorWrap* TensorWrap::attach(Addon& addon, napi_env env, napi_value handle, uint32_t number, at::Tensor tensor) {
  auto* made = new TensorWrap(addon, std::move(tensor), number);
  const napi_status status = napi_wrap(env, handle, made, finalize, nullptr, nullptr);
  if (status == napi_ok) return made;
  made->dispose(addon);
  addon.live.erase(made);
  delete made;  // the number stays whose it was
  check(env, status);
  return nullptr;
}

const at::Tensor& TensorWrap::get(const char* what) const {
  if (!tensor_.defined())
    throw JsError("DISPOSED", std::string(what) + " was disposed: it was freed by dispose(), `using` or the end of a scope(); keep(t) or return it from the scope to use it later");
  shard::notice(tensor_);
  return tensor_;
}

TensorWrap* TensorWrap::from(Addon& addon, napi_env env, napi_value value) {
  void* data = nullptr;
  if (napi_unwrap(env, value, &data) != napi_ok || !data) return addon.handles.adopt(addon, env, value);
  // Another addon's wrap is a pointer too: it is compared, never followed.
  auto* candidate = static_cast<TensorWrap*>(data);
  return addon.live.find(candidate) == addon.live.end() ? nullptr : candidate;
}

napi_value wrap(Addon& addon, napi_env env, at::Tensor tensor) {
  napi_value result = nullptr;
  if (!tensor.defined()) {
    check(env, napi_get_null(env, &result));
    return result;
  }
  closure::note(tensor);
  relievePressure(addon, env);
  napi_value constructor, args[2];
  check(env, napi_get_reference_value(env, addon.handles.made, &constructor));
  check(env, napi_get_reference_value(env, addon.handles.token, &args[0]));
  auto* made = new TensorWrap(addon, std::move(tensor), 0);
  napi_status status = napi_create_uint32(env, made->number_, &args[1]);
  if (status == napi_ok) status = napi_new_instance(env, constructor, 2, args, &result);
  if (status == napi_ok) status = napi_wrap(env, result, made, TensorWrap::finalize, nullptr, nullptr);
  if (status != napi_ok) {
    TensorWrap::finalize(env, made, nullptr);
    check(env, status);
  }
  if (addon.creationHook) {
    napi_value hook, undefined;
    check(env, napi_get_reference_value(env, addon.creationHook, &hook));
    check(env, napi_get_undefined(env, &undefined));
    check(env, napi_call_function(env, undefined, hook, 1, &result, nullptr));
  }
  return result;
}

TensorWrap& wrapArgument(Addon& addon, napi_env env, napi_value value, const char* what) {
  TensorWrap* wrapped = TensorWrap::from(addon, env, value);
  if (!wrapped) throw JsError("BAD_ARGUMENT", std::string(what) + " must be a Tensor");
  wrapped->get(what);
  return *wrapped;
}

at::Tensor tensorArgument(Addon& addon, napi_env env, napi_value value, const char* what) {
  return lifted(wrapArgument(addon, env, value, what).tensor());
}

namespace {

struct Self {
  Addon& addon;
  TensorWrap& wrapped;
  napi_value argument;
};

Self selfOf(napi_env env, napi_callback_info info, const char* what) {
  napi_value receiver, argument;
  size_t count = 1;
  check(env, napi_get_cb_info(env, info, &count, &argument, &receiver, nullptr));
  Addon& addon = Addon::of(env);
  addon.reaper->drain(env);
  return {addon, wrapArgument(addon, env, receiver, what), count ? argument : nullptr};
}

template <class Read>
napi_value getter(napi_env env, napi_callback_info info, const char* name, Read read) {
  return guarded(env, name, [&] {
    Self self = selfOf(env, info, "the tensor");
    return read(self.addon, self.wrapped.tensor());
  });
}

napi_value boolean(napi_env env, bool value) {
  napi_value result;
  check(env, napi_get_boolean(env, value, &result));
  return result;
}

std::string deviceName(const at::Tensor& tensor) { return device::nameOf(tensor); }

napi_value getShape(napi_env env, napi_callback_info info) {
  return getter(env, info, "shape", [&](Addon&, const at::Tensor& t) { return integers(env, t.sizes()); });
}
napi_value getStrides(napi_env env, napi_callback_info info) {
  return getter(env, info, "stride", [&](Addon&, const at::Tensor& t) { return integers(env, t.strides()); });
}
napi_value getDtype(napi_env env, napi_callback_info info) {
  return getter(env, info, "dtype", [&](Addon&, const at::Tensor& t) { return text(env, dtypeName(t.scalar_type())); });
}
napi_value getDevice(napi_env env, napi_callback_info info) {
  return getter(env, info, "device", [&](Addon&, const at::Tensor& t) { return text(env, deviceName(t)); });
}
napi_value getNdim(napi_env env, napi_callback_info info) {
  return getter(env, info, "ndim", [&](Addon&, const at::Tensor& t) { return number(env, static_cast<double>(t.dim())); });
}
napi_value getOffset(napi_env env, napi_callback_info info) {
  return getter(env, info, "storage_offset", [&](Addon&, const at::Tensor& t) { return number(env, static_cast<double>(t.storage_offset())); });
}
napi_value getVersion(napi_env env, napi_callback_info info) {
  return getter(env, info, "_version", [&](Addon&, const at::Tensor& t) { return number(env, t.is_inference() ? 0 : static_cast<double>(t._version())); });
}
napi_value getRequiresGrad(napi_env env, napi_callback_info info) {
  // In the body of a loop or branch another tensor stands for it, which has no flag of its own.
  return getter(env, info, "requires_grad", [&](Addon&, const at::Tensor& t) { return boolean(env, closure::isExchanged(t) ? trace::requiresGrad(t) : lifted(t).requires_grad()); });
}
napi_value assignRequiresGrad(napi_env env, napi_callback_info info) {
  return guarded(env, "requires_grad", [&]() -> napi_value {
    Self self = selfOf(env, info, "the tensor");
    bool value = false;
    if (!self.argument || napi_get_value_bool(env, self.argument, &value) != napi_ok) throw JsError("BAD_ARGUMENT", "requires_grad must be true or false");
    const at::Tensor& own = self.wrapped.tensor();
    if (closure::isExchanged(own)) {
      if (trace::requiresGrad(own) == value) return nullptr;
      throw JsError("BAD_ARGUMENT", "requires_grad: cannot be changed inside the body of a compiled loop, branch or checkpoint, whose history is already settled; set it before");
    }
    setRequiresGrad(lifted(own), value);
    return nullptr;
  });
}
napi_value getIsLeaf(napi_env env, napi_callback_info info) {
  return getter(env, info, "is_leaf", [&](Addon&, const at::Tensor& t) { return boolean(env, t.is_leaf()); });
}
napi_value getIsTraced(napi_env env, napi_callback_info info) {
  return getter(env, info, "isTraced", [&](Addon&, const at::Tensor& t) { return boolean(env, t.device().type() == c10::DeviceType::Lazy && !device::isDeviceTensor(t)); });
}
napi_value getGradFn(napi_env env, napi_callback_info info) {
  return getter(env, info, "grad_fn", [&](Addon&, const at::Tensor& t) -> napi_value {
    const std::string name = gradFnName(lifted(t));
    if (!name.empty()) return text(env, name);
    napi_value none;
    check(env, napi_get_null(env, &none));
    return none;
  });
}
napi_value getGrad(napi_env env, napi_callback_info info) {
  return getter(env, info, "grad", [&](Addon& addon, const at::Tensor& t) {
    // What stands for a tensor in the body of a loop or branch has no grad of its own.
    if (!closure::use(t).is_same(t) && t.is_leaf() && t.grad().defined())
      throw JsError("BAD_ARGUMENT", "grad: cannot be read inside the body of a compiled loop or branch; read it outside and use the tensor that it gives");
    const at::Tensor own = lifted(t);
    trace::noteGrad(own);
    return wrap(addon, env, own.grad());
  });
}
napi_value setGrad(napi_env env, napi_callback_info info) {
  return guarded(env, "grad", [&]() -> napi_value {
    Self self = selfOf(env, info, "the tensor");
    const at::Tensor target = lifted(self.wrapped.tensor());
    trace::noteGrad(target);
    napi_valuetype type = napi_undefined;
    if (self.argument) check(env, napi_typeof(env, self.argument, &type));
    if (type == napi_null || type == napi_undefined) {
      target.mutable_grad() = at::Tensor();
      return nullptr;
    }
    const at::Tensor gradient = tensorArgument(self.addon, env, self.argument, "grad");
    TORCH_CHECK(gradient.sizes() == target.sizes(), "grad: expected shape ", target.sizes(), " as the tensor has, got ", gradient.sizes());
    TORCH_CHECK(gradient.scalar_type() == target.scalar_type(), "grad: expected ", dtypeName(target.scalar_type()), " as the tensor has, got ", dtypeName(gradient.scalar_type()));
    target.mutable_grad() = gradient;
    return nullptr;
  });
}
napi_value getData(napi_env env, napi_callback_info info) {
  return getter(env, info, "data", [&](Addon& addon, const at::Tensor& t) { return wrap(addon, env, lifted(t).variable_data()); });
}
napi_value setData(napi_env env, napi_callback_info info) {
  return guarded(env, "data", [&]() -> napi_value {
    Self self = selfOf(env, info, "the tensor");
    if (!self.argument) throw JsError("BAD_ARGUMENT", "data must be a Tensor");
    const at::Tensor data = tensorArgument(self.addon, env, self.argument, "data");
    const at::Tensor target = lifted(self.wrapped.tensor());
    // A tensor of another kind: what libtorch knows of this one stays behind, the handle goes on with the new one.
    if (device::numberOf(data) != device::numberOf(target)) self.wrapped.replace(self.addon, data);
    else target.set_data(data);
    return nullptr;
  });
}
napi_value disposeTensor(napi_env env, napi_callback_info info) {
  return guarded(env, "dispose", [&]() -> napi_value {
    napi_value receiver;
    check(env, napi_get_cb_info(env, info, nullptr, nullptr, &receiver, nullptr));
    Addon& addon = Addon::of(env);
    TensorWrap* wrapped = TensorWrap::from(addon, env, receiver);
    if (!wrapped) throw JsError("BAD_ARGUMENT", "dispose() must be called on a Tensor");
    wrapped->dispose(addon);
    return nullptr;
  });
}
napi_value getDisposed(napi_env env, napi_callback_info info) {
  return guarded(env, "disposed", [&]() -> napi_value {
    napi_value receiver;
    check(env, napi_get_cb_info(env, info, nullptr, nullptr, &receiver, nullptr));
    Addon& addon = Addon::of(env);
    TensorWrap* wrapped = TensorWrap::from(addon, env, receiver);
    return boolean(env, !wrapped || wrapped->disposed());
  });
}

Napi::Value SetCreationHook(const Napi::CallbackInfo& info) {
  Addon& addon = Addon::of(info.Env());
  if (addon.creationHook) napi_delete_reference(info.Env(), addon.creationHook);
  addon.creationHook = nullptr;
  if (info[0].IsFunction()) napi_create_reference(info.Env(), info[0], 1, &addon.creationHook);
  return info.Env().Undefined();
}

Napi::Value Memory(const Napi::CallbackInfo& info) {
  Addon& addon = Addon::of(info.Env());
  int64_t handles = 0, bytes = 0, onDevices = device::liveBytes();
  std::unordered_set<const void*> elsewhere;  // storages of libtorch's own tensors on devices
  for (auto* wrapped : addon.live) {
    handles += !wrapped->disposed();
    if (!wrapped->disposed() && device::bridgeOf(wrapped->tensor()) != nullptr) elsewhere.insert(wrapped->tensor().storage().unsafeGetStorageImpl());
  }
  for (const auto& [storage, held] : addon.storages) (elsewhere.count(storage) != 0 ? onDevices : bytes) += held.bytes;
  addon.handles.count(handles, bytes);
  auto result = Napi::Object::New(info.Env());
  result.Set("tensors", static_cast<double>(handles));
  result.Set("bytes", static_cast<double>(bytes));
  result.Set("deviceBytes", static_cast<double>(onDevices));
  return result;
}

// setHandles(class, token, unmade): the class of tensors gets their properties. new class(token, number) is a handle.
napi_value setHandles(napi_env env, napi_callback_info info) {
  return guarded(env, "setHandles", [&]() -> napi_value {
    const auto property = [](const char* name, napi_callback get, napi_callback set) {
      return napi_property_descriptor{name, nullptr, nullptr, get, set, nullptr, napi_configurable, nullptr};
    };
    const napi_property_descriptor properties[] = {
        property("shape", getShape, nullptr),
        property("dtype", getDtype, nullptr),
        property("device", getDevice, nullptr),
        property("ndim", getNdim, nullptr),
        property("strides", getStrides, nullptr),
        property("offset", getOffset, nullptr),
        property("_version", getVersion, nullptr),
        property("requires_grad", getRequiresGrad, assignRequiresGrad),
        property("is_leaf", getIsLeaf, nullptr),
        property("isTraced", getIsTraced, nullptr),
        property("grad_fn", getGradFn, nullptr),
        property("grad", getGrad, setGrad),
        property("data", getData, setData),
        property("disposed", getDisposed, nullptr),
        {"dispose", nullptr, disposeTensor, nullptr, nullptr, nullptr, napi_default_method, nullptr},
    };
    size_t count = 3;
    napi_value args[3], prototype;
    check(env, napi_get_cb_info(env, info, &count, args, nullptr, nullptr));
    check(env, napi_get_named_property(env, args[0], "prototype", &prototype));
    check(env, napi_define_properties(env, prototype, std::size(properties), properties));
    Handles& handles = Addon::of(env).handles;
    check(env, napi_create_reference(env, args[0], 1, &handles.made));
    check(env, napi_create_reference(env, args[1], 1, &handles.token));
    check(env, napi_create_reference(env, args[2], 1, &handles.unmade));
    return nullptr;
  });
}

// setExchange(Uint32Array): where numbers of handles are put on their way
napi_value setExchange(napi_env env, napi_callback_info info) {
  return guarded(env, "setExchange", [&]() -> napi_value {
    size_t count = 1;
    napi_value array;
    check(env, napi_get_cb_info(env, info, &count, &array, nullptr, nullptr));
    Handles& handles = Addon::of(env).handles;
    napi_ref kept = nullptr;
    void* data = nullptr;
    size_t capacity = 0;
    check(env, napi_get_typedarray_info(env, array, nullptr, &capacity, &data, nullptr, nullptr));
    check(env, napi_create_reference(env, array, 1, &kept));
    if (handles.exchanged) napi_delete_reference(env, handles.exchanged);
    handles.exchanged = kept;
    handles.exchange = static_cast<uint32_t*>(data);
    handles.capacity = capacity;
    return nullptr;
  });
}

}  // namespace

void initTensor(Napi::Env env, Napi::Object exports) {
  const napi_property_descriptor functions[] = {
      {"setHandles", nullptr, setHandles, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"setExchange", nullptr, setExchange, nullptr, nullptr, nullptr, napi_default_method, nullptr},
  };
  check(env, napi_define_properties(env, exports, std::size(functions), functions));
  exports.Set("setCreationHook", Napi::Function::New(env, SetCreationHook, "setCreationHook"));
  exports.Set("memory", Napi::Function::New(env, Memory, "memory"));
}

}  // namespace jorch
