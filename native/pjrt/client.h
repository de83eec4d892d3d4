/** @file A plugin's runtime on this machine: its device, its threads, its compiler. */
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api.h"
#include "options.h"
#include "plugin.h"

namespace jorch::pjrt {

class Executable;

/**
 * Clients are shared by everything in the process that asks for the same plugin and options, and never destroyed: buffers that
 * JavaScript's garbage collector frees late must not outlive them, and plugins' teardown at exit is where others crash.
 */
class Client {
 public:
  /**
   * The client of `plugin` with `options`; CPU plugins get `cpu_device_count = 1`, CUDA plugins `preallocate = false` unless told
   * otherwise. XLA's pools have a thread, some two, for each of PJRT_NPROC, else OMP_NUM_THREADS (the former is set to the latter then), else each core. Throws PjrtError.
   */
  static Client& get(Plugin& plugin, NamedOptions options = {});

  /**
   * Makes `client`, which another copy of this code made with `get` for `plugin`, the one that `get` gives here for no options; ignored when
   * there is one already. Two clients of one plugin would each have threads for all cores.
   */
  static void adopt(Plugin& plugin, PJRT_Client* client);

  /**
   * Compiles StableHLO text. `overrides` win over XLA_FLAGS, which win over jorch's defaults (cpuDefaults). Throws TooLarge before XLA sees a value of 2^38 elements,
   * PjrtError otherwise. Thread-safe; takes 10–200 ms and more.
   */
  std::shared_ptr<Executable> compile(const std::string& stablehlo, const OptionOverrides& overrides = {}, const Partitioning& partitioning = {});

  /** What `compile` tells XLA: a serialized CompileOptionsProto. Part of what an executable depends on. */
  std::string compileOptions(const OptionOverrides& overrides = {}, const Partitioning& partitioning = {}) const;
  /** Plugin, platform, device and threads, as text: executables of another identity must not be loaded. */
  std::string identity() const;

  /**
   * Loads what Executable::serialize gave, on the same plugin version and CPU. The bytes must be known to be whole (checksum):
   * XLA may end the process on damaged ones. Throws PjrtError.
   */
  std::shared_ptr<Executable> deserialize(const std::string& bytes);

  Plugin& plugin() const noexcept { return plugin_; }
  const PJRT_Api* api() const noexcept { return plugin_.api(); }
  PJRT_Client* get() const noexcept { return client_; }
  /** The device that everything but partitioned programs runs on: the first. */
  PJRT_Device* device() const noexcept { return devices_[0]; }
  /** All that this process can use. */
  const std::vector<PJRT_Device*>& devices() const noexcept { return devices_; }
  /** Their global ids, in the same order. */
  const std::vector<int64_t>& deviceIds() const noexcept { return deviceIds_; }
  /** Held while a program runs on several devices. */
  std::mutex& collectives() noexcept { return collectives_; }
  bool isCpu() const noexcept { return platform_ == "cpu"; }
  const std::string& platform() const noexcept { return platform_; }
  const std::string& platformVersion() const noexcept { return platformVersion_; }
  const std::string& deviceKind() const noexcept { return deviceKind_; }

 private:
  Client(Plugin& plugin, const NamedOptions& options);
  Client(Plugin& plugin, PJRT_Client* client);
  /** Asks the client what it is. */
  void describe();

  Plugin& plugin_;
  PJRT_Client* client_ = nullptr;
  std::vector<PJRT_Device*> devices_;
  std::vector<int64_t> deviceIds_;
  std::mutex collectives_;
  std::string platform_, platformVersion_, deviceKind_;
  OptionOverrides flags_;
};

}  // namespace jorch::pjrt
