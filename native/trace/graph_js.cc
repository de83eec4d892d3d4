/** @file Writes the recorded program as lib/compile/read-graph.ts reads it. */
#include "graph_js.h"

#include "dispatch/generator.h"

#include <ATen/Dispatch.h>
#include <ATen/core/jit_type.h>
#include <c10/core/MemoryFormat.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace jorch::trace {
namespace {

constexpr int64_t kSafeInteger = (int64_t{1} << 53) - 1;

const char* dtypeName(c10::ScalarType type) {
  switch (type) {
    case c10::ScalarType::Float: return "float32";
    case c10::ScalarType::Double: return "float64";
    case c10::ScalarType::Half: return "float16";
    case c10::ScalarType::BFloat16: return "bfloat16";
    case c10::ScalarType::Char: return "int8";
    case c10::ScalarType::Short: return "int16";
    case c10::ScalarType::Int: return "int32";
    case c10::ScalarType::Long: return "int64";
    case c10::ScalarType::Byte: return "uint8";
    case c10::ScalarType::UInt16: return "uint16";
    case c10::ScalarType::UInt32: return "uint32";
    case c10::ScalarType::UInt64: return "uint64";
    case c10::ScalarType::Bool: return "bool";
    case c10::ScalarType::ComplexFloat: return "complex64";
    case c10::ScalarType::ComplexDouble: return "complex128";
    default: TORCH_CHECK(false, "compile: tensors of type ", type, " are not supported");
  }
}

const char* memoryFormatName(c10::MemoryFormat format) {
  switch (format) {
    case c10::MemoryFormat::Contiguous: return "contiguous_format";
    case c10::MemoryFormat::ChannelsLast: return "channels_last";
    case c10::MemoryFormat::ChannelsLast3d: return "channels_last_3d";
    default: return "preserve_format";
  }
}

/** What kind of argument or element follows; the list is read-graph.ts's too. */
enum class Tag { Null, Value, List, Number, False, True, Text, BigInt, Float, Complex, DType, MemoryFormat, Generator };

class Writer {
 public:
  explicit Writer(const Graph& graph) {
    put(graph.values.size());
    for (const ValueInfo& v : graph.values) {
      text(dtypeName(v.dtype));
      put(v.sizes.size());
      for (int64_t size : v.sizes) put(size);
      for (int64_t stride : v.strides) put(stride);
    }
    ids(graph.inputs);
    put(graph.constants.size());
    for (const Constant& c : graph.constants) constant(c);
    put(graph.nodes.size());
    for (const Node& n : graph.nodes) node(n);
  }

  Napi::Object written(Napi::Env env) const {
    Napi::Object out = Napi::Object::New(env);
    auto numbers = Napi::Float64Array::New(env, numbers_.size());
    std::copy(numbers_.begin(), numbers_.end(), numbers.Data());
    auto texts = Napi::Array::New(env, texts_.size());
    for (uint32_t i = 0; i < texts_.size(); i++) {
      Napi::HandleScope scope(env);
      texts.Set(i, Napi::String::New(env, *texts_[i]));
    }
    auto generators = Napi::Array::New(env, generators_.size());
    for (uint32_t i = 0; i < generators_.size(); i++) generators.Set(i, Napi::Value(env, generatorObject(env, generators_[i])));
    out.Set("numbers", numbers);
    out.Set("texts", texts);
    out.Set("generators", generators);
    return out;
  }

 private:
  template <class T>
  void put(T number) {
    numbers_.push_back(static_cast<double>(number));
  }
  void tag(Tag kind) { put(static_cast<int>(kind)); }

  /** Its place among the texts. */
  void text(const std::string& s) {
    const auto [known, fresh] = places_.try_emplace(s, texts_.size());
    if (fresh) texts_.push_back(&known->first);
    put(known->second);
  }

  void ids(const std::vector<int64_t>& all) {
    put(all.size());
    for (int64_t id : all) put(id);
  }
  /** As an argument; none for an undefined tensor. */
  void value(int64_t id) {
    if (id < 0) return tag(Tag::Null);
    tag(Tag::Value);
    put(id);
  }
  void values(const std::vector<int64_t>& all) {
    tag(Tag::List);
    put(all.size());
    for (int64_t id : all) value(id);
  }

  void integer(int64_t n) {
    if (n > kSafeInteger || n < -kSafeInteger) return big(std::to_string(n));
    tag(Tag::Number);
    put(n);
  }
  void big(const std::string& digits) {
    tag(Tag::BigInt);
    text(digits);
  }
  void boolean(bool b) { tag(b ? Tag::True : Tag::False); }
  void real(double x) {
    tag(Tag::Number);
    put(x);
  }
  void complex(c10::complex<double> z) {
    tag(Tag::Complex);
    put(z.real());
    put(z.imag());
  }
  void named(Tag kind, const char* name) {
    tag(kind);
    text(name);
  }

