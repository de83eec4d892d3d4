/** @file Descriptions of cards, and compiling against one. */
#include "topology.h"

#include <mutex>

namespace jorch::pjrt {
namespace {

/** What XLA's cost model and code generator ask about a card; NVIDIA's figures, as xla/backends/gpu/target_config/specs has them. */
struct GpuTarget {
  const char* name;
  const char* description;
  int computeMajor;
  bool accelerated;  // sm_90a: wgmma and the like
  int cores;
  int fpusPerCore;
  int sharedPerCore;
  int sharedPerBlockOptin;
  int64_t bandwidth;  // bytes per second
  int64_t l2Bytes;
  int64_t memoryBytes;
  double clockGhz;
};

constexpr GpuTarget kTargets[] = {
    {"a100", "NVIDIA A100-SXM4-80GB", 8, false, 108, 64, 167936, 166912, 2039040000000, 41943040, 85100068864, 1.41},
    {"h100", "NVIDIA H100 80GB HBM3", 9, true, 132, 128, 233472, 232448, 3352320000000, 52428800, 84942979072, 1.98},
    {"h200", "NVIDIA H200 141GB HBM3e", 9, true, 132, 128, 233472, 232448, 4800000000000, 52428800, 151397597184, 1.98},
    {"b200", "NVIDIA B200", 10, true, 148, 128, 233472, 232448, 7672320000000, 132644864, 191514411008, 1.965},
};

/** A GpuTargetConfigProto in protobuf's text format. */
std::string targetConfig(const GpuTarget& t) {
  const auto field = [](const char* name, auto value) { return std::string(name) + ": " + std::to_string(value) + " "; };
  return "gpu_device_info { " + field("threads_per_block_limit", 1024) + field("threads_per_warp", 32) +
         field("shared_memory_per_block", 49152) + field("shared_memory_per_core", t.sharedPerCore) +
         field("threads_per_core_limit", 2048) + field("core_count", t.cores) + field("fpus_per_core", t.fpusPerCore) +
         field("block_dim_limit_x", 2147483647) + field("block_dim_limit_y", 65535) + field("block_dim_limit_z", 65535) +
         field("thread_dim_limit_x", 1024) + field("thread_dim_limit_y", 1024) + field("thread_dim_limit_z", 64) +
         field("memory_bandwidth", t.bandwidth) + field("l2_cache_size", t.l2Bytes) + field("clock_rate_ghz", t.clockGhz) +
         field("device_memory_size", t.memoryBytes) + field("shared_memory_per_block_optin", t.sharedPerBlockOptin) +
         "cuda_compute_capability { " + field("major", t.computeMajor) + (t.accelerated ? "feature_extension: ACCELERATED_FEATURES " : "") +
         "} " + field("registers_per_core_limit", 65536) + field("registers_per_block_limit", 65536) +
         "} platform_name: \"CUDA\" dnn_version_info { major: 9 minor: 10 } device_description_str: \"" + t.description + "\"";
}

class Topology {
 public:
  Topology(const PJRT_Api* api, const GpuTarget& target) : api_(api) {
    const NamedOptions options{{"target_config", targetConfig(target)}, {"topology", std::string("1x1x1")}};
    const auto values = namedValues(options);
    const std::string name = target.name;
    auto args = make<PJRT_TopologyDescription_Create_Args>();
    args.topology_name = name.data();
    args.topology_name_size = name.size();
    args.create_options = values.data();
    args.num_options = values.size();
    call(api, args);
    topology_ = args.topology;
  }
  ~Topology() {
    auto args = make<PJRT_TopologyDescription_Destroy_Args>();
    args.topology = topology_;
    if (PJRT_Error* error = api_->PJRT_TopologyDescription_Destroy(&args)) drop(api_, error);
  }
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;
  const PJRT_TopologyDescription* get() const { return topology_; }

 private:
  const PJRT_Api* api_;
  PJRT_TopologyDescription* topology_ = nullptr;
};

const GpuTarget& targetByName(const std::string& name) {
  std::string known;
  for (const GpuTarget& target : kTargets) {
    if (name == target.name) return target;
    known += (known.empty() ? "" : ", ") + std::string(target.name);
  }
  throw PjrtError(PJRT_Error_Code_INVALID_ARGUMENT, "compileFor", "no target is named '" + name + "'; there are " + known);
}

}  // namespace

std::vector<std::string> gpuTargets() {
  std::vector<std::string> names;
  for (const GpuTarget& target : kTargets) names.emplace_back(target.name);
  return names;
}

std::unique_ptr<Compiled> compileFor(Plugin& plugin, const std::string& target, const std::string& stablehlo,
                                     const std::string& cudaDirectory, const OptionOverrides& overrides) {
  checkProgramSizes(stablehlo);
  const GpuTarget& card = targetByName(target);

  // One at a time: the environment is changed meanwhile, and ptxas is a process that uses every core anyway.
  static auto* mutex = new std::mutex;
  std::lock_guard<std::mutex> lock(*mutex);
  HiddenXlaFlags hidden;
  OptionOverrides merged = overrides;
  merged.merge(parseXlaFlags(hidden.text()));
  merged.emplace("xla_gpu_cuda_data_dir", cudaDirectory);

  const Topology topology(plugin.api(), card);
  const std::string options = encodeCompileOptions(merged);
  const PJRT_Program program = mlirProgram(stablehlo);
  auto args = make<PJRT_Compile_Args>();
  args.topology = topology.get();
  args.program = &program;
  args.compile_options = options.data();
  args.compile_options_size = options.size();
  call(plugin.api(), args);
  return std::make_unique<Compiled>(plugin.api(), args.executable);
}

}  // namespace jorch::pjrt
