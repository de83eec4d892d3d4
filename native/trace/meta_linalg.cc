/** @file Shape functions of linear algebra that libtorch has no Meta kernel for. */
#include <ATen/ExpandUtils.h>

#include "meta.h"

namespace jorch::trace {
namespace {
using at::IntArrayRef;
using at::Tensor;

void checkSquare(const char* op, const Tensor& a) {
  TORCH_CHECK(a.dim() >= 2, op, ": The input tensor A must have at least 2 dimensions.");
  TORCH_CHECK(a.size(-1) == a.size(-2), op, ": A must be batches of square matrices, but they are ", a.size(-2),
              " by ", a.size(-1), " matrices");
  TORCH_CHECK(a.is_floating_point() || a.is_complex(), op, ": Expected a floating point or complex tensor as input. Got ",
              a.scalar_type());
}

std::vector<int64_t> without(IntArrayRef sizes, size_t last) { return sizes.slice(0, sizes.size() - last).vec(); }

std::vector<int64_t> batched(IntArrayRef batch, std::initializer_list<int64_t> matrix) {
  std::vector<int64_t> sizes = batch.vec();
  sizes.insert(sizes.end(), matrix);
  return sizes;
}
}  // namespace

void addLinalgMeta() {
  meta("aten::linalg_eig", [](const Tensor& self) {
    checkSquare("linalg.eig", self);
    const at::ScalarType type = complexOf(self.scalar_type());
    return std::make_tuple(dense(without(self.sizes(), 1), type), columns(self.sizes(), type));
  });
  meta("aten::_linalg_eigvals", [](const Tensor& self) {
    checkSquare("linalg.eigvals", self);
    return dense(without(self.sizes(), 1), complexOf(self.scalar_type()));
  });
  meta("aten::linalg_householder_product", [](const Tensor& input, const Tensor& tau) {
    TORCH_CHECK(input.dim() >= 2 && input.size(-2) >= input.size(-1),
                "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]");
    TORCH_CHECK(tau.size(-1) <= input.size(-1),
                "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]");
    return columns(input.sizes(), input.scalar_type());
  });
  meta("aten::linalg_matrix_exp", [](const Tensor& self) {
    checkSquare("linalg.matrix_exp", self);
    return dense(self.sizes(), self);
  });
  meta("aten::linalg_solve_triangular", [](const Tensor& a, const Tensor& b, bool, bool left, bool) {
    checkSquare("linalg.solve_triangular", a);
    TORCH_CHECK(b.dim() >= 2 && a.size(-1) == b.size(left ? -2 : -1),
                "linalg.solve_triangular: Incompatible shapes of A and B for the equation ", left ? "AX = B" : "XA = B",
                " (", a.sizes(), " and ", b.sizes(), ")");
    const auto batch = at::infer_size(without(a.sizes(), 2), without(b.sizes(), 2));
    return columns(batched(batch, {b.size(-2), b.size(-1)}), b.scalar_type());
  });
  meta("aten::geqrf", [](const Tensor& self) {
    TORCH_CHECK(self.dim() >= 2, "torch.geqrf: input must have at least 2 dimensions.");
    return std::make_tuple(columns(self.sizes(), self.scalar_type()),
                           dense(batched(without(self.sizes(), 2), {std::min(self.size(-1), self.size(-2))}), self));
  });
  meta("aten::ormqr", [](const Tensor&, const Tensor&, const Tensor& other, bool, bool) {
    return columns(other.sizes(), other.scalar_type());
  });
  meta("aten::cholesky", [](const Tensor& self, bool) {
    checkSquare("cholesky", self);
    return columns(self.sizes(), self.scalar_type());
  });
  meta("aten::cholesky_inverse", [](const Tensor& self, bool) {
    checkSquare("cholesky_inverse", self);
    return columns(self.sizes(), self.scalar_type());
  });
  meta("aten::_cholesky_solve_helper",
       [](const Tensor& self, const Tensor&, bool) { return columns(self.sizes(), self.scalar_type()); });
  meta("aten::linalg_pinv.atol_rtol_tensor", [](const Tensor& self, const std::optional<Tensor>&,
                                                const std::optional<Tensor>&, bool) {
    TORCH_CHECK(self.dim() >= 2, "linalg.pinv: The input tensor A must have at least 2 dimensions.");
    return dense(batched(without(self.sizes(), 2), {self.size(-1), self.size(-2)}), self);
  });
  // The drivers differ in what they report; an empty tensor stands for "not computed".
  meta("aten::linalg_lstsq", [](const Tensor& a, const Tensor& b, std::optional<double>,
                                std::optional<c10::string_view> driver) {
    TORCH_CHECK(a.dim() >= 2 && b.dim() >= 1, "torch.linalg.lstsq: input must have at least 2 dimensions and other 1");
    const std::string how(driver.value_or("gelsy"));
    const int64_t rows = a.size(-2), columnCount = a.size(-1);
    const std::vector<int64_t> aBatch = without(a.sizes(), 2);
    const bool vector = b.dim() == 1 || (b.dim() == a.dim() - 1 && b.sizes().equals(a.sizes().slice(0, a.dim() - 1)));
    TORCH_CHECK(b.size(vector ? -1 : -2) == rows, "torch.linalg.lstsq: input.size(-2) should match other.size(",
                vector ? -1 : -2, ")");
    const auto batch = at::infer_size(aBatch, without(b.sizes(), vector ? 1 : 2));
    const at::ScalarType real = realOf(a.scalar_type());
    const int64_t sides = vector ? 1 : b.size(-1);
    Tensor solution = columns(batched(batch, {std::max(rows, columnCount), sides}), a.scalar_type());
    solution = solution.narrow(-2, 0, columnCount);  // LAPACK solves in place of the right-hand side
    if (vector) solution = solution.squeeze(-1);
    const bool residuals = rows > columnCount && how != "gelsy";
    return std::make_tuple(solution, residuals ? dense(batched(batch, {sides}), real) : dense({0}, real),
                           how == "gels" ? dense({0}, at::kLong) : dense(aBatch, at::kLong),
                           how == "gelsd" || how == "gelss"
                               ? dense(batched(aBatch, {std::min(rows, columnCount)}), real)
                               : dense({0}, real));
  });
  meta("aten::addbmm", [](const Tensor& self, const Tensor& a, const Tensor& b, const at::Scalar&, const at::Scalar&) {
    TORCH_CHECK(a.dim() == 3 && b.dim() == 3 && a.size(0) == b.size(0) && a.size(2) == b.size(1),
                "addbmm: incompatible batches of matrices ", a.sizes(), " and ", b.sizes());
    return dense({a.size(1), b.size(2)}, self);
  });
  meta("aten::_cdist_forward", [](const Tensor& a, const Tensor& b, double, std::optional<int64_t>) {
    TORCH_CHECK(a.dim() >= 2 && b.dim() >= 2 && a.size(-1) == b.size(-1), "X1 and X2 must have the same number of "
                "columns. X1: ", a.size(-1), " X2: ", b.size(-1));
    const auto batch = at::infer_size(without(a.sizes(), 2), without(b.sizes(), 2));
    return dense(batched(batch, {a.size(-2), b.size(-2)}), a);
  });
  meta("aten::_cdist_backward", [](const Tensor&, const Tensor& a, const Tensor& b, double, const Tensor&) {
    const auto batch = at::infer_size(without(a.sizes(), 2), without(b.sizes(), 2));
    return dense(batched(batch, {a.size(-2), a.size(-1)}), a);
  });
  meta("aten::_pdist_forward", [](const Tensor& self, double) {
    const int64_t n = self.size(0);
    return dense({n <= 1 ? 0 : n * (n - 1) / 2}, self);
  });
  meta("aten::_pdist_backward",
       [](const Tensor&, const Tensor& self, double, const Tensor&) { return dense(self.sizes(), self); });
}

}  // namespace jorch::trace
