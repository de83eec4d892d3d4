/** @file What a plugin has besides PJRT's own functions. */
#pragma once

#include <cstddef>
#include <cstring>

#include "api.h"

namespace jorch::pjrt {

/** The plugin's extension of this type, which begins with a PJRT_Extension_Base; nullptr if it has none of at least sizeof(Extension). */
template <class Extension>
const Extension* findExtension(const PJRT_Api* api, int type) noexcept {
  for (PJRT_Extension_Base* e = api->extension_start; e != nullptr; e = e->next) {
    int own;  // not read as the enum: plugins newer than the header have types that are no value of it
    std::memcpy(&own, &e->type, sizeof own);
    if (own == type) return e->struct_size >= sizeof(Extension) ? reinterpret_cast<const Extension*>(e) : nullptr;
  }
  return nullptr;
}

}  // namespace jorch::pjrt
