/** @file The profiler extension of PJRT plugins. */
#include "profiler.h"

#include "extension.h"

namespace jorch::pjrt {
namespace {

// The extension's headers are in no wheel; these are the structs of xla/pjrt/c/pjrt_c_api_profiler_extension.h and
// xla/backends/profiler/plugin/profiler_c_api.h (openxla/xla).
struct Error;
struct ErrorArgs {
  size_t struct_size;
  void* priv;
  Error* error;
};
struct MessageArgs {
  size_t struct_size;
  void* priv;
  Error* error;
  const char* message;
  size_t message_size;
};
struct CreateArgs {
  size_t struct_size;
  const char* options;
  size_t options_size;
  void* profiler;
};
struct ProfilerArgs {
  size_t struct_size;
  void* profiler;
};
struct CollectArgs {
  size_t struct_size;
  void* profiler;
  uint8_t* buffer;
  size_t buffer_size;
};
struct Functions {
  size_t struct_size;
  void* priv;
  void (*error_destroy)(ErrorArgs*);
  void (*error_message)(MessageArgs*);
  void* error_get_code;
  Error* (*create)(CreateArgs*);
  Error* (*destroy)(ProfilerArgs*);
  Error* (*start)(ProfilerArgs*);
  Error* (*stop)(ProfilerArgs*);
  Error* (*collect)(CollectArgs*);
};
struct Extension {
  PJRT_Extension_Base base;
  const Functions* functions;
};
constexpr int kProfilerExtension = 1;

// tensorflow.ProfileOptions: version 1, the device type left open, spans of the host at level 2 and of the device at level 1, no spans of Python.
constexpr char kOptions[] = {/*host_tracer_level=*/2 << 3, 2, /*device_tracer_level=*/3 << 3, 1, /*python_tracer_level=*/4 << 3, 0,
                             /*version=*/5 << 3, 1, /*device_type=*/6 << 3, 0, /*enable_hlo_proto=*/7 << 3, 0};

const Functions* functionsOf(const Plugin& plugin) noexcept {
  const auto* extension = findExtension<Extension>(plugin.api(), kProfilerExtension);
  const Functions* functions = extension ? extension->functions : nullptr;
  return functions != nullptr && functions->struct_size >= sizeof(Functions) ? functions : nullptr;
}

void check(const Functions& functions, const char* what, Error* error) {
  if (error == nullptr) return;
  MessageArgs text{sizeof(MessageArgs), functions.priv, error, nullptr, 0};
  functions.error_message(&text);
  const std::string message(text.message ? text.message : "", text.message ? text.message_size : 0);
  ErrorArgs args{sizeof(ErrorArgs), functions.priv, error};
  functions.error_destroy(&args);
  throw PjrtError(PJRT_Error_Code_INTERNAL, what, message);
}

}  // namespace

bool Profiler::isThere(const Plugin& plugin) noexcept { return functionsOf(plugin) != nullptr; }

Profiler::Profiler(const Plugin& plugin) : functions_(functionsOf(plugin)) {
  if (functions_ == nullptr) throw PjrtError(PJRT_Error_Code_UNIMPLEMENTED, "PLUGIN_Profiler_Create", plugin.path() + " has no profiler");
  const auto& functions = *static_cast<const Functions*>(functions_);
  CreateArgs create{sizeof(CreateArgs), kOptions, sizeof kOptions, nullptr};
  check(functions, "PLUGIN_Profiler_Create", functions.create(&create));
  profiler_ = create.profiler;
  ProfilerArgs args{sizeof(ProfilerArgs), profiler_};
  if (Error* error = functions.start(&args)) {
    functions.destroy(&args);
    check(functions, "PLUGIN_Profiler_Start", error);
  }
}

Profiler::~Profiler() {
  const auto& functions = *static_cast<const Functions*>(functions_);
  ProfilerArgs args{sizeof(ProfilerArgs), profiler_};
  if (Error* error = functions.destroy(&args)) {
    ErrorArgs last{sizeof(ErrorArgs), functions.priv, error};
    functions.error_destroy(&last);
  }
}

std::string Profiler::stop() {
  const auto& functions = *static_cast<const Functions*>(functions_);
  ProfilerArgs args{sizeof(ProfilerArgs), profiler_};
  check(functions, "PLUGIN_Profiler_Stop", functions.stop(&args));
  CollectArgs collect{sizeof(CollectArgs), profiler_, nullptr, 0};
  check(functions, "PLUGIN_Profiler_CollectData", functions.collect(&collect));
  std::string bytes;
  if (collect.buffer != nullptr) {
    // XLA's plugins: a place of their own, as long as the profiler lives, with one byte behind the message.
    bytes.assign(reinterpret_cast<const char*>(collect.buffer), collect.buffer_size > 0 ? collect.buffer_size - 1 : 0);
  } else {
    // As the header has it: the first call says how many bytes there are, the second writes them.
    bytes.resize(collect.buffer_size);
    collect.buffer = reinterpret_cast<uint8_t*>(bytes.data());
    check(functions, "PLUGIN_Profiler_CollectData", functions.collect(&collect));
  }
  return bytes;
}

}  // namespace jorch::pjrt
