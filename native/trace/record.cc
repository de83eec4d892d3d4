/** @file The boxed kernels of the trace key: what reaches the bottom of the dispatcher becomes a node. */
#include "record.h"

#include <ATen/FunctionalTensorWrapper.h>
#include <ATen/core/enum_tag.h>
#include <ATen/native/TypeProperties.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "device/device_tensor.h"
#include "meta.h"
#include "trace_tensor.h"
#include "tracer.h"

namespace jorch::trace {
namespace {
using torch::jit::Stack;
using Rules = std::unordered_set<std::string>;

std::shared_ptr<const Rules> theRules = std::make_shared<const Rules>();

std::shared_ptr<const Rules> rules() { return std::atomic_load(&theRules); }

// Copies that libtorch makes everywhere: taken apart they would become an empty tensor and a copy into it; operators
// whose parts are another backend's (convolution); views in disguise, which functionalize_op_helper crashes on.
const Rules kAlwaysWhole = {
    "aten::clone",        "aten::_to_copy",     "aten::copy",          "aten::lift_fresh_copy",
    "aten::convolution",  "aten::convolution_backward", "aten::linalg_lstsq",
    "aten::_unsafe_view", "aten::unsafe_split.Tensor", "aten::unsafe_split_with_sizes",
    // Taken apart, these lose the permuted strides of an operand with gaps (a functional wrapper hides them).
    "aten::empty_like",   "aten::zeros_like",   "aten::ones_like",     "aten::full_like",
    "aten::rand_like",    "aten::randn_like"};

/** What is looked up once per operator and thread, because a call costs only a few microseconds. */
struct OpInfo {
  std::string name;
  bool takesTensor = false;
  bool dynamicShape = false;
  bool needsData = false;
  bool whole = false;  // when it is CompositeExplicit
  int offsetArg = -1;  // of as_strided and its kin
};

bool holdsTensor(const c10::Type& type) { return type.str().find("Tensor") != std::string::npos; }

const OpInfo& infoOf(const c10::OperatorHandle& op) {
  thread_local std::unordered_map<const c10::FunctionSchema*, std::unique_ptr<OpInfo>> known;
  const c10::FunctionSchema& schema = op.schema();
  auto& slot = known[&schema];
  if (slot != nullptr) return *slot;
  auto info = std::make_unique<OpInfo>();
  info->name = opName(schema);
  for (const auto& a : schema.arguments()) info->takesTensor = info->takesTensor || holdsTensor(*a.type());
  info->dynamicShape = op.hasTag(at::Tag::dynamic_output_shape) || info->name == "aten::_unique";  // it lacks the tag
  info->needsData = op.hasTag(at::Tag::data_dependent_output) && !info->dynamicShape;
  for (const auto& r : schema.returns()) info->needsData = info->needsData || !holdsTensor(*r.type());
  info->whole = !info->takesTensor || kAlwaysWhole.count(info->name) != 0 || op.hasTag(at::Tag::generated) ||
                op.hasKernelForDispatchKey(c10::DispatchKey::Meta);
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    if (schema.name().rfind("aten::as_strided", 0) == 0 && schema.arguments()[i].name() == "storage_offset") {
      info->offsetArg = static_cast<int>(i);
    }
  }
  slot = std::move(info);
  return *slot;
}

/** Whether a tagged operator's result has a static shape after all, seen from its arguments. */
bool staticAfterAll(const OpInfo& info, const c10::FunctionSchema& schema, const Stack& stack) {
  const size_t first = stack.size() - schema.arguments().size();
  if (schema.name() == "aten::_ctc_loss") return true;  // the shape functions take the most that fits
  if (info.name == "aten::linalg_lstsq") return true;   // but for rank-deficient input, whose residuals are empty
  if (info.name == "aten::repeat_interleave.Tensor") return !stack.back().isNone();
  if (schema.name() != "aten::index" && schema.name() != "aten::_unsafe_index") return false;
  for (const std::optional<at::Tensor>& i : stack[first + 1].toOptionalTensorList()) {
    if (i && i->defined() && (i->scalar_type() == at::kBool || i->scalar_type() == at::kByte)) return false;
  }
  return true;
}

c10::IValue metaArg(const c10::IValue& a) {
  if (a.isTensor()) return toMeta(a.toTensor());
  if (a.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& t : a.toTensorList()) list.push_back(toMeta(t));
    return list;
  }
  if (a.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& t : a.toOptionalTensorList()) {
      list.push_back(t ? std::optional<at::Tensor>(toMeta(*t)) : std::nullopt);
    }
    return list;
  }
  if (a.isDevice()) return c10::Device(c10::kMeta);
  return a;
}

bool isWrapped(const at::Tensor& t) { return t.defined() && t.unsafeGetTensorImpl()->is_wrapped_number(); }

/** Wrapped numbers ("weak" scalars) are baked in a type that promotes as they did, for a value has no such flag.
    Reduced precision keeps float32, as kernels do with their scalars. */
