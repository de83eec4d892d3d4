#include "borrow.h"

#include <memory>

#include "extension.h"
#include "options.h"

namespace jorch::pjrt {

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
  const auto* streams = findExtension<StreamExtension>(api, PJRT_Extension_Type_Stream);
  return streams != nullptr && streams->external != nullptr && streams->wait != nullptr ? streams : nullptr;
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
  auto args = hostArguments(client, client.device(), data, type, dims, rank, PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes);
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
