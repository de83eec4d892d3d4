// Tensors that workers of one process share.
#pragma once

#include "addon.h"

namespace jorch {

void initShare(Napi::Env env, Napi::Object exports);

}  // namespace jorch
