// An Entry from what TypeScript says of it (EntrySpec in lib/native.ts).
#pragma once

#include <memory>

#include "program/entry.h"

namespace jorch::program {

// `circumstances`: what the program was traced for.
std::shared_ptr<Entry> entryFrom(Addon& addon, napi_env env, uint32_t structure, const Napi::Object& spec, const Tensors& captures, const Circumstances& circumstances);

// The captured tensors that a spec names.
Tensors capturesOf(Addon& addon, napi_env env, const Napi::Object& spec);

}  // namespace jorch::program
