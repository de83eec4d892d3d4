/** @file ATen operators inside compiled programs: the custom call `jorch_aten`, which runs libtorch's own CPU kernel on XLA's buffers. */
#pragma once

#include <string>
#include <string_view>

#include "../pjrt/plugin.h"

namespace jorch::program {

/** Makes `stablehlo.custom_call @jorch_aten` work for programs of `plugin` (platform HOST). Idempotent. Throws PjrtError. */
void registerAtenCall(pjrt::Plugin& plugin);

/**
 * The same for programs on a GPU (platform CUDA), by libtorch's kernels for it on XLA's own stream: nothing is copied to the host and nothing waits.
 * Programs with such calls can be compiled from then on; running them needs libtorch's CUDA library. Idempotent. Throws PjrtError.
 */
void registerCudaAtenCall(pjrt::Plugin& plugin);

/**
 * Parses the text of a `call` attribute (aten_call_text.h) as the handler will, so that a program with a wrong one fails when it is
 * compiled and not when it runs. Throws c10::Error that names the operator, the argument and the field.
 */
void checkAtenCall(std::string_view text);

/**
 * If `message` is what XLA made of an error inside a `jorch_aten` call, the error's own text (torch's message); else empty.
 */
std::string atenCallError(std::string_view message);

}  // namespace jorch::program
