/** @file Autocast on trace tensors. */
#pragma once
#include <c10/core/DispatchKey.h>
#include <torch/library.h>

namespace jorch::trace {

/** An autocast key of a device that is not here: trace tensors carry it, and while a trace is open it is not excluded. */
constexpr c10::DispatchKey kAutocastKey = c10::DispatchKey::AutocastIPU;

/** Casts the operands of the operators that autocast on the CPU casts. Part of registerKernels(). */
void registerAutocast();

}  // namespace jorch::trace
