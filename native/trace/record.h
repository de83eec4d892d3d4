/** @file The boxed kernels of the trace key: what reaches the bottom of the dispatcher becomes a node. */
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <string>
#include <vector>

namespace jorch::trace {

/** "aten::add.Tensor"; a default overload has no dot. */
std::string opName(const c10::FunctionSchema& schema);

/** Records one call. A factory's result is wrapped as functional, as functionalization expects of a backend. */
void record(const c10::OperatorHandle& op, torch::jit::Stack* stack);

/** Records an operator that returns nothing and only raises from data: a node for compile(f, { checks: true }), dead otherwise. */
void recordEffect(const c10::OperatorHandle& op, torch::jit::Stack* stack);

/** For functional CompositeExplicit operators: recorded whole or run in their parts, decided per call. */
void recordOrDecompose(const c10::OperatorHandle& op, torch::jit::Stack* stack);

/** What becomes of an operator in a trace, for the coverage page. */
struct Fate {
  std::string name;
  /**
   * `functionalized` (an in-place or out= form), `decomposed` (libtorch takes it apart), `recorded` (a node: its rule or an ATen call),
   * `dynamic` (its shape depends on data), `value` (it gives a plain value), `refused` (it changes something and has no functional form),
   * `absent` (no kernel for dense CPU tensors).
   */
  const char* fate;
  /** Tagged as core ATen. */
  bool core;
};
/** Of every registered ATen overload, by name. */
std::vector<Fate> fates();

/** Records a call of `op` with arguments that were prepared elsewhere; results are bare trace tensors. */
/** Random operators recorded on this thread so far. */
int64_t randomCalls();
/** While it lives on this thread, notes what random operators draw from; an undefined generator is the default one. */
class DrawsWatch {
 public:
  DrawsWatch();
  ~DrawsWatch();
  DrawsWatch(const DrawsWatch&) = delete;
  DrawsWatch& operator=(const DrawsWatch&) = delete;
  /** Each once. */
  std::vector<at::Generator> generators;
};

void recordCall(const char* name, const char* overload, torch::jit::Stack* stack);

}  // namespace jorch::trace
