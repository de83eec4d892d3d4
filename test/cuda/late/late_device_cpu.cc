// A device whose work is always late, to prove the order in which libtorch's work and XLA's are queued. Two halves of one library:
// - a backend of libtorch's (PrivateUse1) with streams and events. A kernel computes at once, but hides what it has written: the memory holds garbage until the
//   stream's queue has come to it, and a queue only moves when somebody waits for it. Memory that is freed becomes garbage in the order of the queue too.
// - a PJRT plugin: XLA's for the CPU, with the stream extension that GPU plugins have. A view is ready when its stream is; XLA's results are waited for in queues.
// Whoever forgets to wait reads garbage. JORCH_LATE=unordered makes views forget their stream: the proof that the tests would see it.
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/Allocator.h>
#include <c10/core/DeviceType.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>
#include <node_api.h>
#include <pjrt_c_api.h>
#include <torch/library.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>

namespace {

using c10::DeviceType;
constexpr c10::DispatchKey kKey = c10::DispatchKey::PrivateUse1;
const c10::Device kDevice(DeviceType::PrivateUse1, 0);
constexpr int64_t kExternal = 64;  // XLA's stream for views

std::recursive_mutex& lock() {
  static auto* mutex = new std::recursive_mutex;
  return *mutex;
}
using Locked = std::lock_guard<std::recursive_mutex>;

struct Stream {
  std::deque<std::function<void()>> queue;
  uint64_t queued = 0, done = 0;
  void add(std::function<void()> work) {
    queue.push_back(std::move(work));
    queued++;
  }
  void run(uint64_t until) {
    while (done < until) {
      const auto work = std::move(queue.front());
      queue.pop_front();
      work();
      done++;
    }
  }
};
Stream& stream(int64_t id) {
  static auto* all = new std::map<int64_t, Stream>;
  return (*all)[id];
}
thread_local int64_t currentStream = 0;

struct Counts {
  int64_t uploads = 0, views = 0, waits = 0, early = 0;
} counts;
std::multimap<const char*, size_t>& pending() {  // memory that queued work will write to
  static auto* writes = new std::multimap<const char*, size_t>;
  return *writes;
}

// What `data` holds now will be there when the queue has come to it.
void makeLate(void* data, size_t bytes) {
  if (bytes == 0) return;
  std::string values(static_cast<char*>(data), bytes);
  std::memset(data, 0x7f, bytes);
  const auto note = pending().emplace(static_cast<char*>(data), bytes);
  stream(currentStream).add([data, note, values = std::move(values)] {
    std::memcpy(data, values.data(), values.size());
    pending().erase(note);
  });
}

struct Event {
  int64_t stream;
  uint64_t at;
};
struct Guard final : c10::impl::DeviceGuardImplInterface {
  DeviceType type() const override { return DeviceType::PrivateUse1; }
  c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
  c10::Device getDevice() const override { return kDevice; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return c10::Stream(c10::Stream::UNSAFE, kDevice, currentStream); }
  c10::Stream exchangeStream(c10::Stream next) const override { return c10::Stream(c10::Stream::UNSAFE, kDevice, std::exchange(currentStream, next.id())); }
  void* getStreamNativeHandle(const c10::Stream s) const override { return reinterpret_cast<void*>(s.id()); }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override { delete static_cast<Event*>(event); }
  void record(void** event, const c10::Stream& s, const c10::DeviceIndex, const c10::EventFlag) const override {
    const Locked locked(lock());
    if (*event == nullptr) *event = new Event;
    *static_cast<Event*>(*event) = {s.id(), stream(s.id()).queued};
  }
  void block(void* event, const c10::Stream& s) const override {
    const Locked locked(lock());
    const Event e = *static_cast<Event*>(event);
    stream(s.id()).add([e] { stream(e.stream).run(e.at); });
  }
  bool queryEvent(void* event) const override {
    const Locked locked(lock());
    const Event& e = *static_cast<Event*>(event);
    return stream(e.stream).done >= e.at;
  }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  bool queryStream(const c10::Stream& s) const override { return stream(s.id()).queue.empty(); }
  void synchronizeStream(const c10::Stream& s) const override {
    const Locked locked(lock());
    stream(s.id()).run(stream(s.id()).queued);
  }
};

struct Memory final : c10::Allocator {
  struct Block {
    void* data;
    size_t bytes;
  };
  static void release(void* context) {
    const Locked locked(lock());
    stream(currentStream).add([block = static_cast<Block*>(context)] {
      std::memset(block->data, 0x7f, block->bytes);
      std::free(block->data);
      delete block;
    });
  }
  c10::DataPtr allocate(size_t bytes) override {
    auto* block = new Block{std::aligned_alloc(64, (bytes + 127) / 64 * 64), bytes};
    return {block->data, block, &release, kDevice};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
};

at::Tensor over(const c10::Storage& storage, const at::Tensor& like, int64_t offset) {
  at::Tensor t = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(kKey), like.dtype());
  t.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), offset);
  return t;
}
bool isLate(const at::Tensor& t) { return t.defined() && t.device().type() == DeviceType::PrivateUse1; }
at::Tensor hostView(const at::Tensor& t) {
  void* data = t.storage().unsafeGetStorageImpl()->_mutable_data_ptr_no_checks().get();
  auto storage = c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), t.storage().nbytes(), c10::DataPtr(data, c10::kCPU), nullptr, false);
  at::Tensor view = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(std::move(storage)), c10::DispatchKeySet(c10::DispatchKey::CPU), t.dtype());
  view.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides(), t.storage_offset());
  return view;
}
void makeLate(const at::Tensor& t) { makeLate(t.storage().unsafeGetStorageImpl()->_mutable_data_ptr_no_checks().get(), t.storage().nbytes()); }

