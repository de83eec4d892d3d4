#include "dispatch/guards.h"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>
#include <unordered_set>

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

// _chunk_cat looks at sizes along `dim` before it has wrapped or compared it.
void chunkedDimension(const c10::FunctionSchema&, c10::ArrayRef<c10::IValue> args) {
  if (args.size() < 2 || !args[0].isTensorList() || !args[1].isInt()) return;
  const int64_t dim = args[1].toInt();
  for (const at::Tensor& tensor : args[0].toTensorVector())
    TORCH_CHECK(tensor.dim() > 0 && dim >= -tensor.dim() && dim < tensor.dim(), "_chunk_cat: dimension ", dim, " is out of range for a tensor of ",
                tensor.dim(), " dimensions");
}

// The argument of this name, if it is a tensor that is there.
const at::Tensor* tensorNamed(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args, const char* name) {
  const auto at = schema.argumentIndexWithName(name);
  if (!at || static_cast<size_t>(*at) >= args.size() || !args[*at].isTensor() || !args[*at].toTensor().defined()) return nullptr;
  return &args[*at].toTensor();
}

// Lists of a fixed length: one number stands for all, except where a number for each side is read. Kernels read all of them.
void listLengths(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  for (size_t i = 0; i < args.size(); i++) {
    const c10::Argument& argument = schema.arguments()[i];
    if (!argument.N() || *argument.N() < 2 || !(args[i].isIntList() || args[i].isBoolList())) continue;
    const size_t wanted = *argument.N();
    const size_t given = args[i].isIntList() ? args[i].toIntVector().size() : args[i].toBoolList().size();
    if (given == wanted || (given == 0 && argument.default_value() && argument.default_value()->isIntList() && argument.default_value()->toIntVector().empty())) continue;
    const bool exact = args[i].isBoolList() || schema.name().find("_pad") != std::string::npos;
    TORCH_CHECK(given == 1 && !exact, "expected argument '", argument.name(), "' to have ", wanted, exact ? "" : " numbers or 1", ", got a list of ", given);
  }
}

void sameSizes(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  TORCH_CHECK(args[0].toTensor().sizes() == args[1].toTensor().sizes(), "expected ", schema.arguments()[0].name(), " and ", schema.arguments()[1].name(),
              " to have one shape, got ", args[0].toTensor().sizes(), " and ", args[1].toTensor().sizes());
}

// A row is written for every index, wherever it is.
void embeddingRows(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor* indices = tensorNamed(schema, args, "indices");
  const auto rows = schema.argumentIndexWithName("num_weights");
  if (!indices || !rows || !args[*rows].isInt() || !hasData(*indices) || indices->numel() == 0) return;
  const c10::impl::ExcludeDispatchKeyGuard below(c10::autograd_dispatch_keyset_with_ADInplaceOrView);
  const auto [least, most] = at::aminmax(*indices);
  TORCH_CHECK(least.item<double>() >= 0 && most.item<double>() < args[*rows].toInt(), "indices must be from 0 to ", args[*rows].toInt() - 1);
}

// Statistics, weight and bias have one number a channel.
void channels(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor* input = tensorNamed(schema, args, "input");
  if (!input) return;
  const auto training = schema.argumentIndexWithName("training");
  if (training && args[*training].isBool() && !args[*training].toBool() && schema.name().find("backward") == std::string::npos)
    TORCH_CHECK(tensorNamed(schema, args, "running_mean") && tensorNamed(schema, args, "running_var"), "expected running_mean and running_var where not training");
  TORCH_CHECK(input->dim() >= 2, "expected an input of at least 2 dimensions, got ", input->sizes());
  for (const char* name : {"weight", "bias", "running_mean", "running_var", "save_mean", "save_invstd"})
    if (const at::Tensor* t = tensorNamed(schema, args, name); t && !(t->numel() == 0 && name[0] == 's'))
      TORCH_CHECK(t->numel() == input->size(1), name, " should have ", input->size(1), " elements, one a channel, got ", t->numel());
}

void choleskyBatches(const c10::FunctionSchema&, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor &b = args[0].toTensor(), &a = args[1].toTensor();
  TORCH_CHECK(a.dim() >= 2 && b.dim() == a.dim() && a.size(-1) == a.size(-2) && a.size(-1) == b.size(-2) &&
                  a.sizes().slice(0, a.dim() - 2) == b.sizes().slice(0, a.dim() - 2),
              "expected batches of square matrices and as many right sides of their size, got ", a.sizes(), " and ", b.sizes());
}

