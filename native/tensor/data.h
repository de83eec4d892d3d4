// Tensor memory to and from JavaScript: typed arrays, buffers, single elements.
#pragma once

#include "addon.h"

namespace jorch {

// Whether this memory belongs to a typed array of some environment (frombuffer), which frees it when it ends.
bool isLent(const void* data);

void initData(Napi::Env env, Napi::Object exports);

}  // namespace jorch
