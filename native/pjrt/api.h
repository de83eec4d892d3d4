/** @file One checked way to call a PJRT plugin: `call(api, args)` finds the function from the type of its arguments, and errors become PjrtError. */
#pragma once

#include <pjrt_c_api.h>

#include <cstddef>
#include <stdexcept>
#include <string>

namespace jorch::pjrt {

/** What a plugin reported: `what()` is the plugin's message after the name of the function that failed. */
class PjrtError : public std::runtime_error {
 public:
  PjrtError(PJRT_Error_Code code, const char* function, const std::string& message)
      : std::runtime_error(std::string(function) + ": " + message), code_(code), function_(function), message_(message) {}

  PJRT_Error_Code code() const noexcept { return code_; }
  /** `INVALID_ARGUMENT`, `RESOURCE_EXHAUSTED`, … (absl's names). */
  const char* codeName() const noexcept;
  const char* function() const noexcept { return function_; }
  /** The plugin's text alone, without the function's name. */
  const std::string& message() const noexcept { return message_; }

 private:
  PJRT_Error_Code code_;
  const char* function_;
  std::string message_;
};

/** A value has so many elements that XLA would end the process instead of reporting it. */
class TooLarge : public PjrtError {
 public:
  TooLarge(const char* where, const std::string& message) : PjrtError(PJRT_Error_Code_INVALID_ARGUMENT, where, message) {}
};

/** Takes ownership of `error` and throws it as a PjrtError. */
[[noreturn]] void raise(const PJRT_Api* api, const char* function, PJRT_Error* error);
[[noreturn]] void raiseMissing(const PJRT_Api* api, const char* function);
/** Frees an error nobody will read. */
void drop(const PJRT_Api* api, PJRT_Error* error) noexcept;

/** Which function takes `Args`, and the size that the C header states for them (not sizeof: tail padding must stay unclaimed). */
template <class Args>
struct Function;

#define JORCH_PJRT_FUNCTION(fn)                                        \
  template <>                                                          \
  struct Function<fn##_Args> {                                         \
    static constexpr size_t argsSize = fn##_Args_STRUCT_SIZE;          \
    static constexpr size_t end = offsetof(PJRT_Api, fn) + sizeof(void*); \
    static constexpr auto member = &PJRT_Api::fn;                      \
    static constexpr const char* name = #fn;                           \
  };

JORCH_PJRT_FUNCTION(PJRT_Plugin_Initialize)
JORCH_PJRT_FUNCTION(PJRT_Plugin_Attributes)
JORCH_PJRT_FUNCTION(PJRT_Event_Destroy)
JORCH_PJRT_FUNCTION(PJRT_Event_IsReady)
JORCH_PJRT_FUNCTION(PJRT_Event_Await)
JORCH_PJRT_FUNCTION(PJRT_Event_OnReady)
JORCH_PJRT_FUNCTION(PJRT_Client_Create)
JORCH_PJRT_FUNCTION(PJRT_Client_PlatformName)
JORCH_PJRT_FUNCTION(PJRT_Client_PlatformVersion)
JORCH_PJRT_FUNCTION(PJRT_Client_AddressableDevices)
JORCH_PJRT_FUNCTION(PJRT_Client_Compile)
JORCH_PJRT_FUNCTION(PJRT_Client_BufferFromHostBuffer)
JORCH_PJRT_FUNCTION(PJRT_Client_CreateViewOfDeviceBuffer)
JORCH_PJRT_FUNCTION(PJRT_Device_GetDescription)
JORCH_PJRT_FUNCTION(PJRT_DeviceDescription_Id)
JORCH_PJRT_FUNCTION(PJRT_DeviceDescription_Kind)
JORCH_PJRT_FUNCTION(PJRT_Executable_Destroy)
JORCH_PJRT_FUNCTION(PJRT_Executable_NumOutputs)
JORCH_PJRT_FUNCTION(PJRT_Executable_OutputElementTypes)
JORCH_PJRT_FUNCTION(PJRT_Executable_OutputDimensions)
JORCH_PJRT_FUNCTION(PJRT_Executable_OptimizedProgram)
JORCH_PJRT_FUNCTION(PJRT_Executable_GetCostAnalysis)
JORCH_PJRT_FUNCTION(PJRT_Executable_GetCompiledMemoryStats)
JORCH_PJRT_FUNCTION(PJRT_Executable_Serialize)
JORCH_PJRT_FUNCTION(PJRT_Executable_DeserializeAndLoad)
JORCH_PJRT_FUNCTION(PJRT_LoadedExecutable_Destroy)
JORCH_PJRT_FUNCTION(PJRT_LoadedExecutable_GetExecutable)
JORCH_PJRT_FUNCTION(PJRT_LoadedExecutable_Execute)
JORCH_PJRT_FUNCTION(PJRT_Buffer_Destroy)
JORCH_PJRT_FUNCTION(PJRT_Buffer_ToHostBuffer)
JORCH_PJRT_FUNCTION(PJRT_Buffer_OnDeviceSizeInBytes)
JORCH_PJRT_FUNCTION(PJRT_Buffer_UnsafePointer)
JORCH_PJRT_FUNCTION(PJRT_Buffer_ReadyEvent)
JORCH_PJRT_FUNCTION(PJRT_Buffer_IncreaseExternalReferenceCount)
JORCH_PJRT_FUNCTION(PJRT_Buffer_DecreaseExternalReferenceCount)
JORCH_PJRT_FUNCTION(PJRT_Buffer_OpaqueDeviceMemoryDataPointer)
JORCH_PJRT_FUNCTION(PJRT_TopologyDescription_Create)
JORCH_PJRT_FUNCTION(PJRT_TopologyDescription_Destroy)
JORCH_PJRT_FUNCTION(PJRT_Compile)
#undef JORCH_PJRT_FUNCTION

/** Zeroed arguments with `struct_size` set. */
template <class Args>
inline Args make() noexcept {
  Args args{};
  args.struct_size = Function<Args>::argsSize;
  return args;
}

/** True when the plugin is new enough to have the function that takes `Args`. */
template <class Args>
inline bool has(const PJRT_Api* api) noexcept {
  return Function<Args>::end <= api->struct_size && api->*Function<Args>::member != nullptr;
}

/** Calls the function that takes `Args`; an error is returned, not thrown, and belongs to the caller. */
template <class Args>
inline PJRT_Error* tryCall(const PJRT_Api* api, Args& args) {
  if (!has<Args>(api)) raiseMissing(api, Function<Args>::name);
  return (api->*Function<Args>::member)(&args);
}

/** Calls the function that takes `Args`. Throws PjrtError. */
template <class Args>
inline void call(const PJRT_Api* api, Args& args) {
  if (PJRT_Error* error = tryCall(api, args)) raise(api, Function<Args>::name, error);
}

}  // namespace jorch::pjrt