std::optional<at::ScalarType> wrappedType(const Stack& stack, size_t first) {
  bool wrapped = false, spread = false;
  at::native::ResultTypeState state = {};
  for (size_t i = first; i < stack.size(); ++i) {
    if (!stack[i].isTensor() || !stack[i].toTensor().defined()) continue;
    const at::Tensor& t = stack[i].toTensor();
    wrapped = wrapped || isWrapped(t);
    spread = spread || t.dim() > 0;
    state = at::native::update_result_type_state(t, state);
  }
  if (!wrapped) return std::nullopt;
  const at::ScalarType type = at::native::result_type(state);
  return spread && at::isReducedFloatingType(type) ? at::kFloat : type;
}

Arg recordedArg(Tracer& tracer, const c10::IValue& a, std::optional<at::ScalarType> wrapped) {
  const auto id = [&](const at::Tensor& t) {
    if (!t.defined()) return int64_t{-1};
    return wrapped && isWrapped(t) ? tracer.operand(t.to(*wrapped)) : tracer.operand(t);
  };
  Arg arg;
  if (a.isTensor()) {
    arg.kind = Arg::Kind::Tensor;
    arg.ids.push_back(id(a.toTensor()));
  } else if (a.isTensorList()) {
    arg.kind = Arg::Kind::Tensors;
    for (const at::Tensor& t : a.toTensorList()) arg.ids.push_back(id(t));
  } else if (a.isOptionalTensorList()) {
    arg.kind = Arg::Kind::Tensors;
    for (const std::optional<at::Tensor>& t : a.toOptionalTensorList()) arg.ids.push_back(t ? id(*t) : -1);
  } else {
    arg.plain = a;
  }
  return arg;
}

/** Where a call belongs: what uses values of outer traces only is theirs, as when libtorch applies pending in-place
    operators to a tensor of an outer trace at the moment an inner one reads it. */
Tracer* tracerFor(const Stack& stack, size_t first) {
  int deepest = -1;
  const auto look = [&](const at::Tensor& t) { deepest = std::max(deepest, depthOf(t)); };
  for (size_t i = first; i < stack.size(); ++i) {
    const c10::IValue& v = stack[i];
    if (v.isTensor()) look(v.toTensor());
    else if (v.isTensorList()) for (const at::Tensor& t : v.toTensorList()) look(t);
    else if (v.isOptionalTensorList()) for (const std::optional<at::Tensor>& t : v.toOptionalTensorList()) if (t) look(*t);
  }
  return deepest < 0 ? current() : atDepth(deepest);
}

/** A backend wraps what it makes from nothing, unless functionalization is switched off around the call. */
at::Tensor wrapFactory(const at::Tensor& bare) {
  if (c10::impl::tls_local_dispatch_key_set().excluded_.has(c10::DispatchKey::Functionalize)) return bare;
  return at::functionalization::impl::to_functional_tensor(bare);
}

thread_local int64_t drawn = 0;
thread_local std::vector<DrawsWatch*> drawsWatches;

void noteDraw(const Stack& stack, size_t first) {
  ++drawn;
  at::Generator generator;
  for (size_t i = first; i < stack.size(); i++)
    if (stack[i].isGenerator()) generator = stack[i].toGenerator();
  for (DrawsWatch* watch : drawsWatches) {
    auto& known = watch->generators;
    if (std::find(known.begin(), known.end(), generator) == known.end()) known.push_back(generator);
  }
}

// Operators that are being run in their parts, innermost last: met again below itself, an operator is recorded.
thread_local std::vector<const c10::FunctionSchema*> decomposing;

struct Decomposing {
  explicit Decomposing(const c10::FunctionSchema* s) { decomposing.push_back(s); }
  ~Decomposing() { decomposing.pop_back(); }
};
}  // namespace

void setRules(std::vector<std::string> names) {
  std::atomic_store(&theRules, std::shared_ptr<const Rules>(std::make_shared<const Rules>(names.begin(), names.end())));
}

std::string opName(const c10::FunctionSchema& schema) {
  return schema.overload_name().empty() ? schema.name() : schema.name() + "." + schema.overload_name();
}

