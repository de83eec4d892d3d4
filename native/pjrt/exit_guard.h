/** @file The process may exit while threads of ours are inside XLA or libtorch. */
#pragma once

#include <napi.h>

namespace jorch::pjrt {

/** While it lives, a thread of ours works, or has been asked to. */
class Working {
 public:
  Working() noexcept;
  ~Working();
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;
};

/**
 * Static destructors of libtorch and XLA run while the process exits, also under threads that compute; what those then touch is gone. From now
 * on the process leaves at once, with its status, when a thread of ours works at that moment. Handlers run in reverse order, and both libraries
 * make statics whenever something runs for the first time: this has to be the last thing before the process exits.
 */
void guardExit();

/** guardExit(), for JavaScript: see lib/runtime/load.ts. */
void initExitGuard(Napi::Env env, Napi::Object exports);

}  // namespace jorch::pjrt
