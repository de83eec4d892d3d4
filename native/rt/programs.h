// Compiled programs without libtorch: typed arrays in, typed arrays out.
#pragma once

#include <napi.h>

namespace jorch::rt {

void initPrograms(Napi::Env env, Napi::Object exports);

}  // namespace jorch::rt
