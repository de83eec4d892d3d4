// Overload resolution against libtorch's registered schemas by torch's argument rules, and the boxed call.
#include "dispatch/call.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/SmallVector.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "device/device_tensor.h"
#include "device/devices.h"
#include "dispatch/convert.h"
#include "dispatch/guards.h"
#include "dispatch/tracing.h"
#include "tensor/tensor.h"

namespace jorch {

namespace {

struct Overload {
  c10::OperatorHandle op;
  std::vector<ArgPlan> args;
  size_t positional = 0;  // arguments before the keyword-only ones
  bool hasOut = false;
  int varargs = -1;       // index of the only non-self positional argument if it is an int list: view(2, 3)
  int device = -1;
  bool takesTensor = false;
  bool inPlace = false;
  Guard guard;
  bool internal;
  explicit Overload(const c10::OperatorHandle& handle);
};

struct Packet;

// What a JavaScript function is made for. `noted`: whoever calls it has looked up the line.
struct Entry {
  const Packet* packet;
  bool noted;
};

struct Packet {
  std::string name;  // as users write it: without `aten::`
  Entry entries[2] = {{this, false}, {this, true}};
  bool single = false;  // one overload only was asked for
  std::vector<Overload> overloads;
};

Overload::Overload(const c10::OperatorHandle& handle) : op(handle), guard(handle.schema()), internal(isInternal(handle.schema())) {
  const auto& schema = op.schema();
  for (const auto& argument : schema.arguments()) {
    ArgPlan plan = ArgPlan::of(argument);
    hasOut |= plan.out;
    if (!plan.keywordOnly) positional++;
    if (plan.kind == ArgPlan::Kind::Device) device = static_cast<int>(args.size());
    inPlace |= argument.alias_info() && argument.alias_info()->isWrite() && !plan.out;
    takesTensor |= plan.kind == ArgPlan::Kind::Tensor || plan.kind == ArgPlan::Kind::TensorList || plan.kind == ArgPlan::Kind::OptionalTensorList;
    args.push_back(std::move(plan));
  }
  const size_t self = !args.empty() && args[0].name == "self" ? 1 : 0;
  if (positional == self + 1 && args[self].kind == ArgPlan::Kind::IntList) varargs = static_cast<int>(self);
}

using Keywords = std::vector<std::pair<std::string, JsArg>>;

// Python's names for schema arguments: `input` is self everywhere; the numpy names are those of torch's own parser.
const char* schemaName(const std::string& keyword) {
  if (keyword == "input") return "self";
  if (keyword == "axis") return "dim";
  if (keyword == "keepdims") return "keepdim";
  if (keyword == "x2") return "other";
  return nullptr;
}

int findArg(const Overload& overload, const std::string& keyword) {
  for (size_t i = 0; i < overload.args.size(); i++)
    if (overload.args[i].name == keyword) return static_cast<int>(i);
  if (const char* other = schemaName(keyword))
    for (size_t i = 0; i < overload.args.size(); i++)
      if (overload.args[i].name == other) return static_cast<int>(i);
  return -1;
}

std::string publicName(const ArgPlan& plan) { return plan.name == "self" ? "input" : plan.name; }

std::string signature(const Packet& packet, const Overload& overload) {
  std::string text = packet.name + "(";
  bool star = false;
  for (size_t i = 0; i < overload.args.size(); i++) {
    const ArgPlan& arg = overload.args[i];
    if (i) text += ", ";
    if (arg.keywordOnly && !star) {
      text += "*, ";
      star = true;
    }
    text += arg.typeText + " " + publicName(arg);
    if (arg.hasDefault) {
      std::ostringstream shown;
      if (arg.defaultValue.isTensor()) shown << "None";
      else shown << arg.defaultValue;
      text += "=" + shown.str();
    }
  }
  return text + ")";
}

using Bound = c10::SmallVector<const JsArg*, 12>;
const JsArg kOmitted{};

// Puts each given argument at its place. `reason` says why not.
bool bindArguments(const Overload& overload, c10::ArrayRef<JsArg> given, const Keywords& keywords, Reading reading, Addon& addon, napi_env env, Bound& bound,
          JsArg& gathered, std::string* reason) {
  const auto fail = [&](auto&& message) {
    if (reason) *reason = message();
    return false;
  };
  bound.assign(overload.args.size(), &kOmitted);
  size_t positional = given.size();
  const int v = overload.varargs;
  if (v >= 0 && given.size() > static_cast<size_t>(v) && (given[v].kind == JsArg::Kind::Int || given[v].kind == JsArg::Kind::BigInt)) {
    // zeros(2, 3), x.view(-1, 4): the numbers are one list.
    gathered = JsArg{};
    gathered.kind = JsArg::Kind::Array;
    gathered.items.assign(given.begin() + v, given.end());
    gathered.itemsRead = true;
    positional = v;
    bound[v] = &gathered;
  }
  if (positional > overload.positional)
    return fail([&] { return "takes at most " + std::to_string(overload.positional) + " positional arguments, got " + std::to_string(positional); });
  for (size_t i = 0; i < positional; i++) bound[i] = &given[i];
  for (const auto& [name, value] : keywords) {
    if (value.kind == JsArg::Kind::Omitted) continue;
    if (name == "out" && overload.hasOut) {
      size_t firstOut = 0, outs = 0;
      for (size_t i = 0; i < overload.args.size(); i++)
        if (overload.args[i].out && outs++ == 0) firstOut = i;
      if (value.kind == JsArg::Kind::Array) {
        const auto& items = value.elements(addon, env);
        if (items.size() != outs) return fail([&] { return "out: expected " + std::to_string(outs) + " tensors, got " + std::to_string(items.size()); });
        for (size_t i = 0; i < outs; i++) bound[firstOut + i] = &items[i];
      } else {
        if (outs != 1) return fail([&] { return "out: expected an array of " + std::to_string(outs) + " tensors"; });
        bound[firstOut] = &value;
      }
      continue;
    }
    const int at = findArg(overload, name);
    if (at < 0) return fail([&] { return "got an unexpected keyword '" + name + "'"; });
    if (bound[at] != &kOmitted && bound[at]->kind != JsArg::Kind::Omitted) return fail([&] { return "got two values for argument '" + name + "'"; });
    bound[at] = &value;
  }
  for (size_t i = 0; i < overload.args.size(); i++) {
    const ArgPlan& plan = overload.args[i];
    const JsArg& arg = *bound[i];
    if (arg.kind == JsArg::Kind::Omitted && (plan.hasDefault || (plan.optional && reading == Reading::Loose))) continue;
    if (arg.kind == JsArg::Kind::Omitted) return fail([&] { return "missing argument '" + publicName(plan) + "' (" + plan.typeText + ")"; });
    if (!accepts(plan, arg, reading, addon, env))
      return fail([&] { return "argument '" + publicName(plan) + "' must be " + plan.typeText + ", not " + arg.describe(addon, env); });
  }
  return true;
}

[[noreturn]] void reportMismatch(const Packet& packet, c10::ArrayRef<JsArg> given, const Keywords& keywords, bool wantsOut, Addon& addon, napi_env env) {
  std::vector<std::string> reasons, signatures;
  for (const auto& overload : packet.overloads) {
    if (overload.hasOut != wantsOut && packet.overloads.size() > 1) continue;
    Bound bound;
    JsArg gathered;
    std::string reason;
    bindArguments(overload, given, keywords, Reading::Loose, addon, env, bound, gathered, &reason);
    reasons.push_back(reason);
    signatures.push_back(signature(packet, overload));
  }
  std::string message = packet.name + "(): ";
  const bool same = !reasons.empty() && std::all_of(reasons.begin(), reasons.end(), [&](const auto& r) { return r == reasons[0]; });
  if (same) {
    message += reasons[0];
  } else {
    message += "no overload takes (";
    for (size_t i = 0; i < given.size(); i++) message += (i ? ", " : "") + given[i].describe(addon, env);
    for (const auto& [name, value] : keywords) message += (message.back() == '(' ? "" : ", ") + name + ": " + value.describe(addon, env);
    message += ")";
  }
  message += "\nExpected ";
  if (signatures.size() == 1) {
    message += signatures[0];
  } else {
    message += "one of:";
    for (size_t i = 0; i < signatures.size(); i++) message += "\n  " + signatures[i] + (same ? "" : "\n      " + reasons[i]);
  }
  throw JsError("BAD_ARGUMENT", message);
}

Keywords readKeywords(Addon& addon, napi_env env, napi_value object) {
  Keywords keywords;
  napi_value names;
  check(env, napi_get_property_names(env, object, &names));
  uint32_t length = 0;
  check(env, napi_get_array_length(env, names, &length));
  for (uint32_t i = 0; i < length; i++) {
    napi_value name, value;
    check(env, napi_get_element(env, names, i, &name));
    check(env, napi_get_property(env, object, name, &value));
    keywords.emplace_back(textOf(env, name), JsArg::of(addon, env, value));
  }
  return keywords;
}

// Several results are one value: an array with the schema's result names on it ([values, indices] and .values).
napi_value namedResults(Addon& addon, napi_env env, const c10::FunctionSchema& schema, c10::ArrayRef<napi_value> values) {
  napi_value array;
  check(env, napi_create_array_with_length(env, values.size(), &array));
  for (size_t i = 0; i < values.size(); i++) {
    check(env, napi_set_element(env, array, i, values[i]));
    const std::string& name = schema.returns()[i].name();
    if (name.empty()) continue;
    // Not enumerable: printing and pytrees see an array.
    const napi_property_descriptor property{name.c_str(), nullptr, nullptr, nullptr, nullptr, values[i], napi_default, nullptr};
    check(env, napi_define_properties(env, array, 1, &property));
  }
  return array;
}

bool differentiable(const at::Tensor& t) { return !t.defined() || torch::autograd::isDifferentiableType(t.scalar_type()); }

// Whether an operator in place writes whole numbers or booleans only. They have no derivative, but libtorch gives them a history when another operand has one
// (mask.eq_(weight)), and then refuses what is done with them.
bool writesNoHistory(const Overload& overload, const torch::jit::Stack& stack) {
  if (!overload.inPlace) return false;
  for (size_t i = 0; i < stack.size(); i++) {
    const auto* alias = overload.op.schema().arguments()[i].alias_info();
    if (!alias || !alias->isWrite()) continue;
    if (stack[i].isTensor() && differentiable(stack[i].toTensor())) return false;
    if (!stack[i].isTensorList()) continue;
    for (const at::Tensor& t : stack[i].toTensorList())
      if (differentiable(t)) return false;
  }
  return true;
}

void call(const Overload& overload, torch::jit::Stack& stack) {
  if (!writesNoHistory(overload, stack)) return overload.op.callBoxed(&stack);
  const at::NoGradGuard noReverse;
  const c10::AutoFwGradMode noForward(false);
  overload.op.callBoxed(&stack);
}

napi_value invoke(const Packet& packet, const Overload& overload, const Bound& bound, c10::ArrayRef<napi_value> given, Addon& addon, napi_env env) {
  if (overload.internal)
    throw JsError("BAD_ARGUMENT", packet.name + ": a part of libtorch's own that trusts its caller; it is not offered, the public operators that use it are");
  torch::jit::Stack stack;
  stack.reserve(overload.args.size());
  for (size_t i = 0; i < overload.args.size(); i++) stack.push_back(convert(overload.args[i], *bound[i], addon, env));
  if (C10_UNLIKELY(device::anyOpened()) && !trace::current() && device::any(stack)) {
    const std::string& name = overload.op.schema().overload_name();
    return device::callOperator(addon, packet.name, packet.single ? &name : nullptr, given);
  }
  if (overload.device >= 0) placeOnTraceDevice(stack[overload.device], overload.takesTensor);
  c10::SmallVector<std::pair<const c10::TensorImpl*, napi_value>, 8> identities;
  for (size_t i = 0; i < stack.size(); i++)
    if (stack[i].isTensor() && bound[i]->kind == JsArg::Kind::Tensor) identities.emplace_back(stack[i].toTensor().unsafeGetTensorImpl(), bound[i]->value);
  if (overload.guard) overload.guard(overload.op.schema(), stack);
  call(overload, stack);
  const auto& returns = overload.op.schema().returns();
  c10::SmallVector<napi_value, 4> results;
  for (size_t i = 0; i < stack.size(); i++) {
    napi_value result = nullptr;
    if (stack[i].isTensor()) {
      // An operator that returns its argument gives the same JavaScript object.
      for (const auto& [impl, value] : identities)
        if (impl == stack[i].toTensor().unsafeGetTensorImpl() && stack[i].toTensor().defined()) result = value;
    }
    results.push_back(result ? result : toJs(addon, env, stack[i], i < returns.size() ? returns[i].real_type() : nullptr));
  }
  if (results.empty()) return nullptr;
  if (results.size() == 1) return results[0];
  return namedResults(addon, env, overload.op.schema(), results);
}

napi_value callPacket(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  size_t count = 16;
  c10::SmallVector<napi_value, 16> values(count);
  if (napi_get_cb_info(env, info, &count, values.data(), nullptr, &data) != napi_ok) return nullptr;
  const Entry& entry = *static_cast<const Entry*>(data);
  const Packet& packet = *entry.packet;
  return guarded(env, packet.name.c_str(), [&]() -> napi_value {
    if (count > values.size()) {
      values.resize(count);
      check(env, napi_get_cb_info(env, info, &count, values.data(), nullptr, nullptr));
    }
    Addon& addon = Addon::of(env);
    addon.reaper->drain(env);
    c10::SmallVector<JsArg, 8> given;
    for (size_t i = 0; i < count; i++) given.push_back(JsArg::of(addon, env, values[i]));
    while (!given.empty() && given.back().kind == JsArg::Kind::Omitted) given.pop_back();
    Keywords keywords;
    bool wantsOut = false;
    if (!given.empty() && isPlainObject(env, given.back())) {
      keywords = readKeywords(addon, env, given.back().value);
      given.pop_back();
      for (const auto& [name, value] : keywords) wantsOut |= name == "out" && value.kind != JsArg::Kind::Omitted && value.kind != JsArg::Kind::None;
    }
    if (entry.noted) takeLine(addon);
    else noteLine(env);
    Bound bound;
    JsArg gathered;
    for (Reading reading : {Reading::Strict, Reading::Loose})
      for (const auto& overload : packet.overloads)
        if ((overload.hasOut == wantsOut || packet.overloads.size() == 1) && bindArguments(overload, given, keywords, reading, addon, env, bound, gathered, nullptr))
          return invoke(packet, overload, bound, c10::ArrayRef<napi_value>(values.data(), count), addon, env);
    reportMismatch(packet, given, keywords, wantsOut, addon, env);
  });
}

// For overloads that Python's own order does not name: those whose arguments other overloads' would swallow come first,
// that is, fewer arguments, and Scalar before Tensor.
bool comesBefore(const Overload& a, const Overload& b) {
  if (a.args.size() != b.args.size()) return a.args.size() < b.args.size();
  for (size_t i = 0; i < a.args.size(); i++)
    if (a.args[i].kind != b.args[i].kind) return a.args[i].kind > b.args[i].kind;
  return a.op.schema().overload_name() < b.op.schema().overload_name();
}

bool hasDimname(const c10::FunctionSchema& schema) {
  return std::any_of(schema.arguments().begin(), schema.arguments().end(), [](const auto& a) { return a.name() == "names" || a.type()->str().find("Dimname") != std::string::npos; }) ||
         schema.overload_name().find("names") != std::string::npos || schema.overload_name().find("Dimname") != std::string::npos || schema.overload_name().find("dimname") != std::string::npos;
}

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Packet>> packets;  // key: name, or name.overload for a single one
  std::map<std::string, std::vector<c10::OperatorName>> names;
  std::map<std::string, std::vector<std::string>> order;  // packet → overloads as Python tries them
};

// Never destroyed: functions of every environment point into it.
Registry& registry() {
  static auto* instance = [] {
    auto* made = new Registry;
    for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) made->names[name.name].push_back(name);
    return made;
  }();
  return *instance;
}