// MKL is asked for transforms of the dimensions as they are.
void transformed(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& self = args[0].toTensor();
  const auto dims = args[1].toIntVector();
  TORCH_CHECK(!dims.empty(), "expected at least one dimension to transform");
  std::unordered_set<int64_t> seen;
  for (const int64_t dim : dims) {
    TORCH_CHECK(dim >= 0 && dim < self.dim(), "dimension ", dim, " is out of range for a tensor of ", self.dim(), " dimensions; they are counted from 0 here");
    TORCH_CHECK(seen.insert(dim).second, "dimension ", dim, " appears twice");
    TORCH_CHECK(self.size(dim) > 0, "dimension ", dim, " has no elements");
  }
  TORCH_CHECK(args[2].toInt() >= 0 && args[2].toInt() <= 2, "normalization must be 0, 1 or 2, got ", args[2].toInt());
}

void pooledBackward(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor &grad = args[0].toTensor(), &self = args[1].toTensor();
  const int64_t pooled = schema.name().find("3d") == std::string::npos ? 2 : 3;
  TORCH_CHECK(grad.dim() == self.dim() && self.dim() > pooled && grad.sizes().slice(0, self.dim() - pooled) == self.sizes().slice(0, self.dim() - pooled) && grad.numel() > 0 && self.numel() > 0, "expected a gradient of as many dimensions as the input, both with elements, got ",
              grad.sizes(), " and ", self.sizes());
}

// v, g and their norms are walked together.
void weightNorm(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  for (const c10::IValue& value : args)
    if (value.isTensor()) TORCH_CHECK(value.toTensor().numel() > 0, "expected tensors with elements");
  // For the first and the last dimension the kernel reads a norm for each of its elements.
  const at::Tensor* v = tensorNamed(schema, args, "v");
  const at::Tensor* g = tensorNamed(schema, args, "g");
  const auto at = schema.argumentIndexWithName("dim");
  if (!v || !g || !at || static_cast<size_t>(*at) >= args.size() || !args[*at].isInt()) return;
  const int64_t dim = args[*at].toInt();
  if (v->dim() > 0 && (dim == 0 || dim == v->dim() - 1))
    TORCH_CHECK(g->numel() == v->size(dim), "expected a norm for each of the ", v->size(dim), " elements along dim ", dim, ", got ", g->numel());
}

// One list is walked by the length of the other.
void sameLengths(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  std::optional<size_t> length;
  for (size_t i = 0; i < args.size(); i++) {
    if (!args[i].isTensorList()) continue;
    const size_t given = args[i].toTensorList().size();
    TORCH_CHECK(!length || *length == given || given == 0, "expected lists of tensors of one length, got ", length.value_or(0), " and ", given, " (", schema.arguments()[i].name(), ")");
    if (!length) length = given;
  }
}

void sameSizesInLists(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  sameLengths(schema, args);
  if (const auto steps = schema.argumentIndexWithName("state_steps"); steps && args[*steps].isTensorList())
    for (const at::Tensor& step : args[*steps].toTensorVector()) TORCH_CHECK(step.numel() == 1, "expected one number in each of state_steps, got ", step.sizes());
  const auto first = args[0].toTensorVector();
  for (const c10::IValue& value : args) {
    if (!value.isTensorList()) continue;
    const auto list = value.toTensorVector();
    const bool counters = schema.arguments()[&value - args.data()].name() == "state_steps";
    for (size_t i = 0; i < list.size() && !counters; i++)
      TORCH_CHECK(list[i].numel() == first[i].numel() && list[i].scalar_type() == first[i].scalar_type(), "expected tensors of one size and type in all lists, got ", first[i].sizes(), " ",
                  first[i].scalar_type(), " and ", list[i].sizes(), " ", list[i].scalar_type());
  }
}

// Hidden and cell state, both.
void twoStates(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const auto hx = schema.argumentIndexWithName("hx");
  if (hx && args[*hx].isTensorList()) TORCH_CHECK(args[*hx].toTensorList().size() == 2, "lstm expects two hidden states");
  const auto params = schema.argumentIndexWithName("params");
  if (params && args[*params].isTensorList()) TORCH_CHECK(args[*params].toTensorList().size() > 0, "lstm expects parameters");
}

