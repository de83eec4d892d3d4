#include "dispatch/convert.h"

#include <ATen/ATen.h>
#include <ATen/core/Generator.h>
#include <c10/core/MemoryFormat.h>
#include <c10/core/Scalar.h>

#include <cmath>

#include "dispatch/generator.h"
#include "dispatch/tracing.h"
#include "tensor/tensor.h"

namespace jorch {

namespace {

constexpr double kMaxSafe = 9007199254740991.0;

using Kind = ArgPlan::Kind;
using Js = JsArg::Kind;

Kind listKind(const c10::TypePtr& element) {
  if (element->kind() == c10::OptionalType::Kind) {
    const auto inner = element->expectRef<c10::OptionalType>().getElementType();
    return inner->isSubtypeOf(*c10::TensorType::get()) ? Kind::OptionalTensorList : Kind::Other;
  }
  switch (element->kind()) {
    case c10::TypeKind::TensorType: return Kind::TensorList;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Kind::IntList;
    case c10::TypeKind::FloatType: return Kind::FloatList;
    case c10::TypeKind::BoolType: return Kind::BoolList;
    case c10::TypeKind::NumberType: return Kind::ScalarList;
    default: return Kind::Other;
  }
}

Kind kindOf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType: return Kind::Tensor;
    case c10::TypeKind::NumberType: return Kind::Scalar;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Kind::Int;
    case c10::TypeKind::FloatType: return Kind::Float;
    case c10::TypeKind::BoolType:
    case c10::TypeKind::SymBoolType: return Kind::Bool;
    case c10::TypeKind::StringType: return Kind::String;
    case c10::TypeKind::ScalarTypeType: return Kind::DType;
    case c10::TypeKind::LayoutType: return Kind::Layout;
    case c10::TypeKind::MemoryFormatType: return Kind::MemoryFormat;
    case c10::TypeKind::DeviceObjType: return Kind::Device;
    case c10::TypeKind::GeneratorType: return Kind::Generator;
    case c10::TypeKind::ListType: return listKind(type->expectRef<c10::ListType>().getElementType());
    default: return Kind::Other;
  }
}

bool isNumber(Js kind) { return kind == Js::Int || kind == Js::Float || kind == Js::BigInt; }

bool isZeroDim(const JsArg& arg) { return arg.kind == Js::Tensor && !arg.tensor->disposed() && arg.tensor->tensor().dim() == 0; }

int64_t bigintOf(napi_env env, napi_value value, const char* what) {
  int64_t result = 0;
  bool lossless = false;
  check(env, napi_get_value_bigint_int64(env, value, &result, &lossless));
  if (!lossless) throw JsError("BAD_ARGUMENT", std::string(what) + ": the bigint does not fit into 64 bits");
  return result;
}

int64_t intOf(napi_env env, const JsArg& arg, const char* what) {
  if (arg.kind == Js::BigInt) return bigintOf(env, arg.value, what);
  if (arg.kind == Js::Bool) return arg.number != 0;
  if (arg.kind == Js::Tensor) return lifted(arg.tensor->get(what)).item<int64_t>();
  return static_cast<int64_t>(arg.number);
}

napi_value property(napi_env env, napi_value object, const char* name) {
  napi_value result;
  check(env, napi_get_named_property(env, object, name, &result));
  return result;
}

double numberOf(napi_env env, napi_value value) {
  double result = 0;
  check(env, napi_get_value_double(env, value, &result));
  return result;
}

c10::Device deviceFrom(napi_env env, const JsArg& arg) {
  std::string name = arg.kind == Js::String ? textOf(env, arg.value) : "";
  if (arg.kind == Js::Object) {
    napi_value made;
    check(env, napi_coerce_to_string(env, arg.value, &made));
    name = textOf(env, made);
  }
  try {
    return c10::Device(name);
  } catch (const c10::Error&) {
    throw JsError("BAD_ARGUMENT", "unknown device '" + name + "'; expected 'cpu', 'cuda', 'cuda:0' or 'meta'");
  }
}

