/** @file Buffers and events. */
#include "buffer.h"

#include "client.h"
#include "options.h"

namespace jorch::pjrt {

Event::~Event() {
  if (event_ == nullptr) return;
  auto args = make<PJRT_Event_Destroy_Args>();
  args.event = event_;
  if (PJRT_Error* error = api_->PJRT_Event_Destroy(&args)) drop(api_, error);
}

bool Event::ready() const {
  auto args = make<PJRT_Event_IsReady_Args>();
  args.event = event_;
  call(api_, args);
  return args.is_ready;
}

void Event::await() {
  auto args = make<PJRT_Event_Await_Args>();
  args.event = event_;
  call(api_, args);
}

void Buffer::reset() noexcept {
  if (buffer_ == nullptr) return;
  auto args = make<PJRT_Buffer_Destroy_Args>();
  args.buffer = std::exchange(buffer_, nullptr);
  if (PJRT_Error* error = api_->PJRT_Buffer_Destroy(&args)) drop(api_, error);
}

PJRT_Client_BufferFromHostBuffer_Args hostArguments(const Client& client, PJRT_Device* device, const void* data, PJRT_Buffer_Type type, const int64_t* dims, size_t rank,
                                                    PJRT_HostBufferSemantics semantics) {
  auto args = make<PJRT_Client_BufferFromHostBuffer_Args>();
  args.client = client.get();
  args.data = data;
  args.type = type;
  args.dims = dims;
  args.num_dims = rank;
  args.host_buffer_semantics = semantics;
  args.device = device;
  return args;
}

Buffer Buffer::fromHost(const Client& client, PJRT_Device* device, const void* data, PJRT_Buffer_Type type, const int64_t* dims, size_t rank,
                        const int64_t* byteStrides, PJRT_HostBufferSemantics semantics) {
  checkElementCount("Buffer::fromHost", dims, rank);
  const PJRT_Api* api = client.api();
  auto args = hostArguments(client, device, data, type, dims, rank, semantics);
  args.byte_strides = byteStrides;
  args.num_byte_strides = byteStrides ? rank : 0;
  call(api, args);
  Buffer buffer(api, args.buffer);
  if (args.done_with_host_buffer != nullptr) {
    Event done(api, args.done_with_host_buffer);
    // Zero-copy buffers fire this event only when they die: waiting for it here would wait for ourselves.
    const bool mayAlias =
        semantics == PJRT_HostBufferSemantics_kImmutableZeroCopy || semantics == PJRT_HostBufferSemantics_kMutableZeroCopy;
    if (!mayAlias || buffer.pointer() != data) done.await();
  }
  return buffer;
}

Buffer Buffer::view(const Client& client, void* data, PJRT_Buffer_Type type, const int64_t* dims, size_t rank, NativeStream stream) {
  checkElementCount("Buffer::view", dims, rank);
  auto args = make<PJRT_Client_CreateViewOfDeviceBuffer_Args>();
  args.client = client.get();
  args.device_buffer_ptr = data;
  args.element_type = type;
  args.dims = dims;
  args.num_dims = rank;
  args.device = client.device();
  args.stream = stream;
  args.on_delete_callback = [](void*, void*) {};  // optional by the header, called unconditionally by the CPU plugin
  call(client.api(), args);
  return Buffer(client.api(), args.buffer);
}

void* Buffer::pointer() const {
  auto args = make<PJRT_Buffer_UnsafePointer_Args>();
  args.buffer = buffer_;
  call(api_, args);
  return reinterpret_cast<void*>(args.buffer_pointer);
}

size_t Buffer::byteSize() const {
  auto args = make<PJRT_Buffer_OnDeviceSizeInBytes_Args>();
  args.buffer = buffer_;
  call(api_, args);
  return args.on_device_size_in_bytes;
}

void Buffer::toHost(void* destination, size_t byteSize) const {
  auto args = make<PJRT_Buffer_ToHostBuffer_Args>();
  args.src = buffer_;
  args.dst = destination;
  args.dst_size = byteSize;
  call(api_, args);
  Event(api_, args.event).await();
}

}  // namespace jorch::pjrt
