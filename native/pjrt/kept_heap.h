/** @file Keeps the memory of a program's temporaries and results in the process between its runs. */
#pragma once

#include <cstdint>

namespace jorch::pjrt {

/**
 * glibc gives free memory back to the system, at once from 128 KiB on at the heap's end, and takes every block above 32 MiB from it: a program with
 * such temporaries or results would see their pages mapped and cleared anew in every run (a training step of 2.4 ms 250 pages, 0.6 ms; for large ones
 * a third of the time). From the first of them on the heap keeps what it has, 64 MiB or four times what a program needs; and while one with large
 * temporaries lives here, blocks of any size come from it. Does nothing for little memory, for more than half a gigabyte, without glibc, and where
 * a MALLOC_ variable says what is wanted.
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