c10::MemoryFormat memoryFormatFrom(const std::string& name) {
  if (name == "contiguous_format") return c10::MemoryFormat::Contiguous;
  if (name == "channels_last") return c10::MemoryFormat::ChannelsLast;
  if (name == "channels_last_3d") return c10::MemoryFormat::ChannelsLast3d;
  if (name == "preserve_format") return c10::MemoryFormat::Preserve;
  throw JsError("BAD_ARGUMENT", "unknown memory_format '" + name + "'; there are: contiguous_format channels_last channels_last_3d preserve_format");
}

bool looksLikeDevice(const std::string& name) {
  return name.rfind("cpu", 0) == 0 || name.rfind("cuda", 0) == 0 || name.rfind("meta", 0) == 0;
}

std::vector<double> typedNumbers(napi_env env, napi_value value) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  check(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr));
  std::vector<double> result(length);
  for (size_t i = 0; i < length; i++) {
    napi_value element;
    check(env, napi_get_element(env, value, i, &element));
    napi_valuetype kind;
    check(env, napi_typeof(env, element, &kind));
    result[i] = kind == napi_bigint ? static_cast<double>(bigintOf(env, element, "a typed array")) : numberOf(env, element);
  }
  return result;
}

}  // namespace

ArgPlan ArgPlan::of(const c10::Argument& argument) {
  ArgPlan plan;
  plan.name = argument.name();
  c10::TypePtr type = argument.real_type();
  if (type->kind() == c10::OptionalType::Kind) {
    plan.optional = true;
    type = type->expectRef<c10::OptionalType>().getElementType();
  }
  plan.kind = kindOf(type);
  plan.typeText = argument.real_type()->str();
  plan.hasDefault = argument.default_value().has_value();
  if (plan.hasDefault) plan.defaultValue = *argument.default_value();
  plan.keywordOnly = argument.kwarg_only();
  plan.out = argument.is_out();
  plan.fixedLength = argument.N().value_or(0);
  return plan;
}

JsArg JsArg::of(Addon& addon, napi_env env, napi_value value) {
  JsArg arg;
  arg.value = value;
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  switch (type) {
    case napi_undefined: arg.kind = Kind::Omitted; break;
    case napi_null: arg.kind = Kind::None; break;
    case napi_boolean: {
      bool b = false;
      check(env, napi_get_value_bool(env, value, &b));
      arg.kind = Kind::Bool;
      arg.number = b;
      break;
    }
    case napi_number:
      arg.number = numberOf(env, value);
      // -0 and everything that is not a safe integer is floating.
      arg.kind = std::trunc(arg.number) == arg.number && std::fabs(arg.number) <= kMaxSafe && !(arg.number == 0 && std::signbit(arg.number)) ? Kind::Int : Kind::Float;
      break;
    case napi_bigint: arg.kind = Kind::BigInt; break;
    case napi_string: arg.kind = Kind::String; break;
    case napi_object: {
      bool is = false;
      if (check(env, napi_is_array(env, value, &is)), is) {
        arg.kind = Kind::Array;
      } else if ((arg.tensor = TensorWrap::from(addon, env, value))) {
        arg.kind = Kind::Tensor;
      } else if (check(env, napi_is_typedarray(env, value, &is)), is) {
        arg.kind = Kind::TypedArray;
      } else if (generatorFrom(env, value)) {
        arg.kind = Kind::Generator;
      } else if (check(env, napi_has_named_property(env, value, "scalarKind", &is)), is) {
        arg.kind = Kind::Scalar;
      } else {
        arg.kind = Kind::Object;
      }
      break;
    }
    default: arg.kind = Kind::Unsupported;
  }
  return arg;
}

const std::vector<JsArg>& JsArg::elements(Addon& addon, napi_env env) const {
  if (itemsRead) return items;
  uint32_t length = 0;
  check(env, napi_get_array_length(env, value, &length));
  items.reserve(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    check(env, napi_get_element(env, value, i, &element));
    items.push_back(JsArg::of(addon, env, element));
  }
  itemsRead = true;
  return items;
}

