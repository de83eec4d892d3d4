/** @file CompileOptionsProto by hand, XLA_FLAGS, and the sizes XLA cannot take. */
#include "options.h"

#include <stdlib.h>

#include <cctype>
#include <cstring>

namespace jorch::pjrt {
namespace {

// A few messages do not justify linking protobuf, whose symbols clash with libtorch's. Field numbers:
// xla/pjrt/proto/compile_options.proto of openxla/xla (proto field numbers never change).
enum : int {
  kCompileOptions_executable_build_options = 3,
  kCompileOptions_env_option_overrides = 7,  // map<string, OptionOverrideProto>: a repeated message {1: key, 2: value}
  kBuildOptions_num_replicas = 4,
  kBuildOptions_num_partitions = 5,
  kBuildOptions_use_spmd_partitioning = 6,
  kBuildOptions_device_assignment = 9,
  kBuildOptions_allow_spmd_sharding_propagation_to_output = 12,
  kBuildOptions_use_shardy_partitioner = 19,
  kDeviceAssignment_replica_count = 1,  // xla/xla_data.proto
  kDeviceAssignment_computation_count = 2,
  kDeviceAssignment_computation_devices = 3,
  kComputationDevice_replica_device_ids = 1,
  kMapEntry_key = 1,
  kMapEntry_value = 2,
  kOverride_string = 1,
  kOverride_bool = 2,
  kOverride_int64 = 3,
  kOverride_double = 4,
};
// A map, which overrides cannot set.
constexpr char kBackendExtraOptions[] = "xla_backend_extra_options";
constexpr char kSmallLoops[] = "xla_cpu_small_while_loop_byte_threshold=1000000";

enum WireType : int { kVarint = 0, kFixed64 = 1, kBytes = 2 };

void varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}
void tag(std::string& out, int field, WireType type) { varint(out, static_cast<uint64_t>(field) << 3 | type); }
void integer(std::string& out, int field, uint64_t value) {
  tag(out, field, kVarint);
  varint(out, value);
}
void bytes(std::string& out, int field, const std::string& value) {
  tag(out, field, kBytes);
  varint(out, value.size());
  out += value;
}

std::string encodeOverride(const OptionValue& value) {
  std::string out;
  if (auto* s = std::get_if<std::string>(&value)) bytes(out, kOverride_string, *s);
  else if (auto* b = std::get_if<bool>(&value)) integer(out, kOverride_bool, *b);
  else if (auto* i = std::get_if<int64_t>(&value)) integer(out, kOverride_int64, static_cast<uint64_t>(*i));
  else {
    const double d = std::get<double>(value);
    char raw[sizeof d];
    std::memcpy(raw, &d, sizeof d);
    tag(out, kOverride_double, kFixed64);
    out.append(raw, sizeof raw);
  }
  return out;
}

[[noreturn]] void tooLarge(const char* where, const std::string& shape) {
  throw TooLarge(where, "a tensor of shape [" + shape + "] has more than " + std::to_string(kMaxElements) +
                            " elements (2^38 - 1), the most that XLA can handle");
}

}  // namespace

std::string encodeCompileOptions(const OptionOverrides& overrides, const Partitioning& partitioning) {
  const auto& devices = partitioning.devices;
  std::string build;
  integer(build, kBuildOptions_num_replicas, 1);
  integer(build, kBuildOptions_num_partitions, devices.empty() ? 1 : devices.size());
  if (!devices.empty()) {
    std::string assignment;
    integer(assignment, kDeviceAssignment_replica_count, 1);
    integer(assignment, kDeviceAssignment_computation_count, devices.size());
    for (int64_t id : devices) {
      std::string ids, device;
      varint(ids, static_cast<uint64_t>(id));
      bytes(device, kComputationDevice_replica_device_ids, ids);
      bytes(assignment, kDeviceAssignment_computation_devices, device);
    }
    integer(build, kBuildOptions_use_spmd_partitioning, 1);
    bytes(build, kBuildOptions_device_assignment, assignment);
    integer(build, kBuildOptions_use_shardy_partitioner, 1);
    // XLA takes a single value for all of them, and none for "nowhere".
    if (!partitioning.freeResults.empty())
      bytes(build, kBuildOptions_allow_spmd_sharding_propagation_to_output, std::string(partitioning.freeResults.begin(), partitioning.freeResults.end()));
  }
  std::string out;
  bytes(out, kCompileOptions_executable_build_options, build);
  for (const auto& [name, value] : overrides) {
    std::string entry;
    bytes(entry, kMapEntry_key, name);
    bytes(entry, kMapEntry_value, encodeOverride(value));
    bytes(out, kCompileOptions_env_option_overrides, entry);
  }
  return out;
}

HiddenXlaFlags::HiddenXlaFlags(const char* instead) {
  if (const char* flags = getenv("XLA_FLAGS")) flags_ = flags;
  if (instead != nullptr) setenv("XLA_FLAGS", instead, 1);
  else unsetenv("XLA_FLAGS");
}

