/** @file Lending memory through libtorch's CPU allocator. */
#include "result_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <mutex>

namespace jorch::program {

namespace {

thread_local ResultMemory* lender = nullptr;

// oneDNN takes blocks and gives them back by their address alone (Allocator::raw_deallocate), maybe on another thread: what is lent now.
std::mutex mutex;
std::vector<const void*> lent;
std::atomic<size_t> lentCount{0};
c10::Allocator* ordinary = nullptr;

bool takeBack(const void* data) {
  if (lentCount.load(std::memory_order_acquire) == 0) return false;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = std::find(lent.begin(), lent.end(), data);
  if (found == lent.end()) return false;
  lent.erase(found);
  lentCount.store(lent.size(), std::memory_order_release);
  return true;
}
void giveBack(void* data) {
  if (!takeBack(data)) ordinary->raw_deallocate(data);
}

}  // namespace

class LendingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (lender != nullptr)
      for (ResultMemory::Block& block : lender->blocks_)
        if (!block.lent && block.bytes == bytes) {
          {
            const std::lock_guard<std::mutex> lock(mutex);
            lent.push_back(block.data);
            lentCount.store(lent.size(), std::memory_order_release);
          }
          block.lent = true;
          return {block.data, block.data, &giveBack, c10::Device(c10::kCPU)};
        }
    return ordinary->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return &giveBack; }
  void copy_data(void* to, const void* from, size_t count) const override { ordinary->copy_data(to, from, count); }
};

ResultMemory::ResultMemory(std::vector<Block> blocks) : blocks_(std::move(blocks)), outer_(lender) { lender = this; }
void ResultMemory::stop() {
  if (!lending_) return;
  lending_ = false;
  lender = outer_;
}

bool ResultMemory::isLent(const void* data) const {
  return std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& block) { return block.lent && block.data == data; });
}

void ResultMemory::install() {
  static std::once_flag once;
  std::call_once(once, [] {
    ordinary = c10::GetCPUAllocator();
    c10::SetCPUAllocator(new LendingAllocator, /*priority=*/1);
  });
}

}  // namespace jorch::program
