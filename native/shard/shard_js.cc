#include "shard/shard_js.h"

#include "program/executable_js.h"
#include "shard/sharded.h"
#include "shard/sharded_program.h"
#include "tensor/tensor.h"

namespace jorch::shard {

namespace {

/** The client of a plugin with that many devices where they are made to order (a CPU's are), else with those there are. */
pjrt::Client& clientOf(const std::string& path, int64_t count) {
  registerKey();
  pjrt::Plugin& plugin = pjrt::Plugin::load(path);
  const bool cpu = path.substr(path.rfind('/') + 1).find("cpu") != std::string::npos;
  return pjrt::Client::get(plugin, cpu ? pjrt::NamedOptions{{"cpu_device_count", count}} : pjrt::NamedOptions{});
}

// meshDevices(plugin, count) → how many devices there are, made for `count` where they are virtual
Napi::Value MeshDevices(const Napi::CallbackInfo& info) {
  return entry(info, "mesh", "COMPILE_FAILED", [&]() -> napi_value {
    return number(info.Env(), static_cast<double>(clientOf(info[0].As<Napi::String>(), info[1].As<Napi::Number>().Int64Value()).devices().size()));
  });
}

// placement(plugin, count, devices, tiles, tileOf, mesh) → its number
Napi::Value MakePlacement(const Napi::CallbackInfo& info) {
  return entry(info, "shard", "COMPILE_FAILED", [&]() -> napi_value {
    pjrt::Client& client = clientOf(info[0].As<Napi::String>(), info[1].As<Napi::Number>().Int64Value());
    return number(info.Env(), intern({&client, integersFrom(info[2]), integersFrom(info[3]), integersFrom(info[4]), info[5].As<Napi::String>()}).id);
  });
}

// placementInfo(number) → { tiles, tileOf, mesh }
Napi::Value PlacementInfo(const Napi::CallbackInfo& info) {
  return entry(info, "sharding", "COMPILE_FAILED", [&]() -> napi_value {
    const Placement& placement = placementAt(info[0].As<Napi::Number>().Uint32Value());
    auto object = Napi::Object::New(info.Env());
    object.Set("tiles", Napi::Value(info.Env(), integers(info.Env(), placement.tiles)));
    object.Set("tileOf", Napi::Value(info.Env(), integers(info.Env(), placement.tileOf)));
    object.Set("mesh", placement.mesh);
    return object;
  });
}

// placementOf(tensor) → the number of its placement, 0 for an ordinary tensor
Napi::Value PlacementOf(const Napi::CallbackInfo& info) {
  return entry(info, "sharding", "COMPILE_FAILED", [&]() -> napi_value {
    return number(info.Env(), placementOf(wrapArgument(Addon::of(info.Env()), info.Env(), info[0], "the tensor").tensor()));
  });
}

// putOnDevices(tensor, placement) → a new tensor, detached, with the same values
Napi::Value PutOnDevices(const Napi::CallbackInfo& info) {
  return entry(info, "shard", "COMPILE_FAILED", [&]() -> napi_value {
    Addon& addon = Addon::of(info.Env());
    const at::Tensor& tensor = wrapArgument(addon, info.Env(), info[0], "the tensor").tensor();
    return wrap(addon, info.Env(), spread(tensor, placementAt(info[1].As<Napi::Number>().Uint32Value())));
  });
}

// moveToDevices(tensor, placement): its memory becomes sharded
Napi::Value MoveToDevices(const Napi::CallbackInfo& info) {
  return entry(info, "shard_", "COMPILE_FAILED", [&]() -> napi_value {
    const at::Tensor& tensor = wrapArgument(Addon::of(info.Env()), info.Env(), info[0], "the tensor").tensor();
    const Placement& placement = placementAt(info[1].As<Napi::Number>().Uint32Value());
    if (placementOf(tensor) == placement.id) return info.Env().Undefined();
    if (!assign(tensor, spread(tensor, placement))) throw JsError("BAD_ARGUMENT", "shard_: the tensor is a view, is not contiguous, or its memory belongs to somebody else (a typed array, a file); use shard(), which gives a new tensor");
    return info.Env().Undefined();
  });
}

}  // namespace

program::Target targetFrom(const Napi::Object& mesh) {
  pjrt::Client& client = clientOf(mesh.Get("plugin").As<Napi::String>(), mesh.Get("count").As<Napi::Number>().Int64Value());
  program::Target target{&client, {}, {}};
  for (int64_t device : integersFrom(mesh.Get("devices"))) target.partitioning.devices.push_back(client.deviceIds().at(device));
  const auto free = mesh.Get("free").As<Napi::Array>();
  for (uint32_t i = 0; i < free.Length(); i++) target.partitioning.freeResults.push_back(free.Get(i).ToBoolean());
  return target;
}

std::unique_ptr<program::Callable> programFrom(napi_env env, const Napi::Object& spec) {
  const auto placements = spec.Get("placements").As<Napi::Object>();
  const auto valuesFrom = [&](const char* name) {
    const auto list = spec.Get(name).As<Napi::Array>();
    const auto numbers = integersFrom(placements.Get(name));
    std::vector<ShardedProgram::Value> values;
    for (uint32_t i = 0; i < list.Length(); i++) {
      const auto object = list.Get(i).As<Napi::Object>();
      values.push_back({integersFrom(object.Get("shape")), dtypeFrom(object.Get("dtype").As<Napi::String>()), &placementAt(static_cast<uint32_t>(numbers.at(i)))});
    }
    return values;
  };
  auto made = std::make_unique<ShardedProgram>(executableFrom(env, spec.Get("executable")), placements.Get("devices").As<Napi::Number>().Uint32Value(), valuesFrom("inputs"), valuesFrom("outputs"));
  if (spec.Get("donated").IsArray()) {
    const auto donated = spec.Get("donated").As<Napi::Array>();
    for (uint32_t i = 0; i < donated.Length(); i++) made->donate(donated.Get(i).As<Napi::Object>().Get("input").As<Napi::Number>().Uint32Value());
  }
  return made;
}

void init(Napi::Env env, Napi::Object exports) {
  exports.Set("meshDevices", Napi::Function::New(env, MeshDevices, "meshDevices"));
  exports.Set("placement", Napi::Function::New(env, MakePlacement, "placement"));
  exports.Set("placementInfo", Napi::Function::New(env, PlacementInfo, "placementInfo"));
  exports.Set("placementOf", Napi::Function::New(env, PlacementOf, "placementOf"));
  exports.Set("putOnDevices", Napi::Function::New(env, PutOnDevices, "putOnDevices"));
  exports.Set("moveToDevices", Napi::Function::New(env, MoveToDevices, "moveToDevices"));
}

}  // namespace jorch::shard
