// Reverse mode, modes and global settings of libtorch.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "addon.h"

namespace jorch {

void setRequiresGrad(const at::Tensor& tensor, bool value);
// "SinBackward0", or empty for a leaf.
std::string gradFnName(const at::Tensor& tensor);

void initAutograd(Napi::Env env, Napi::Object exports);

}  // namespace jorch
