/** @file A device array and the event that says when it is ready: owning handles over PJRT_Buffer and PJRT_Event. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "api.h"
#include "client.h"

namespace jorch::pjrt {

/** A stream of the device's platform as a number: a cudaStream_t. */
using NativeStream = intptr_t;

class Event {
 public:
  Event(const PJRT_Api* api, PJRT_Event* event) noexcept : api_(api), event_(event) {}
  Event(Event&& other) noexcept : api_(other.api_), event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(event_, other.event_);
    return *this;
  }
  ~Event();

  bool ready() const;
  /** Blocks until the work is done. Throws what the work failed with. */
  void await();

 private:
  const PJRT_Api* api_;
  PJRT_Event* event_;
};

class Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(const PJRT_Api* api, PJRT_Buffer* buffer) noexcept : api_(api), buffer_(buffer) {}
  Buffer(Buffer&& other) noexcept : api_(other.api_), buffer_(std::exchange(other.buffer_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  /** May run on any thread; a buffer that an execution still reads lives until that is done. */
  ~Buffer() { reset(); }

  /**
   * A buffer of host data (row-major). With kImmutableZeroCopy or kMutableZeroCopy and 64-byte alignment on CPU the buffer *is*
   * `data`, which must outlive every execution that is given it; else the data is copied before this returns, whatever the semantics.
   * Throws TooLarge from 2^38 elements.
   */
  static Buffer fromHost(const Client& client, const void* data, PJRT_Buffer_Type type, const int64_t* dims, size_t rank,
                         PJRT_HostBufferSemantics semantics) {
    return fromHost(client, client.device(), data, type, dims, rank, nullptr, semantics);
  }
  /** The same on another device of the client, of data with these strides in bytes (nullptr: row-major). */
  static Buffer fromHost(const Client& client, PJRT_Device* device, const void* data, PJRT_Buffer_Type type, const int64_t* dims, size_t rank,
                         const int64_t* byteStrides, PJRT_HostBufferSemantics semantics);

  /**
   * The memory at `data` itself, on the client's device: nothing is copied or owned, and it must outlive every execution that is
   * given the buffer. On CPU `data` must be aligned to 64 bytes, which compiled code relies on. Throws TooLarge. Memory that another
   * library writes to is ready when what `stream` (Streams::external) was made to wait for is.
   */
  static Buffer view(const Client& client, void* data, PJRT_Buffer_Type type, const int64_t* dims, size_t rank, NativeStream stream = 0);

  explicit operator bool() const noexcept { return buffer_ != nullptr; }
  PJRT_Buffer* get() const noexcept { return buffer_; }
  void reset() noexcept;

  /** The address of the data; waits until it is ready. On a GPU a device address. */
  void* pointer() const;
  size_t byteSize() const;
  /** Copies the data to `destination` (row-major), which holds `byteSize` bytes; returns when it is there. */
  void toHost(void* destination, size_t byteSize) const;

 private:
  const PJRT_Api* api_ = nullptr;
  PJRT_Buffer* buffer_ = nullptr;
};

/** For PJRT_Client_BufferFromHostBuffer: row-major data; its size is not checked. */
PJRT_Client_BufferFromHostBuffer_Args hostArguments(const Client& client, PJRT_Device* device, const void* data, PJRT_Buffer_Type type, const int64_t* dims,
                                                    size_t rank, PJRT_HostBufferSemantics semantics);

}  // namespace jorch::pjrt
