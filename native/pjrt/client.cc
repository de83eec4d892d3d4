/** @file Creating clients and compiling with them. */
#include "client.h"

#include <sched.h>
#include <stdlib.h>

#include <map>
#include <mutex>
#include <thread>

#include "executable.h"

namespace jorch::pjrt {

namespace {

// XLA sizes its thread pools by this variable or else by the cores it may use, one when the client is made, another when a program first needs it; there is no
// option for it. One budget for libtorch's threads and XLA's: what bounds the former bounds the latter.
constexpr const char* kThreads = "PJRT_NPROC";
void shareThreadBudget() {
  const char* budget = getenv("OMP_NUM_THREADS");
  const int threads = budget != nullptr ? atoi(budget) : 0;
  if (threads > 0) setenv(kThreads, std::to_string(threads).c_str(), 0);
}

// As XLA counts them. std::thread::hardware_concurrency() is the machine's cores with some versions of glibc, whatever this process may use of them.
int usableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::thread::hardware_concurrency());
}

/** Plugins refuse options they do not know, and before there is a client only the file's name says what they are. */
NamedOptions withDefaults(const Plugin& plugin, NamedOptions options) {
  const std::string file = plugin.path().substr(plugin.path().rfind('/') + 1);
  // A second addressable device would only split XLA's thread pool.
  if (file.find("cpu") != std::string::npos) {
    options.emplace("cpu_device_count", int64_t{1});
    // Every call waits for its result: handing the program to another thread and back would only add the two wake-ups.
    options.emplace("asynchronous", false);
  }
  // XLA would take its share of the card at once, beside libtorch's own allocator.
  if (file.find("cuda") != std::string::npos) {
    options.emplace("preallocate", false);
    options.emplace("memory_fraction", 0.75f);
  }
  return options;
}

PJRT_DeviceDescription* descriptionOf(const PJRT_Api* api, PJRT_Device* device) {
  auto args = make<PJRT_Device_GetDescription_Args>();
  args.device = device;
  call(api, args);
  return args.device_description;
}

// What of XLA_FLAGS goes with every compilation.
OptionOverrides flagsOf(const char* text) {
  OptionOverrides flags = parseXlaFlags(text);
  flags.erase("xla_backend_extra_options");  // the plugin has read it
  return flags;
}

// The clients of this process, leaked like them.
struct Clients {
  std::mutex mutex;
  std::map<std::pair<const Plugin*, NamedOptions>, Client*> of;
};
Clients& clients() {
  static auto* all = new Clients;
  return *all;
}

}  // namespace

Client& Client::get(Plugin& plugin, NamedOptions options) {
  options = withDefaults(plugin, std::move(options));
  std::lock_guard<std::mutex> lock(clients().mutex);
  auto key = std::make_pair(static_cast<const Plugin*>(&plugin), std::move(options));
  Client*& found = clients().of[key];
  if (found == nullptr) found = new Client(plugin, key.second);
  return *found;
}

void Client::adopt(Plugin& plugin, PJRT_Client* client) {
  std::lock_guard<std::mutex> lock(clients().mutex);
  Client*& found = clients().of[{&plugin, withDefaults(plugin, {})}];
  if (found == nullptr) found = new Client(plugin, client);
}

Client::Client(Plugin& plugin, PJRT_Client* client) : plugin_(plugin), client_(client), flags_(flagsOf(getenv("XLA_FLAGS"))) { describe(); }

Client::Client(Plugin& plugin, const NamedOptions& options) : plugin_(plugin) {
  HiddenXlaFlags hidden(smallLoopFlags(getenv("XLA_FLAGS")).c_str());
  shareThreadBudget();
  flags_ = flagsOf(hidden.text());

  const auto values = namedValues(options);
  auto create = make<PJRT_Client_Create_Args>();
  create.create_options = values.data();
  create.num_options = values.size();
  call(api(), create);
  client_ = create.client;
  describe();
}

void Client::describe() {
  auto platform = make<PJRT_Client_PlatformName_Args>();
  platform.client = client_;
  call(api(), platform);
  platform_.assign(platform.platform_name, platform.platform_name_size);

  auto version = make<PJRT_Client_PlatformVersion_Args>();
  version.client = client_;
  call(api(), version);
  platformVersion_.assign(version.platform_version, version.platform_version_size);

  auto devices = make<PJRT_Client_AddressableDevices_Args>();
  devices.client = client_;
  call(api(), devices);
  if (devices.num_addressable_devices == 0)
    throw PjrtError(PJRT_Error_Code_NOT_FOUND, "PJRT_Client_AddressableDevices", platform_ + " has no device on this machine");
  devices_.assign(devices.addressable_devices, devices.addressable_devices + devices.num_addressable_devices);
  for (PJRT_Device* device : devices_) {
    auto id = make<PJRT_DeviceDescription_Id_Args>();
    id.device_description = descriptionOf(api(), device);
    call(api(), id);
    deviceIds_.push_back(id.id);
  }
  auto kind = make<PJRT_DeviceDescription_Kind_Args>();
  kind.device_description = descriptionOf(api(), device());
  call(api(), kind);
  deviceKind_.assign(kind.device_kind, kind.device_kind_size);
}

std::string Client::compileOptions(const OptionOverrides& overrides, const Partitioning& partitioning) const {
  OptionOverrides merged = overrides;
  merged.insert(flags_.begin(), flags_.end());
  if (isCpu()) merged.merge(cpuDefaults());
  return encodeCompileOptions(merged, partitioning);
}

std::string Client::identity() const {
  // XLA splits loops by the number of threads it has.
  const char* limit = getenv(kThreads);
  return platform_ + "\n" + platformVersion_ + "\n" + deviceKind_ + "\n" + std::to_string(plugin_.apiMinor()) + "\n" +
         (devices_.size() == 1 ? "" : std::to_string(devices_.size()) + " devices\n") + (limit ? limit : std::to_string(usableCores())) +
         "\n" + smallLoopFlags(getenv("XLA_FLAGS"));
}

std::shared_ptr<Executable> Client::compile(const std::string& stablehlo, const OptionOverrides& overrides, const Partitioning& partitioning) {
  checkProgramSizes(stablehlo);
  const std::string options = compileOptions(overrides, partitioning);
  const PJRT_Program program = mlirProgram(stablehlo);
  auto args = make<PJRT_Client_Compile_Args>();
  args.client = client_;
  args.program = &program;
  args.compile_options = options.data();
  args.compile_options_size = options.size();
  try {
    call(api(), args);
  } catch (const PjrtError& error) {
    for (const auto& flag : flags_)  // the user never wrote these into a compile() call: say where they are
      if (error.message().find(flag.first) != std::string::npos) throw PjrtError(error.code(), "XLA_FLAGS", error.message());
    throw;
  }
  return std::make_shared<Executable>(*this, args.executable);
}

std::shared_ptr<Executable> Client::deserialize(const std::string& bytes) {
  auto args = make<PJRT_Executable_DeserializeAndLoad_Args>();
  args.client = client_;
  args.serialized_executable = bytes.data();
  args.serialized_executable_size = bytes.size();
  call(api(), args);
  return std::make_shared<Executable>(*this, args.loaded_executable);
}

}  // namespace jorch::pjrt
