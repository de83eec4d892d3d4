/** @file The recorded program as the JavaScript objects of lib/compile/graph.ts. */
#include "graph_js.h"

#include "dispatch/generator.h"

#include <ATen/Dispatch.h>
#include <ATen/core/jit_type.h>
#include <c10/core/MemoryFormat.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

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

/** Builds every object of one graph; the handles live in the caller's scope. */
class Writer {
 public:
  Writer(Napi::Env env, const Graph& graph) : env_(env), graph_(graph) {
    // Names are made once, here: V8 looks up each new string that is to be a property's name, which is most of an object's time.
    for (const Node& n : graph.nodes) {
      text(n.op);
      text(n.line);
      if (n.schema == nullptr || !named_.insert(n.schema).second) continue;
      for (const c10::Argument& a : n.schema->arguments()) text(a.name());
    }
    for (const ValueInfo& v : graph.values) text(dtypeName(v.dtype));
  }

  Napi::Object write() {
    values_ = list(graph_.values, [&](const ValueInfo& v) { return value(v); });
    Napi::Object out = Napi::Object::New(env_);
    out.Set("values", values_);
    out.Set("inputs", list(graph_.inputs, [&](int64_t id) { return ref(id); }));
    out.Set("constants", list(graph_.constants, [&](const Constant& c) { return constant(c); }));
    out.Set("nodes", list(graph_.nodes, [&](const Node& n) { return node(n); }));
    out.Set("generators", list(generators_, [&](const at::Generator& g) { return Napi::Value(env_, generatorObject(env_, g)); }));
    return out;
  }

 private:
  template <class T, class F>
  Napi::Array list(const T& items, F&& make) {
    Napi::Array out = Napi::Array::New(env_, items.size());
    uint32_t i = 0;
    for (const auto& item : items) {
      Napi::HandleScope scope(env_);
      out.Set(i++, make(item));
    }
    return out;
  }

  /** The string, made at its first use: in the constructor, for it must outlive the scopes of the list's items. */
  Napi::String text(const std::string& s) {
    const auto known = texts_.find(s);
    if (known != texts_.end()) return Napi::String(env_, known->second);
    const Napi::String made = Napi::String::New(env_, s);
    texts_.emplace(s, made);
    return made;
  }

  Napi::Value integers(const std::vector<int64_t>& items) {
    Napi::Array out = Napi::Array::New(env_, items.size());
    for (size_t i = 0; i < items.size(); ++i) out.Set(static_cast<uint32_t>(i), integer(items[i]));
    return out;
  }

  Napi::Value integer(int64_t n) {
    if (n > kSafeInteger || n < -kSafeInteger) return Napi::BigInt::New(env_, n);
    return Napi::Number::New(env_, static_cast<double>(n));
  }

  Napi::Value complex(c10::complex<double> z) {
    Napi::Object out = Napi::Object::New(env_);
    out.Set("re", z.real());
    out.Set("im", z.imag());
    return out;
  }

  Napi::Object single(const char* key, Napi::Value v) {
    Napi::Object out = Napi::Object::New(env_);
    out.Set(key, v);
    return out;
  }

  Napi::Value ref(int64_t id) {
    if (id < 0) return env_.Null();
    return values_.Get(static_cast<uint32_t>(id));
  }

  Napi::Value value(const ValueInfo& v) {
    Napi::Object out = Napi::Object::New(env_);
    out.Set(id_, integer(v.id));
    out.Set(shape_, integers(v.sizes));
    out.Set(strides_, integers(v.strides));
    out.Set(dtype_, text(dtypeName(v.dtype)));
    return out;
  }

  template <class T>
  Napi::Value element(T x) {
    if constexpr (std::is_same_v<T, bool>) {
      return Napi::Boolean::New(env_, x);
    } else if constexpr (c10::is_complex<T>::value) {
      return complex(c10::complex<double>(x.real(), x.imag()));
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      if (x > static_cast<uint64_t>(kSafeInteger)) return Napi::BigInt::New(env_, x);
      return Napi::Number::New(env_, static_cast<double>(x));
    } else if constexpr (std::is_integral_v<T>) {
      return integer(static_cast<int64_t>(x));
    } else {
      return Napi::Number::New(env_, static_cast<double>(x));
    }
  }

  template <class T>
  Napi::Value elements(const at::Tensor& t) {
    const T* data = t.const_data_ptr<T>();
    return list(c10::ArrayRef<T>(data, t.numel()), [&](T x) { return element(x); });
  }

