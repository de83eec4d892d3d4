/** @file Where a program is compiled and run, as JavaScript says it. */
#pragma once

#include <napi.h>

#include <string>

#include "pjrt/client.h"

namespace jorch::program {

struct Target {
  pjrt::Client* client;
  pjrt::Partitioning partitioning;
  /** What distinguishes it from other devices of the same client. */
  std::string device;

  /** Executables of another identity must not be loaded. */
  std::string identity() const;
};

/**
 * A plugin's path for the CPU, `{ plugin, device }` for an opened device, `{ plugin, count, devices, free }` for a mesh.
 * Throws PjrtError, and c10::Error for a device that was not opened.
 */
Target targetFrom(const Napi::Value& value);

}  // namespace jorch::program
