/** @file A compiled function: eager tensors in, one PJRT execution, eager tensors out, no copies on the way. */
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <c10/util/ArrayRef.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../pjrt/client.h"
#include "../pjrt/executable.h"
#include "../tensor/handles.h"

namespace jorch::program {

struct InputSpec {
  std::vector<int64_t> sizes;
  c10::ScalarType dtype;
};

struct OutputSpec {
  std::vector<int64_t> sizes;
  c10::ScalarType dtype;
  /**
   * What eager libtorch would have; empty means row-major. Anything dense is allowed: the program then returns the dimensions in
   * the order of falling strides, row-major, so that as_strided(result, sizes, strides) is right.
   */
  std::vector<int64_t> strides;
  /** Of the vectors of small results that the program returns behind the others: which one it is in, or -1, and from which byte on. */
  int32_t pack = -1;
  int64_t offset = 0;
  int64_t bytes = 0;   // of its values, and
  size_t returned = 0;  // which of the executable's results it is, or is in; Program computes both
};

/** What a program gives. */
struct Outputs final : Forms {
  explicit Outputs(std::vector<OutputSpec> given) : specs(std::move(given)) {}
  at::Tensor over(uint32_t index, c10::DataPtr memory) const override;
  std::vector<OutputSpec> specs;
};

/**
 * The CPU client of the plugin at `path`, with `jorch_aten` registered. One per process and path.
 * Throws PjrtError.
 */
pjrt::Client& cpuClient(const std::string& path);
/** Makes `client`, which jorch_rt.node made for the same plugin, that client, unless there is one. */
void adoptCpuClient(const std::string& path, PJRT_Client* client);

/** PJRT's element type for a torch dtype. Throws c10::Error for one that XLA does not have (quantized, float8, …). */
PJRT_Buffer_Type elementType(c10::ScalarType dtype);

/**
 * Lets libtorch share the memory of a program's result copy-on-write: its deleter then needs nothing but the address. False for
 * other memory.
 */
bool makeSimple(c10::StorageImpl& storage);

/** Results that a run may leave unmade, and what then makes them: the numbers of the results are its indices. */
struct Later {
  const std::vector<bool>& results;
  std::unique_ptr<Unmade> unmade;
};

/** What runs behind a compiled call. */
class Callable {
 public:
  virtual ~Callable() = default;
  /** As Program::run. */
  virtual void run(c10::ArrayRef<at::Tensor> args, std::vector<at::Tensor>& outs, bool inPlace = false, Later* later = nullptr) = 0;
};
/** The same values as a plain row-major CPU tensor. */
at::Tensor materialize(const at::Tensor& tensor);
/** A row-major buffer with the values of a CPU tensor; large ones are copied while this thread goes on, and libtorch keeps them from who writes to the tensor. Throws PjrtError. */
pjrt::Buffer upload(const pjrt::Client& client, const at::Tensor& tensor);

/** Safe to run from several threads at once. */
class Program final : public Callable {
 public:
  /**
   * `device`: 0 for the CPU, or the number of the device (native/device) that the executable was compiled for: results are tensors there then.
   * Throws c10::Error when the specs do not fit the executable: another count of results, strides that are not dense.
   */
  Program(std::shared_ptr<pjrt::Executable> executable, std::vector<InputSpec> inputs, std::vector<OutputSpec> outputs, c10::DeviceIndex device = 0);
  /** Output `output` may be computed in the memory of argument `input`, as the program's text says. */
  void donate(size_t input, size_t output) { donated_[input] = static_cast<int64_t>(output); }

  /**
   * Runs the program on `args` (CPU tensors of exactly the specs' sizes and dtypes, any strides, conj and neg bits and zero tensors
   * allowed) and puts fresh CPU tensors, which own their memory, into `outs`. Blocks until done.
   * Throws c10::Error for arguments that do not fit and, with torch's own message, for what an ATen call inside raised;
   * PjrtError for everything XLA reports. A failed run leaves `outs` empty.
   * `inPlace`: donated arguments may be overwritten; their results are then the same memory. A failed run leaves anything in them.
   * `later`: these results are left undefined.
   */
  void run(c10::ArrayRef<at::Tensor> args, std::vector<at::Tensor>& outs, bool inPlace = false, Later* later = nullptr) override;

  const std::vector<InputSpec>& inputs() const noexcept { return inputs_; }
  const std::vector<OutputSpec>& outputs() const noexcept { return outputs_->specs; }
  /** Bytes that the results of one run hold, for memory accounting. */
  int64_t outputBytes() const noexcept { return outputBytes_; }
  pjrt::Executable& executable() const noexcept { return *executable_; }

 private:
  /** PJRT's view of caller memory at `data`: it owns nothing, so the memory may be freed, and reused, under it. */
  struct Wrapped {
    const void* data = nullptr;
    pjrt::Buffer buffer;
  };
  /** The two latest: loops that alternate between two tensors (double buffering, a line search) hit as well. */
  struct Slot {
    Wrapped latest, previous;
  };
  class Arguments;
  class Packed;

  /** Returns as soon as the program has begun; CPU tensors among the arguments are copied to the device. */
  void runOnDevice(c10::ArrayRef<at::Tensor> args, std::vector<at::Tensor>& outs, bool inPlace);

  PJRT_Buffer* argument(size_t index, const at::Tensor& tensor, Arguments& held, bool inPlace);
  at::Tensor result(size_t index, pjrt::Buffer buffer) const;

  std::shared_ptr<pjrt::Executable> executable_;
  c10::DeviceIndex device_;
  std::vector<InputSpec> inputs_;
  std::shared_ptr<const Forms> forms_;
  const Outputs* outputs_ = nullptr;  // those
  std::vector<PJRT_Buffer_Type> inputTypes_;
  /** Per output: its row-major dimensions, shared with the tensors so that they can come back as arguments without wrapping. */
  std::vector<std::shared_ptr<const InputSpec>> physical_;
  int64_t outputBytes_ = 0;

  std::vector<int64_t> donated_;  // per input: the output that takes its memory, or -1
  std::vector<Slot> slots_;
  std::atomic_flag slotsTaken_ = ATOMIC_FLAG_INIT;
};

}  // namespace jorch::program