void strided(const c10::FunctionSchema&, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& self = args[0].toTensor();
  const auto sizes = args[1].toIntVector(), strides = args[2].toIntVector();
  TORCH_CHECK(sizes.size() == strides.size(), "mismatch in length of strides and shape");
  int64_t last = self.storage_offset();
  for (size_t d = 0; d < sizes.size(); d++) {
    TORCH_CHECK(sizes[d] >= 0 && strides[d] >= 0, "expected sizes and strides from 0");
    last += sizes[d] > 0 ? (sizes[d] - 1) * strides[d] : 0;
  }
  TORCH_CHECK(self.numel() > 0 || c10::multiply_integers(sizes) == 0, "the tensor has no elements");
  TORCH_CHECK(!self.has_storage() || static_cast<size_t>(last) < std::max<size_t>(1, self.storage().nbytes() / self.itemsize()), "sizes and strides reach beyond the tensor's memory");
}

// A coordinate for every point and every pair.
void pairs(const c10::FunctionSchema&, c10::ArrayRef<c10::IValue> args) {
  const bool backward = args[1].isTensor();
  const at::Tensor& x = args[backward ? 1 : 0].toTensor();
  TORCH_CHECK(x.dim() == 2, "pdist only supports 2D tensors, got ", x.sizes());
  if (!backward) return;
  const int64_t count = x.size(0) * (x.size(0) - 1) / 2;
  for (const size_t i : {size_t{0}, size_t{3}}) TORCH_CHECK(args[i].toTensor().numel() == count, "expected a number for each of ", count, " pairs, got ", args[i].toTensor().sizes());
}

// Whole numbers are divided by beta, which is none of them.
void floating(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  for (size_t i = 0; i < args.size(); i++)
    if (args[i].isTensor()) TORCH_CHECK(args[i].toTensor().is_floating_point(), schema.arguments()[i].name(), " must be a floating point tensor, got ", args[i].toTensor().scalar_type());
}

void channelsWithElements(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  channels(schema, args);
  TORCH_CHECK(args[0].toTensor().numel() > 0 && args[0].toTensor().sizes() == args[1].toTensor().sizes(), "expected a gradient of the input's shape, with elements, got ", args[0].toTensor().sizes());
}

// As many numbers as tensors.
void scalarForEach(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const auto scalars = schema.argumentIndexWithName(schema.name().find("lerp") == std::string::npos ? "scalars" : "weight");
  if (scalars && args[*scalars].isList() && !args[*scalars].isTensorList() && args[0].isTensorList())
    TORCH_CHECK(args[*scalars].toListRef().size() == args[0].toTensorList().size(), "expected ", args[0].toTensorList().size(), " numbers, one a tensor, got ", args[*scalars].toListRef().size());
}

void paddedDimensions(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const size_t place = schema.name().find("_pad") + 4;
  const int64_t padded = schema.name()[place] - '0';
  const auto self = schema.argumentIndexWithName("self");
  if (!self || !args[*self].isTensor()) return;
  const int64_t dims = args[*self].toTensor().dim();
  TORCH_CHECK(dims == padded + 1 || dims == padded + 2, "expected an input of ", padded + 1, " or ", padded + 2, " dimensions, got ", args[*self].toTensor().sizes());
}

// Heads of the query are shared out among those of key and value.
void groupedHeads(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const auto grouped = schema.argumentIndexWithName("enable_gqa");
  if (!grouped || !args[*grouped].isBool() || !args[*grouped].toBool()) return;
  for (size_t i = 0; i < 3; i++)
    TORCH_CHECK(args[i].toTensor().dim() >= 3 && args[i].toTensor().size(-3) > 0, "expected ", schema.arguments()[i].name(), " of at least 3 dimensions with heads, got ", args[i].toTensor().sizes());
}

// The bounds are moved to the next floating-point number by steps that never end beyond this.
void randomBounds(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  if (!args[0].isTensor() || !args[0].toTensor().is_floating_point()) return;
  constexpr int64_t kBeyond = int64_t{1} << 62;
  for (size_t i = 1; i < args.size(); i++)
    if (args[i].isInt()) TORCH_CHECK(args[i].toInt() <= kBeyond && args[i].toInt() >= -kBeyond, schema.arguments()[i].name(), " is out of bounds for ", args[0].toTensor().scalar_type());
}

// Written in the type of the input, whatever the memory is of.
void outOfInputsType(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor* out = tensorNamed(schema, args, "out");
  const at::Tensor* self = tensorNamed(schema, args, "self");
  if (out && self) TORCH_CHECK(out->scalar_type() == self->scalar_type(), "expected out of type ", self->scalar_type(), ", got ", out->scalar_type());
}

