/** @file Loading a plugin, its FFI extension, and keeping it quiet. */
#include "plugin.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>

#include "extension.h"
#include "quiet_stderr.h"

namespace jorch::pjrt {
namespace {

std::mutex& mutex() {
  static auto* m = new std::mutex;  // leaked like the plugins: handlers may run while static destructors do
  return *m;
}

// The FFI extension's header is in no wheel; this is xla/pjrt/c/pjrt_c_api_ffi_extension.h (openxla/xla) up to the field we
// need. Unlike every other argument struct this one has no extension_start.
struct FfiRegisterArgs {
  size_t struct_size;
  const char* target_name;
  size_t target_name_size;
  void* handler;
  const char* platform_name;
  size_t platform_name_size;
  int traits;
};
struct FfiExtension {
  PJRT_Extension_Base base;
  void* type_register;
  void* user_data_add;
  PJRT_Error* (*register_handler)(FfiRegisterArgs*);
};

const FfiExtension* findFfi(const PJRT_Api* api) {
  const auto* ffi = findExtension<FfiExtension>(api, PJRT_Extension_Type_FFI);
  return ffi != nullptr && ffi->register_handler != nullptr ? ffi : nullptr;
}

// In words of our own, with the path that was tried: what loads the plugin may be far from who named it.
[[noreturn]] void unusable(const std::string& path, const std::string& why) {
  throw PjrtError(PJRT_Error_Code_NOT_FOUND, "RUNTIME_MISSING",
                  "the XLA plugin " + path + " cannot be used: " + why +
                      ". jorch's own comes with: npm install --force jorch (or npx jorch install); another is named by JORCH_PJRT_PLUGIN");
}

}  // namespace

Plugin& Plugin::load(const std::string& path) {
  static auto* plugins = new std::map<std::string, Plugin*>;
  std::lock_guard<std::mutex> lock(mutex());
  auto found = plugins->find(path);
  if (found == plugins->end()) found = plugins->emplace(path, new Plugin(path)).first;
  return *found->second;
}

void Plugin::quiet() {
  // XLA repeats every error, and some warnings, on stderr. Its threshold is read from this variable the first time the plugin
  // logs; without overwrite, so that JORCH users can still ask for the lines.
  setenv("TF_CPP_MIN_LOG_LEVEL", "3", /*overwrite=*/0);
}

Plugin::Plugin(const std::string& path) : path_(path) {
  quiet();
  std::optional<QuietStderr> silence;
  if (path.find("cuda") != std::string::npos) silence.emplace();

  // RTLD_LOCAL: two plugins export the same protobuf marks, and nothing of a plugin may shadow libtorch's symbols.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) unusable(path, dlerror());
  auto* get = reinterpret_cast<const PJRT_Api* (*)()>(dlsym(library, "GetPjrtApi"));
  if (get == nullptr) unusable(path, "it is no PJRT plugin (no GetPjrtApi)");
  api_ = get();
  if (api_ == nullptr) unusable(path, "its GetPjrtApi gives nothing");
  const auto& version = api_->pjrt_api_version;
  const std::string speaks = "it speaks PJRT API " + std::to_string(version.major_version) + "." + std::to_string(version.minor_version);
  if (version.major_version != PJRT_API_MAJOR) unusable(path, speaks + ", jorch " + std::to_string(PJRT_API_MAJOR) + "." + std::to_string(PJRT_API_MINOR));
  // Later functions are asked for one by one; without these nothing runs.
  if (!has<PJRT_Plugin_Initialize_Args>(api_) || !has<PJRT_Client_Create_Args>(api_) || !has<PJRT_Client_Compile_Args>(api_) || !has<PJRT_LoadedExecutable_Execute_Args>(api_))
    unusable(path, speaks + ", which lacks what jorch needs");
  auto args = make<PJRT_Plugin_Initialize_Args>();
  call(api_, args);
  ffi_ = findFfi(api_);
}

std::vector<std::pair<std::string, std::string>> Plugin::attributes() const {
  auto args = make<PJRT_Plugin_Attributes_Args>();
  call(api_, args);
  std::vector<std::pair<std::string, std::string>> result;
  for (size_t i = 0; i < args.num_attributes; i++) {
    const PJRT_NamedValue& a = args.attributes[i];
    std::string text;
    switch (a.type) {
      case PJRT_NamedValue_kString: text.assign(a.string_value, a.value_size); break;
      case PJRT_NamedValue_kInt64: text = std::to_string(a.int64_value); break;
      case PJRT_NamedValue_kInt64List:
        for (size_t j = 0; j < a.value_size; j++) text += (j ? "." : "") + std::to_string(a.int64_array_value[j]);
        break;
      case PJRT_NamedValue_kFloat: text = std::to_string(a.float_value); break;
      case PJRT_NamedValue_kBool: text = a.bool_value ? "true" : "false"; break;
    }
    result.emplace_back(std::string(a.name, a.name_size), std::move(text));
  }
  return result;
}

void Plugin::registerHandler(const std::string& name, void* handler, const std::string& platform) {
  std::lock_guard<std::mutex> lock(mutex());
  const std::string key = platform + "/" + name;
  if (std::find(handlers_.begin(), handlers_.end(), key) != handlers_.end()) return;
  if (ffi_ == nullptr) throw PjrtError(PJRT_Error_Code_UNIMPLEMENTED, "PJRT_FFI_Register_Handler", path_ + " has no FFI extension");
  FfiRegisterArgs args{sizeof(FfiRegisterArgs), name.data(), name.size(), handler, platform.data(), platform.size(), 0};
  if (PJRT_Error* error = static_cast<const FfiExtension*>(ffi_)->register_handler(&args))
    raise(api_, "PJRT_FFI_Register_Handler", error);
  handlers_.push_back(key);
}

}  // namespace jorch::pjrt
