/** @file One open trace: gives trace tensors for eager ones, collects the graph, tells what the run mutated. */
#pragma once
#include <ATen/FunctionalTensorWrapper.h>
#include <ATen/core/Tensor.h>
#include <c10/core/AutogradState.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "dispatch/hooks.h"
#include "graph.h"

namespace jorch::trace {

/** Data of a trace tensor was asked for, or a shape that only the data can tell, or the trace is over. */
class Concretization : public std::exception {
 public:
  enum class Kind { Data, DynamicShape, LeakedTrace };
  Concretization(Kind kind, std::string op);
  const char* what() const noexcept override { return text_.c_str(); }
  Kind kind() const noexcept { return kind_; }
  /** "aten::_local_scalar_dense"; empty when no operator was involved. */
  const std::string& op() const noexcept { return op_; }

 private:
  Kind kind_;
  std::string op_;
  std::string text_;
};

/** An input of the graph: an explicit argument, or an eager tensor that the function met by itself. */
struct Capture {
  at::Tensor eager;  // kept alive: its address is its identity
  at::Tensor twin;
  int64_t inputIndex;
  bool isArg;
  bool gradWasDefined;
  at::Tensor gradTwin;  // what the twin's .grad was when lifted
  int64_t gradOf = -1;      // the capture whose .grad this is: looked up through it at every call
  bool closedOver = false;  // an argument that the function also met by itself: it must be this very tensor
  bool requiredGrad = false;
  bool gradSeen = false;    // the function has read or set its .grad
  std::shared_ptr<hooks::Borrowed> hooks;  // until the function has returned
  at::Tensor root;          // for a tensor with a history: the leaf that stands at its end in the trace
  std::shared_ptr<torch::autograd::Node> history;  // between that and the twin

  /** What gradients of the trace lead to; undefined when none do. */
  at::Tensor leaf() const { return root.defined() ? root : twin.requires_grad() && twin.is_leaf() ? twin : at::Tensor(); }
  /** The twin was changed by operators that autograd has recorded. */
  bool changedHistory() const { return twin.requires_grad() && !twin.is_leaf() && twin.grad_fn() != history; }
  int64_t storageOf = -1;   // the capture whose whole storage this is, flat; those in the storage are views of it and no inputs
};

/** What became of a capture, after the run; -1 means unchanged. */
struct Effect {
  int64_t mutated = -1;      // its value is now this one
  int64_t grad = -1;         // .grad was undefined or another tensor and is now this value. A .grad that existed and
                             // was accumulated into in place is reported as `mutated` of its own capture.
  bool gradCleared = false;  // .grad was defined and is not any more
  bool history = false;      // gradients flow through the value it has now
  std::optional<bool> requiresGrad;  // set or unset by the function
};

/** Tensors in one storage, of which one was changed: the trace must begin again with that storage as one input. */
class SharedStorage : public std::exception {
 public:
  explicit SharedStorage(const void* storage) : storage(storage) {}
  const char* what() const noexcept override { return "a storage is shared"; }
  const void* storage;
};

class Tracer {
 public:
  /** `shared`: storages that are lifted whole, tensors in them as views. */
  explicit Tracer(std::unordered_set<const void*> shared = {});
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  /** The trace twin of an explicit argument, a leaf. */
  at::Tensor input(const at::Tensor& eager, bool requiresGrad);
  /** Trace tensors of this trace pass through; an eager tensor becomes a hidden input, once per identity. */
  at::Tensor lift(const at::Tensor& t);
  /** A data literal born in the trace. */
  at::Tensor constant(const at::Tensor& cpu);

  /** The function has returned: when autograd comes from outside, hooks of captured tensors run there. */
  void dropHooks();

  /** The value that a tensor holds now; pending mutations of its base are applied first. */
  int64_t valueOf(const at::Tensor& t);
  const std::vector<Capture>& captures() const { return captures_; }
  /** In the order of captures(); records the view replays that reading the values needs. */
  std::vector<Effect> effects();
  /** Throws where a capture has another shape than at first. */
  void refuseChangedShapes() const;

  Graph& graph() { return graph_; }
  /** The place of the user's source line for nodes recorded from now on. */
  void setLine(int32_t line) { line_ = line; }
  uint64_t serial() const { return serial_; }
  /** Notes that the function looks at the .grad of `twin`; the tensor that it stands for, undefined if it is no capture. */
  at::Tensor noteGrad(const at::Tensor& twin);
  /** The capture of an eager tensor, nullptr if the function has not met it. */
  const Capture* find(const at::Tensor& eager) const;

  // For the recorder only.
  /** A bare trace tensor (not functional) for a fresh value with the geometry of `like`. */
  at::Tensor fresh(const at::Tensor& like);
  /** The value id of whatever tensor reached the bottom of the dispatcher. */
  int64_t operand(const at::Tensor& t);
  void add(Node node);

 private:
  at::Tensor capture(const at::Tensor& eager, bool requiresGrad, bool isArg);
  at::Tensor captureInStorage(const at::Tensor& eager, bool isArg);
  bool isShared(const at::Tensor& t) const;
  int64_t bake(const at::Tensor& cpu);

  uint64_t serial_;
  Graph graph_;
  int32_t line_ = 0;
  std::vector<Capture> captures_;
  std::unordered_map<const c10::TensorImpl*, size_t> byIdentity_;
  std::unordered_map<std::string, int64_t> scalars_;  // baked 0-d constants by dtype and bytes
  std::unordered_set<const void*> shared_;
  std::unordered_map<const void*, size_t> bases_;     // captures that are whole storages
  std::vector<at::Tensor> met_;                       // eager tensors met at the bottom: their addresses stay unique
};

/** All elements of the storage of `t`, in a row: a tensor in the same memory. */
at::Tensor wholeStorage(const at::Tensor& t);

/** The innermost open trace of this thread, or nullptr. */
Tracer* current();
/** Whether that is a trace within a trace: the body of a loop or branch, or a function that is watched. */
bool isInner();
/** Whether gradients flow back to `t`, which may have been told so in one of the open traces that took it in. */
bool requiresGrad(const at::Tensor& t);
/** Notes in every open trace that the function looks at the .grad of a tensor. */
void noteGrad(at::Tensor twin);

/** How deep the open trace of `t` lies, 0 for the outermost; -1 for a tensor of no open trace. */
int depthOf(const at::Tensor& t);
/** The open trace at that depth. */
Tracer* atDepth(int depth);

/** Opens a trace on this thread; closing restores every piece of thread-local state, also on a throw. */
class TraceScope {
 public:
  explicit TraceScope(Tracer& tracer);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  c10::AutogradState autograd_;
  c10::impl::ForceDispatchKeyGuard keys_;
  at::functionalization::impl::FunctionalizationReapplyViewsGuard views_;
};

/** Operators that have a lowering rule ("aten::clamp", "aten::add.Scalar"): those are recorded whole. Process-wide. */
void setRules(std::vector<std::string> names);

/** Registers the device guard and the kernels of the trace key, once per process and before any operator runs.
    Throws c10::Error when another copy of the addon has done so already. */
void registerKernels();

/** Whether `t` is, below its functional wrapper, a trace tensor (of any trace). */
bool isTraceTensor(const at::Tensor& t);

}  // namespace jorch::trace
