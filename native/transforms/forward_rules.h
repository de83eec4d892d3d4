/** @file Forward mode for backward operators that libtorch's C++ part has none for. */
#pragma once

namespace jorch::transforms {

/** Once per process, before any operator runs. */
void registerForwardRules();

/** While a transform takes the gradients of a level that is still open: that level records its own backward, and nobody asks for derivatives of the record. */
class OwnBackward {
 public:
  explicit OwnBackward(bool own);
  ~OwnBackward();
  OwnBackward(const OwnBackward&) = delete;
  OwnBackward& operator=(const OwnBackward&) = delete;

 private:
  const bool before_;
};

}  // namespace jorch::transforms
