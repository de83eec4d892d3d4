/** @file The tensor that stands for a value of an open trace: a geometry and an id, no data. */
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/TensorImpl.h>

namespace jorch::trace {

/** Lives below FunctionalTensorWrapper; nobody mutates it (except `_copy_from`, which rebinds `id`). */
class TraceTensor final : public c10::TensorImpl {
 public:
  TraceTensor(const at::Tensor& like, int64_t id, uint64_t serial);

  int64_t id;
  const uint64_t serial;  // of the Tracer: a tensor must not outlive its trace

  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(const c10::VariableVersion& version,
                                                         bool allowChange) const override;
  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(c10::VariableVersion&& version,
                                                         bool allowChange) const override;

 private:
  explicit TraceTensor(const TraceTensor& other);
  int64_t numel_custom() const override { return numel_; }
  const char* tensorimpl_type_name() const override { return "jorch::TraceTensor"; }
};

/** The bare trace tensor in `t`, looking through a functional wrapper without syncing it; nullptr if none. */
TraceTensor* traceTensor(const at::Tensor& t);

}  // namespace jorch::trace
