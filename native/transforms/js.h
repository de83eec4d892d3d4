/** @file What the entries of the transforms share: lists of tensors in and out, calls of JavaScript functions. */
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <vector>

#include "addon.h"

namespace jorch {

/** The tensors of an array as they are: no lifting, no substitution. */
std::vector<at::Tensor> rawTensors(Addon& addon, Napi::Env env, const Napi::Value& array);
/** The tensors of an array as an operator would use them; null is an undefined tensor. */
std::vector<at::Tensor> usedTensors(Addon& addon, Napi::Env env, const Napi::Value& array);
Napi::Array tensorArray(Addon& addon, Napi::Env env, const std::vector<at::Tensor>& tensors);
/** Throws PendingException when the function throws. */
napi_value callJs(napi_env env, napi_value function, std::initializer_list<napi_value> args);

}  // namespace jorch
