// TorchScript programs as JavaScript sees them.
#pragma once

#include <napi.h>

namespace jorch::jit {

void init(Napi::Env env, Napi::Object exports);

}  // namespace jorch::jit
