#include "borrow.h"

#include <cstring>
#include <memory>

#include "options.h"

namespace jorch::pjrt {

#define JORCH_PJRT_FUNCTION(fn)                                           \
  template <>                                                             \
  struct Function<fn##_Args> {                                            \
    static constexpr size_t argsSize = fn##_Args_STRUCT_SIZE;             \
    static constexpr size_t end = offsetof(PJRT_Api, fn) + sizeof(void*); \
    static constexpr auto member = &PJRT_Api::fn;                         \
    static constexpr const char* name = #fn;                              \
  };
JORCH_PJRT_FUNCTION(PJRT_Event_OnReady)
JORCH_PJRT_FUNCTION(PJRT_Buffer_ReadyEvent)
JORCH_PJRT_FUNCTION(PJRT_Buffer_IncreaseExternalReferenceCount)
JORCH_PJRT_FUNCTION(PJRT_Buffer_DecreaseExternalReferenceCount)
JORCH_PJRT_FUNCTION(PJRT_Buffer_OpaqueDeviceMemoryDataPointer)
#undef JORCH_PJRT_FUNCTION

namespace {

// The stream extension's header is in no wheel; these are its structs (version 0), which like FFI's have no extension_start.
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

const StreamExtension* find(const PJRT_Api* api) {
  for (PJRT_Extension_Base* e = api->extension_start; e != nullptr; e = e->next) {
    int type;  // not read as the enum: plugins newer than the header have types that are no value of it
    std::memcpy(&type, &e->type, sizeof type);
    if (type != PJRT_Extension_Type_Stream) continue;
    auto* streams = reinterpret_cast<const StreamExtension*>(e);
    return e->struct_size >= sizeof(StreamExtension) && streams->external != nullptr && streams->wait != nullptr ? streams : nullptr;
  }
  return nullptr;
}

const StreamExtension& of(const void* extension) { return *static_cast<const StreamExtension*>(extension); }

/** Calls `then`, which must not throw, once when `event` is done or has failed, now or later, on any thread. */
void whenDone(const PJRT_Api* api, PJRT_Event* event, std::function<void()> then) {
  struct Waiting {
    const PJRT_Api* api;
    std::function<void()> then;
  };
  auto waiting = std::make_unique<Waiting>(Waiting{api, std::move(then)});
  auto args = make<PJRT_Event_OnReady_Args>();
  args.event = event;
  args.callback = [](PJRT_Error* error, void* context) {
    const std::unique_ptr<Waiting> done(static_cast<Waiting*>(context));
    if (error != nullptr) drop(done->api, error);
    done->then();
  };
  args.user_arg = waiting.get();
  call(api, args);
  waiting.release();  // the callback's, which may have run
}

}  // namespace

Buffer fromHostLater(const Client& client, const void* data, PJRT_Buffer_Type type, const int64_t* dims, size_t rank, std::function<void()> read) {
  checkElementCount("fromHostLater", dims, rank);
  const PJRT_Api* api = client.api();
  auto args = make<PJRT_Client_BufferFromHostBuffer_Args>();
  args.client = client.get();
  args.data = data;
  args.type = type;
  args.dims = dims;
  args.num_dims = rank;
  args.host_buffer_semantics = PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes;
  args.device = client.device();
  call(api, args);
  Buffer buffer(api, args.buffer);
  Event done(api, args.done_with_host_buffer);
  try {
    whenDone(api, args.done_with_host_buffer, std::move(read));
  } catch (const PjrtError&) {
    done.await();  // nobody will tell the caller when it is safe to free the data
    throw;
  }
  return buffer;
}

Buffer viewAfter(const Client& client, NativeStream stream, void* data, PJRT_Buffer_Type type, const int64_t* dims, size_t rank) {
  checkElementCount("viewAfter", dims, rank);
  auto args = make<PJRT_Client_CreateViewOfDeviceBuffer_Args>();
  args.client = client.get();
  args.device_buffer_ptr = data;
  args.element_type = type;
  args.dims = dims;
  args.num_dims = rank;
  args.device = client.device();
  args.stream = stream;
  args.on_delete_callback = [](void*, void*) {};
  call(client.api(), args);
  return Buffer(client.api(), args.buffer);
}

void* lend(const PJRT_Api* api, PJRT_Buffer* buffer) {
  auto held = make<PJRT_Buffer_IncreaseExternalReferenceCount_Args>();
  held.buffer = buffer;
  call(api, held);
  auto args = make<PJRT_Buffer_OpaqueDeviceMemoryDataPointer_Args>();
  args.buffer = buffer;
  try {
    call(api, args);
  } catch (const PjrtError&) {
    takeBack(api, buffer);
    throw;
  }
  return args.device_memory_ptr;
}

void takeBack(const PJRT_Api* api, PJRT_Buffer* buffer) noexcept {
  auto args = make<PJRT_Buffer_DecreaseExternalReferenceCount_Args>();
  args.buffer = buffer;
  if (PJRT_Error* error = api->PJRT_Buffer_DecreaseExternalReferenceCount(&args)) drop(api, error);
}

void await(const PJRT_Api* api, PJRT_Buffer* buffer) {
  auto args = make<PJRT_Buffer_ReadyEvent_Args>();
  args.buffer = buffer;
  call(api, args);
  Event(api, args.event).await();
}

Streams::Streams(const Client& client) : client_(client), extension_(find(client.api())) {}

NativeStream Streams::external() const {
  ExternalStreamArgs args{sizeof(ExternalStreamArgs), client_.device(), 0};
  if (PJRT_Error* error = of(extension_).external(&args)) raise(client_.api(), "PJRT_Get_Stream_For_External_Ready_Events", error);
  return args.stream;
}

void Streams::wait(NativeStream stream, PJRT_Buffer* buffer) const {
  WaitArgs args{sizeof(WaitArgs), stream, buffer};
  if (PJRT_Error* error = of(extension_).wait(&args)) raise(client_.api(), "PJRT_Wait_Until_Buffer_Ready_On_Stream", error);
}

}  // namespace jorch::pjrt
