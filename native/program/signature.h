// What a compiled program was specialised on: tensors, modes, which tensors are one or share memory.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>
#include <c10/util/SmallVector.h>

#include <algorithm>
#include <vector>

#include "dispatch/hooks.h"
#include "shard/sharded.h"

namespace jorch::program {

struct Signature {
  c10::SmallVector<int64_t, 8> sizesAndStrides;
  c10::ScalarType dtype;
  c10::Device device;
  bool requiresGrad;
  bool isLeaf;
  bool hasGrad;
  uint64_t hooks;            // that ran while it was recorded
  bool leafMatters = false;  // the program changes it or its .grad
  bool gradMatters = false;  // the program reads or changes its .grad, or the function asked whether there is one
  uint32_t placement = 0;    // how a partitioned program takes it, where the tensor itself decided that

  static bool gradDefined(const at::Tensor& t) { return t.requires_grad() && t.is_leaf() && t.grad().defined(); }
  static Signature of(const at::Tensor& t) {
    Signature s{{}, t.scalar_type(), t.device(), t.requires_grad(), t.is_leaf(), gradDefined(t), hooks::stampOf(t)};
    s.sizesAndStrides.append(t.sizes().begin(), t.sizes().end());
    s.sizesAndStrides.append(t.strides().begin(), t.strides().end());
    return s;
  }
  bool matches(const at::Tensor& t) const {
    const size_t n = t.dim();
    if (n * 2 != sizesAndStrides.size() || t.scalar_type() != dtype || t.device() != device || t.requires_grad() != requiresGrad) return false;
    if (!std::equal(t.sizes().begin(), t.sizes().end(), sizesAndStrides.begin())) return false;
    if (!std::equal(t.strides().begin(), t.strides().end(), sizesAndStrides.begin() + n)) return false;
    if (requiresGrad && hooks != hooks::stampOf(t)) return false;
    if (placement != 0 && !shard::fits(t, placement)) return false;
    if (leafMatters && isLeaf != t.is_leaf()) return false;
    return !gradMatters || hasGrad == gradDefined(t);
  }
};

// Everything outside the arguments that changes what a function computes.
uint64_t modes();

// Arguments and captured tensors numbered, the first of each kind gives the number: by being one tensor, by lying in one storage.
std::vector<uint32_t> sameTensors(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures);
std::vector<uint32_t> sameMemories(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures);
bool hasTwins(const std::vector<uint32_t>& numbers);

// Where in its storage each tensor is, and how large that is.
std::vector<int64_t> positions(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures);

// What a program is compiled for.
struct Circumstances {
  uint64_t mode;
  std::vector<Signature> args, captures;
  std::vector<uint32_t> sameTensor, sameMemory;
  std::vector<int64_t> where;

  // Those of this moment.
  static Circumstances of(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures);
};

}  // namespace jorch::program
