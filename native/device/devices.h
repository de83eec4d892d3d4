/** @file The devices that were opened: a PJRT client under a name and a number. */
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <string>

#include "addon.h"
#include "pjrt/client.h"

namespace jorch::device {

/** The client of a device. Throws c10::Error for a number that no device has. */
pjrt::Client& clientOf(c10::DeviceIndex device);
/** Whether any was: until then no tensor is on one. */
bool anyOpened() noexcept;
/** `cuda:0`, … */
std::string nameOf(c10::DeviceIndex device);
/** How torch names the device of `t`: `cpu` also for tensors of a trace. */
std::string nameOf(const at::Tensor& t);

/** An operator of JavaScript's on device tensors, with the arguments that were given. `overload`: of this one only. */
napi_value callOperator(Addon& addon, const std::string& name, const std::string* overload, c10::ArrayRef<napi_value> given);

void initDevices(Napi::Env env, Napi::Object exports);

}  // namespace jorch::device
