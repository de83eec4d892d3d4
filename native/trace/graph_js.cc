#include "graph_js.h"

#include <cmath>

#include "tensor/tensor.h"

namespace jorch::trace {

namespace {

using Objects = std::vector<Napi::Object>;

Napi::Value integer(Napi::Env env, int64_t n) {
  if (std::fabs(static_cast<double>(n)) <= 9007199254740991.0) return Napi::Number::New(env, static_cast<double>(n));
  return Napi::BigInt::New(env, n);
}

Napi::Object single(Napi::Env env, const char* key, Napi::Value value) {
  auto object = Napi::Object::New(env);
  object.Set(key, value);
  return object;
}

Napi::Value complexNumber(Napi::Env env, c10::complex<double> z) {
  auto object = single(env, "re", Napi::Number::New(env, z.real()));
  object.Set("im", z.imag());
  return object;
}

Napi::Array integersOf(Napi::Env env, c10::IntArrayRef values) { return Napi::Value(env, integers(env, values)).As<Napi::Array>(); }

Napi::Object valueJs(Napi::Env env, const ValueInfo& info) {
  auto object = Napi::Object::New(env);
  object.Set("id", static_cast<double>(info.id));
  object.Set("shape", integersOf(env, info.sizes));
  object.Set("strides", integersOf(env, info.strides));
  object.Set("dtype", dtypeName(info.dtype));
  return object;
}

// `isScalar`: the schema says Scalar, where 2.0 and 2 differ.
Napi::Value plainJs(Napi::Env env, const c10::IValue& value, const std::string& type) {
  if (value.isNone() || value.isDevice()) return env.Null();
  if (value.isBool()) return Napi::Boolean::New(env, value.toBool());
  if (value.isInt()) {
    if (type == "ScalarType") return single(env, "dtype", Napi::String::New(env, dtypeName(static_cast<c10::ScalarType>(value.toInt()))));
    if (type == "Layout") return env.Null();
    if (type == "MemoryFormat") {
      static const char* const kNames[] = {"contiguous_format", "preserve_format", "channels_last", "channels_last_3d"};
      return single(env, "memory_format", Napi::String::New(env, kNames[value.toInt() & 3]));
    }
    return integer(env, value.toInt());
  }
  if (value.isDouble()) {
    const double d = value.toDouble();
    const auto number = Napi::Number::New(env, d);
    return type == "Scalar" && std::trunc(d) == d ? Napi::Value(single(env, "float", number)) : Napi::Value(number);
  }
  if (value.isSymInt()) return integer(env, value.toSymInt().expect_int());
  if (value.isComplexDouble()) return complexNumber(env, value.toComplexDouble());
  if (value.isString()) return Napi::String::New(env, value.toStringRef());
  if (value.isList()) {
    const auto list = value.toListRef();
    auto array = Napi::Array::New(env, list.size());
    for (uint32_t i = 0; i < list.size(); i++) array.Set(i, plainJs(env, list[i], type));
    return array;
  }
  return env.Null();  // a Generator, a Storage: nothing a rule could use
}

// The name of an argument's type without `?` and `[]`: "Scalar", "ScalarType", "int".
std::string bareType(const c10::Argument& argument) {
  std::string type = argument.real_type()->str();
  return type.substr(0, type.find_first_of("?["));
}

Napi::Value byId(Napi::Env env, const Objects& values, int64_t id) { return id < 0 ? env.Null() : Napi::Value(values[id]); }

Napi::Array byIds(Napi::Env env, const Objects& values, const std::vector<int64_t>& ids) {
  auto array = Napi::Array::New(env, ids.size());
  for (uint32_t i = 0; i < ids.size(); i++) array.Set(i, byId(env, values, ids[i]));
  return array;
}

Napi::Value argJs(Napi::Env env, const Objects& values, const Arg& arg, const c10::Argument& argument) {
  switch (arg.kind) {
    case Arg::Kind::Tensor: return byId(env, values, arg.ids[0]);
    case Arg::Kind::Tensors: return byIds(env, values, arg.ids);
    case Arg::Kind::Plain: break;
  }
  return plainJs(env, arg.plain, bareType(argument));
}

Napi::Object nodeJs(Napi::Env env, const Objects& values, const Node& node) {
  auto args = Napi::Object::New(env);
  const auto& arguments = node.schema->arguments();
  for (size_t i = 0; i < node.args.size(); i++) args.Set(arguments[i].name(), argJs(env, values, node.args[i], arguments[i]));
  auto outs = Napi::Array::New(env, node.outs.size());
  for (uint32_t i = 0; i < node.outs.size(); i++)
    outs.Set(i, node.outs[i].list ? Napi::Value(byIds(env, values, node.outs[i].ids)) : byId(env, values, node.outs[i].ids[0]));
  auto object = single(env, "op", Napi::String::New(env, node.op));
  object.Set("args", args);
  object.Set("outs", outs);
  if (!node.line.empty()) object.Set("line", node.line);
  return object;
}

Napi::Value elementJs(Napi::Env env, const at::Scalar& element) {
  if (element.isBoolean()) return Napi::Boolean::New(env, element.toBool());
  if (element.isComplex()) return complexNumber(env, element.toComplexDouble());
  if (element.isFloatingPoint()) return Napi::Number::New(env, element.toDouble());
  return integer(env, element.toLong());
}

Napi::Object constantJs(Napi::Env env, const Objects& values, const Constant& constant) {
  const at::Tensor flat = constant.data.flatten();
  auto data = Napi::Array::New(env, flat.numel());
  for (int64_t i = 0; i < flat.numel(); i++) data.Set(static_cast<uint32_t>(i), elementJs(env, flat[i].item()));
  auto object = single(env, "value", values[constant.id]);
  object.Set("data", data);
  return object;
}

}  // namespace

Napi::Object toJs(Napi::Env env, const Graph& graph) {
  Objects values;
  auto all = Napi::Array::New(env, graph.values.size());
  for (const auto& info : graph.values) {
    values.push_back(valueJs(env, info));
    all.Set(static_cast<uint32_t>(info.id), values.back());
  }
  auto constants = Napi::Array::New(env, graph.constants.size());
  for (uint32_t i = 0; i < graph.constants.size(); i++) constants.Set(i, constantJs(env, values, graph.constants[i]));
  auto nodes = Napi::Array::New(env, graph.nodes.size());
  for (uint32_t i = 0; i < graph.nodes.size(); i++) nodes.Set(i, nodeJs(env, values, graph.nodes[i]));
  auto object = single(env, "values", all);
  object.Set("inputs", byIds(env, values, graph.inputs));
  object.Set("constants", constants);
  object.Set("nodes", nodes);
  return object;
}

}  // namespace jorch::trace