std::string JsArg::describe(Addon& addon, napi_env env) const {
  const auto shown = [&](napi_value v) {
    napi_value s;
    return napi_coerce_to_string(env, v, &s) == napi_ok ? textOf(env, s) : std::string("?");
  };
  switch (kind) {
    case Kind::Omitted: return "undefined";
    case Kind::None: return "null";
    case Kind::Bool: return number != 0 ? "true" : "false";
    case Kind::Int:
    case Kind::Float: return "number " + shown(value);
    case Kind::BigInt: return "bigint " + shown(value);
    case Kind::String: return "'" + textOf(env, value) + "'";
    case Kind::Tensor: {
      if (tensor->disposed()) return "a disposed Tensor";
      std::string sizes;
      for (int64_t s : tensor->tensor().sizes()) sizes += (sizes.empty() ? "" : ", ") + std::to_string(s);
      return std::string("Tensor[") + sizes + "] " + dtypeName(tensor->tensor().scalar_type());
    }
    case Kind::Array: {
      std::string inner;
      const auto& all = elements(addon, env);
      for (size_t i = 0; i < all.size() && i < 4; i++) inner += (i ? ", " : "") + all[i].describe(addon, env);
      return "[" + inner + (all.size() > 4 ? ", …]" : "]");
    }
    case Kind::TypedArray: return "a typed array";
    case Kind::Scalar: return "a Scalar";
    case Kind::Generator: return "a Generator";
    case Kind::Object: return "an object";
    case Kind::Unsupported: return "a function or symbol";
  }
  return "?";
}

bool isPlainObject(napi_env env, const JsArg& arg) {
  if (arg.kind != Js::Object) return false;
  napi_value prototype, above;
  napi_valuetype type;
  check(env, napi_get_prototype(env, arg.value, &prototype));
  check(env, napi_typeof(env, prototype, &type));
  if (type == napi_null) return true;
  // Object.prototype of any realm: the object whose own prototype is null.
  check(env, napi_get_prototype(env, prototype, &above));
  check(env, napi_typeof(env, above, &type));
  return type == napi_null;
}

bool accepts(const ArgPlan& plan, const JsArg& arg, Reading reading, Addon& addon, napi_env env) {
  const bool loose = reading == Reading::Loose;
  if (arg.kind == Js::Omitted) return plan.hasDefault || plan.optional;
  if (arg.kind == Js::None) return plan.optional || (plan.kind == Kind::Tensor && plan.hasDefault);
  switch (plan.kind) {
    case Kind::Tensor: return arg.kind == Js::Tensor || (loose && (isNumber(arg.kind) || arg.kind == Js::Bool || arg.kind == Js::Scalar));
    case Kind::Scalar: return isNumber(arg.kind) || arg.kind == Js::Bool || arg.kind == Js::Scalar || (loose && isZeroDim(arg));
    case Kind::Int: return arg.kind == Js::Int || arg.kind == Js::BigInt || (loose && (isZeroDim(arg) || arg.kind == Js::Bool));
    case Kind::Float: return isNumber(arg.kind) || (arg.kind == Js::Scalar) || (loose && (isZeroDim(arg) || arg.kind == Js::Bool));
    case Kind::Bool: return arg.kind == Js::Bool;
    case Kind::String: return arg.kind == Js::String;
    case Kind::DType: return arg.kind == Js::String && isDtypeName(textOf(env, arg.value));
    case Kind::Device: return (arg.kind == Js::String && looksLikeDevice(textOf(env, arg.value))) || (arg.kind == Js::Object && !isPlainObject(env, arg));
    case Kind::Layout: return arg.kind == Js::String && textOf(env, arg.value) == "strided";
    case Kind::MemoryFormat: return arg.kind == Js::String && !isDtypeName(textOf(env, arg.value)) && !looksLikeDevice(textOf(env, arg.value));
    case Kind::Generator: return arg.kind == Js::Generator;
    case Kind::IntList:
      if (arg.kind == Js::TypedArray) return true;
      if (arg.kind == Js::Int || arg.kind == Js::BigInt) return plan.fixedLength > 0;
      if (arg.kind != Js::Array) return false;
      for (const auto& item : arg.elements(addon, env))
        if (item.kind != Js::Int && item.kind != Js::BigInt && !(loose && isZeroDim(item))) return false;
      return true;
    case Kind::FloatList:
    case Kind::ScalarList:
      if (arg.kind == Js::TypedArray) return true;
      if (isNumber(arg.kind)) return plan.fixedLength > 0;
      if (arg.kind != Js::Array) return false;
      for (const auto& item : arg.elements(addon, env))
        if (!isNumber(item.kind) && item.kind != Js::Scalar && item.kind != Js::Bool) return false;
      return true;
    case Kind::BoolList:
      if (arg.kind != Js::Array) return false;
      for (const auto& item : arg.elements(addon, env))
        if (item.kind != Js::Bool) return false;
      return true;
    case Kind::TensorList:
    case Kind::OptionalTensorList:
      if (arg.kind != Js::Array) return false;
      for (const auto& item : arg.elements(addon, env))
        if (item.kind != Js::Tensor && !(plan.kind == Kind::OptionalTensorList && (item.kind == Js::None || item.kind == Js::Omitted))) return false;
      return true;
    case Kind::Other: return false;
  }
  return false;
}

