// Programs loaded, and run once, while the process is still loading libtorch.
#pragma once

#include <napi.h>

namespace jorch::rt {

void initPrefetch(Napi::Env env, Napi::Object exports);

}  // namespace jorch::rt
