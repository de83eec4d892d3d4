/** @file Shape functions of pointwise operators that libtorch has no Meta kernel for. */
#include <ATen/ScalarOps.h>
#include <ATen/ops/bitwise_left_shift.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ne.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/result_type.h>
#include <ATen/ops/sub.h>

#include "meta.h"

namespace jorch::trace {
namespace {
using at::Scalar;
using at::Tensor;

Tensor pair(const Tensor& a, const Tensor& b) { return broadcast(a, b, at::result_type(a, b)); }
}  // namespace

void addPointwiseMeta() {
  meta("aten::relu", [](const Tensor& self) {
    TORCH_CHECK(self.scalar_type() != at::kBool, "Boolean inputs not supported for relu");
    return at::clamp_min(self, 0);
  });
  meta("aten::isnan", [](const Tensor& self) { return at::ne(self, self); });
  meta("aten::where.self", [](const Tensor& condition, const Tensor& self, const Tensor& other) {
    TORCH_CHECK(condition.scalar_type() == at::kBool || condition.scalar_type() == at::kByte,
                "where expected condition to be a boolean tensor, but got a tensor with dtype ",
                condition.scalar_type());
    return broadcast(condition, self, other, at::result_type(self, other));
  });
  meta("aten::angle", [](const Tensor& self) { return like(self, realOf(floatOf(self.scalar_type()))); });
  meta("aten::rsub.Tensor",
       [](const Tensor& self, const Tensor& other, const Scalar& alpha) { return at::sub(other, self, alpha); });
  meta("aten::floor_divide", [](const Tensor& self, const Tensor& other) { return pair(self, other); });
  meta("aten::remainder.Scalar_Tensor", [](const Scalar& self, const Tensor& other) {
    const Tensor wrapped = c10::scalar_to_tensor(self);
    wrapped.unsafeGetTensorImpl()->set_wrapped_number(true);
    return at::remainder(toMeta(wrapped), other);
  });
  // Their CompositeExplicit kernels end in an out= form without a Meta kernel.
  for (const char* op : {"aten::logical_and", "aten::logical_or", "aten::logical_xor"}) {
    meta(op, [](const Tensor& self, const Tensor& other) { return broadcast(self, other, at::kBool); });
  }
  meta("aten::abs", [](const Tensor& self) { return like(self, realOf(self.scalar_type())); });
  meta("aten::nan_to_num", [](const Tensor& self, std::optional<double>, std::optional<double>,
                              std::optional<double>) { return like(self); });
  for (const char* op : {"aten::complex", "aten::polar"}) {
    meta(op, [](const Tensor& a, const Tensor& b) {
      TORCH_CHECK(a.scalar_type() == b.scalar_type() && a.is_floating_point(),
                  "Expected both inputs to be Half, Float or Double tensors of one type but got ", a.scalar_type(),
                  " and ", b.scalar_type());
      return broadcast(a, b, complexOf(a.scalar_type()));
    });
  }
  meta("aten::frexp.Tensor", [](const Tensor& self) {
    TORCH_CHECK(self.is_floating_point(), "torch.frexp() only supports floating-point dtypes");
    return std::make_tuple(like(self), like(self, at::kInt));
  });
  meta("aten::conj_physical", [](const Tensor& self) { return like(self); });
  meta("aten::mvlgamma", [](const Tensor& self, int64_t) { return like(self, floatOf(self.scalar_type())); });
  meta("aten::logical_not", [](const Tensor& self) { return like(self, at::kBool); });
  const auto left = [](const Tensor& self, const Tensor& other) { return at::bitwise_left_shift(self, other); };
  const auto right = [](const Tensor& self, const Tensor& other) { return at::bitwise_right_shift(self, other); };
  const auto shiftBy = [](const Tensor& self, const Scalar&) { return like(self); };
  meta("aten::__lshift__.Tensor", left);
  meta("aten::__rshift__.Tensor", right);
  meta("aten::__lshift__.Scalar", shiftBy);
  meta("aten::__rshift__.Scalar", shiftBy);

  const auto unary = [](const Tensor& self) { return like(self); };
  meta("aten::hardswish", unary);
  meta("aten::hardtanh", [](const Tensor& self, const Scalar&, const Scalar&) { return like(self); });
  meta("aten::logit", [](const Tensor& self, std::optional<double>) {
    return like(self, floatOf(self.scalar_type()));
  });
  meta("aten::log_sigmoid_forward", [](const Tensor& self) {
    return std::make_tuple(dense(self.sizes(), self), dense(self.sizes(), self));
  });
  meta("aten::log_sigmoid_backward",
       [](const Tensor& grad, const Tensor& self, const Tensor& buffer) {
         return broadcast(self, buffer, grad, self.scalar_type());
       });
  meta("aten::hardswish_backward", [](const Tensor& grad, const Tensor& self) { return pair(grad, self); });
  meta("aten::hardtanh_backward",
       [](const Tensor& grad, const Tensor& self, const Scalar&, const Scalar&) { return pair(grad, self); });
  meta("aten::_prelu_kernel", [](const Tensor& self, const Tensor& weight) { return pair(self, weight); });
  meta("aten::_prelu_kernel_backward", [](const Tensor& grad, const Tensor& self, const Tensor& weight) {
    const Tensor both = broadcast(self, weight, grad, self.scalar_type());
    return std::make_tuple(both, like(both));
  });
  meta("aten::glu_backward", [](const Tensor&, const Tensor& self, int64_t) { return dense(self.sizes(), self); });
  meta("aten::native_dropout_backward",
       [](const Tensor& grad, const Tensor& mask, double scale) {
         return at::mul(at::mul(grad, mask), scale);
       });
  meta("aten::_standard_gamma_grad", [](const Tensor& self, const Tensor& output) { return pair(self, output); });
}

}  // namespace jorch::trace
