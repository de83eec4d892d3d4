// torch.Generator and the default generator.
#pragma once

#include <ATen/core/Generator.h>

#include "addon.h"

namespace jorch {

// The generator behind a JavaScript Generator object, or nullptr.
const at::Generator* generatorFrom(napi_env env, napi_value value);

void initGenerator(Napi::Env env, Napi::Object exports);

}  // namespace jorch
