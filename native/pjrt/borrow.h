/** @file Memory and streams of another library's, beside XLA's own: what is lent, what is borrowed, and who waits for whom. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "buffer.h"
#include "client.h"

namespace jorch::pjrt {

/**
 * Row-major data of the host on the client's device, which may be read after this returns: `data` must stay as it is until `read` is called, once, on any
 * thread, maybe before this returns. `read` must not throw; it is not called when this does. Throws TooLarge, PjrtError.
 */
Buffer fromHostLater(const Client& client, const void* data, PJRT_Buffer_Type type, const int64_t* dims, size_t rank, std::function<void()> read);

/** The address of the data, for somebody who will wait for it by himself; it stays valid until `takeBack`. Throws PjrtError. */
void* lend(const PJRT_Api* api, PJRT_Buffer* buffer);
void takeBack(const PJRT_Api* api, PJRT_Buffer* buffer) noexcept;

/** Returns when the data is there. Throws what the work failed with. */
void await(const PJRT_Api* api, PJRT_Buffer* buffer);

/** The streams of a client's first device. */
class Streams {
 public:
  explicit Streams(const Client& client);

  /** False for plugins whose device has no streams (CPU): readiness is then waited for by the caller. */
  bool has() const noexcept { return extension_ != nullptr; }
  /** XLA's stream for the readiness of memory that it did not make; to be made to wait for whatever writes to the memory. Throws PjrtError. */
  NativeStream external() const;
  /** What is queued on `stream` from now on runs when `buffer` is ready; returns at once. Throws PjrtError. */
  void wait(NativeStream stream, PJRT_Buffer* buffer) const;

 private:
  const Client& client_;
  const void* extension_;
};

}  // namespace jorch::pjrt
