#include "jit/code.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>
#include <torch/csrc/jit/runtime/custom_operator.h>
#include <torch/csrc/jit/runtime/jit_exception.h>
#include <torch/csrc/jit/runtime/profiling_graph_executor_impl.h>

#include "addon.h"
#include "jit/values.h"
#include "trace/tracer.h"

namespace jorch::jit {

namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

const c10::Device kTraceDevice(c10::DeviceType::Lazy, 0);

// A tensor that the script wrote down as numbers: in a trace a constant of the graph, which in-place operators may change as any other.
constexpr const char* kConstant = "jorch::constant";
const torch::jit::RegisterOperators registered({torch::jit::Operator(
    std::string(kConstant) + "(Tensor input) -> Tensor",
    [](torch::jit::Stack& stack) {
      at::Tensor tensor = torch::jit::pop(stack).toTensor();
      auto* tracer = trace::current();
      if (tracer && tensor.device().is_cpu()) tensor = tracer->constant(tensor).requires_grad_(tensor.requires_grad());
      torch::jit::push(stack, std::move(tensor));
    },
    c10::AliasAnalysisKind::CONSERVATIVE)});

bool isDevice(const c10::TypePtr& type) {
  if (type->kind() == c10::TypeKind::DeviceObjType) return true;
  return type->kind() == c10::TypeKind::OptionalType && isDevice(type->expectRef<c10::OptionalType>().getElementType());
}

// What dispatch/call.cc does for calls from JavaScript: a factory makes trace tensors, and the CPU is where the trace is.
void placeOnTraceDevice(Node* node) {
  const auto* schema = node->maybeSchema();
  if (!schema) return;
  bool takesTensor = false;
  for (const auto& argument : schema->arguments()) takesTensor |= holdsTensors(argument.type());
  for (size_t i = 0; i < schema->arguments().size() && i < node->inputs().size(); i++) {
    if (!isDevice(schema->arguments()[i].type())) continue;
    const auto given = torch::jit::toIValue(node->input(i));
    if (!given) continue;
    if ((given->isNone() && !takesTensor) || (given->isDevice() && given->toDevice().is_cpu())) {
      torch::jit::WithInsertPoint at(node);
      node->replaceInput(i, node->owningGraph()->insertConstant(kTraceDevice));
    }
  }
}

// A list of optional tensors is told by its type object, of which the parser makes copies.
void nameOptionalTensors(Node* node) {
  const auto type = c10::getTypePtr<c10::List<std::optional<at::Tensor>>>();
  const auto* schema = node->maybeSchema();
  for (size_t i = 0; schema && i < schema->arguments().size() && i < node->inputs().size(); i++)
    if (*schema->arguments()[i].type() == *type && node->input(i)->node()->kind() == torch::jit::prim::ListConstruct) node->input(i)->setType(type);
}

bool writesNumbersDown(const Node* node) {
  static const auto tensor = c10::Symbol::aten("tensor");
  static const auto asTensor = c10::Symbol::aten("as_tensor");
  return node->kind() == tensor || node->kind() == asTensor;
}

void forTrace(Graph& graph, Block* block) {
  static const auto cpu = c10::Symbol::aten("cpu");
  for (auto it = block->nodes().begin(); it != block->nodes().end(); ++it) {
    Node* node = *it;
    for (Block* inner : node->blocks()) forTrace(graph, inner);
    if (node->kind() == cpu) {
      node->output()->replaceAllUsesWith(node->input());
      it.destroyCurrent();
    } else if (writesNumbersDown(node)) {
      Node* constant = graph.create(c10::Symbol::fromQualString(kConstant), {node->output()}, 1);
      constant->insertAfter(node);
      node->output()->replaceAllUsesAfterNodeWith(constant, constant->output());
      constant->output()->setType(node->output()->type());
    } else {
      placeOnTraceDevice(node);
      nameOptionalTensors(node);
    }
  }
}

}  // namespace

torch::jit::Code prepare(const torch::jit::Method& method, bool traced) {
  std::shared_ptr<Graph> graph = torch::jit::toGraphFunction(method.function()).graph()->copy();
  torch::jit::Inline(*graph);
  if (traced) forTrace(*graph, graph->block());
  torch::jit::runNooptPassPipeline(graph);
  return torch::jit::Code(graph, method.name());
}

void run(const torch::jit::Code& code, torch::jit::Stack& stack) {
  // For what the interpreter hands to executors of its own: calls through interfaces, forks.
  struct Unoptimized {
    const bool before = torch::jit::getGraphExecutorOptimize();
    // The interpreter turns exceptions into texts; those that say that a trace needs data must arrive as they are.
    const bool rethrows = FLAGS_torch_jit_enable_rethrow_caught_exception;
    Unoptimized() {
      torch::jit::setGraphExecutorOptimize(false);
      FLAGS_torch_jit_enable_rethrow_caught_exception = trace::current() != nullptr;
    }
    ~Unoptimized() {
      torch::jit::setGraphExecutorOptimize(before);
      FLAGS_torch_jit_enable_rethrow_caught_exception = rethrows;
    }
  } unoptimized;
  try {
    torch::jit::InterpreterState(code, [](std::function<void()> task) { task(); }).run(stack);
  } catch (const torch::jit::JITException& raised) {
    // The script's own words first, then where.
    const std::string kind = raised.getPythonClassName().value_or("exception");
    throw JsError("BAD_ARGUMENT", kind + ": " + raised.getOriginalMsg().value_or("") + "\n" + raised.what());
  }
}

}  // namespace jorch::jit
