// Sharding as JavaScript sees it: clients over several devices, placements by number, tensors cut and put together.
#pragma once

#include "addon.h"
#include "pjrt/client.h"
#include "program/program.h"

namespace jorch::shard {

/** Where a program is compiled and run: a plugin's path for one device, `{ plugin, devices, count, free }` for a mesh. */
struct Target {
  pjrt::Client* client;
  pjrt::Partitioning partitioning;
};
Target targetFrom(const Napi::Value& value);

/** { executable, inputs, outputs, placements: { devices, inputs, outputs }, donated } as a program over several devices. */
std::unique_ptr<program::Callable> programFrom(napi_env env, const Napi::Object& spec);

void init(Napi::Env env, Napi::Object exports);

}  // namespace jorch::shard
