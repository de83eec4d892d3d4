/** @file A PJRT plugin: a shared library that compiles and runs StableHLO, loaded once per process. */
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "api.h"

namespace jorch::pjrt {

class Plugin {
 public:
  /**
   * Loads the plugin at `path`, or returns the one already loaded from there. Plugins are never unloaded: they own threads.
   * Throws PjrtError (NOT_FOUND when it cannot be opened, with the loader's words; FAILED_PRECONDITION for another API major).
   */
  static Plugin& load(const std::string& path);

  /** Keeps plugins from repeating errors on stderr. Changes the environment, so call it where that is safe; `load` calls it too. */
  static void quiet();

  const PJRT_Api* api() const noexcept { return api_; }
  const std::string& path() const noexcept { return path_; }
  int apiMinor() const noexcept { return api_->pjrt_api_version.minor_version; }
  /** What the plugin says of itself: `xla_version`, `stablehlo_current_version` (as `1.20.0`), … */
  std::vector<std::pair<std::string, std::string>> attributes() const;

  bool hasFfi() const noexcept { return ffi_ != nullptr; }
  /**
   * Makes `handler` (an XLA_FFI_Handler) the target of custom calls named `name` on `platform` (`HOST`, `CUDA`).
   * Registering a name again is a no-op: XLA's registry is per plugin and refuses a second handler.
   */
  void registerHandler(const std::string& name, void* handler, const std::string& platform);

 private:
  explicit Plugin(const std::string& path);

  std::string path_;
  const PJRT_Api* api_ = nullptr;
  const void* ffi_ = nullptr;
  std::vector<std::string> handlers_;
};

}  // namespace jorch::pjrt
