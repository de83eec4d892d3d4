// JavaScript values to IValues by an ATen schema's argument types, and results back.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

#include "addon.h"

namespace jorch {

// What a schema argument accepts.
struct ArgPlan {
  enum class Kind { Tensor, TensorList, OptionalTensorList, Scalar, Int, Float, Bool, String, DType, Device, Layout, MemoryFormat, IntList, FloatList, BoolList, ScalarList, Generator, Other };
  std::string name;
  Kind kind = Kind::Other;
  bool optional = false;     // None is a value
  bool hasDefault = false;
  bool keywordOnly = false;
  bool out = false;          // keyword-only, written to
  int64_t fixedLength = 0;   // int[2]: a lone number stands for all
  c10::IValue defaultValue;
  std::string typeText;      // for messages
  static ArgPlan of(const c10::Argument& argument);
};

// A JavaScript argument, looked at once.
struct JsArg {
  enum class Kind { Omitted, None, Bool, Int, Float, BigInt, String, Tensor, Array, TypedArray, Scalar, Object, Generator, Unsupported };
  Kind kind = Kind::Omitted;
  napi_value value = nullptr;
  TensorWrap* tensor = nullptr;
  double number = 0;
  // Arrays only, filled when first needed.
  mutable std::vector<JsArg> items;
  mutable bool itemsRead = false;
  const std::vector<JsArg>& elements(Addon& addon, napi_env env) const;
  static JsArg of(Addon& addon, napi_env env, napi_value value);
  // "a string", "number 2.5", "Tensor[3, 4] float32"
  std::string describe(Addon& addon, napi_env env) const;
};

// How freely to read an argument. Strict first: another overload may fit exactly.
enum class Reading {
  Strict,
  Loose,  // numbers as 0-d tensors, 0-d tensors as numbers (torch's own argument parser does both)
};

bool accepts(const ArgPlan& plan, const JsArg& arg, Reading reading, Addon& addon, napi_env env);
// Call only after accepts() said yes.
c10::IValue convert(const ArgPlan& plan, const JsArg& arg, Addon& addon, napi_env env);

// A plain object that may be the keywords of a call: not a tensor, array, Scalar, Generator, Map or class instance.
bool isPlainObject(napi_env env, const JsArg& arg);

napi_value toJs(Addon& addon, napi_env env, const c10::IValue& value, const c10::TypePtr& type);
at::Scalar scalarFrom(Addon& addon, napi_env env, const JsArg& arg);

}  // namespace jorch
