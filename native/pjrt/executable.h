/** @file A compiled program, loaded and ready to run. */
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

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
  void execute(PJRT_Buffer* const* args, size_t argCount, PJRT_Buffer** outs) const { executeOn(1, &args, argCount, &outs); }
  /**
   * The same for a program over `devices` devices: lists of arguments and results for each, in the order of its mesh. The arguments in
   * `kept` are not given away, whatever the program says. Executions of one client over several devices run one after the other.
   */
  void executeOn(size_t devices, PJRT_Buffer* const* const* args, size_t argCount, PJRT_Buffer** const* outs, const std::vector<int64_t>& kept = {}) const;

  /**
   * Begins to run the program and returns: results may be used at once, and reading them waits, and throws what the run failed with.
   * `keep`: parameters that the program may not take for its results although its text lets it. Throws PjrtError, and then `outs` holds nothing.
   */
  void start(PJRT_Buffer* const* args, size_t argCount, PJRT_Buffer** outs, const std::vector<int64_t>& keep) const;

  /** Gives the loaded program away: to the caller, who must destroy it, or to another Executable. This one is only good to be destroyed. */
  PJRT_LoadedExecutable* release() noexcept { return std::exchange(loaded_, nullptr); }

  size_t outputCount() const noexcept { return outputCount_; }
  Client& client() const noexcept { return client_; }
  const Compiled& compiled() const noexcept { return *compiled_; }

 private:
  void destroy() noexcept;

  Client& client_;
  PJRT_LoadedExecutable* loaded_;
  std::optional<Compiled> compiled_;
  size_t outputCount_ = 0;
  int64_t working_ = 0;  // bytes that a run takes on the CPU
};

}  // namespace jorch::pjrt
