/** @file What the compiler made, loaded on a device or not: its results, its bytes, its figures. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "api.h"

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

/** Owns a PJRT_Executable. Every member may be called from several threads at once. */
class Compiled {
 public:
  Compiled(const PJRT_Api* api, PJRT_Executable* executable) noexcept : api_(api), executable_(executable) {}
  ~Compiled();
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  size_t outputCount() const;
  std::vector<ResultShape> outputShapes() const;
  /** For Client::deserialize. It holds no checksum: store one beside it. */
  std::string serialize() const;
  /** The optimized program and its format: HLO as protobuf bytes (`hlo`, `hlo_with_config`); plugins print no text. */
  std::pair<std::string, std::string> optimizedProgram() const;
  /** XLA's own estimates: `flops`, `bytes accessed`, …; empty where the plugin makes none (CPU, API 0.115). */
  std::vector<std::pair<std::string, double>> costAnalysis() const;
  MemoryStats memoryStats() const;

 private:
  const PJRT_Api* api_;
  PJRT_Executable* executable_;
};

}  // namespace jorch::pjrt
