/** @file The process may exit while threads of ours are inside XLA or libtorch. */
#pragma once

namespace jorch::pjrt {

/** Counts a thread of ours as working while it lives. */
class Working {
 public:
  Working() noexcept;
  ~Working();
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;
};

/**
 * Static destructors of libtorch and XLA run while the process exits, also under threads that compute; what those then touch is gone. From now
 * on the process leaves at once, with its status, when a thread of ours works at that moment. Handlers run in reverse order: only one registered
 * after a library was loaded runs before its destructors, so call it again then.
 */
void guardExit();

}  // namespace jorch::pjrt