size_t editDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string nearest(const std::string& wanted, const std::vector<std::string>& all) {
  std::string best;
  size_t distance = 4;
  for (const auto& name : all) {
    const size_t d = editDistance(wanted, name);
    if (d < distance) {
      distance = d;
      best = name;
    }
  }
  return best;
}

[[noreturn]] void unknownOperator(const std::string& name) {
  std::vector<std::string> all;
  for (const auto& [known, overloads] : registry().names) all.push_back(known);
  const std::string near = nearest(name, all);
  throw JsError("BAD_ARGUMENT", "unknown operator '" + name + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

const Packet& packetOf(const std::string& name, const std::string* overloadName) {
  Registry& all = registry();
  std::lock_guard<std::mutex> lock(all.mutex);
  auto& slot = all.packets[overloadName ? name + "/" + *overloadName : name];
  if (slot) return *slot;
  auto packet = std::make_unique<Packet>();
  packet->name = name.rfind("aten::", 0) == 0 ? name.substr(6) : name;
  packet->single = overloadName != nullptr;
  const auto known = all.names.find(name);
  if (known == all.names.end()) unknownOperator(name);
  for (const auto& operatorName : known->second) {
    if (overloadName && operatorName.overload_name != *overloadName) continue;
    const auto handle = c10::Dispatcher::singleton().findSchema(operatorName);
    if (!handle || (!overloadName && hasDimname(handle->schema()))) continue;
    packet->overloads.emplace_back(*handle);
  }
  if (packet->overloads.empty()) throw JsError("BAD_ARGUMENT", "operator '" + name + "' has no overload '" + (overloadName ? *overloadName : "") + "'");
  std::sort(packet->overloads.begin(), packet->overloads.end(), comesBefore);
  if (const auto known = all.order.find(packet->name); known != all.order.end()) {
    const auto rank = [&](const Overload& o) {
      const auto& names = known->second;
      return std::find(names.begin(), names.end(), o.op.schema().overload_name()) - names.begin();
    };
    std::stable_sort(packet->overloads.begin(), packet->overloads.end(), [&](const Overload& a, const Overload& b) { return rank(a) < rank(b); });
  }
  slot = std::move(packet);
  return *slot;
}

napi_value makeFunction(napi_env env, napi_callback_info info) {
  return guarded(env, "operator", [&]() -> napi_value {
    size_t count = 3;  // those left out are undefined
    napi_value args[3];
    check(env, napi_get_cb_info(env, info, &count, args, nullptr, nullptr));
    const std::string name = textOf(env, args[0]);
    napi_valuetype given, flag;
    check(env, napi_typeof(env, args[1], &given));
    check(env, napi_typeof(env, args[2], &flag));
    std::string overload;
    if (given != napi_undefined) overload = textOf(env, args[1]);
    const Packet& packet = packetOf(name, given != napi_undefined ? &overload : nullptr);
    bool noted = false;
    if (flag == napi_boolean) check(env, napi_get_value_bool(env, args[2], &noted));
    napi_value function;
    check(env, napi_create_function(env, packet.name.c_str(), NAPI_AUTO_LENGTH, callPacket, const_cast<Entry*>(&packet.entries[noted]), &function));
    return function;
  });
}

// setOverloadOrder({ add: "Tensor:out Scalar", … }): "default" is the unnamed overload, "a:b" an overload and its out= form.
Napi::Value SetOverloadOrder(const Napi::CallbackInfo& info) {
  Registry& all = registry();
  std::lock_guard<std::mutex> lock(all.mutex);
  if (!all.order.empty()) return info.Env().Undefined();
  const auto given = info[0].As<Napi::Object>();
  const auto names = given.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); i++) {
    const std::string packet = Napi::Value(names.Get(i)).As<Napi::String>();
    std::string text = given.Get(packet).As<Napi::String>();
    std::replace(text.begin(), text.end(), ':', ' ');
    std::istringstream words(text);
    auto& order = all.order[packet];
    for (std::string word; words >> word;) order.push_back(word == "default" ? "" : word);
  }
  return info.Env().Undefined();
}

Napi::Value Schemas(const Napi::CallbackInfo& info) {
  auto result = Napi::Array::New(info.Env());
  uint32_t n = 0;
  for (const auto& [name, overloads] : registry().names) {
    if (name.rfind("aten::", 0) != 0) continue;
    for (const auto& overload : overloads)
      if (const auto handle = c10::Dispatcher::singleton().findSchema(overload)) {
        std::ostringstream text;
        text << handle->schema();
        result.Set(n++, text.str());
      }
  }
  return result;
}

}  // namespace

void initCall(Napi::Env env, Napi::Object exports) {
  napi_value make;
  check(env, napi_create_function(env, "packet", NAPI_AUTO_LENGTH, makeFunction, nullptr, &make));
  exports.Set("packet", Napi::Value(env, make));
  exports.Set("setOverloadOrder", Napi::Function::New(env, SetOverloadOrder, "setOverloadOrder"));
  exports.Set("schemas", Napi::Function::New(env, Schemas, "schemas"));
}

}  // namespace jorch
