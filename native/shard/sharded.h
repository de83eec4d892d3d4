/**
 * @file Tensors whose memory is spread over devices. To libtorch they are CPU tensors with a dispatch key of their own: an operator that
 * reads one finds the pieces gathered in host memory, one that writes one leaves an ordinary tensor behind.
 */
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "../pjrt/buffer.h"
#include "placement.h"

namespace jorch::shard {

/** libtorch's slot for tensors that torchdistx faked; below autograd, above every backend. */
constexpr c10::DispatchKey kShardedKey = c10::DispatchKey::Fake;

using Piece = std::shared_ptr<pjrt::Buffer>;

/** Context of the storage's memory. Pieces are never written: a new value is new pieces. */
struct ShardedMemory {
  const Placement* placement;
  std::vector<int64_t> sizes;
  c10::ScalarType dtype;
  /** One a device of the mesh; empty when they were given to a program that failed. */
  std::vector<Piece> pieces;
  /** The same values gathered, if anybody has asked; the storage's address then. */
  c10::DataPtr host;
};

/** The memory behind a tensor that is all of it; nullptr for any other tensor, views of a sharded one too. */
ShardedMemory* memoryOf(const at::Tensor& tensor);
/** Its placement's number, 0 for an ordinary tensor. */
uint32_t placementOf(const at::Tensor& tensor);
/** Whether a program that expects `placement` (a number) takes the tensor without moving it, or the tensor is an ordinary one and every device gets the whole. */
bool fits(const at::Tensor& tensor, uint32_t placement);

at::Tensor make(const Placement& placement, std::vector<int64_t> sizes, c10::ScalarType dtype, std::vector<Piece> pieces);
/** A new tensor with the same pieces. */
at::Tensor share(const at::Tensor& tensor);
/** A new tensor with the same values, spread this way. */
at::Tensor spread(const at::Tensor& tensor, const Placement& placement);

/** `borrow`: the pieces may be the tensor's own memory, which must then outlive their use. Throws PjrtError. */
std::vector<Piece> split(const at::Tensor& tensor, const Placement& placement, bool borrow);

/** Whoever holds a tensor from before its memory was spread learns of it here. Costs one load while nothing is sharded. */
void notice(const at::Tensor& tensor);
/** The tensor with its values in host memory; itself. */
const at::Tensor& gathered(const at::Tensor& tensor);
/** As program::assign, for a sharded `fresh`; false for any other. */
bool assign(const at::Tensor& target, const at::Tensor& fresh);

/** Registers the operators' kernels for kShardedKey. Once per process. */
void registerKey();

}  // namespace jorch::shard
