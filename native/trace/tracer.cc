/** @file One open trace: captures, constants, effects and the thread's stack of traces. */
#include "tracer.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/util/SmallVector.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <atomic>

#include "autocast.h"
#include "device/bridge.h"
#include "device/device_tensor.h"
#include "record.h"
#include "trace_tensor.h"
#include "transforms/levels.h"

namespace jorch::trace {
namespace {
namespace fn = at::functionalization::impl;

thread_local std::vector<Tracer*> openTraces;
std::atomic<uint64_t> serials{1};

// What libtorch's own kernels make on the CPU and hand to an operator (wrapped numbers, little index tables).
constexpr int64_t kBakedElements = 64;
constexpr int64_t kElementLimit = int64_t{1} << 38;  // XLA ends the process from here on

/** Whether it casts is asked at every call: libtorch's own switch is the CPU's. */
c10::impl::LocalDispatchKeySet withAutocast(c10::impl::LocalDispatchKeySet keys) {
  keys.excluded_ = keys.excluded_.remove(kAutocastKey);
  return keys;
}

Tracer* openBySerial(uint64_t serial) {
  for (Tracer* t : openTraces) {
    if (t->serial() == serial) return t;
  }
  return nullptr;
}

/** Whatever an eager tensor was computed by: it is no leaf, so that it can be changed in place, and hands gradients on. */
struct CapturedHistory : torch::autograd::Node {
  explicit CapturedHistory(std::string name) : name_(std::move(name)) {}
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override { return std::move(gradients); }
  std::string name() const override { return name_; }