at::Scalar scalarFrom(Addon& addon, napi_env env, const JsArg& arg) {
  switch (arg.kind) {
    case Js::Int: return at::Scalar(static_cast<int64_t>(arg.number));
    case Js::Float: return at::Scalar(arg.number);
    case Js::Bool: return at::Scalar(arg.number != 0);
    case Js::BigInt: return at::Scalar(bigintOf(env, arg.value, "a scalar"));
    case Js::Tensor: return lifted(arg.tensor->get("a scalar")).item();
    case Js::Scalar: {
      const std::string kind = textOf(env, property(env, arg.value, "scalarKind"));
      if (kind == "complex") return at::Scalar(c10::complex<double>(numberOf(env, property(env, arg.value, "re")), numberOf(env, property(env, arg.value, "im"))));
      const JsArg value = JsArg::of(addon, env, property(env, arg.value, "value"));
      return kind == "float" ? at::Scalar(value.number) : at::Scalar(intOf(env, value, "Scalar.int"));
    }
    default: throw JsError("BAD_ARGUMENT", "expected a number, got " + arg.describe(addon, env));
  }
}

c10::IValue convert(const ArgPlan& plan, const JsArg& arg, Addon& addon, napi_env env) {
  if (arg.kind == Js::Omitted) return plan.hasDefault ? plan.defaultValue : c10::IValue();
  if (arg.kind == Js::None) return c10::IValue();
  const char* what = plan.name == "self" ? "input" : plan.name.c_str();
  switch (plan.kind) {
    case Kind::Tensor:
      if (arg.kind == Js::Tensor) return lifted(arg.tensor->get(what));
      // As torch's parser: a number becomes a 0-d tensor that does not take part in type promotion.
      return numberTensor(scalarFrom(addon, env, arg));
    case Kind::Scalar: return scalarFrom(addon, env, arg);
    case Kind::Int: return intOf(env, arg, what);
    case Kind::Float:
      if (arg.kind == Js::Int || arg.kind == Js::Float || arg.kind == Js::Bool) return arg.number;
      return scalarFrom(addon, env, arg).toDouble();
    case Kind::Bool: return arg.number != 0;
    case Kind::String: return textOf(env, arg.value);
    case Kind::DType: return static_cast<int64_t>(dtypeFrom(textOf(env, arg.value)));
    case Kind::Device: return deviceFrom(env, arg);
    case Kind::Layout: return static_cast<int64_t>(c10::kStrided);
    case Kind::MemoryFormat: return static_cast<int64_t>(memoryFormatFrom(textOf(env, arg.value)));
    case Kind::Generator: return *generatorFrom(env, arg.value);
    case Kind::IntList: {
      c10::List<int64_t> list;
      if (arg.kind == Js::Int || arg.kind == Js::BigInt) {
        for (int64_t i = 0; i < plan.fixedLength; i++) list.push_back(intOf(env, arg, what));
      } else if (arg.kind == Js::TypedArray) {
        for (double v : typedNumbers(env, arg.value)) list.push_back(static_cast<int64_t>(v));
      } else {
        for (const auto& item : arg.elements(addon, env)) list.push_back(intOf(env, item, what));
      }
      return list;
    }
    case Kind::FloatList: {
      c10::List<double> list;
      if (arg.kind == Js::TypedArray) {
        for (double v : typedNumbers(env, arg.value)) list.push_back(v);
      } else if (arg.kind == Js::Array) {
        for (const auto& item : arg.elements(addon, env)) list.push_back(scalarFrom(addon, env, item).toDouble());
      } else {
        for (int64_t i = 0; i < plan.fixedLength; i++) list.push_back(scalarFrom(addon, env, arg).toDouble());
      }
      return list;
    }
    case Kind::ScalarList: {
      c10::List<at::Scalar> list;
      if (arg.kind == Js::TypedArray) {
        for (double v : typedNumbers(env, arg.value)) list.push_back(v);
      } else {
        for (const auto& item : arg.elements(addon, env)) list.push_back(scalarFrom(addon, env, item));
      }
      return c10::IValue(list);
    }
    case Kind::BoolList: {
      c10::List<bool> list;
      for (const auto& item : arg.elements(addon, env)) list.push_back(item.number != 0);
      return list;
    }
    case Kind::TensorList: {
      c10::List<at::Tensor> list;
      for (const auto& item : arg.elements(addon, env)) list.push_back(lifted(item.tensor->get(what)));
      return list;
    }
    case Kind::OptionalTensorList: {
      c10::List<std::optional<at::Tensor>> list;
      for (const auto& item : arg.elements(addon, env))
        list.push_back(item.kind == Js::Tensor ? std::optional<at::Tensor>(lifted(item.tensor->get(what))) : std::nullopt);
      return list;
    }
    case Kind::Other: break;
  }
  throw JsError("BAD_ARGUMENT", std::string(what) + ": arguments of type " + plan.typeText + " cannot be given from JavaScript");
}

