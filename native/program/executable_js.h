// XLA executables as JavaScript values: compiling, loading, serialising, asking about them.
#pragma once

#include <memory>
#include <string>

#include "addon.h"
#include "pjrt/api.h"
#include "pjrt/executable.h"

namespace jorch {

using ExecutableHolder = std::shared_ptr<pjrt::Executable>;

// Throws BAD_ARGUMENT for anything but an executable.
ExecutableHolder executableFrom(napi_env env, const Napi::Value& value);
napi_value wrapExecutable(napi_env env, ExecutableHolder executable);

// Runs out of memory, or fails otherwise with `code`.
JsError jsErrorFrom(const pjrt::PjrtError& error, const char* code);

// PJRT's words become a JorchError; ATen's own message stays ATen's.
template <class Body>
napi_value translated(const char* code, Body body) {
  try {
    return body();
  } catch (const pjrt::PjrtError& error) {
    throw jsErrorFrom(error, code);
  }
}

// A function of the addon's that may come to PJRT. `where`: whose words its errors begin with.
template <class Body>
Napi::Value entry(const Napi::CallbackInfo& info, const char* where, const char* code, Body body) {
  return Napi::Value(info.Env(), guarded(info.Env(), where, [&]() -> napi_value { return translated(code, body); }));
}

void initExecutable(Napi::Env env, Napi::Object exports);

}  // namespace jorch
