// Names of element types.
#pragma once

#include <cstddef>
#include <string>

#include "pjrt/api.h"

namespace jorch::rt {

struct ElementType {
  const char* name;
  PJRT_Buffer_Type type;
  size_t bytes;
};

inline constexpr ElementType kTypes[] = {
    {"float32", PJRT_Buffer_Type_F32, 4},    {"float64", PJRT_Buffer_Type_F64, 8},  {"float16", PJRT_Buffer_Type_F16, 2},
    {"bfloat16", PJRT_Buffer_Type_BF16, 2},  {"int8", PJRT_Buffer_Type_S8, 1},      {"int16", PJRT_Buffer_Type_S16, 2},
    {"int32", PJRT_Buffer_Type_S32, 4},      {"int64", PJRT_Buffer_Type_S64, 8},    {"uint8", PJRT_Buffer_Type_U8, 1},
    {"uint16", PJRT_Buffer_Type_U16, 2},     {"uint32", PJRT_Buffer_Type_U32, 4},   {"uint64", PJRT_Buffer_Type_U64, 8},
    {"bool", PJRT_Buffer_Type_PRED, 1},      {"complex64", PJRT_Buffer_Type_C64, 8}, {"complex128", PJRT_Buffer_Type_C128, 16},
};

// nullptr for other names.
inline const ElementType* typeNamed(const std::string& name) {
  for (const ElementType& type : kTypes)
    if (name == type.name) return &type;
  return nullptr;
}

}  // namespace jorch::rt