// Layers over packed sequences take the first of them without a look.
void packedSizes(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor* sizes = tensorNamed(schema, args, "batch_sizes");
  if (!sizes) return;
  TORCH_CHECK(sizes->dim() == 1 && sizes->numel() > 0, "expected batch_sizes of one dimension with at least one size, got ", sizes->sizes());
  const at::Tensor* rows = nullptr;
  for (const char* name : {"data", "input", "grad"})
    if (!rows) rows = tensorNamed(schema, args, name);
  if (!hasData(*sizes) || sizes->scalar_type() != at::kLong || !rows || rows->dim() == 0) return;
  const at::Tensor whole = sizes->contiguous();
  const auto given = c10::ArrayRef<int64_t>(whole.const_data_ptr<int64_t>(), whole.numel());
  int64_t total = 0;
  for (size_t i = 0; i < given.size(); i++) {
    TORCH_CHECK(given[i] > 0 && (i == 0 || given[i] <= given[i - 1]), "expected batch_sizes from 1 that do not grow, got ", given);
    TORCH_CHECK(given[i] <= rows->size(0) - total, "batch_sizes ", given, " are more than the ", rows->size(0), " rows of the data");
    total += given[i];
  }
}

// An element is written for every index of a maximum, wherever it is.
void maximaBackward(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor* grad = tensorNamed(schema, args, "grad_output");
  const at::Tensor* self = tensorNamed(schema, args, "self");
  const at::Tensor* indices = tensorNamed(schema, args, "indices");
  if (!grad || !self || !indices) return;
  const int64_t pooled = schema.name().find("3d") == std::string::npos ? 2 : 3;
  const int64_t kept = self->dim() - pooled;
  TORCH_CHECK(kept > 0 && grad->dim() == self->dim() && grad->sizes().slice(0, kept) == self->sizes().slice(0, kept) && indices->sizes() == grad->sizes(),
              "expected a gradient and indices of one shape and as many planes as the input, got ", grad->sizes(), ", ", indices->sizes(), " and ", self->sizes());
  if (!hasData(*indices) || indices->numel() == 0) return;
  const c10::impl::ExcludeDispatchKeyGuard below(c10::autograd_dispatch_keyset_with_ADInplaceOrView);
  const auto [least, most] = at::aminmax(*indices);
  const int64_t plane = c10::multiply_integers(self->sizes().slice(kept));
  TORCH_CHECK(least.item<double>() >= 0 && most.item<double>() < plane, "indices must be from 0 to ", plane - 1);
}

// A step is made a whole number before the range is divided by it.
void wholeStep(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args) {
  const at::Tensor* out = tensorNamed(schema, args, "out");
  const auto at = schema.argumentIndexWithName("step");
  if (!out || !c10::isIntegralType(out->scalar_type(), true) || !at || static_cast<size_t>(*at) >= args.size() || !args[*at].isScalar() || !args[*at].toScalar().isFloatingPoint()) return;
  TORCH_CHECK(std::abs(args[*at].toScalar().toDouble()) >= 1, "a step of ", args[*at].toScalar().toDouble(), " is 0 for whole numbers (", out->scalar_type(), ")");
}

// With weights, cov takes the mean of one observation from the caller's own numbers.
void ownObservations(torch::jit::Stack& stack) {
  if (stack[0].isTensor() && stack[0].toTensor().defined()) stack[0] = stack[0].toTensor().clone();
}

}  // namespace

