// C++ values that JavaScript holds and hands back, told apart by tags.
#pragma once

#include <napi.h>

#include <string>

#include "addon.h"

namespace jorch {

template <class T>
napi_value externalOf(napi_env env, T value, const napi_type_tag& tag) {
  auto external = Napi::External<T>::New(env, new T(std::move(value)), [](Napi::BasicEnv, T* held) { delete held; });
  check(env, napi_type_tag_object(env, external, &tag));
  return external;
}

// Throws BAD_ARGUMENT for anything else than `what`.
template <class T>
T& externalFrom(napi_env env, napi_value value, const napi_type_tag& tag, const char* what) {
  bool tagged = false;
  const Napi::Value given(env, value);
  if (!given.IsExternal() || napi_check_object_type_tag(env, value, &tag, &tagged) != napi_ok || !tagged)
    throw JsError("BAD_ARGUMENT", std::string("expected ") + what);
  return *given.As<Napi::External<T>>().Data();
}

}  // namespace jorch
