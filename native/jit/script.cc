#include "jit/script.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "addon.h"
#include "dispatch/tracing.h"
#include "jit/values.h"
#include "trace/tracer.h"

namespace jorch::jit {

namespace {

bool mayBeTensor(const c10::TypePtr& type) {
  if (type->kind() == c10::TypeKind::TensorType) return true;
  return type->kind() == c10::TypeKind::OptionalType && mayBeTensor(type->expectRef<c10::OptionalType>().getElementType());
}

// Attributes by class and name that methods write, `training` where they read it, and whether anything writes into lists or dicts.
struct Uses {
  std::set<std::pair<std::string, std::string>> attributes;
  bool containers = false;
};

void scan(torch::jit::Block* block, Uses& uses) {
  using namespace torch::jit;
  for (Node* node : block->nodes()) {
    for (Block* inner : node->blocks()) scan(inner, uses);
    if (node->kind() == prim::SetAttr || (node->kind() == prim::GetAttr && node->s(attr::name) == "training")) {
      if (const auto type = node->input(0)->type()->cast<c10::ClassType>()) uses.attributes.emplace(type->annotation_str(), node->s(attr::name));
    } else if (const auto* schema = node->maybeSchema()) {
      for (const auto& argument : schema->arguments()) {
        const auto kind = argument.type()->kind();
        uses.containers |= argument.alias_info() && argument.alias_info()->isWrite() && (kind == c10::TypeKind::ListType || kind == c10::TypeKind::DictType);
      }
    }
  }
}

bool isContainer(const c10::IValue& value) { return value.isList() || value.isGenericDict() || value.isTuple(); }

void write(std::ostream& out, const c10::IValue& value) {
  if (value.isTensor()) {
    // The program holds the tensor, so that no other can have its address.
    out << value.toTensor().unsafeGetTensorImpl();
  } else if (value.isTuple()) {
    for (const auto& item : value.toTupleRef().elements()) write(out << "(", item);
  } else if (value.isList()) {
    for (const c10::IValue& item : value.toListRef()) write(out << "[", item);
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      write(out << "{", entry.key());
      write(out << ":", entry.value());
    }
  } else if (value.isString()) {
    out << value.toStringRef().size() << "'" << value.toStringRef();
  } else if (value.isObject()) {
    out << value.toObjectRef().type() << value.toObject().get();
  } else {
    out << value;
  }
  out << ",";
}

std::string textOf(const c10::IValue& value) {
  std::ostringstream out;
  out.precision(17);
  write(out, value);
  return out.str();
}

std::string attributeName(const c10::ivalue::Object& object, size_t slot) { return "'" + object.type()->getAttributeName(slot) + "'"; }

}  // namespace

Script::Script(torch::jit::Module root) : root_(std::move(root)) {
  visit(root_._ivalue());
  findWatched();
}

int64_t Script::indexOf(const c10::ivalue::Object& object) const { return indices_.at(&object); }

void Script::visit(const torch::jit::ObjectPtr& object) {
  if (!indices_.emplace(object.get(), objects_.size()).second) return;
  objects_.emplace_back(object);
  const auto type = object->type();
  for (size_t slot = 0; slot < type->numAttributes(); slot++) {
    const c10::IValue& value = object->getSlot(slot);
    const auto& declared = type->getAttribute(slot);
    if (declared->is_module()) {
      if (value.isObject()) visit(value.toObject());
    } else if (mayBeTensor(declared)) {
      int64_t tensor = -1;
      if (value.isTensor() && value.toTensor().defined()) {
        const auto known = std::find_if(tensors_.begin(), tensors_.end(), [&](const auto& t) { return t.is_same(value.toTensor()); });
        tensor = known - tensors_.begin();
        if (known == tensors_.end()) tensors_.push_back(value.toTensor());
      }
      places_.push_back({object, slot, tensor, type->is_parameter(slot)});
    } else if (holdsTensors(declared)) {
      containers_.push_back({object, slot});
    }
  }
}

void Script::findWatched() {
  Uses uses;
  for (const auto& module : objects_)
    for (torch::jit::Function* method : module.type()->methods()) scan(torch::jit::toGraphFunction(*method).graph()->block(), uses);
  if (const auto unit = root_._ivalue()->compilation_unit())
    for (torch::jit::Function* function : unit->get_functions())
      if (auto* graph = torch::jit::tryToGraphFunction(*function)) scan(graph->graph()->block(), uses);
  for (const auto& module : objects_) {
    const auto type = module.type();
    for (size_t slot = 0; slot < type->numAttributes(); slot++) {
      const auto& declared = type->getAttribute(slot);
      if (declared->is_module() || mayBeTensor(declared)) continue;
      const std::string& name = type->getAttributeName(slot);
      if (uses.attributes.count({type->annotation_str(), name}) || (uses.containers && isContainer(module._ivalue()->getSlot(slot))))
        watched_.emplace_back(module._ivalue(), slot);
    }
  }
}

void Script::watch(size_t object, const std::string& name) {
  const auto& owner = objects_.at(object)._ivalue();
  const size_t slot = owner->type()->getAttributeSlot(name);
  for (const auto& [known, at] : watched_)
    if (known == owner && at == slot) return;
  watched_.emplace_back(owner, slot);
}

