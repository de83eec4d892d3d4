/** @file ATen operators inside compiled programs: the custom call `jorch_aten`, which runs libtorch's own CPU kernel on XLA's buffers. */
#pragma once

#include <c10/core/ScalarType.h>

#include <string>
#include <string_view>

#include "../pjrt/plugin.h"

namespace jorch::program {

/** Makes `stablehlo.custom_call @jorch_aten` work for programs of `plugin` (platform HOST). Idempotent. Throws PjrtError. */
void registerAtenCall(pjrt::Plugin& plugin);

/**
 * Parses the text of a `call` attribute as the handler will, so that a program with a wrong one fails when it is compiled and not
 * when it runs. The text's grammar:
 *
 *   aten::name.overload|FIELD|FIELD…->OUT;OUT…       one FIELD per schema argument, one OUT per tensor result, lists flattened
 *   FIELD  T next operand · T? undefined tensor · TL<n> list of the next n operands · TO<mask> Tensor?[], one 0 or 1 each · N None
 *          b0|b1 · i<int> · f<double> · c<re>,<im> · I[1,2] · F[0.5] · B[1,0] · s<percent-encoded> · d<dtype> · m<memory format>
 *   OUT    float32[4,4]{4,1} dtype, sizes and (ignored: results are row-major) strides · - for an undefined result
 *
 * Throws c10::Error that names the operator, the argument and the field.
 */
void checkAtenCall(std::string_view text);

/**
 * If `message` is what XLA made of an error inside a `jorch_aten` call, the error's own text (torch's message); else empty.
 */
std::string atenCallError(std::string_view message);

/** torch's dtype by jorch's name for it (`float32`); throws c10::Error for a name that is none. */
c10::ScalarType dtypeByName(std::string_view name);

}  // namespace jorch::program
