/** @file Memory of a program's results for libtorch's kernels to compute in: what they return need not be copied. */
#pragma once

#include <cstddef>
#include <vector>

namespace jorch::program {

/**
 * Kernels take the memory of their results from libtorch's allocator. While one of these lives, the first blocks of exactly these sizes that its
 * thread takes are the given ones. A kernel may take one for something else that has the same size: whoever lends looks where a result lies.
 */
class ResultMemory {
 public:
  struct Block {
    void* data;
    size_t bytes;
    bool lent = false;
  };
  explicit ResultMemory(std::vector<Block> blocks);
  ~ResultMemory() { stop(); }
  ResultMemory(const ResultMemory&) = delete;
  ResultMemory& operator=(const ResultMemory&) = delete;
  /** What nobody took by now is lent no more. */
  void stop();
  /** Whether it is the beginning of a block that was taken. */
  bool isLent(const void* data) const;

  /** Makes libtorch's CPU allocator one that lends; before there are any tensors, since a storage keeps its allocator. Idempotent. */
  static void install();

 private:
  std::vector<Block> blocks_;
  ResultMemory* outer_;
  bool lending_ = true;
  friend class LendingAllocator;
};

}  // namespace jorch::program