 private:
  std::string name_;
};

std::shared_ptr<torch::autograd::Node> historyBehind(const at::Tensor& root, const at::Tensor& twin, std::string name) {
  std::shared_ptr<CapturedHistory> node(new CapturedHistory(std::move(name)), torch::autograd::deleteNode);
  node->set_next_edges({torch::autograd::impl::gradient_edge(root)});
  torch::autograd::set_history(twin, node);
  return node;
}

void checkSize(const at::Tensor& like) {
  int64_t n = 1;
  bool fits = true;
  for (int64_t s : like.sizes()) fits = fits && s < kElementLimit && !__builtin_mul_overflow(n, s, &n);
  int64_t bytes = 0;
  fits = fits && n < kElementLimit && !__builtin_mul_overflow(n, static_cast<int64_t>(like.itemsize()), &bytes);
  TORCH_CHECK(fits, "TOO_LARGE: a tensor of shape ", like.sizes(), " and type ", like.scalar_type(),
              " has more elements than a compiled program can hold (2^38)");
}
}  // namespace

Concretization::Concretization(Kind kind, std::string op) : kind_(kind), op_(std::move(op)) {
  switch (kind) {
    case Kind::Data: text_ = op_ + " needs the data of a tensor that is being traced"; break;
    case Kind::DynamicShape: text_ = op_ + " has a result whose shape depends on data"; break;
    case Kind::LeakedTrace: text_ = op_ + (op_.empty() ? "" : ": ") + "a tensor of a finished trace was used"; break;
  }
}

Tracer::Tracer(std::unordered_set<const void*> shared) : serial_(serials++), shared_(std::move(shared)) {}
Tracer::~Tracer() = default;

Tracer* current() { return openTraces.empty() ? nullptr : openTraces.back(); }
bool isInner() { return openTraces.size() > 1; }

bool requiresGrad(const at::Tensor& t) {
  for (size_t i = openTraces.size(); i-- > 0;)
    if (const Capture* met = openTraces[i]->find(t)) return met->twin.requires_grad();
  return t.requires_grad();
}

void noteGrad(at::Tensor twin) {
  for (size_t i = openTraces.size(); i-- > 0 && twin.defined();) twin = openTraces[i]->noteGrad(twin);
}

int depthOf(const at::Tensor& t) {
  const TraceTensor* own = traceTensor(t);
  if (own == nullptr) return -1;
  for (size_t i = openTraces.size(); i-- > 0;) {
    if (openTraces[i]->serial() == own->serial) return static_cast<int>(i);
  }
  return -1;
}

Tracer* atDepth(int depth) { return openTraces[depth]; }

TraceScope::TraceScope(Tracer& tracer)
    : autograd_(c10::AutogradState::get_tls_state()),
      keys_(withAutocast(c10::impl::tls_local_dispatch_key_set())),
      views_(true) {
  openTraces.push_back(&tracer);
}

TraceScope::~TraceScope() {
  openTraces.pop_back();
  c10::AutogradState::set_tls_state(autograd_);
}

bool isTraceTensor(const at::Tensor& t) { return traceTensor(t) != nullptr; }

at::Tensor Tracer::fresh(const at::Tensor& like) {
  checkSize(like);
  const int64_t id = static_cast<int64_t>(graph_.values.size());
  graph_.values.push_back({id, like.sizes().vec(), like.strides().vec(), like.scalar_type()});
  return at::detail::make_tensor<TraceTensor>(like, id, serial_);
}

const Capture* Tracer::find(const at::Tensor& eager) const {
  const auto known = byIdentity_.find(eager.unsafeGetTensorImpl());
  return known == byIdentity_.end() ? nullptr : &captures_[known->second];
}

void Tracer::dropHooks() {
  for (Capture& capture : captures_) capture.hooks.reset();
}

at::Tensor Tracer::noteGrad(const at::Tensor& twin) {
  for (Capture& capture : captures_) {
    if (!capture.twin.is_same(twin)) continue;
    capture.gradSeen = true;
    return capture.eager;
  }
  return {};
}

void Tracer::add(Node node) {
  node.line = line_;
  graph_.nodes.push_back(std::move(node));
}

at::Tensor Tracer::capture(const at::Tensor& eager, bool requiresGrad, bool isArg) {
  const transforms::Below below;
  TORCH_CHECK(eager.layout() == c10::kStrided, "compile: a tensor with layout ", eager.layout(),
              " cannot be traced; convert it with to_dense() first");
  if (isShared(eager)) return captureInStorage(eager, isArg);
  at::Tensor bare = fresh(eager);
  const int64_t id = traceTensor(bare)->id;
  at::Tensor twin = fn::to_functional_tensor(bare);
  graph_.inputs.push_back(id);
  const size_t at = captures_.size();
  captures_.push_back({eager, twin, static_cast<int64_t>(graph_.inputs.size()) - 1, isArg, false, {}});
  if (requiresGrad && !twin.is_inference()) {
    if (eager.is_leaf()) {
      twin.set_requires_grad(true);
    } else {
      captures_[at].root = fn::to_functional_tensor(bare).set_requires_grad(true);
      captures_[at].history = historyBehind(captures_[at].root, twin, eager.grad_fn()->name());
    }
  }
  captures_[at].requiredGrad = twin.requires_grad();
  if (requiresGrad && hooks::stampOf(eager) != 0) captures_[at].hooks = std::make_shared<hooks::Borrowed>(eager, twin);
  byIdentity_[eager.unsafeGetTensorImpl()] = at;
  const at::Tensor& grad = eager.is_leaf() && !eager.is_inference() ? eager.grad() : at::Tensor();
  if (grad.defined()) {
    const size_t next = captures_.size();
    at::Tensor gradTwin = lift(grad);
    if (captures_.size() > next) captures_[next].gradOf = static_cast<int64_t>(at);
    captures_[at].gradWasDefined = true;
    captures_[at].gradTwin = gradTwin;
    twin.mutable_grad() = gradTwin;
  }
  return twin;
}

bool Tracer::isShared(const at::Tensor& t) const {
  return !shared_.empty() && t.has_storage() && shared_.count(t.storage().unsafeGetStorageImpl()) != 0;
}

at::Tensor Tracer::captureInStorage(const at::Tensor& eager, bool isArg) {
  TORCH_CHECK(!eager.requires_grad(), "compile: a tensor of shape ", eager.sizes(), " that requires grad shares its memory with one that the "
              "function changes in place; pass one of them and take the view inside the function, or clone() one");
  const void* storage = eager.storage().unsafeGetStorageImpl();
  if (bases_.count(storage) == 0) {
    const at::Tensor flat = wholeStorage(eager);
    bases_[storage] = captures_.size();
    const at::Tensor bare = fresh(flat);
    graph_.inputs.push_back(traceTensor(bare)->id);
    captures_.push_back({flat, fn::to_functional_tensor(bare), static_cast<int64_t>(graph_.inputs.size()) - 1, false, false, {}});
    captures_.back().storageOf = static_cast<int64_t>(captures_.size());  // the member that comes next
  }
  const at::Tensor base = captures_[bases_[storage]].twin;
  TORCH_CHECK(base.scalar_type() == eager.scalar_type(), "compile: tensors of types ", base.scalar_type(), " and ", eager.scalar_type(),
              " share memory that the function changes in place; clone() one of them");
  at::AutoGradMode recording(true);  // a view that autograd lets be changed: what then gets a history is refused by effects()
  at::Tensor twin = base.as_strided(eager.sizes(), eager.strides(), eager.storage_offset());
  byIdentity_[eager.unsafeGetTensorImpl()] = captures_.size();
  captures_.push_back({eager, twin, -1, isArg, false, {}});
  return twin;
}

at::Tensor Tracer::input(const at::Tensor& eager, bool requiresGrad) {
  const auto known = byIdentity_.find(eager.unsafeGetTensorImpl());
  if (known != byIdentity_.end()) return captures_[known->second].twin;
  return capture(eager, requiresGrad, true);
}

at::Tensor Tracer::lift(const at::Tensor& t) {
  if (!t.defined() || t.unsafeGetTensorImpl()->is_wrapped_number()) return t;  // a number is baked where it is used
  if (t.device().type() == c10::DeviceType::Lazy && !device::isDeviceTensor(t)) {
    const TraceTensor* own = traceTensor(t);
    if (own == nullptr || own->serial == serial_) return t;  // nullptr: a functorch wrapper around one
    if (openBySerial(own->serial) == nullptr) throw Concretization(Concretization::Kind::LeakedTrace, "");
    const transforms::Below below;  // pending in-place operators were seen by every level when they were called
    fn::sync(t);  // an inner trace captures a tensor of an outer one
  }
  const auto known = byIdentity_.find(t.unsafeGetTensorImpl());
  if (known == byIdentity_.end()) return capture(t, t.requires_grad(), false);
  Capture& met = captures_[known->second];
  met.closedOver |= met.isArg;  // the function has its twin as an argument and reaches for the tensor itself
  return met.twin;
}

at::Tensor Tracer::constant(const at::Tensor& cpu) {
  at::Tensor bare = fresh(cpu.contiguous());
  graph_.constants.push_back({traceTensor(bare)->id, cpu.detach().contiguous().clone()});
  return fn::to_functional_tensor(bare);
}

int64_t Tracer::bake(const at::Tensor& cpu) {
  at::Tensor data = cpu.detach().resolve_conj().resolve_neg().contiguous();
  std::string key;
  if (data.dim() == 0) {
    key.push_back(static_cast<char>(data.scalar_type()));
    key.append(static_cast<const char*>(data.const_data_ptr()), data.itemsize());
    const auto known = scalars_.find(key);
    if (known != scalars_.end()) return known->second;
  }
  const int64_t id = traceTensor(fresh(data))->id;
  graph_.constants.push_back({id, data.is_alias_of(cpu) ? data.clone() : data});
  if (!key.empty()) scalars_[key] = id;
  return id;
}

int64_t Tracer::operand(const at::Tensor& t) {
  if (fn::isFunctionalTensor(t)) return valueOf(t);
  if (const TraceTensor* own = traceTensor(t)) {
    if (own->serial == serial_) return own->id;
    // A value of an outer trace that libtorch unwrapped on the way: wrapped again, it is an ordinary capture.
    const auto known = byIdentity_.find(t.unsafeGetTensorImpl());
    if (known != byIdentity_.end()) return valueOf(captures_[known->second].twin);
    const at::Tensor outer = fn::to_functional_tensor(t);
    const int64_t id = valueOf(lift(outer));
    byIdentity_[t.unsafeGetTensorImpl()] = byIdentity_[outer.unsafeGetTensorImpl()];
    met_.push_back(t);
    return id;
  }
  const auto known = byIdentity_.find(t.unsafeGetTensorImpl());
  if (known != byIdentity_.end()) return valueOf(captures_[known->second].twin);
  if (t.device().is_cpu() && t.numel() <= kBakedElements) {
    // No exclusions of the surrounding kernel may hide the CPU's own kernels from us here.
    at::AutoDispatchBelowADInplaceOrView below;
    return bake(t);
  }
  return valueOf(lift(t));
}

int64_t Tracer::valueOf(const at::Tensor& t) {
  const transforms::Below beneath;
  at::Tensor x = traceTensor(t) != nullptr ? t : lift(t);
  at::AutoDispatchBelowADInplaceOrView below;
  if (fn::isFunctionalTensor(x)) {
    fn::sync(x);
    x = fn::from_functional_tensor(x);
  }
  const TraceTensor* own = traceTensor(x);
  TORCH_CHECK(own != nullptr, "a tensor inside a transform (vmap, grad) cannot leave the trace");
  if (own->serial != serial_) throw Concretization(Concretization::Kind::LeakedTrace, "");
  return own->id;
}

namespace {
/** Whether two eager tensors can see each other's writes. */
bool shareMemory(const at::Tensor& a, const at::Tensor& b) {
  if (device::isDeviceTensor(a) && device::isDeviceTensor(b)) {
    TORCH_CHECK(device::memoryOf(a) != device::memoryOf(b), "compile: two tensors on a device share their memory (detach(), data), and the function changes one of them in place; clone() one");
    return false;
  }
  if (!a.has_storage() || !b.has_storage() || a.numel() == 0 || b.numel() == 0) return false;
  if (!a.is_alias_of(b)) return false;
  const auto end = [](const at::Tensor& t) {
    int64_t last = t.storage_offset();
    for (int64_t d = 0; d < t.dim(); ++d) last += (t.size(d) - 1) * t.stride(d);
    return (last + 1) * static_cast<int64_t>(t.itemsize());
  };
  const auto begin = [](const at::Tensor& t) { return t.storage_offset() * static_cast<int64_t>(t.itemsize()); };
  return begin(a) < end(b) && begin(b) < end(a);
}
}  // namespace

at::Tensor wholeStorage(const at::Tensor& t) {
  // Not through the dispatcher: a trace may be open.
  const device::Bridge* bridge = device::bridgeOf(t);
  at::Tensor flat = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(t.storage()), bridge ? bridge->keys() : c10::DispatchKeySet(c10::DispatchKey::CPU), t.dtype());
  flat.unsafeGetTensorImpl()->set_sizes_contiguous({static_cast<int64_t>(t.storage().nbytes() / t.itemsize())});
  return flat;
}

