/** @file The recorded program: values, pure ATen calls, inputs and baked constants. */
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <vector>

namespace jorch::trace {

/** One tensor of the program. `strides` are those eager libtorch would have; values are row-major for lowering. */
struct ValueInfo {
  int64_t id;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  c10::ScalarType dtype;
};

/** An argument: tensors are value ids (-1: undefined or None), everything else stays an IValue. */
struct Arg {
  enum class Kind { Plain, Tensor, Tensors };
  Kind kind = Kind::Plain;
  c10::IValue plain;
  std::vector<int64_t> ids;
};

/** A result: one id (-1: undefined), or the ids of a returned list. */
struct Out {
  bool list = false;
  std::vector<int64_t> ids;
};

/** One call of a pure operator, arguments in schema order with defaults filled in. */
struct Node {
  const c10::FunctionSchema* schema;  // nullptr: an operator of our own, with arguments `operands` and `attachment`
  std::string op;  // "aten::add.Tensor", "aten::relu"
  std::vector<Arg> args;
  std::vector<Out> outs;
  int32_t line = 0;  // its place in lib/runtime/lines.ts
};

/** A literal born in the trace: contiguous, on the CPU. */
struct Constant {
  int64_t id;
  at::Tensor data;
};

struct Graph {
  std::vector<ValueInfo> values;  // indexed by id
  std::vector<int64_t> inputs;
  std::vector<Constant> constants;
  std::vector<Node> nodes;  // in the order they were recorded, hence topological
};

}  // namespace jorch::trace
