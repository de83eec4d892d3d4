#include "dispatch/guards.h"

#include <ATen/ops/isfinite.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

namespace jorch {

namespace {

bool hasData(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().is_cpu() && tensor.layout() == c10::kStrided && tensor.has_storage() &&
         !tensor.key_set().has_any(c10::DispatchKeySet({c10::DispatchKey::FuncTorchBatched, c10::DispatchKey::FuncTorchGradWrapper,
                                                        c10::DispatchKey::Functionalize}));
}

// MKL's geev reads outside its arrays when a matrix holds NaN or infinity. torch.linalg.eig refuses such a matrix in these words.
void finiteMatrices(const c10::FunctionSchema&, c10::ArrayRef<c10::IValue> args) {
  if (args.empty() || !args[0].isTensor()) return;
  const at::Tensor& a = args[0].toTensor();
  if (!hasData(a) || !(a.is_floating_point() || a.is_complex()) || a.numel() == 0) return;
  const c10::impl::ExcludeDispatchKeyGuard below(c10::autograd_dispatch_keyset_with_ADInplaceOrView);
  TORCH_CHECK(at::isfinite(a).all().item<bool>(), "input tensor should not contain infs or NaNs.");
}

// The recurrences run n steps for every element.
constexpr double kDegrees = 1 << 24;
void degree(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const auto n = schema.argumentIndexWithName("n");
  if (!n || static_cast<size_t>(*n) >= args.size()) return;
  double largest = 0;
  if (args[*n].isScalar()) {
    const at::Scalar value = args[*n].toScalar();
    largest = value.isComplex() ? 0 : value.toDouble();
  } else if (args[*n].isTensor() && hasData(args[*n].toTensor()) && args[*n].toTensor().numel() > 0 && !args[*n].toTensor().is_complex()) {
    const c10::impl::ExcludeDispatchKeyGuard below(c10::autograd_dispatch_keyset_with_ADInplaceOrView);
    largest = args[*n].toTensor().to(at::kDouble).nan_to_num(0).max().item<double>();
  }
  TORCH_CHECK(largest <= kDegrees, "a polynomial of degree ", largest, " would be summed term by term; the largest degree is ", kDegrees);
}

// ATen's own parts, which only libtorch's checked operators are meant to call, look at the first tensor of the list that comes first.
void someTensors(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  TORCH_CHECK(args.empty() || !args[0].isTensorList() || args[0].toTensorList().size() > 0, "expected a non-empty list of tensors for argument '",
              schema.arguments()[0].name(), "'");
}

}  // namespace

Guard guardOf(const c10::FunctionSchema& schema) {
  static const auto* table = new std::unordered_map<std::string, Guard>{
      {"linalg_eigvals", finiteMatrices},
      {"_linalg_eigvals", finiteMatrices},
      {"linalg_eig", finiteMatrices},
  };
  const std::string name = schema.name().substr(schema.name().find("::") + 2);
  if (const auto found = table->find(name); found != table->end()) return found->second;
  if (name.find("_polynomial_") != std::string::npos) return degree;
  const auto isList = [](const c10::Argument& argument) { return argument.type()->str() == "Tensor[]"; };
  if (name[0] == '_' && std::any_of(schema.arguments().begin(), schema.arguments().end(), isList)) return someTensors;
  return nullptr;
}

}  // namespace jorch
