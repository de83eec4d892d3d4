/** @file The text of an ATen call inside a program, and what it means. */
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <c10/core/ScalarType.h>

#include <memory>
#include <string_view>
#include <vector>

#include "dispatch/guards.h"

namespace jorch::program {

/** What one call attribute says, ready to run: `stack` holds every argument, tensors are filled in per call. */
struct AtenCall {
  enum class Operand { One, List, OptionalList };
  /** What an operand's memory, which XLA counts row by row, is to the kernel. */
  enum class Order { Rows, ChannelsLast, Transposed };
  struct Slot {
    size_t argument;
    Operand kind;
    std::vector<bool> present;  // of a list: which elements take an operand
    Order order = Order::Rows;
  };
  struct Out {
    bool defined;
    c10::ScalarType dtype;
    std::vector<int64_t> sizes, strides;
    bool transposed = false;
    int64_t flag = -1;  // of a factorisation: the result that says whether it failed
  };

  /** What is done to the result of a convolution before it leaves the cache: float32, images whose channels lie last. */
  struct Step {
    enum class Kind { Normalise, AtLeast, AtMost, Add, Average } kind;
    double number = 0;                  // eps, or the bound
    bool weight = false, bias = false;  // of Normalise: whether there are such operands, behind mean and variance
    size_t operands() const { return kind == Kind::Add ? 1 : kind == Kind::Normalise ? 2u + weight + bias : 0; }
  };

  explicit AtenCall(c10::OperatorHandle handle) : op(std::move(handle)), guard(op.schema()) {}
  c10::OperatorHandle op;
  Guard guard;
  std::vector<c10::IValue> stack;
  std::vector<Slot> slots;
  std::vector<Out> outs;
  size_t operands = 0;
  bool convolves = false;
  bool lends = false;  // computes large results in the program's own memory
  std::vector<Step> steps;  // their operands are behind those of the operator
};

/**
 * Parses the text of a `call` attribute (written by lib/lowering/aten-call.ts):
 *
 *   aten::name.overload|FIELD|FIELD…|->OUT;OUT…      one FIELD per schema argument, one OUT per tensor result, lists flattened
 *   FIELD  T next operand · Tc the same, a batch of images with their channels last in memory · Tt matrices, transposed
 *          T? undefined tensor · TL<n> list of the next n operands · TO<mask> Tensor?[], one 0 or 1 each · N None
 *          b0|b1 · i<int> · f<double> · c<re>,<im> · I[1,2] · F[0.5] · B[1,0] · s<percent-encoded> · d<dtype> · m<memory format>
 *   OUT    float32[4,4]{4,1} dtype, sizes and strides, then t when the kernel's result is the transpose, and n<k> when it is
 *          to be NaN wherever result k, one integer per matrix, is not 0 · - for an undefined result
 *
 * and behind the result of a convolution of images, with &STEP each, what is done to it:
 *   STEP   n<weight><bias>,<eps> batch norm by given statistics; operands mean, variance and, where the digit is 1, weight and bias
 *          l<number> and u<number> numbers below or above it become it · + the next operand, an image of the same shape, is added
 *          m, the last one: the result is the mean of each channel of an image
 *
 * Throws c10::Error that names the operator, the argument and the field.
 */
std::shared_ptr<const AtenCall> parseAtenCall(std::string_view text);

/** torch's dtype by jorch's name for it (`float32`); throws c10::Error for a name that is none. */
c10::ScalarType dtypeByName(std::string_view name);

}  // namespace jorch::program
