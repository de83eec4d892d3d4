/** @file Keeps the memory of a program's temporaries in the process between its runs. */
#pragma once

#include <cstdint>

namespace jorch::pjrt {

/**
 * glibc takes every block above 32 MiB from the system and gives it back when it is freed: a program with such temporaries would see each of their
 * pages mapped and cleared anew in every run (a third of a training step's time). While one of these lives, blocks of any size come from the heap,
 * which keeps that much when it is free. Does nothing for less, for more than half a gigabyte, without glibc, and where MALLOC_MMAP_MAX_ or
 * MALLOC_TRIM_THRESHOLD_ says what is wanted.
 */
class KeptHeap {
 public:
  explicit KeptHeap(int64_t bytes);
  ~KeptHeap();
  KeptHeap(const KeptHeap&) = delete;
  KeptHeap& operator=(const KeptHeap&) = delete;

 private:
  bool active_;
};

}  // namespace jorch::pjrt
