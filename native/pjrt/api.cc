/** @file How a plugin's error becomes a C++ exception. */
#include "api.h"

namespace jorch::pjrt {

const char* PjrtError::codeName() const noexcept {
  static constexpr const char* names[] = {
      "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
      "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
      "UNAUTHENTICATED"};
  return code_ >= 0 && static_cast<size_t>(code_) < sizeof(names) / sizeof(names[0]) ? names[code_] : "UNKNOWN";
}

void drop(const PJRT_Api* api, PJRT_Error* error) noexcept {
  PJRT_Error_Destroy_Args args{PJRT_Error_Destroy_Args_STRUCT_SIZE, nullptr, error};
  api->PJRT_Error_Destroy(&args);
}

void raise(const PJRT_Api* api, const char* function, PJRT_Error* error) {
  PJRT_Error_Message_Args text{};
  text.struct_size = PJRT_Error_Message_Args_STRUCT_SIZE;
  text.error = error;
  api->PJRT_Error_Message(&text);
  std::string message(text.message, text.message_size);

  PJRT_Error_GetCode_Args code{};
  code.struct_size = PJRT_Error_GetCode_Args_STRUCT_SIZE;
  code.error = error;
  if (PJRT_Error* nested = api->PJRT_Error_GetCode(&code)) {
    drop(api, nested);
    code.code = PJRT_Error_Code_UNKNOWN;
  }
  drop(api, error);
  throw PjrtError(code.code, function, message);
}

void raiseMissing(const PJRT_Api* api, const char* function) {
  throw PjrtError(PJRT_Error_Code_UNIMPLEMENTED, function,
                  "the plugin (PJRT API " + std::to_string(api->pjrt_api_version.major_version) + "." +
                      std::to_string(api->pjrt_api_version.minor_version) + ") does not have this function");
}

}  // namespace jorch::pjrt
