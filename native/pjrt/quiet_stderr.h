/** @file Keeps a plugin's log lines off stderr while it loads. */
#pragma once

namespace jorch::pjrt {

/**
 * While it lives, stderr goes to memory; then what is no line of absl's log is passed on. The CUDA plugin logs from its static
 * initialisers, before it looks at TF_CPP_MIN_LOG_LEVEL. Does nothing when that variable asks for such lines.
 */
class QuietStderr {
 public:
  QuietStderr();
  ~QuietStderr();
  QuietStderr(const QuietStderr&) = delete;
  QuietStderr& operator=(const QuietStderr&) = delete;

 private:
  int original_ = -1;
  int memory_ = -1;
};

}  // namespace jorch::pjrt