void Tracer::refuseChangedShapes() const {
  for (const Capture& capture : captures_)
    TORCH_CHECK(!fn::isFunctionalTensor(capture.twin) || (!fn::unsafeGetFunctionalWrapper(capture.twin)->has_metadata_mutation() && capture.twin.sizes() == capture.eager.sizes()),
                "compile: the function changes the shape of a tensor of its caller, now ", capture.twin.sizes(),
                ", in place (t_, unsqueeze_, resize_, an out= of another shape …), which a program cannot; use the form without _ or out= and return what it gives");
}

std::vector<Effect> Tracer::effects() {
  std::vector<Effect> all(captures_.size());
  for (size_t i = 0; i < captures_.size(); ++i) {  // by index: reading a value may capture another tensor
    const int64_t now = valueOf(captures_[i].twin);
    const int64_t input = captures_[i].inputIndex;
    if (input >= 0 && now != graph_.inputs[input]) all[i].mutated = now;
    const Capture& capture = captures_[i];
    all[i].history = all[i].mutated >= 0 && capture.changedHistory();
    TORCH_CHECK(!all[i].history || capture.storageOf < 0, "compile: the function writes values that require grad into one of several tensors that share memory; clone() the others, or return the new value instead");
    TORCH_CHECK(!capture.root.defined() || !capture.root.grad().defined(), "compile: backward() inside the function reaches a tensor of shape ", capture.eager.sizes(),
                " that is no leaf, and would go on in the history that it has outside. Use autograd.grad(), which stops at it, or call backward() outside");
    if (!all[i].history && capture.storageOf < 0 && capture.inputIndex >= 0 && capture.twin.requires_grad() != capture.requiredGrad) all[i].requiresGrad = capture.twin.requires_grad();
    if (!capture.twin.is_leaf()) continue;
    const at::Tensor grad = capture.twin.grad();
    if (!grad.defined()) {
      all[i].gradCleared = capture.gradWasDefined;
    } else if (!grad.is_same(capture.gradTwin)) {
      all[i].grad = valueOf(grad);
    }
  }
  all.resize(captures_.size());
  // Twins do not share memory: a write to one would have been missed by the other.
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t k = 0; all[i].mutated >= 0 && k < all.size(); ++k) {
      const at::Tensor& changed = captures_[i].eager;
      if (k != i && !isShared(changed) && shareMemory(changed, captures_[k].eager))
        throw SharedStorage(changed.storage().unsafeGetStorageImpl());
    }
  }
  return all;
}

}  // namespace jorch::trace