HiddenXlaFlags::~HiddenXlaFlags() {
  if (flags_) setenv("XLA_FLAGS", flags_->c_str(), 1);
  else unsetenv("XLA_FLAGS");
}

std::string smallLoopFlags(const char* userFlags) {
  const OptionOverrides given = parseXlaFlags(userFlags);
  const auto own = given.find(kBackendExtraOptions);
  const std::string* text = own == given.end() ? nullptr : std::get_if<std::string>(&own->second);
  return std::string("--") + kBackendExtraOptions + "=" + (text ? *text : std::string(kSmallLoops));
}

std::vector<PJRT_NamedValue> namedValues(const NamedOptions& options) {
  std::vector<PJRT_NamedValue> result;
  for (const auto& [name, value] : options) {
    PJRT_NamedValue n{};
    n.struct_size = PJRT_NamedValue_STRUCT_SIZE;
    n.name = name.data();
    n.name_size = name.size();
    n.value_size = 1;
    if (auto* s = std::get_if<std::string>(&value)) {
      n.type = PJRT_NamedValue_kString;
      n.string_value = s->data();
      n.value_size = s->size();
    } else if (auto* i = std::get_if<int64_t>(&value)) {
      n.type = PJRT_NamedValue_kInt64;
      n.int64_value = *i;
    } else if (auto* f = std::get_if<float>(&value)) {
      n.type = PJRT_NamedValue_kFloat;
      n.float_value = *f;
    } else {
      n.type = PJRT_NamedValue_kBool;
      n.bool_value = std::get<bool>(value);
    }
    result.push_back(n);
  }
  return result;
}

PJRT_Program mlirProgram(const std::string& text) {
  PJRT_Program program{};
  program.struct_size = PJRT_Program_STRUCT_SIZE;
  program.code = const_cast<char*>(text.data());  // the field is also an output of other functions; compilers only read it
  program.code_size = text.size();
  program.format = "mlir";
  program.format_size = 4;
  return program;
}

OptionOverrides parseXlaFlags(const char* text) {
  OptionOverrides result;
  while (text != nullptr && *text != '\0') {
    if (std::isspace(static_cast<unsigned char>(*text))) {
      text++;
      continue;
    }
    const char* end = text;
    while (*end != '\0' && !std::isspace(static_cast<unsigned char>(*end))) end++;
    const std::string flag(text, end);
    text = end;
    if (flag.size() < 3 || flag.compare(0, 2, "--") != 0)
      throw PjrtError(PJRT_Error_Code_INVALID_ARGUMENT, "XLA_FLAGS", "expected --name or --name=value, got '" + flag + "'");
    const size_t equals = flag.find('=');
    const std::string name = flag.substr(2, equals == std::string::npos ? equals : equals - 2);
    const std::string value = equals == std::string::npos ? "true" : flag.substr(equals + 1);
    // XLA_FLAGS takes `true`, overrides only `True`; as a real bool it is right in both spellings.
    if (value == "true" || value == "True") result[name] = true;
    else if (value == "false" || value == "False") result[name] = false;
    else result[name] = value;
  }
  return result;
}

OptionOverrides cpuDefaults() {
  // On by default, and then maximum(x, NaN) is x.
  return {{"xla_cpu_enable_fast_min_max", false}};
}

void checkElementCount(const char* where, const int64_t* dims, size_t count) {
  int64_t elements = 1;
  bool over = false, empty = false;
  for (size_t i = 0; i < count; i++) {
    empty |= dims[i] == 0;
    over |= dims[i] < 0 || __builtin_mul_overflow(elements, dims[i], &elements) || elements > kMaxElements;
    if (over) elements = 1;  // keep looking for a zero: [2^40, 0] is an empty tensor and fine
  }
  if (!over || empty) return;
  std::string shape;
  for (size_t i = 0; i < count; i++) shape += (i ? ", " : "") + std::to_string(dims[i]);
  tooLarge(where, shape);
}

void checkProgramSizes(std::string_view text) {
  static constexpr std::string_view open = "tensor<";
  for (size_t at = text.find(open); at != std::string_view::npos; at = text.find(open, at)) {
    at += open.size();
    const size_t begin = at;
    int64_t elements = 1;
    bool over = false, empty = false;
    while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]))) {
      int64_t dim = 0;
      for (; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])); at++)
        if (__builtin_mul_overflow(dim, int64_t{10}, &dim) || __builtin_add_overflow(dim, int64_t{text[at] - '0'}, &dim)) dim = kMaxElements + 1;
      if (at >= text.size() || text[at] != 'x') break;
      at++;
      empty |= dim == 0;
      if (__builtin_mul_overflow(elements, dim, &elements) || elements > kMaxElements) over = true, elements = 1;
    }
    if (over && !empty) tooLarge("compile", std::string(text.substr(begin, at - begin - 1)));
  }
}

}  // namespace jorch::pjrt
