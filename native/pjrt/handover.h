/** @file How jorch_rt.node, which is loaded first, hands over to jorch.node what it has made meanwhile. Each has its own copy of all other code. */
#pragma once

#include <node_api.h>

#include <cstddef>

#include "api.h"

namespace jorch::pjrt {

/** Plain data and functions, because both addons read it. A JavaScript External owns it. */
struct Handover {
  /** The plugin's path, and its client with jorch's own options. */
  const char* plugin;
  PJRT_Client* client;
  /**
   * Gives the n-th program to the caller: waits while it is being loaded and tried, loads it if that has not begun. nullptr when it could not
   * be loaded, was given away before, or, unless `wait`, is not ready. Any thread.
   */
  PJRT_LoadedExecutable* (*take)(Handover* self, size_t n, bool wait);
};

inline constexpr napi_type_tag kHandoverTag = {0x6a6f726368206876ULL, 0x83d2c1ff05b94e17ULL};

}  // namespace jorch::pjrt
