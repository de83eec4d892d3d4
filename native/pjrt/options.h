/** @file What jorch tells XLA about a compilation, as the serialized CompileOptionsProto that PJRT wants. */
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api.h"

namespace jorch::pjrt {

/** An XLA option by name, without dashes: `{"xla_cpu_enable_fast_math", false}`. */
using OptionValue = std::variant<std::string, bool, int64_t, double>;
using OptionOverrides = std::map<std::string, OptionValue>;

/** How one program is spread over several devices. */
struct Partitioning {
  /** Global ids, in the order in which the program's mesh counts its devices. Empty: one device, nothing is partitioned. */
  std::vector<int64_t> devices;
  /** Per result: whether XLA may choose how it is sharded; it is as the program says, or whole on every device, else. */
  std::vector<bool> freeResults;
};

/** One replica, one partition for each device, and `overrides` applied to XLA's debug options for this compilation only. */
std::string encodeCompileOptions(const OptionOverrides& overrides, const Partitioning& partitioning = {});

/**
 * The options that XLA_FLAGS holds (`--xla_a=1 --xla_b`), as overrides; a flag without a value is `true`.
 * Throws PjrtError INVALID_ARGUMENT for anything that is not `--name[=value]`.
 */
OptionOverrides parseXlaFlags(const char* text);

/**
 * XLA parses XLA_FLAGS once, while a plugin makes its first client or compiles ahead of time, and *exits the process* when it does
 * not know one of them. So a plugin never sees the variable: it is hidden meanwhile (and put back, for child processes), and its
 * flags are handed to each compilation as overrides, where an unknown one is an ordinary error that names it.
 */
class HiddenXlaFlags {
 public:
  explicit HiddenXlaFlags(const char* instead = nullptr);
  ~HiddenXlaFlags();
  HiddenXlaFlags(const HiddenXlaFlags&) = delete;
  HiddenXlaFlags& operator=(const HiddenXlaFlags&) = delete;
  /** What was hidden; nullptr when the variable was not set. */
  const char* text() const { return flags_ ? flags_->c_str() : nullptr; }

 private:
  std::optional<std::string> flags_;
};

/**
 * XLA_FLAGS that make XLA's CPU backend compile each loop whose round reads and writes at most this many bytes as one kernel. By itself it
 * does so up to 1 KiB only, and calls one kernel after the other for every fusion in the loop (figures in docs/PERFORMANCE.md).
 * A user's own `--xla_backend_extra_options` takes its place.
 */
std::string smallLoopFlags(const char* userFlags);

/** Options of a client or a topology, as plugins name them: `{"cpu_device_count", int64_t{1}}`, `{"preallocate", false}`. */
using NamedOptions = std::map<std::string, std::variant<std::string, int64_t, float, bool>>;
/** The same for the C API; points into `options`. */
std::vector<PJRT_NamedValue> namedValues(const NamedOptions& options);

/** StableHLO text for the C API; points into `text`. */
PJRT_Program mlirProgram(const std::string& text);

/**
 * What the CPU backend needs to keep torch's NaN rules (max, min, clamp, pooling: a NaN wins); reductions say so themselves
 * (lib/stablehlo/structured.ts). Measured with run-time inputs on API 0.115; lower in rank than XLA_FLAGS and than what a
 * compilation asks for.
 */
OptionOverrides cpuDefaults();

/** XLA ends the process for values of 2^38 elements and more; so do sizes that overflow. */
inline constexpr int64_t kMaxElements = (int64_t{1} << 38) - 1;

/** Throws TooLarge when the product of `dims` is over kMaxElements. */
void checkElementCount(const char* where, const int64_t* dims, size_t count);

/** Throws TooLarge when any `tensor<…>` type in StableHLO text, intermediates included, is over kMaxElements. */
void checkProgramSizes(std::string_view stablehlo);

}  // namespace jorch::pjrt