at::Tensor empty(c10::IntArrayRef sizes, std::optional<c10::ScalarType> dtype) {
  return at::detail::empty_generic(sizes, c10::GetAllocator(DeviceType::PrivateUse1), c10::DispatchKeySet(kKey), dtype.value_or(c10::ScalarType::Float), std::nullopt);
}
at::Tensor emptyFormat(c10::SymIntArrayRef sizes, std::optional<c10::ScalarType> dtype, std::optional<c10::Layout>, std::optional<c10::Device>, std::optional<bool>, std::optional<c10::MemoryFormat>) {
  return empty(C10_AS_INTARRAYREF_SLOW(sizes), dtype);
}
at::Tensor emptyStrided(c10::SymIntArrayRef sizes, c10::SymIntArrayRef strides, std::optional<c10::ScalarType> dtype, std::optional<c10::Layout>, std::optional<c10::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides), c10::GetAllocator(DeviceType::PrivateUse1), c10::DispatchKeySet(kKey),
                                           dtype.value_or(c10::ScalarType::Float));
}
at::Tensor copyFrom(const at::Tensor& self, const at::Tensor& to, bool) {
  const Locked locked(lock());
  stream(currentStream).run(stream(currentStream).queued);
  (isLate(to) ? hostView(to) : to).copy_(isLate(self) ? hostView(self) : self);
  if (isLate(to)) makeLate(to);
  return to;
}

// Every other operator: the CPU's kernel on the same memory.
void onHost(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const Locked locked(lock());
  ::stream(currentStream).run(::stream(currentStream).queued);
  const auto& schema = op.schema();
  const size_t count = schema.arguments().size(), first = stack->size() - count;
  std::vector<std::pair<at::Tensor, at::Tensor>> met;  // ours, the host's view
  const auto host = [&](const at::Tensor& t) {
    if (!isLate(t)) return t;
    met.emplace_back(t, hostView(t));
    return met.back().second;
  };
  std::vector<at::Tensor> written;
  for (size_t i = 0; i < count; i++) {
    c10::IValue& value = (*stack)[first + i];
    const auto* alias = schema.arguments()[i].alias_info();
    if (value.isTensor()) {
      if (alias && alias->isWrite() && isLate(value.toTensor())) written.push_back(value.toTensor());
      value = host(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : value.toTensorVector()) list.push_back(host(t));
      value = std::move(list);
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor>& t : value.toOptionalTensorVector()) list.push_back(t ? std::optional<at::Tensor>(host(*t)) : t);
      value = std::move(list);
    } else if (value.isDevice()) {
      value = c10::Device(c10::kCPU);
    }
  }
  op.callBoxed(stack);
  const auto ours = [&](const at::Tensor& result) {
    if (!result.defined()) return result;
    for (const auto& [own, view] : met)
      if (view.is_same(result)) return own;
    for (const auto& [own, view] : met) {  // a view of an argument
      const auto* base = static_cast<const char*>(own.storage().data());
      const auto* data = static_cast<const char*>(result.const_data_ptr());
      if (result.numel() > 0 && data >= base && data < base + own.storage().nbytes()) return over(own.storage(), result, (data - base) / static_cast<int64_t>(result.itemsize()));
    }
    at::Tensor made = emptyStrided(c10::fromIntArrayRefSlow(result.sizes()), c10::fromIntArrayRefSlow(result.strides()), result.scalar_type(), {}, {}, {});
    hostView(made).copy_(result);
    makeLate(made);
    return made;
  };
  for (size_t i = first; i < stack->size(); i++) {
    c10::IValue& value = (*stack)[i];
    if (value.isTensor()) {
      value = ours(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : value.toTensorVector()) list.push_back(ours(t));
      value = std::move(list);
    }
  }
  for (const at::Tensor& t : written) makeLate(t);
}

// The plugin.
const PJRT_Api* real = nullptr;
std::map<PJRT_Buffer*, const char*>& lentMemory() {
  static auto* lent = new std::map<PJRT_Buffer*, const char*>;
  return *lent;
}