std::string Script::key() const {
  std::ostringstream out;
  out.precision(17);
  for (const auto& [object, slot] : watched_) {
    const c10::IValue& value = object->getSlot(slot);
    if (value.isBool()) out.put(value.toBool() ? 't' : 'f');
    else write(out, value);
  }
  return out.str();
}

const torch::jit::Code& Script::code(size_t object, const std::string& method, bool traced) {
  torch::jit::Code& code = codes_[{object, method, traced}];
  if (!code) code = prepare(objects_.at(object).get_method(method), traced);
  return code;
}

Script::Outcome Script::call(size_t object, const std::string& method, torch::jit::Stack stack, const std::vector<at::Tensor>& held) {
  auto* tracer = trace::current();
  const torch::jit::Code& code = this->code(object, method, tracer != nullptr);
  struct Restore {
    Script& script;
    const std::vector<at::Tensor>& held;
    std::vector<c10::IValue> watched, containers;
    ~Restore() {
      for (size_t i = 0; i < script.places_.size(); i++)
        script.places_[i].object->setSlot(script.places_[i].slot, held[i].defined() ? c10::IValue(held[i]) : c10::IValue());
      for (size_t i = 0; i < containers.size(); i++) script.containers_[i].object->setSlot(script.containers_[i].slot, containers[i]);
      for (size_t i = 0; i < watched.size(); i++) script.watched_[i].first->setSlot(script.watched_[i].second, watched[i]);
    }
  } restore{*this, held, {}, {}};

  // A tensor that is no parameter may be put away by the script and returned, while another takes its place: the script gets an alias of its own.
  std::vector<at::Tensor> given;
  for (size_t i = 0; i < places_.size(); i++) {
    at::Tensor tensor = held[i];
    if (tensor.defined()) {
      tensor = lifted(tensor);
      if (!tracer && !places_[i].parameter && !tensor.requires_grad()) tensor = tensor.detach();
    }
    places_[i].object->setSlot(places_[i].slot, tensor.defined() ? c10::IValue(tensor) : c10::IValue());
    given.push_back(std::move(tensor));
  }
  std::vector<std::string> before;
  if (tracer) {
    for (const auto& [owner, slot] : watched_) {
      before.push_back(textOf(owner->getSlot(slot)));
      // Containers of tensors are put aside whole, below: their tensors must stay the same ones.
      const c10::IValue& value = owner->getSlot(slot);
      restore.watched.push_back(isContainer(value) && holdsTensors(owner->type()->getAttribute(slot)) ? value : value.deepcopy());
    }
    for (const auto& [owner, slot] : containers_) {
      restore.containers.push_back(owner->getSlot(slot));
      owner->setSlot(slot, mapTensors(owner->getSlot(slot), [](const at::Tensor& t) { return lifted(t); }));
    }
  }

  run(code, stack);

  Outcome outcome{stack.empty() ? c10::IValue() : stack.back(), {}};
  for (size_t i = 0; i < places_.size(); i++) {
    const c10::IValue& value = places_[i].object->getSlot(places_[i].slot);
    at::Tensor now = value.isTensor() ? value.toTensor() : at::Tensor();
    if (now.is_same(given[i]) || (!now.defined() && !given[i].defined())) continue;
    outcome.changes.push_back({i, std::move(now)});
  }
  if (!tracer) return outcome;

  const auto refuse = [&](const std::string& what, const std::string& why) {
    throw JsError("BAD_ARGUMENT", method + ": the script changes its attribute " + what + " while compile() records it" + why +
                                      ". Call it once outside compile() first, or hand the state in and out as arguments and results");
  };
  for (size_t i = 0; i < watched_.size(); i++) {
    const auto& [owner, slot] = watched_[i];
    if (isContainer(owner->getSlot(slot)) && holdsTensors(owner->type()->getAttribute(slot))) continue;  // below
    if (textOf(owner->getSlot(slot)) != before[i]) refuse(attributeName(*owner, slot), ", which a program cannot do");
  }
  for (size_t i = 0; i < containers_.size(); i++) {
    const c10::IValue& now = containers_[i].object->getSlot(containers_[i].slot);
    if (textOf(now) != textOf(mapTensors(restore.containers[i], [](const at::Tensor& t) { return lifted(t); })))
      refuse(attributeName(*containers_[i].object, containers_[i].slot), ", which a program cannot do");
  }
  // What the script keeps for its next call is written into the tensor that it kept before. A result that is this tensor keeps the value it had.
  for (const auto& change : outcome.changes) {
    const std::string name = attributeName(*places_[change.place].object, places_[change.place].slot);
    const at::Tensor& old = given[change.place];
    if (!old.defined() || !change.now.defined() || old.sizes() != change.now.sizes() || old.scalar_type() != change.now.scalar_type())
      refuse(name, " to a tensor of another shape or dtype");
    outcome.result = mapTensors(outcome.result, [&](const at::Tensor& t) { return t.defined() && t.is_alias_of(old) ? t.clone() : t; });
  }
  std::vector<at::Tensor> values;
  for (const auto& change : outcome.changes) values.push_back(lifted(change.now).clone());
  for (size_t i = 0; i < values.size(); i++) {
    if (values[i].requires_grad())
      refuse(attributeName(*places_[outcome.changes[i].place].object, places_[outcome.changes[i].place].slot), " to a value that requires grad; call it under no_grad()");
    at::NoGradGuard unrecorded;
    given[outcome.changes[i].place].copy_(values[i]);
  }
  outcome.changes.clear();
  return outcome;
}

}  // namespace jorch::jit
