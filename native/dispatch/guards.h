// Arguments with which libtorch's own kernels end the process, never end, or are written to.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <c10/util/SmallVector.h>

namespace jorch {

// Throws c10::Error for arguments that must not reach the kernel. Looks at data of plain CPU tensors only: traced ones are looked at when
// the program runs (native/program/aten_call.cc).
using Check = void (*)(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args);

// Gives an operator other arguments than the caller's, which mean the same.
using Mend = void (*)(torch::jit::Stack& stack);

// The checks of an operator; nearly all need none.
class Guard {
 public:
  explicit Guard(const c10::FunctionSchema& schema);
  explicit operator bool() const { return !checks_.empty() || mend_; }
  void operator()(const c10::FunctionSchema& schema, torch::jit::Stack& stack) const {
    for (const Check check : checks_) check(schema, stack);
    if (mend_) mend_(stack);
  }

 private:
  c10::SmallVector<Check, 1> checks_;
  Mend mend_ = nullptr;
};

// Whether an operator is a part of libtorch's own that trusts its caller, and no program needs: it is not offered.
bool isInternal(const c10::FunctionSchema& schema);

}  // namespace jorch
