// Values of TorchScript: what JavaScript gives by the type that a script declares, and what a script returns.
#pragma once

#include <ATen/core/ivalue.h>

#include <string>
#include <utility>
#include <vector>

#include "addon.h"

namespace jorch::jit {

// Tensors that have a JavaScript object already: a script that returns one gives that object.
using Known = std::vector<std::pair<const c10::TensorImpl*, napi_value>>;

// Throws BAD_ARGUMENT that names `path` and the type.
c10::IValue fromJs(Addon& addon, napi_env env, napi_value value, const c10::TypePtr& type, const std::string& path, Known& known);

// Tuples and lists become arrays (fields of a NamedTuple also by name), dicts plain objects, or Maps where keys are no texts.
napi_value toJs(Addon& addon, napi_env env, const c10::IValue& value, const Known& known);

// The same value with `change` applied to every tensor in it; containers without tensors are kept as they are.
template <class Change>
c10::IValue mapTensors(const c10::IValue& value, const Change& change);

// "int[] of 3", for what has no form in JavaScript.
std::string describe(const c10::IValue& value);

bool holdsTensors(const c10::TypePtr& type);

// ---

template <class Change>
c10::IValue mapTensors(const c10::IValue& value, const Change& change) {
  if (value.isTensor()) return value.toTensor().defined() ? c10::IValue(change(value.toTensor())) : value;
  if (value.isTuple()) {
    if (!holdsTensors(value.type())) return value;
    const auto tuple = value.toTuple();
    std::vector<c10::IValue> items;
    for (const auto& item : tuple->elements()) items.push_back(mapTensors(item, change));
    return c10::ivalue::Tuple::createNamed(std::move(items), tuple->type());
  }
  if (value.isList()) {
    const auto list = value.toList();
    if (!holdsTensors(list.elementType())) return value;
    c10::impl::GenericList mapped(list.elementType());
    for (const c10::IValue& item : list) mapped.push_back(mapTensors(item, change));
    return mapped;
  }
  if (value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    if (!holdsTensors(dict.valueType())) return value;
    c10::impl::GenericDict mapped(dict.keyType(), dict.valueType());
    for (const auto& entry : dict) mapped.insert(entry.key(), mapTensors(entry.value(), change));
    return mapped;
  }
  return value;
}

}  // namespace jorch::jit