void record(const c10::OperatorHandle& op, Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  const OpInfo& info = infoOf(op);
  Tracer* tracer = current();
  if (tracer == nullptr && device::any(*stack, stack->size() - schema.arguments().size())) return device::run(op, stack);
  if (tracer == nullptr) throw Concretization(Concretization::Kind::LeakedTrace, info.name);
  TORCH_INTERNAL_ASSERT(!schema.is_mutable(), "the recorder met the mutable operator ", info.name);
  if (info.dynamicShape && !staticAfterAll(info, schema, *stack)) {
    throw Concretization(Concretization::Kind::DynamicShape, info.name);
  }
  if (info.needsData) throw Concretization(Concretization::Kind::Data, info.name);

  const size_t count = schema.arguments().size();
  const size_t first = stack->size() - count;
  if (op.hasTag(at::Tag::nondeterministic_seeded)) noteDraw(*stack, first);
  tracer = tracerFor(*stack, first);
  Stack metas;
  metas.reserve(count);
  for (size_t i = first; i < stack->size(); ++i) metas.push_back(metaArg((*stack)[i]));
  inferMeta(op, info.name, &metas);

  Node node;
  node.schema = &schema;
  node.op = info.name;
  // A cast is what a dynamic number among the operands becomes: it takes the number as it is.
  const auto wrapped = info.name == "aten::_to_copy" ? std::nullopt : wrappedType(*stack, first);
  for (size_t i = first; i < stack->size(); ++i) node.args.push_back(recordedArg(*tracer, (*stack)[i], wrapped));
  if (info.offsetArg >= 0) {
    // Offsets count from the start of a storage that values do not have: make them relative to `self`.
    const int64_t own = (*stack)[first].toTensor().storage_offset();
    c10::IValue& offset = node.args[info.offsetArg].plain;
    const int64_t relative = offset.isNone() ? 0 : offset.toInt() - own;
    TORCH_CHECK(relative >= 0, info.name, ": storage_offset ", own + relative,
                " lies before the tensor it is taken from, which starts at ", own);
    offset = relative;
  }
  torch::jit::drop(*stack, count);

  const auto make = [&](const at::Tensor& like, Out& out) {
    if (!like.defined()) {
      out.ids.push_back(-1);
      return at::Tensor();
    }
    at::Tensor bare = tracer->fresh(like);
    out.ids.push_back(traceTensor(bare)->id);
    return info.takesTensor ? bare : wrapFactory(bare);
  };
  for (const c10::IValue& v : metas) {
    Out out;
    if (v.isTensor()) {
      stack->emplace_back(make(v.toTensor(), out));
    } else {
      out.list = true;
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : v.toTensorList()) list.push_back(make(t, out));
      stack->emplace_back(std::move(list));
    }
    node.outs.push_back(std::move(out));
  }
  tracer->add(std::move(node));
}

void recordEffect(const c10::OperatorHandle& op, Stack* stack) {
  Tracer* tracer = current();
  if (tracer == nullptr) throw Concretization(Concretization::Kind::LeakedTrace, opName(op.schema()));
  Node node;
  node.schema = &op.schema();
  node.op = opName(op.schema());
  const size_t count = op.schema().arguments().size();
  for (size_t i = stack->size() - count; i < stack->size(); ++i) node.args.push_back(recordedArg(*tracer, (*stack)[i], std::nullopt));
  torch::jit::drop(*stack, count);
  tracer->add(std::move(node));
}

void recordOrDecompose(const c10::OperatorHandle& op, Stack* stack) {
  const OpInfo& info = infoOf(op);
  if (current() == nullptr && device::any(*stack, stack->size() - op.schema().arguments().size())) return device::run(op, stack);
  bool whole = info.whole || rules()->count(info.name) != 0;
  for (const auto* s : decomposing) whole = whole || s == &op.schema();
  if (whole) {
    record(op, stack);
    return;
  }
  Decomposing guard(&op.schema());
  at::functionalization::functionalize_op_helper(op, stack);
}

std::vector<Fate> fates() {
  using Key = c10::DispatchKey;
  auto& dispatcher = c10::Dispatcher::singleton();
  std::vector<Fate> all;
  for (const c10::OperatorName& each : dispatcher.getAllOpNames()) {
    const auto op = dispatcher.findSchema(each);
    if (!op || each.name.rfind("aten::", 0) != 0) continue;
    const bool implicit = op->hasKernelForDispatchKey(Key::CompositeImplicitAutograd);
    const bool composite = op->hasKernelForDispatchKey(Key::CompositeExplicitAutograd) ||
                           op->hasKernelForDispatchKey(Key::CompositeExplicitAutogradNonFunctional);
    const auto fate = [&]() -> const char* {
      const OpInfo& info = infoOf(*op);
      if (implicit) return info.needsData ? "value" : "decomposed";
      if (op->schema().is_mutable()) return op->hasKernelForDispatchKey(Key::Functionalize) ? "functionalized" : "refused";
      if (!composite && !op->hasKernelForDispatchKey(Key::CPU)) return "absent";
      if (info.dynamicShape) return "dynamic";
      if (info.needsData) return "value";
      return composite && !info.whole ? "decomposed" : "recorded";
    };
    all.push_back({opName(op->schema()), fate(), op->hasTag(at::Tag::core)});
  }
  std::sort(all.begin(), all.end(), [](const Fate& a, const Fate& b) { return a.name < b.name; });
  return all;
}

int64_t randomCalls() { return drawn; }
DrawsWatch::DrawsWatch() { drawsWatches.push_back(this); }
DrawsWatch::~DrawsWatch() { drawsWatches.pop_back(); }

void recordCall(const char* name, const char* overload, Stack* stack) {
  record(c10::Dispatcher::singleton().findSchemaOrThrow(name, overload), stack);
}

}  // namespace jorch::trace
