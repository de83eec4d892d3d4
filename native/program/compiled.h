// The JavaScript side of a compiled function: its cache of programs and the hot path.
#pragma once

#include "addon.h"

namespace jorch {

void initCompiled(Napi::Env env, Napi::Object exports);

}  // namespace jorch
