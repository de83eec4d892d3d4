/** @file A compiled program, loaded and ready to run. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "api.h"
#include "buffer.h"
#include "client.h"

namespace jorch::pjrt {

/** Bytes, as XLA planned them; -1 where the plugin is too old to say. */
struct MemoryStats {
  int64_t code = -1, arguments = -1, outputs = -1, aliased = -1, temporaries = -1;
};

/** Of one result. */
struct ResultShape {
  PJRT_Buffer_Type type;
  std::vector<int64_t> dims;
};

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
  std::vector<ResultShape> outputShapes() const;
  Client& client() const noexcept { return client_; }

  /** For Client::deserialize. It holds no checksum: store one beside it. */
  std::string serialize() const;
  /** The optimized program and its format: HLO as protobuf bytes (`hlo`, `hlo_with_config`); plugins print no text. */
  std::pair<std::string, std::string> optimizedProgram() const;
  /** XLA's own estimates: `flops`, `bytes accessed`, …; empty where the plugin makes none (CPU, API 0.115). */
  std::vector<std::pair<std::string, double>> costAnalysis() const;
  MemoryStats memoryStats() const;

 private:
  void destroy() noexcept;

  Client& client_;
  PJRT_LoadedExecutable* loaded_;
  PJRT_Executable* executable_ = nullptr;
  size_t outputCount_ = 0;
};

}  // namespace jorch::pjrt
