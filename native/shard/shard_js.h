// Sharding as JavaScript sees it: clients over several devices, placements by number, tensors cut and put together.
#pragma once

#include "addon.h"
#include "program/program.h"
#include "program/target.h"

namespace jorch::shard {

/** `{ plugin, count, devices, free }`: the devices of a mesh. */
program::Target targetFrom(const Napi::Object& mesh);

/** { executable, inputs, outputs, placements: { devices, inputs, outputs }, donated } as a program over several devices. */
std::unique_ptr<program::Callable> programFrom(napi_env env, const Napi::Object& spec);

void init(Napi::Env env, Napi::Object exports);

}  // namespace jorch::shard
