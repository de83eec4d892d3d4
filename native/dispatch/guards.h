// Arguments with which libtorch's own kernels end the process, or never end.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <c10/util/SmallVector.h>

namespace jorch {

// Throws c10::Error for arguments that must not reach the kernel. Looks at data of plain CPU tensors only: traced ones are looked at when
// the program runs (native/program/aten_call.cc).
using Check = void (*)(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args);

// The checks of an operator; nearly all need none.
class Guard {
 public:
  explicit Guard(const c10::FunctionSchema& schema);
  explicit operator bool() const { return !checks_.empty(); }
  void operator()(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) const {
    for (const Check check : checks_) check(schema, args);
  }

 private:
  c10::SmallVector<Check, 1> checks_;
};

// Whether an operator is a part of libtorch's own that trusts its caller, and no program needs: it is not offered.
bool isInternal(const c10::FunctionSchema& schema);

}  // namespace jorch