struct ExternalStreamArgs {
  size_t struct_size;
  PJRT_Device* device;
  intptr_t stream;
};
struct WaitArgs {
  size_t struct_size;
  intptr_t stream;
  PJRT_Buffer* buffer;
};
struct StreamExtension {
  PJRT_Extension_Base base;
  PJRT_Error* (*external)(ExternalStreamArgs*);
  PJRT_Error* (*wait)(WaitArgs*);
};
PJRT_Error* external(ExternalStreamArgs* args) {
  args->stream = kExternal;
  return nullptr;
}
PJRT_Error* wait(WaitArgs* args) {
  PJRT_Buffer_ReadyEvent_Args ready{PJRT_Buffer_ReadyEvent_Args_STRUCT_SIZE, nullptr, args->buffer, nullptr};
  if (PJRT_Error* error = real->PJRT_Buffer_ReadyEvent(&ready)) return error;
  const Locked locked(lock());
  counts.waits++;
  stream(args->stream).add([event = ready.event] {
    PJRT_Event_Await_Args await{PJRT_Event_Await_Args_STRUCT_SIZE, nullptr, event};
    if (PJRT_Error* error = real->PJRT_Event_Await(&await)) {
      PJRT_Error_Destroy_Args drop{PJRT_Error_Destroy_Args_STRUCT_SIZE, nullptr, error};
      real->PJRT_Error_Destroy(&drop);
    }
    PJRT_Event_Destroy_Args destroy{PJRT_Event_Destroy_Args_STRUCT_SIZE, nullptr, event};
    real->PJRT_Event_Destroy(&destroy);
  });
  return nullptr;
}
PJRT_Error* view(PJRT_Client_CreateViewOfDeviceBuffer_Args* args) {
  if (args->stream == kExternal) {
    const Locked locked(lock());
    counts.views++;
    const char* mode = getenv("JORCH_LATE");
    if (mode == nullptr || std::strcmp(mode, "unordered") != 0) stream(kExternal).run(stream(kExternal).queued);
  }
  PJRT_Client_CreateViewOfDeviceBuffer_Args plain = *args;  // the CPU's has no streams
  plain.stream = 0;
  PJRT_Error* error = real->PJRT_Client_CreateViewOfDeviceBuffer(&plain);
  args->buffer = plain.buffer;
  return error;
}
PJRT_Error* upload(PJRT_Client_BufferFromHostBuffer_Args* args) {
  counts.uploads++;
  return real->PJRT_Client_BufferFromHostBuffer(args);
}
PJRT_Error* lend(PJRT_Buffer_OpaqueDeviceMemoryDataPointer_Args* args) {
  PJRT_Error* error = real->PJRT_Buffer_OpaqueDeviceMemoryDataPointer(args);
  const Locked locked(lock());
  if (error == nullptr) lentMemory()[args->buffer] = static_cast<const char*>(args->device_memory_ptr);
  return error;
}
PJRT_Error* destroy(PJRT_Buffer_Destroy_Args* args) {
  {
    const Locked locked(lock());
    const auto found = lentMemory().find(args->buffer);
    if (found != lentMemory().end()) {
      counts.early += static_cast<int64_t>(pending().count(found->second));  // work that writes there is still queued
      lentMemory().erase(found);
    }
  }
  return real->PJRT_Buffer_Destroy(args);
}

napi_value told(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_object(env, &result);
  const auto set = [&](const char* name, int64_t n) {
    napi_value value;
    napi_create_int64(env, n, &value);
    napi_set_named_property(env, result, name, value);
  };
  set("uploads", counts.uploads);
  set("views", counts.views);
  set("waits", counts.waits);
  set("early", counts.early);
  return result;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const PJRT_Api* GetPjrtApi() {
  static const PJRT_Api* api = [] {
    void* library = dlopen(getenv("JORCH_LATE_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    real = reinterpret_cast<const PJRT_Api* (*)()>(dlsym(library, "GetPjrtApi"))();
    auto* copy = static_cast<PJRT_Api*>(std::malloc(real->struct_size));
    std::memcpy(copy, real, real->struct_size);
    static StreamExtension streams{{sizeof(StreamExtension), PJRT_Extension_Type_Stream, real->extension_start}, &external, &wait};
    copy->extension_start = &streams.base;
    copy->PJRT_Client_CreateViewOfDeviceBuffer = &view;
    copy->PJRT_Client_BufferFromHostBuffer = &upload;
    copy->PJRT_Buffer_OpaqueDeviceMemoryDataPointer = &lend;
    copy->PJRT_Buffer_Destroy = &destroy;
    return copy;
  }();
  return api;
}

NAPI_MODULE_INIT() {
  static Guard guard;
  c10::impl::registerDeviceGuard(DeviceType::PrivateUse1, &guard);
  static auto* memory = new Memory;
  c10::SetAllocator(DeviceType::PrivateUse1, memory);
  c10::register_privateuse1_backend("late");
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  auto* all = new torch::Library(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
  all->fallback(torch::CppFunction::makeFromBoxedFunction<&onHost>());
  auto* aten = new torch::Library(torch::Library::IMPL, "aten", kKey, __FILE__, __LINE__);
  aten->impl("empty.memory_format", TORCH_FN(emptyFormat));
  aten->impl("empty_strided", TORCH_FN(emptyStrided));
  aten->impl("_copy_from", TORCH_FN(copyFrom));
  napi_value function;
  napi_create_function(env, "told", NAPI_AUTO_LENGTH, told, nullptr, &function);
  napi_set_named_property(env, exports, "told", function);
  return exports;
}
