/** @file A compiled program, loaded and ready to run. */
#pragma once

#include <cstddef>
#include <optional>

#include "api.h"
#include "buffer.h"
#include "client.h"
#include "compiled.h"

namespace jorch::pjrt {

/** Held by shared_ptr: the last holder may let go on any thread. Every member may be called from several threads at once. */
class Executable {
 public:
  /** Takes ownership of `loaded`. */
  Executable(Client& client, PJRT_LoadedExecutable* loaded);
  ~Executable() { destroy(); }
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;

  /**
   * Runs the program and waits until it is done. `args` are borrowed; `outs` must have room for outputCount() buffers, which the
   * caller owns afterwards. Throws PjrtError, and then `outs` holds nothing.
   */
  void execute(PJRT_Buffer* const* args, size_t argCount, PJRT_Buffer** outs) const;

  size_t outputCount() const noexcept { return outputCount_; }
  Client& client() const noexcept { return client_; }
  const Compiled& compiled() const noexcept { return *compiled_; }

 private:
  void destroy() noexcept;

  Client& client_;
  PJRT_LoadedExecutable* loaded_;
  std::optional<Compiled> compiled_;
  size_t outputCount_ = 0;
};

}  // namespace jorch::pjrt
