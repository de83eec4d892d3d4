// A compiled program in the cache of a function: what it was compiled for, where its parameters come from, what becomes of its results.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "addon.h"
#include "program/backward.h"
#include "program/program.h"
#include "program/reports.h"
#include "program/signature.h"

namespace jorch::program {

using Tensors = c10::SmallVector<at::Tensor, 8>;

// Where a parameter of the program comes from, and where a result goes: argument leaf k, or captured tensor k, or the
// .grad or the storage of one.
struct Place {
  bool isArg;
  uint32_t index;
  bool ofGrad = false;
  bool ofStorage = false;
};

struct ResultPlan {
  int32_t output = -1;  // program output, or
  Place same{};         // the very object that was given
  bool view = false;    // or a view of either:
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;
  bool detached = false, leaf = false, noGrad = false;
};

struct EffectPlan {
  enum class Kind : uint8_t {
    Value,    // the new value
    History,  // the new value, through which gradients flow
    Grad,     // the new .grad
  } kind;
  uint32_t output;
  Place target;
};

// Whether a tensor requires grad after the call.
struct FlagPlan {
  Place target;
  bool requiresGrad;
};

// A result that requires grad although nothing leads backward from it: a leaf, or why backward() must fail.
struct EndPlan {
  uint32_t output;
  std::string why;
};

enum class Shape : uint8_t { Single, Array, Tree };

struct Entry {
  explicit Entry(std::shared_ptr<Reaper> reaperOfEnv) : reaper(std::move(reaperOfEnv)) {}
  // On any thread: a run that goes on holds its entry.
  ~Entry() {
    for (napi_ref reference : captureObjects) reaper->bury(reference);
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  std::shared_ptr<Reaper> reaper;
  uint32_t id;
  uint32_t structure;
  uint64_t mode;
  std::vector<Signature> args;
  std::vector<at::Tensor> captures;
  std::vector<napi_ref> captureObjects;
  std::vector<Signature> captureSignatures;
  std::vector<Place> parameters;
  std::vector<at::Generator> keys;  // parameters behind those: a fresh random key each; undefined: the default generator
  std::vector<ResultPlan> results;
  std::vector<EffectPlan> effects;
  std::vector<Place> clearedGrads;
  std::vector<FlagPlan> flags;
  std::vector<EndPlan> ends;
  // Which arguments and captured tensors are one: the same tensor (checked if any were), or, for a program that changes
  // something, tensors in the same memory.
  std::vector<uint32_t> sameTensor, sameMemory;
  std::vector<int64_t> positions;  // for a program that takes whole storages
  Shape shape;
  std::unique_ptr<Callable> program;
  std::shared_ptr<BackwardPlan> backward;  // for calls that autograd records
  std::shared_ptr<const Reports> reports;  // of debug.print, debug.check and { checks: true }
  bool plain = false;         // the parameters are the arguments
  std::vector<bool> unmade;   // outputs that may stay unmade until somebody looks at them; empty: none

  bool fits(uint32_t structure, c10::ArrayRef<at::Tensor> args, uint64_t mode) const;
  at::Tensor at(c10::ArrayRef<at::Tensor> args, Place place) const;
};

// The program on these arguments, and everything that follows. `leaves`: JavaScript's array of them.
napi_value runEntry(Addon& addon, napi_env env, const Entry& entry, const Tensors& args, napi_value leaves);

// After a run, on the JS thread: history, mutations, results as JavaScript's values. Throws before anything is changed. With `unmade`, which
// makes some of the results: what it needs (first, if there are other results), and in the exchange how many results there are, the id of the
// program plus one if they are to be put together, and the number of each, 0 for those that are there. Otherwise the exchange begins with 0.
napi_value finishEntry(Addon& addon, napi_env env, const Entry& entry, c10::ArrayRef<at::Tensor> args, napi_value leaves,
                       c10::ArrayRef<at::Tensor> parameters, const std::vector<at::Tensor>& outputs, std::unique_ptr<Unmade> unmade = nullptr);

}  // namespace jorch::program
