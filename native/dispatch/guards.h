// Arguments with which libtorch's own kernels end the process, or never end.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace jorch {

// Throws c10::Error for arguments that must not reach the kernel. Looks at data of plain CPU tensors only: traced ones are looked at when
// the program runs (native/program/aten_call.cc).
using Guard = void (*)(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args);

// nullptr for the operators, nearly all, that need none.
Guard guardOf(const c10::FunctionSchema& schema);

}  // namespace jorch