  template <class T>
  void element(T x) {
    if constexpr (std::is_same_v<T, bool>) boolean(x);
    else if constexpr (c10::is_complex<T>::value) complex(c10::complex<double>(x.real(), x.imag()));
    else if constexpr (std::is_same_v<T, uint64_t>) {
      if (x > static_cast<uint64_t>(kSafeInteger)) big(std::to_string(x));
      else real(static_cast<double>(x));
    } else if constexpr (std::is_integral_v<T>) integer(static_cast<int64_t>(x));
    else real(static_cast<double>(x));
  }
  template <class T>
  void elements(const at::Tensor& t) {
    const T* data = t.const_data_ptr<T>();
    for (int64_t i = 0; i < t.numel(); i++) element(data[i]);
  }

  void constant(const Constant& c) {
    put(c.id);
    put(c.data.numel());
    switch (c.data.scalar_type()) {
#define JORCH_CASE(T, name) \
  case c10::ScalarType::name: return elements<T>(c.data);
      AT_FORALL_SCALAR_TYPES_AND3(Bool, Half, BFloat16, JORCH_CASE)
      JORCH_CASE(uint16_t, UInt16)
      JORCH_CASE(uint32_t, UInt32)
      JORCH_CASE(uint64_t, UInt64)
      JORCH_CASE(c10::complex<float>, ComplexFloat)
      JORCH_CASE(c10::complex<double>, ComplexDouble)
#undef JORCH_CASE
      default: TORCH_CHECK(false, "compile: constants of type ", c.data.scalar_type(), " are not supported");
    }
  }

  /** Its place among the graph's generators. */
  void generator(const at::Generator& g) {
    const auto found = std::find(generators_.begin(), generators_.end(), g);
    tag(Tag::Generator);
    put(found - generators_.begin());
    if (found == generators_.end()) generators_.push_back(g);
  }

  /** `type` is the schema's real type: it alone tells a ScalarType or a MemoryFormat from an integer. */
  void plain(const c10::IValue& v, const c10::TypePtr& type) {
    if (v.isGenerator()) return generator(v.toGenerator());
    if (v.isNone() || v.isDevice() || v.isStream() || v.isStorage()) return tag(Tag::Null);
    if (const auto optional = type->cast<c10::OptionalType>()) return plain(v, optional->getElementType());
    if (v.isList()) {
      const auto of = type->cast<c10::ListType>();
      const c10::TypePtr inner = of ? of->getElementType() : type;
      tag(Tag::List);
      put(v.toListRef().size());
      for (const c10::IValue& x : v.toListRef()) plain(x, inner);
      return;
    }
    switch (type->kind()) {
      case c10::TypeKind::ScalarTypeType: return named(Tag::DType, dtypeName(v.toScalarType()));
      case c10::TypeKind::MemoryFormatType: return named(Tag::MemoryFormat, memoryFormatName(v.toMemoryFormat()));
      case c10::TypeKind::LayoutType: return tag(Tag::Null);
      default: break;
    }
    if (v.isBool()) return boolean(v.toBool());
    if (v.isInt()) return integer(v.toInt());
    if (v.isDouble()) {
      const double x = v.toDouble();
      // Among Scalars 2.0 and 2 differ (promotion, full); JavaScript cannot tell them apart.
      const bool ambiguous = type->kind() == c10::TypeKind::NumberType && std::isfinite(x) && std::trunc(x) == x;
      if (!ambiguous) return real(x);
      tag(Tag::Float);
      return put(x);
    }
    if (v.isComplexDouble()) return complex(v.toComplexDouble());
    if (v.isString()) return named(Tag::Text, v.toStringRef().c_str());
    TORCH_CHECK(false, "compile: an argument of kind ", v.tagKind(), " cannot be recorded");
  }

  void arg(const Arg& a, const c10::Argument& declared) {
    switch (a.kind) {
      case Arg::Kind::Tensor: return value(a.ids[0]);
      case Arg::Kind::Tensors: return values(a.ids);
      default: return plain(a.plain, declared.real_type());
    }
  }

  /** Number of the list of names, which follows at its first use. */
  void names(const c10::FunctionSchema* schema) {
    const auto [known, fresh] = schemas_.try_emplace(schema, schemas_.size());
    put(known->second);
    if (!fresh) return;
    if (schema == nullptr) {  // an operator of our own
      put(2);
      text("operands");
      text("attachment");
      return;
    }
    put(schema->arguments().size());
    for (const c10::Argument& a : schema->arguments()) text(a.name());
  }

  void node(const Node& n) {
    text(n.op);
    put(n.line);
    names(n.schema);
    if (n.schema == nullptr) {
      values(n.args[0].ids);
      integer(n.args[1].plain.toInt());
    } else {
      for (size_t i = 0; i < n.args.size(); ++i) arg(n.args[i], n.schema->arguments()[i]);
    }
    put(n.outs.size());
    for (const Out& o : n.outs) {
      if (o.list) values(o.ids);
      else value(o.ids[0]);
    }
  }

  std::vector<double> numbers_;
  std::unordered_map<std::string, size_t> places_;
  std::vector<const std::string*> texts_;
  std::unordered_map<const c10::FunctionSchema*, size_t> schemas_;
  std::vector<at::Generator> generators_;
};
}  // namespace

Napi::Object toJs(Napi::Env env, const Graph& graph) { return Writer(graph).written(env); }

}  // namespace jorch::trace
