// What JavaScript threw into C++, on its way back.
#pragma once

#include <napi.h>

namespace jorch {

// Napi::Error looks for a mark of its own on what it holds. Null and undefined have no properties: it fails there, and a failure while an error is
// thrown ends the process.
inline void throwAgain(napi_env env, const Napi::Error& error) noexcept {
  napi_value held = nullptr;
  napi_valuetype type = napi_undefined;
  if (napi_get_reference_value(env, error, &held) != napi_ok || held == nullptr || napi_typeof(env, held, &type) != napi_ok) return;
  napi_throw(env, type == napi_null || type == napi_undefined ? held : napi_value(error.Value()));
}

}  // namespace jorch
