// The one entry through which JavaScript calls ATen operators.
#pragma once

#include "addon.h"

namespace jorch {

// exports.packet(name) → function of all overloads; exports.overload(name, overload) → function of one;
// exports.schemas() → every registered aten schema as text.
void initCall(Napi::Env env, Napi::Object exports);

}  // namespace jorch
