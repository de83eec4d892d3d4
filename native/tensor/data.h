// Tensor memory to and from JavaScript: typed arrays, buffers, single elements.
#pragma once

#include "addon.h"

namespace jorch {

void initData(Napi::Env env, Napi::Object exports);

}  // namespace jorch
