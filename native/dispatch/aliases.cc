#include "dispatch/aliases.h"

#include <ATen/FunctionalTensorWrapper.h>

#include <algorithm>

namespace jorch {

namespace {

namespace fn = at::functionalization::impl;

// Functional tensors with one storage are views of one another.
const void* storageOf(const at::Tensor& t) { return fn::isFunctionalTensor(t) ? t.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl() : nullptr; }

at::Tensor bare(const at::Tensor& t) {
  fn::sync(t);
  return fn::from_functional_tensor(t);
}

// Every element once, no holes: the program returns it with these strides.
bool isDense(const at::Tensor& t) { return t.is_non_overlapping_and_dense(); }

// [first, last] element of the memory that `t` spans.
std::pair<int64_t, int64_t> span(const at::Tensor& t) {
  int64_t last = t.storage_offset();
  for (int64_t d = 0; d < t.dim(); d++) last += (t.size(d) - 1) * t.stride(d);
  return {t.storage_offset(), last};
}

const char* historyOf(const at::Tensor& base, const at::Tensor& view) {
  if (!view.requires_grad()) return base.requires_grad() ? "none" : "kept";
  if (!view.is_leaf()) return "kept";
  return view.is_view() ? "no_grad" : "leaf";
}

// Conjugate and negative views are nodes of the graph: the twins do not carry the bit, and strides cannot say it.
bool changesValues(trace::Tracer& tracer, const at::Tensor& view) {
  const auto& nodes = tracer.graph().nodes;
  int64_t id = tracer.valueOf(view);
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    const bool makes = std::any_of(node->outs.begin(), node->outs.end(), [&](const auto& out) { return std::find(out.ids.begin(), out.ids.end(), id) != out.ids.end(); });
    if (!makes) continue;
    if (node->op == "aten::_conj" || node->op == "aten::_neg_view") return true;
    if (node->args.empty() || node->args[0].ids.size() != 1) return false;
    id = node->args[0].ids[0];
  }
  return false;
}

std::optional<ViewOf> viewOf(trace::Tracer& tracer, const at::Tensor& base, const at::Tensor& view, bool ofCapture, int64_t index) {
  if (changesValues(tracer, view) || changesValues(tracer, base)) return std::nullopt;
  if (base.scalar_type() != view.scalar_type() || base.is_conj() != view.is_conj() || base.is_neg() != view.is_neg()) return std::nullopt;
  const at::Tensor from = bare(base), to = bare(view);
  if (to.numel() == 0) return std::nullopt;
  // The history is that of a leaf which the function made of `base` (detach().requires_grad_()): a view of `base` would have none.
  if (view.requires_grad() && !view.is_leaf() && !base.requires_grad()) return std::nullopt;
  // The other way round: what such a leaf was made of does not come from it.
  if (!ofCapture && base.requires_grad() && base.is_leaf() && view.requires_grad() && !view.is_leaf() && !(view.is_view() && view._base().is_same(base))) return std::nullopt;
  if (!ofCapture) {
    const auto [first, last] = span(from);
    const auto [low, high] = span(to);
    if (!isDense(from) || low < first || high > last) return std::nullopt;
  }
  return ViewOf{ofCapture, index, to.sizes().vec(), to.strides().vec(), to.storage_offset() - from.storage_offset(),
                historyOf(base, view)};
}

// A changed tensor that has gaps in its memory is a dense one in the trace, where its views are dense too. With the storage as the input it is not.
bool keepsItsLayout(const trace::Capture& capture) { return bare(capture.twin).strides() == capture.eager.strides(); }

}  // namespace

std::vector<std::optional<ViewOf>> findViews(trace::Tracer& tracer, std::vector<at::Tensor>& results, const std::vector<int64_t>& sameAs) {
  const size_t count = results.size();
  std::vector<std::optional<ViewOf>> views(count);
  const auto isNew = [&](size_t i) { return sameAs[i] < 0 && storageOf(results[i]); };
  for (size_t i = 0; i < count; i++) {
    if (!isNew(i)) continue;
    const auto& captures = tracer.captures();
    for (size_t k = 0; k < captures.size() && !views[i]; k++) {
      if (storageOf(captures[k].twin) != storageOf(results[i])) continue;
      if (keepsItsLayout(captures[k])) views[i] = viewOf(tracer, captures[k].twin, results[i], true, static_cast<int64_t>(k));
      else if (!captures[k].eager.requires_grad()) throw trace::SharedStorage(captures[k].eager.storage().unsafeGetStorageImpl());
    }
  }
  for (size_t i = 0; i < count; i++) {
    if (!isNew(i) || views[i]) continue;
    std::vector<size_t> group;
    for (size_t j = i; j < count; j++)
      if (isNew(j) && !views[j] && storageOf(results[j]) == storageOf(results[i]) && !results[j].is_same(results[i])) group.push_back(j);
    if (group.empty()) continue;
    group.insert(group.begin(), i);
    // What they are views of, as far as autograd knows; else the largest of them.
    at::Tensor root = results[*std::max_element(group.begin(), group.end(), [&](size_t a, size_t b) { return results[a].numel() < results[b].numel(); })];
    if (root.is_view()) root = root._base();
    if (storageOf(root) != storageOf(results[i])) continue;
    const auto place = std::find_if(results.begin(), results.end(), [&](const at::Tensor& t) { return t.is_same(root); });
    const auto at = static_cast<int64_t>(place - results.begin());
    bool used = place != results.end();
    for (size_t j : group) {
      if (results[j].is_same(root)) continue;
      views[j] = viewOf(tracer, root, results[j], false, at);
      used = used || views[j].has_value();
    }
    if (used && place == results.end()) results.push_back(root);
  }
  return views;
}

}  // namespace jorch
