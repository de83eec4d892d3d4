/** @file A compiled function over several devices: tensors in, one partitioned execution, sharded tensors out. */
#pragma once

#include <memory>
#include <vector>

#include "placement.h"
#include "program/program.h"
#include "sharded.h"

namespace jorch::shard {

/** Safe to run from several threads at once. */
class ShardedProgram : public program::Callable {
 public:
  struct Value {
    std::vector<int64_t> sizes;
    c10::ScalarType dtype;
    const Placement* placement;
  };
  /** Throws c10::Error when the results do not fit the executable. */
  ShardedProgram(std::shared_ptr<pjrt::Executable> executable, size_t devices, std::vector<Value> inputs, std::vector<Value> outputs);
  /** Output `output` may be computed in the memory of argument `input`, as the program's text says. */
  void donate(size_t input) { donated_[input] = true; }

  /**
   * Arguments that are sharded as the program wants them are given as they are; others are cut and put on the devices first. Blocks until done.
   * `inPlace`: donated arguments that nobody else holds are given away; after a failed run their values are lost.
   * Throws c10::Error for arguments that do not fit, PjrtError for what XLA reports. A failed run leaves `outs` empty.
   */
  void run(c10::ArrayRef<at::Tensor> args, std::vector<at::Tensor>& outs, bool inPlace = false, program::Later* later = nullptr) override;

 private:
  std::shared_ptr<pjrt::Executable> executable_;
  std::vector<Value> inputs_, outputs_;
  std::vector<bool> donated_;
  size_t deviceCount_;
};

}  // namespace jorch::shard
