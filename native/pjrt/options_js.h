/** @file Options as JavaScript gives them: an object of booleans, whole numbers and texts. A header alone, for both addons. */
#pragma once

#include <napi.h>

#include "options.h"

namespace jorch::pjrt {

/** `Options`: OptionOverrides, or NamedOptions for a client. */
template <class Options = OptionOverrides>
Options optionsFrom(const Napi::Value& value) {
  Options options;
  const auto given = value.As<Napi::Object>();
  const auto names = given.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); i++) {
    const std::string name = Napi::Value(names.Get(i)).As<Napi::String>();
    const Napi::Value option = given.Get(name);
    if (option.IsBoolean()) options[name] = option.As<Napi::Boolean>().Value();
    else if (option.IsNumber()) options[name] = option.As<Napi::Number>().Int64Value();
    else options[name] = option.ToString().Utf8Value();
  }
  return options;
}

}  // namespace jorch::pjrt