Guard::Guard(const c10::FunctionSchema& schema) {
  static const auto* table = new std::unordered_map<std::string, Check>{
      {"linalg_eigvals", finiteMatrices},
      {"_linalg_eigvals", finiteMatrices},
      {"linalg_eig", finiteMatrices},
      {"align_tensors", someTensors},
      {"embedding_dense_backward", embeddingRows},
      {"_log_softmax_backward_data", sameSizes},
      {"_softmax_backward_data", sameSizes},
      {"_native_batch_norm_legit", channels},
      {"_native_batch_norm_legit_functional", channels},
      {"_native_batch_norm_legit_no_training", channels},
      {"_batch_norm_with_update", channels},
      {"_batch_norm_no_update", channels},
      {"native_batch_norm", channels},
      {"_cholesky_solve_helper", choleskyBatches},
      {"_fft_r2c", transformed},
      {"_fft_c2r", transformed},
      {"_fft_c2c", transformed},
      {"_adaptive_avg_pool2d_backward", pooledBackward},
      {"_adaptive_avg_pool3d_backward", pooledBackward},
      {"adaptive_avg_pool3d_backward", pooledBackward},
      {"adaptive_max_pool2d_backward", maximaBackward},
      {"adaptive_max_pool3d_backward", maximaBackward},
      {"fractional_max_pool2d_backward", maximaBackward},
      {"fractional_max_pool3d_backward", maximaBackward},
      {"max_pool2d_with_indices_backward", maximaBackward},
      {"max_pool3d_with_indices_backward", maximaBackward},
      {"_weight_norm_interface_backward", weightNorm},
      {"_batch_norm_impl_index", channels},
      {"native_batch_norm_backward", channelsWithElements},
      {"_weight_norm", weightNorm},
      {"_weight_norm_interface", weightNorm},
      {"smooth_l1_loss_backward", floating},
      {"_foreach_copy", sameLengths},
      {"_foreach_copy_", sameLengths},
      {"_fused_sgd", sameSizesInLists},
      {"_fused_sgd_", sameSizesInLists},
      {"_fused_adam", sameSizesInLists},
      {"_fused_adam_", sameSizesInLists},
      {"_fused_adamw", sameSizesInLists},
      {"_fused_adamw_", sameSizesInLists},
      {"_fused_adagrad", sameSizesInLists},
      {"_fused_adagrad_", sameSizesInLists},
      {"lstm", twoStates},
      {"_chunk_cat", chunkedDimension},
      {"arange", wholeStep},
      {"range", wholeStep},
      {"_logcumsumexp", outOfInputsType},
      {"_pdist_forward", pairs},
      {"_pdist_backward", pairs},
      {"_reshape_alias", strided},
      {"_reshape_alias_copy", strided},
      {"batch_norm_update_stats", channels},
      {"scaled_dot_product_attention", groupedHeads},
      {"random", randomBounds},
      {"random_", randomBounds},
  };
  const std::string name = schema.name().substr(schema.name().find("::") + 2);
  if (const auto found = table->find(name); found != table->end()) checks_.push_back(found->second);
  if (name.rfind("_foreach_", 0) == 0 && schema.overload_name().find("ScalarList") != std::string::npos) checks_.push_back(scalarForEach);
  if (name.rfind("replication_pad", 0) == 0 || name.rfind("reflection_pad", 0) == 0) checks_.push_back(paddedDimensions);
  if (name.find("_polynomial_") != std::string::npos) checks_.push_back(degree);
  if (name == "cov") mend_ = ownObservations;
  if (schema.argumentIndexWithName("batch_sizes")) checks_.push_back(packedSizes);
  const auto& arguments = schema.arguments();
  const auto isList = [](const c10::Argument& argument) { return argument.type()->str() == "Tensor[]"; };
  if (name[0] == '_' && std::any_of(arguments.begin(), arguments.end(), isList)) checks_.push_back(someTensors);
  if (std::any_of(arguments.begin(), arguments.end(), [](const c10::Argument& argument) { return argument.N() && *argument.N() > 1; })) checks_.push_back(listLengths);
}

bool isInternal(const c10::FunctionSchema& schema) {
  static const auto* names = new std::unordered_set<std::string>{
      "_ctc_loss_backward",
      "_cummax_helper",
      "_cummin_helper",
      "_nnpack_spatial_convolution",
      "_lazy_clone",
      "_convert_indices_from_coo_to_csr",
      "_convert_indices_from_csr_to_coo",
      "_stack",
      "_saturate_weight_to_fp16",
      "batch_norm_backward",
      "_batch_norm_impl_index_backward",
      "mkldnn_rnn_layer",
      "mkldnn_rnn_layer_backward",
      "_slow_conv2d_backward",
      "_segment_reduce_backward",
      "_new_zeros_with_same_feature_meta",
      "_transform_bias_rescale_qkv",
      "_add_batch_dim",
      "_remove_batch_dim",
      "_thnn_differentiable_gru_cell_backward",
      "_thnn_differentiable_lstm_cell_backward",
  };
  const std::string name = schema.name().substr(schema.name().find("::") + 2);
  if (names->count(name)) return true;
  for (const char* family : {"_nested_", "_sobol_", "_dyn_quant_", "quantized_", "fbgemm_"})
    if (name.rfind(family, 0) == 0) return true;
  return false;
}

}  // namespace jorch
