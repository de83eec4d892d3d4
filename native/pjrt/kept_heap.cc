/** @file What malloc keeps. */
#include "kept_heap.h"

#include <malloc.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <mutex>

namespace jorch::pjrt {

namespace {

constexpr int64_t kLittle = 256 << 10;
constexpr int64_t kFromSystem = 32 << 20;  // the most that M_MMAP_THRESHOLD may be
constexpr int64_t kMost = 512 << 20;
constexpr int kMappings = 65536;  // glibc's default for M_MMAP_MAX

#if defined(__GLIBC__)
bool allowed() {
  static const bool result = getenv("MALLOC_MMAP_MAX_") == nullptr && getenv("MALLOC_MMAP_THRESHOLD_") == nullptr && getenv("MALLOC_TRIM_THRESHOLD_") == nullptr;
  return result;
}

struct Heap {
  std::mutex mutex;
  int users = 0;
  std::atomic<int64_t> kept{0};
  static Heap& one() {
    static auto* heap = new Heap;
    return *heap;
  }
};

void keep(int64_t bytes) {
  Heap& heap = Heap::one();
  if (bytes <= heap.kept.load(std::memory_order_relaxed)) return;
  std::lock_guard<std::mutex> lock(heap.mutex);
  // Setting one of them ends glibc's own adjustment of both: they are set to where that would lead.
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(kFromSystem));
  // libtorch's kernels have temporaries of the same sizes.
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(std::clamp(4 * bytes, 2 * kFromSystem, 2 * kMost)));
  heap.kept = std::max(bytes, kFromSystem / 2);
}

void enter() {
  Heap& heap = Heap::one();
  std::lock_guard<std::mutex> lock(heap.mutex);
  if (heap.users++ == 0) mallopt(M_MMAP_MAX, 0);
}

void leave() {
  Heap& heap = Heap::one();
  std::lock_guard<std::mutex> lock(heap.mutex);
  if (--heap.users == 0) mallopt(M_MMAP_MAX, kMappings);
}
#else
bool allowed() { return false; }
void keep(int64_t) {}
void enter() {}
void leave() {}
#endif

}  // namespace

KeptHeap::KeptHeap(int64_t bytes) : active_(false) {
  if (bytes < kLittle || bytes > kMost || !allowed()) return;
  keep(bytes);
  active_ = bytes > kFromSystem / 2;
  if (active_) enter();
}

KeptHeap::~KeptHeap() {
  if (active_) leave();
}

}  // namespace jorch::pjrt
