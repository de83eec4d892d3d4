// torch.Generator and the default generator.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "addon.h"

namespace jorch {

// The generator behind a JavaScript Generator object, or nullptr.
const at::Generator* generatorFrom(napi_env env, napi_value value);

// A JavaScript Generator object for `generator`.
napi_value generatorObject(napi_env env, const at::Generator& generator);

// Draws what one run of a compiled program derives its random numbers from, a 0-d uint64; an undefined generator is the default one.
at::Tensor drawKey(at::Generator generator);

void initGenerator(Napi::Env env, Napi::Object exports);

}  // namespace jorch
