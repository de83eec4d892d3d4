/** @file A node of libtorch's autograd graph whose backward is a JavaScript function. */
#pragma once

#include <napi.h>

namespace jorch::transforms {

void initCallbackNode(Napi::Env env, Napi::Object exports);

}  // namespace jorch::transforms
