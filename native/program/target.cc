#include "program/target.h"

#include "device/devices.h"
#include "pjrt/cpu_features.h"
#include "program/program.h"
#include "shard/shard_js.h"

namespace jorch::program {

std::string Target::identity() const { return client->identity() + (device.empty() ? "" : "\n" + device) + "\n" + pjrt::cpuFeatures(); }

Target targetFrom(const Napi::Value& value) {
  if (value.IsString()) return {&cpuClient(value.As<Napi::String>()), {}, {}};
  const auto object = value.As<Napi::Object>();
  if (!object.Has("device")) return shard::targetFrom(object);
  const auto device = static_cast<c10::DeviceIndex>(object.Get("device").As<Napi::Number>().Int32Value());
  return {&device::clientOf(device), {}, device::nameOf(device)};
}

}  // namespace jorch::program
