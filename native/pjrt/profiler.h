/** @file What a plugin notes of its own work: spans of XLA's passes on the host, kernels and copies on a card. */
#pragma once

#include <string>

#include "plugin.h"

namespace jorch::pjrt {

/** A running recording of a plugin that can make one. */
class Profiler {
 public:
  /** Whether the plugin has a profiler: the CPU plugin has none. */
  static bool isThere(const Plugin& plugin) noexcept;
  /** Begins to record. Throws PjrtError, as when another recording is under way. */
  explicit Profiler(const Plugin& plugin);
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;
  /** Ends the recording: an XSpace, as a serialized protobuf. Throws PjrtError. */
  std::string stop();

 private:
  const void* functions_;
  void* profiler_ = nullptr;
};

}  // namespace jorch::pjrt
