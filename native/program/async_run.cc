#include "program/async_run.h"

#include <algorithm>
#include <exception>

#include "dispatch/generator.h"
#include "program/external.h"
#include "program/jobs.h"
#include "program/snapshot.h"

namespace jorch::program {

namespace {

// Memory that an asynchronous run reads, as it was at the call, and how often what it belongs to had been written by then.
struct Frozen {
  at::Tensor original, values;
  uint32_t version = 0;

  static Frozen of(const at::Tensor& tensor) { return {tensor, snapshot(tensor), versionOf(tensor)}; }
  static uint32_t versionOf(const at::Tensor& tensor) {
    return tensor.is_inference() ? 0 : tensor.unsafeGetTensorImpl()->version_counter().current_version();
  }
  bool changed() const { return versionOf(original) != version; }
};

constexpr napi_type_tag kSnapshotTag = {0x6a6f72636820736eULL, 0x8f0c3be1d7554a10ULL};
constexpr napi_type_tag kRunTag = {0x6a6f726368207275ULL, 0x1b6e09c4f2a84d73ULL};

using Snapshot = std::vector<Frozen>;

// What it was given does not change under it, and nothing of it is seen before it is finished.
struct AsyncRun : Job, std::enable_shared_from_this<AsyncRun> {
  std::shared_ptr<const Entry> entry;
  Tensors args;
  std::vector<Frozen> parameters;
  std::vector<Frozen> targets;  // of the program's effects
  std::vector<at::Tensor> outputs;
  std::exception_ptr failure;

  void run() override {
    try {
      entry->program->run(values(), outputs);
    } catch (const c10::Error&) {
      failure = std::current_exception();
      return;
    }
    // What backward saves must be what the run has read.
    if (!entry->backward && !entry->reports)
      for (Frozen& parameter : parameters) parameter.values = at::Tensor();
  }
  napi_value result(napi_env env) override {
    if (failure) {
      // On the JS thread: who knows the user's line may say more.
      if (entry->reports) entry->reports->failed(values());
      std::rethrow_exception(failure);
    }
    return externalOf(env, shared_from_this(), kRunTag);
  }
  Tensors values() const {
    Tensors all;
    for (const Frozen& parameter : parameters) all.push_back(parameter.values);
    return all;
  }
};

const Snapshot* snapshotOf(napi_env env, napi_value value) {
  return Napi::Value(env, value).IsUndefined() ? nullptr : &externalFrom<Snapshot>(env, value, kSnapshotTag, "a snapshot");
}

}  // namespace

napi_value takeSnapshot(napi_env env, const Tensors& tensors, napi_value earlier) {
  const Snapshot* known = snapshotOf(env, earlier);
  Snapshot frozen;
  for (const at::Tensor& tensor : tensors) {
    const size_t i = frozen.size();
    const bool there = known && i < known->size() && tensor.defined() && (*known)[i].original.is_same(tensor);
    frozen.push_back(there ? (*known)[i] : tensor.defined() ? Frozen::of(tensor) : Frozen{});
  }
  return externalOf(env, std::move(frozen), kSnapshotTag);
}

napi_value startRun(Addon& addon, napi_env env, std::shared_ptr<const Entry> entry, Tensors leaves, napi_value snapshotOrUndefined) {
  const Snapshot* earlier = snapshotOf(env, snapshotOrUndefined);
  const size_t leafCount = leaves.size();
  if (earlier && earlier->size() != leafCount && earlier->size() != leafCount + entry->captures.size()) earlier = nullptr;
  const auto before = [&](Place place) -> const Frozen* {
    const size_t index = place.index + (place.isArg ? 0 : leafCount);
    const bool known = earlier && !place.ofGrad && index < earlier->size() && (*earlier)[index].original.is_same(entry->at(leaves, place));
    return known ? &(*earlier)[index] : nullptr;
  };
  auto run = std::make_shared<AsyncRun>();
  run->entry = entry;
  for (Place place : entry->parameters) {
    const Frozen* known = before(place);
    run->parameters.push_back(known ? *known : Frozen::of(entry->at(leaves, place)));
  }
  for (const at::Generator& generator : entry->keys) {
    const at::Tensor key = drawKey(generator);
    run->parameters.push_back({key, key, 0});
  }
  for (const EffectPlan& effect : entry->effects) {
    const at::Tensor target = entry->at(leaves, effect.target);
    const Frozen* known = before(effect.target);
    if (effect.kind != EffectPlan::Kind::Grad) run->targets.push_back({target, at::Tensor(), known ? known->version : Frozen::versionOf(target)});
  }
  run->args = std::move(leaves);
  return submit(addon, env, Lane::Run, "compiled call", std::move(run));
}

napi_value finishRun(Addon& addon, napi_env env, napi_value external, napi_value leaves) {
  const std::shared_ptr<AsyncRun> run = externalFrom<std::shared_ptr<AsyncRun>>(env, external, kRunTag, "a run");
  const auto refuse = [](const char* why) { throw JsError("BAD_ARGUMENT", why); };
  for (const Frozen& target : run->targets)
    if (target.changed()) refuse("a tensor that the function changes was changed by others before the asynchronous call was done; await the call first. Nothing was changed by the call");
  const auto& backward = run->entry->backward;
  Tensors parameters;
  for (const Frozen& parameter : run->parameters) {
    // The function may have set requires_grad by itself.
    const bool leadsBack = backward && std::find(backward->inputs.begin(), backward->inputs.end(), parameters.size()) != backward->inputs.end();
    const bool needed = leadsBack || parameter.original.requires_grad();
    if (backward && needed && parameter.changed())
      refuse("a tensor that requires grad was changed in place before the asynchronous call was done, so that its gradient cannot be computed; await the call first");
    parameters.push_back(needed || !parameter.values.defined() ? parameter.original : parameter.values);
  }
  if (run->entry->reports) {
    run->entry->reports->deliver(run->values(), run->outputs);
  }
  return finishEntry(addon, env, *run->entry, run->args, leaves, parameters, run->outputs);
}

}  // namespace jorch::program
