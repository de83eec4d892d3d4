#include "jit/values.h"

#include <ATen/core/jit_type.h>

#include <cmath>

#include "dispatch/convert.h"
#include "dispatch/tracing.h"
#include "tensor/tensor.h"

namespace jorch::jit {

namespace {

constexpr double kMaxSafe = 9007199254740991.0;
constexpr int kDeepest = 1000;

napi_valuetype kindOf(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  return type;
}

std::string shown(Addon& addon, napi_env env, napi_value value) {
  switch (kindOf(env, value)) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_string: return "a string";
    case napi_function: return "a function";
    case napi_object: {
      bool array = false;
      check(env, napi_is_array(env, value, &array));
      return TensorWrap::from(addon, env, value) ? "a Tensor" : array ? "an array" : "an object";
    }
    default: {
      napi_value s;
      return napi_coerce_to_string(env, value, &s) == napi_ok ? textOf(env, s) : std::string("a symbol");
    }
  }
}

struct Reader {
  Addon& addon;
  napi_env env;
  Known& known;

  [[noreturn]] void mismatch(napi_value value, const c10::TypePtr& type, const std::string& path) const {
    throw JsError("BAD_ARGUMENT", path + " must be " + type->repr_str() + ", not " + shown(addon, env, value));
  }

  bool isInteger(napi_value value, int64_t& n) const {
    if (kindOf(env, value) == napi_bigint) {
      bool lossless = false;
      check(env, napi_get_value_bigint_int64(env, value, &n, &lossless));
      return lossless;
    }
    double d = 0;
    if (napi_get_value_double(env, value, &d) != napi_ok || std::trunc(d) != d || std::fabs(d) > kMaxSafe || (d == 0 && std::signbit(d))) return false;
    n = static_cast<int64_t>(d);
    return true;
  }

  std::vector<napi_value> elements(napi_value value, const c10::TypePtr& type, const std::string& path) const {
    bool array = false;
    check(env, napi_is_array(env, value, &array));
    if (!array) mismatch(value, type, path);
    uint32_t length = 0;
    check(env, napi_get_array_length(env, value, &length));
    std::vector<napi_value> items(length);
    for (uint32_t i = 0; i < length; i++) check(env, napi_get_element(env, value, i, &items[i]));
    return items;
  }

  c10::IValue dict(napi_value value, const c10::TypePtr& type, const std::string& path, int depth) const {
    const auto& declared = type->expectRef<c10::DictType>();
    c10::impl::GenericDict result(declared.getKeyType(), declared.getValueType());
    const auto put = [&](napi_value key, napi_value item) {
      napi_value name;
      check(env, napi_coerce_to_string(env, key, &name));
      const std::string at = path + "[" + textOf(env, name) + "]";
      result.insert(read(key, declared.getKeyType(), "a key of " + path, depth), read(item, declared.getValueType(), at, depth));
    };
    // A Map's entries, or an object's own.
    napi_value entries;
    bool isMap = false;
    check(env, napi_has_named_property(env, value, "entries", &isMap));
    if (isMap) {
      napi_value global, arrayClass, from;
      check(env, napi_get_global(env, &global));
      check(env, napi_get_named_property(env, global, "Array", &arrayClass));
      check(env, napi_get_named_property(env, arrayClass, "from", &from));
      check(env, napi_call_function(env, arrayClass, from, 1, &value, &entries));
      for (napi_value entry : elements(entries, type, path)) {
        const auto pair = elements(entry, type, path);
        if (pair.size() != 2) mismatch(value, type, path);
        put(pair[0], pair[1]);
      }
      return result;
    }
    check(env, napi_get_property_names(env, value, &entries));
    for (napi_value key : elements(entries, type, path)) {
      napi_value item;
      check(env, napi_get_property(env, value, key, &item));
      put(key, item);
    }
    return result;
  }