napi_value toJs(Addon& addon, napi_env env, const c10::IValue& value, const c10::TypePtr& type) {
  napi_value result = nullptr;
  if (value.isNone()) {
    check(env, napi_get_null(env, &result));
  } else if (value.isTensor()) {
    return wrap(addon, env, value.toTensor());
  } else if (value.isBool()) {
    check(env, napi_get_boolean(env, value.toBool(), &result));
  } else if (value.isInt()) {
    if (type && type->str() == "ScalarType") return text(env, dtypeName(static_cast<c10::ScalarType>(value.toInt())));
    const int64_t n = value.toInt();
    if (std::fabs(static_cast<double>(n)) > kMaxSafe) check(env, napi_create_bigint_int64(env, n, &result));
    else return number(env, static_cast<double>(n));
  } else if (value.isDouble()) {
    return number(env, value.toDouble());
  } else if (value.isComplexDouble()) {
    const auto z = value.toComplexDouble();
    check(env, napi_create_object(env, &result));
    check(env, napi_set_named_property(env, result, "re", number(env, z.real())));
    check(env, napi_set_named_property(env, result, "im", number(env, z.imag())));
  } else if (value.isString()) {
    return text(env, value.toStringRef());
  } else if (value.isDevice()) {
    return text(env, value.toDevice().str());
  } else if (value.isList()) {
    const auto list = value.toListRef();
    check(env, napi_create_array_with_length(env, list.size(), &result));
    for (size_t i = 0; i < list.size(); i++) check(env, napi_set_element(env, result, i, toJs(addon, env, list[i], nullptr)));
  } else {
    throw JsError("BAD_ARGUMENT", "a result of type " + value.tagKind() + " has no JavaScript form");
  }
  return result;
}

}  // namespace jorch