  Napi::Value constant(const Constant& c) {
    Napi::Object out = Napi::Object::New(env_);
    out.Set("value", ref(c.id));
    switch (c.data.scalar_type()) {
#define JORCH_CASE(T, name) \
  case c10::ScalarType::name: out.Set("data", elements<T>(c.data)); break;
      AT_FORALL_SCALAR_TYPES_AND3(Bool, Half, BFloat16, JORCH_CASE)
      JORCH_CASE(uint16_t, UInt16)
      JORCH_CASE(uint32_t, UInt32)
      JORCH_CASE(uint64_t, UInt64)
      JORCH_CASE(c10::complex<float>, ComplexFloat)
      JORCH_CASE(c10::complex<double>, ComplexDouble)
#undef JORCH_CASE
      default: TORCH_CHECK(false, "compile: constants of type ", c.data.scalar_type(), " are not supported");
    }
    return out;
  }

  /** Its place among the graph's generators. */
  Napi::Value generator(const at::Generator& g) {
    const auto found = std::find(generators_.begin(), generators_.end(), g);
    const auto place = found - generators_.begin();
    if (found == generators_.end()) generators_.push_back(g);
    return single("generator", Napi::Number::New(env_, static_cast<double>(place)));
  }

  /** `type` is the schema's real type: it alone tells a ScalarType or a MemoryFormat from an integer. */
  Napi::Value plain(const c10::IValue& v, const c10::TypePtr& type) {
    if (v.isGenerator()) return generator(v.toGenerator());
    if (v.isNone() || v.isDevice() || v.isStream() || v.isStorage()) return env_.Null();
    if (const auto optional = type->cast<c10::OptionalType>()) return plain(v, optional->getElementType());
    if (v.isList()) {
      const auto of = type->cast<c10::ListType>();
      const c10::TypePtr inner = of ? of->getElementType() : type;
      return list(v.toListRef(), [&](const c10::IValue& x) { return plain(x, inner); });
    }
    switch (type->kind()) {
      case c10::TypeKind::ScalarTypeType:
        return single("dtype", Napi::String::New(env_, dtypeName(v.toScalarType())));
      case c10::TypeKind::MemoryFormatType:
        return single("memory_format", Napi::String::New(env_, memoryFormatName(v.toMemoryFormat())));
      case c10::TypeKind::LayoutType: return env_.Null();
      default: break;
    }
    if (v.isBool()) return Napi::Boolean::New(env_, v.toBool());
    if (v.isInt()) return integer(v.toInt());
    if (v.isDouble()) {
      const double x = v.toDouble();
      const Napi::Number n = Napi::Number::New(env_, x);
      // Among Scalars 2.0 and 2 differ (promotion, full); JavaScript cannot tell them apart.
      const bool ambiguous = type->kind() == c10::TypeKind::NumberType && std::isfinite(x) && std::trunc(x) == x;
      if (ambiguous) return single("float", n);
      return n;
    }
    if (v.isComplexDouble()) return complex(v.toComplexDouble());
    if (v.isString()) return Napi::String::New(env_, v.toStringRef());
    TORCH_CHECK(false, "compile: an argument of kind ", v.tagKind(), " cannot be recorded");
  }

  Napi::Value arg(const Arg& a, const c10::Argument& declared) {
    switch (a.kind) {
      case Arg::Kind::Tensor: return ref(a.ids[0]);
      case Arg::Kind::Tensors: return list(a.ids, [&](int64_t id) { return ref(id); });
      default: return plain(a.plain, declared.real_type());
    }
  }

  Napi::Value node(const Node& n) {
    Napi::Object out = Napi::Object::New(env_);
    out.Set(op_, text(n.op));
    Napi::Object args = Napi::Object::New(env_);
    if (n.schema == nullptr) {  // an operator of our own
      args.Set("operands", list(n.args[0].ids, [&](int64_t id) { return ref(id); }));
      args.Set("attachment", integer(n.args[1].plain.toInt()));
    }
    for (size_t i = 0; n.schema != nullptr && i < n.args.size(); ++i) {
      const c10::Argument& declared = n.schema->arguments()[i];
      args.Set(text(declared.name()), arg(n.args[i], declared));
    }
    out.Set(args_, args);
    out.Set(outs_, list(n.outs, [&](const Out& o) -> Napi::Value {
              if (!o.list) return ref(o.ids[0]);
              return list(o.ids, [&](int64_t id) { return ref(id); });
            }));
    if (!n.line.empty()) out.Set(line_, text(n.line));
    return out;
  }

  Napi::Env env_;
  const Graph& graph_;
  Napi::Array values_;
  std::vector<at::Generator> generators_;
  std::unordered_map<std::string, napi_value> texts_;
  std::unordered_set<const c10::FunctionSchema*> named_;
  const Napi::String id_ = text("id"), shape_ = text("shape"), strides_ = text("strides"), dtype_ = text("dtype");
  const Napi::String op_ = text("op"), args_ = text("args"), outs_ = text("outs"), line_ = text("line");
};
}  // namespace

Napi::Object toJs(Napi::Env env, const Graph& graph) { return Writer(env, graph).write(); }

}  // namespace jorch::trace