  // `Any` and unions: what the value looks like.
  c10::IValue guess(napi_value value, const c10::TypePtr& type, const std::string& path, int depth) const {
    int64_t n = 0;
    if (TensorWrap::from(addon, env, value)) return read(value, c10::TensorType::get(), path, depth);
    switch (kindOf(env, value)) {
      case napi_null: return c10::IValue();
      case napi_boolean: return read(value, c10::BoolType::get(), path, depth);
      case napi_string: return read(value, c10::StringType::get(), path, depth);
      case napi_bigint:
      case napi_number: return isInteger(value, n) ? c10::IValue(n) : read(value, c10::FloatType::get(), path, depth);
      case napi_object: {
        const auto items = elements(value, type, path);
        std::vector<c10::IValue> tuple;
        for (size_t i = 0; i < items.size(); i++) tuple.push_back(guess(items[i], type, path + "[" + std::to_string(i) + "]", depth + 1));
        return c10::ivalue::Tuple::create(std::move(tuple));
      }
      default: mismatch(value, type, path);
    }
  }

  c10::IValue read(napi_value value, const c10::TypePtr& type, const std::string& path, int depth) const {
    if (depth > kDeepest) throw JsError("BAD_ARGUMENT", path.substr(0, 40) + "… is nested too deeply");
    const napi_valuetype kind = kindOf(env, value);
    int64_t n = 0;
    double d = 0;
    switch (type->kind()) {
      case c10::TypeKind::OptionalType:
        if (kind == napi_null || kind == napi_undefined) return c10::IValue();
        return read(value, type->expectRef<c10::OptionalType>().getElementType(), path, depth);
      case c10::TypeKind::NoneType:
        if (kind == napi_null || kind == napi_undefined) return c10::IValue();
        break;
      case c10::TypeKind::TensorType: {
        const TensorWrap* wrapped = kind == napi_object ? TensorWrap::from(addon, env, value) : nullptr;
        if (!wrapped) break;
        at::Tensor tensor = lifted(wrapped->get(path.c_str()));
        known.emplace_back(tensor.unsafeGetTensorImpl(), value);
        return tensor;
      }
      case c10::TypeKind::IntType:
        if (kind == napi_number || kind == napi_bigint ? isInteger(value, n) : false) return n;
        break;
      case c10::TypeKind::FloatType:
        if (kind == napi_number && napi_get_value_double(env, value, &d) == napi_ok) return d;
        break;
      case c10::TypeKind::NumberType:
        if (kind == napi_number || kind == napi_bigint) {
          if (isInteger(value, n)) return n;
          if (napi_get_value_double(env, value, &d) == napi_ok) return d;
        }
        break;
      case c10::TypeKind::ComplexType:
        if (kind == napi_number && napi_get_value_double(env, value, &d) == napi_ok) return c10::complex<double>(d, 0);
        if (kind == napi_object) {
          napi_value re, im;
          double x = 0, y = 0;
          if (napi_get_named_property(env, value, "re", &re) == napi_ok && napi_get_value_double(env, re, &x) == napi_ok &&
              napi_get_named_property(env, value, "im", &im) == napi_ok && napi_get_value_double(env, im, &y) == napi_ok)
            return c10::complex<double>(x, y);
        }
        break;
      case c10::TypeKind::BoolType: {
        bool b = false;
        if (kind == napi_boolean && napi_get_value_bool(env, value, &b) == napi_ok) return b;
        break;
      }
      case c10::TypeKind::StringType:
        if (kind == napi_string) return textOf(env, value);
        break;
      case c10::TypeKind::DeviceObjType:
        if (kind == napi_string) return c10::Device(textOf(env, value));
        break;
      case c10::TypeKind::ListType: {
        const auto& element = type->expectRef<c10::ListType>().getElementType();
        const auto items = elements(value, type, path);
        c10::impl::GenericList list(element);
        for (size_t i = 0; i < items.size(); i++) list.push_back(read(items[i], element, path + "[" + std::to_string(i) + "]", depth + 1));
        return list;
      }
      case c10::TypeKind::TupleType: {
        const auto& declared = type->expectRef<c10::TupleType>();
        const auto items = elements(value, type, path);
        if (items.size() != declared.elements().size()) mismatch(value, type, path);
        std::vector<c10::IValue> tuple;
        for (size_t i = 0; i < items.size(); i++) tuple.push_back(read(items[i], declared.elements()[i], path + "[" + std::to_string(i) + "]", depth + 1));
        return c10::ivalue::Tuple::createNamed(std::move(tuple), type->expect<c10::TupleType>());
      }
      case c10::TypeKind::DictType:
        if (kind == napi_object && !TensorWrap::from(addon, env, value)) return dict(value, type, path, depth + 1);
        break;
      case c10::TypeKind::AnyType:
      case c10::TypeKind::UnionType: {
        const c10::IValue guessed = guess(value, type, path, depth);
        if (!guessed.type()->isSubtypeOf(*type)) mismatch(value, type, path);
        return guessed;
      }
      default: throw JsError("BAD_ARGUMENT", path + ": a value of type " + type->repr_str() + " cannot be given from JavaScript");
    }
    mismatch(value, type, path);
  }
};

}  // namespace

c10::IValue fromJs(Addon& addon, napi_env env, napi_value value, const c10::TypePtr& type, const std::string& path, Known& known) {
  return Reader{addon, env, known}.read(value, type, path, 0);
}

std::string describe(const c10::IValue& value) { return value.type() ? value.type()->repr_str() : value.tagKind(); }

bool holdsTensors(const c10::TypePtr& type) {
  if (type->kind() == c10::TypeKind::TensorType || type->kind() == c10::TypeKind::AnyType) return true;
  for (const auto& inner : type->containedTypes())
    if (holdsTensors(inner)) return true;
  return false;
}

napi_value toJs(Addon& addon, napi_env env, const c10::IValue& value, const Known& known) {
  napi_value result = nullptr;
  const auto array = [&](c10::ArrayRef<c10::IValue> items) {
    napi_value made;
    check(env, napi_create_array_with_length(env, items.size(), &made));
    for (size_t i = 0; i < items.size(); i++) check(env, napi_set_element(env, made, i, toJs(addon, env, items[i], known)));
    return made;
  };
  if (value.isTensor()) {
    for (const auto& [impl, object] : known)
      if (impl == value.toTensor().unsafeGetTensorImpl() && value.toTensor().defined()) return object;
    return wrap(addon, env, value.toTensor());
  } else if (value.isTuple()) {
    const auto tuple = value.toTuple();
    result = array(tuple->elements().vec());
    if (const auto schema = tuple->type()->schema()) {
      for (size_t i = 0; i < schema->arguments().size(); i++) {
        napi_value item;
        check(env, napi_get_element(env, result, i, &item));
        // Not enumerable: printing and pytrees see an array.
        const napi_property_descriptor property{schema->arguments()[i].name().c_str(), nullptr, nullptr, nullptr, nullptr, item, napi_default, nullptr};
        check(env, napi_define_properties(env, result, 1, &property));
      }
    }
  } else if (value.isList()) {
    return array(value.toListRef());
  } else if (value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    if (dict.keyType()->kind() == c10::TypeKind::StringType) {
      check(env, napi_create_object(env, &result));
      for (const auto& entry : dict) {
        // Defined, not set: a key may be `__proto__`.
        const napi_property_descriptor property{nullptr, text(env, entry.key().toStringRef()), nullptr, nullptr, nullptr, toJs(addon, env, entry.value(), known),
                                                napi_default_jsproperty, nullptr};
        check(env, napi_define_properties(env, result, 1, &property));
      }
      return result;
    }
    napi_value global, mapClass, pairs, pair;
    check(env, napi_get_global(env, &global));
    check(env, napi_get_named_property(env, global, "Map", &mapClass));
    check(env, napi_create_array(env, &pairs));
    uint32_t i = 0;
    for (const auto& entry : dict) {
      check(env, napi_create_array_with_length(env, 2, &pair));
      check(env, napi_set_element(env, pair, 0, toJs(addon, env, entry.key(), known)));
      check(env, napi_set_element(env, pair, 1, toJs(addon, env, entry.value(), known)));
      check(env, napi_set_element(env, pairs, i++, pair));
    }
    check(env, napi_new_instance(env, mapClass, 1, &pairs, &result));
  } else if (value.isObject()) {
    throw JsError("BAD_ARGUMENT", "a value of type " + describe(value) + " has no JavaScript form");
  } else {
    return jorch::toJs(addon, env, value, nullptr);
  }
  return result;
}

}  // namespace jorch::jit
