/** @file Python's torch takes some of these operators apart when they meet a tangent (torch/_decomp/decompositions_for_jvp.py), where C++ refuses them;
    of normalisations, libtorch's own formulas are wrong from the second tangent or the third gradient on (Python's too). */
#include "transforms/forward_rules.h"

#include <ATen/ATen.h>
#include <ATen/OpMathType.h>
#include <ATen/core/grad_mode.h>
#include <ATen/functorch/DynamicLayer.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/library.h>

namespace jorch::transforms {

namespace {

using at::Tensor;
using c10::DispatchKey;
using torch::jit::Stack;

Tensor softmaxBackward(const Tensor& grad, const Tensor& output, int64_t dim, at::ScalarType type) {
  const Tensor weighted = grad * output;
  return (weighted - output * weighted.sum(dim, /*keepdim=*/true)).to(type);
}

Tensor logSoftmaxBackward(const Tensor& grad, const Tensor& output, int64_t dim, at::ScalarType type) {
  return (grad - output.exp() * grad.sum(dim, /*keepdim=*/true)).to(type);
}

/** Minus the weight of its class at the target, which is where the loss reads. */
Tensor nllLossBackward(const Tensor& grad, const Tensor& self, const Tensor& target, const std::optional<Tensor>& weight,
                       int64_t reduction, int64_t ignore, const Tensor& total) {
  const int64_t channel = self.dim() < 2 ? 0 : 1;
  Tensor scale = reduction == at::Reduction::Mean ? grad / total : grad;
  const Tensor at = target.unsqueeze(channel);
  const Tensor counts = at.ne(ignore);
  const Tensor safe = at::where(counts, at, at::zeros_like(at));
  if (self.dim() > scale.dim() && scale.dim() > 0) scale = scale.unsqueeze(channel);
  if (weight && weight->defined()) {
    std::vector<int64_t> shape(self.dim(), 1);
    shape[channel] = weight->size(0);
    scale = scale * weight->reshape(shape);
  }
  const Tensor picked = at::zeros_like(self).scatter(channel, safe, -1);
  return picked * at::where(counts, scale, at::zeros_like(scale));
}

using OptionalTensor = std::optional<Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;
using Mask = std::array<bool, 3>;

bool given(const OptionalTensor& t) { return t && t->defined(); }
Tensor inMath(const OptionalTensor& t, const Tensor& like) { return given(t) ? t->to(at::toOpMathType(like.scalar_type())) : Tensor(); }

// What a normalisation subtracts and multiplies by, as functions of its input: libtorch's formulas for tangents take what was saved
// for constants, which is right once and wrong in every further derivative.
struct Moments {
  Tensor mean, rstd;
};
Moments momentsOf(const Tensor& x, at::IntArrayRef dims, double eps) {
  const Tensor mean = x.mean(dims, /*keepdim=*/true);
  const Tensor centered = x - mean;
  return {mean, (centered * centered).mean(dims, true).add(eps).rsqrt()};
}

/** With the eps that is in what was saved of the same input. */
Moments momentsOf(const Tensor& x, at::IntArrayRef dims, const Tensor& savedRstd) {
  const Tensor mean = x.mean(dims, /*keepdim=*/true);
  const Tensor centered = x - mean;
  const Tensor variance = (centered * centered).mean(dims, true);
  return {mean, (variance + (savedRstd.detach().to(x.scalar_type()).pow(-2) - variance.detach())).rsqrt()};
}

/** Gradient of (x - mean(x)) rstd(x) over `dims`, given that of the result. */
Tensor normalisedBackward(const Tensor& grad, const Tensor& normal, const Tensor& rstd, at::IntArrayRef dims) {
  return rstd * (grad - grad.mean(dims, true) - normal * (grad * normal).mean(dims, true));
}

struct LastDims {
  std::vector<int64_t> inner, outer;
  LastDims(const Tensor& t, size_t count) {
    for (int64_t d = 0; d < t.dim(); d++) (d < t.dim() - static_cast<int64_t>(count) ? outer : inner).push_back(d);
  }
};
Tensor summed(const Tensor& t, const std::vector<int64_t>& dims) { return dims.empty() ? t : t.sum(dims); }

Three layerNorm(const Tensor& input, std::vector<int64_t> shape, const OptionalTensor& weight, const OptionalTensor& bias, double eps) {
  const LastDims dims(input, shape.size());
  const Tensor x = inMath(input, input);
  const Moments moments = momentsOf(x, dims.inner, eps);
  Tensor out = (x - moments.mean) * moments.rstd;
  if (given(weight)) out = out * inMath(weight, input);
  if (given(bias)) out = out + inMath(bias, input);
  const at::ScalarType kept = given(weight) ? weight->scalar_type() : input.scalar_type();
  return {out.to(input.scalar_type()), moments.mean.to(kept), moments.rstd.to(kept)};
}

Three layerNormBackward(const Tensor& grad, const Tensor& input, std::vector<int64_t> shape, const Tensor& mean, const Tensor& rstd, const OptionalTensor& weight,
                        const OptionalTensor& bias, Mask wanted) {
  const LastDims dims(input, shape.size());
  const Tensor x = inMath(input, input), g = inMath(grad, input);
  const Moments moments = momentsOf(x, dims.inner, rstd);
  const Tensor normal = (x - moments.mean) * moments.rstd;
  Three made;
  if (wanted[0]) std::get<0>(made) = normalisedBackward(given(weight) ? g * inMath(weight, input) : g, normal, moments.rstd, dims.inner).to(input.scalar_type());
  if (wanted[1] && given(weight)) std::get<1>(made) = summed(g * normal, dims.outer).to(weight->scalar_type());
  if (wanted[2]) std::get<2>(made) = summed(g, dims.outer).to(given(bias) ? bias->scalar_type() : input.scalar_type());
  return made;
}

// Of a tensor with channels in dimension 1.
struct Channels {
  std::vector<int64_t> others, shape;
  explicit Channels(const Tensor& t) : shape(t.dim(), 1) {
    for (int64_t d = 0; d < t.dim(); d++)
      if (d != 1) others.push_back(d);
    shape[1] = t.size(1);
  }
};

Three batchNormBackward(const Tensor& grad, const Tensor& input, const OptionalTensor& weight, const OptionalTensor& runningMean, const OptionalTensor& runningVar,
                        const OptionalTensor& savedMean, const OptionalTensor& savedRstd, bool train, double eps, Mask wanted) {
  const Channels channels(input);
  const Tensor x = inMath(input, input), g = inMath(grad, input);
  const Moments moments = train ? momentsOf(x, channels.others, eps)
                                : Moments{inMath(runningMean, input).reshape(channels.shape), inMath(runningVar, input).add(eps).rsqrt().reshape(channels.shape)};
  const Tensor normal = (x - moments.mean) * moments.rstd;
  const Tensor weighted = given(weight) ? g * inMath(weight, input).reshape(channels.shape) : g;
  Three made;
  if (wanted[0]) std::get<0>(made) = (train ? normalisedBackward(weighted, normal, moments.rstd, channels.others) : weighted * moments.rstd).to(input.scalar_type());
  const at::ScalarType kind = given(weight) ? weight->scalar_type() : input.scalar_type();
  if (wanted[1]) std::get<1>(made) = (g * normal).sum(channels.others).to(kind);
  if (wanted[2]) std::get<2>(made) = g.sum(channels.others).to(kind);
  return made;
}

Tensor causalMask(const Tensor& scores) { return at::ones({scores.size(-2), scores.size(-1)}, scores.options().dtype(at::kBool)).triu(1); }

Tensor attentionScores(const Tensor& query, const Tensor& key, bool causal, const OptionalTensor& mask, double factor) {
  Tensor scores = at::matmul(query, key.transpose(-2, -1)) * factor;
  if (given(mask)) scores = mask->scalar_type() == at::kBool ? scores.masked_fill(mask->logical_not(), -INFINITY) : scores + *mask;
  return causal ? scores.masked_fill(causalMask(scores), -INFINITY) : scores;
}
double factorOf(const std::optional<double>& scale, const Tensor& query) { return scale ? *scale : 1 / std::sqrt(static_cast<double>(query.size(-1))); }

std::tuple<Tensor, Tensor> attention(const Tensor& query, const Tensor& key, const Tensor& value, double, bool causal, const OptionalTensor& mask, std::optional<double> scale) {
  const Tensor scores = attentionScores(query, key, causal, mask, factorOf(scale, query));
  return {at::matmul(scores.softmax(-1), value), scores.logsumexp(-1)};
}

Three attentionBackward(const Tensor& grad, const Tensor& query, const Tensor& key, const Tensor& value, const Tensor&, const Tensor&, double, bool causal,
                        const OptionalTensor& mask, std::optional<double> scale) {
  const double factor = factorOf(scale, query);
  const Tensor weights = attentionScores(query, key, causal, mask, factor).softmax(-1);
  const Tensor gWeights = at::matmul(grad, value.transpose(-2, -1));
  const Tensor gScores = weights * (gWeights - (gWeights * weights).sum(-1, /*keepdim=*/true)) * factor;
  return {at::matmul(gScores, key), at::matmul(gScores.transpose(-2, -1), query), at::matmul(weights.transpose(-2, -1), grad)};
}

bool hasTangent(const Stack& stack, size_t count) {
  for (size_t i = stack.size() - count; i < stack.size(); i++)
    if (stack[i].isTensor() && torch::autograd::isFwGradDefined(stack[i].toTensor())) return true;
  return false;
}

void push(Stack& stack, Tensor result) { stack.emplace_back(std::move(result)); }
template <class... Each>
void push(Stack& stack, std::tuple<Each...> results) {
  std::apply([&](auto&... each) { (stack.emplace_back(std::move(each)), ...); }, results);
}

template <auto Parts, class... Args>
void run(Stack& stack) {
  std::tuple<std::decay_t<Args>...> args;
  size_t i = stack.size() - sizeof...(Args);
  std::apply([&](auto&... each) { ((each = stack[i++].to<std::decay_t<decltype(each)>>()), ...); }, args);
  auto result = std::apply(Parts, args);
  torch::jit::drop(stack, sizeof...(Args));
  push(stack, std::move(result));
}

thread_local bool ownBackward = false;

/** Whether a backward operator that runs here may be differentiated again: where a level records it that is not the one whose backward this is. */
bool isRecorded(const Stack& stack, size_t count) {
  if (!at::GradMode::is_enabled()) return false;
  bool needed = false;
  for (size_t i = stack.size() - count; i < stack.size(); i++) needed |= stack[i].isTensor() && stack[i].toTensor().defined() && stack[i].toTensor().requires_grad();
  int levels = 0;
  for (const auto& layer : at::functorch::getDynamicLayerStack()) levels += layer.key() == at::functorch::TransformType::Grad;
  return needed && (levels == 0 || levels > (ownBackward ? 1 : 0));
}

/** Taken apart when a tangent is there, or when it is recorded for derivatives that libtorch has not (`again`); else libtorch's own autograd kernel. */
template <auto Parts, bool again, class... Args>
void kernel(const c10::OperatorHandle& op, Stack* stack) {
  if (hasTangent(*stack, sizeof...(Args)) || (again && isRecorded(*stack, sizeof...(Args)))) return run<Parts, Args...>(*stack);
  op.callBoxedForDispatchKey(DispatchKey::Autograd, *stack);
}

template <class Signature, Signature Parts, bool again>
struct Rule;
template <class Result, class... Args, Result (*Parts)(Args...), bool again>
struct Rule<Result (*)(Args...), Parts, again> {
  static void call(const c10::OperatorHandle& op, Stack* stack) { kernel<Parts, again, Args...>(op, stack); }
};

template <auto Parts, bool again = false>
void rule(torch::Library& lib, const char* name) {
  lib.impl(name, torch::CppFunction::makeFromBoxedFunction<&Rule<decltype(Parts), Parts, again>::call>());
}

/** In training; libtorch's kernel still updates the running statistics. */
void batchNorm(const c10::OperatorHandle& op, Stack* stack) {
  constexpr size_t kArguments = 8;
  const size_t first = stack->size() - kArguments;
  const bool train = (*stack)[first + 5].toBool();
  if (!train || !hasTangent(*stack, 3 + 5)) return op.callBoxedForDispatchKey(DispatchKey::Autograd, *stack);
  const Tensor input = (*stack)[first].toTensor();
  const auto weight = (*stack)[first + 1].to<OptionalTensor>(), bias = (*stack)[first + 2].to<OptionalTensor>();
  const double eps = (*stack)[first + 7].toDouble();
  for (size_t i = 0; i < 3; i++)
    if ((*stack)[first + i].isTensor() && (*stack)[first + i].toTensor().defined()) (*stack)[first + i] = (*stack)[first + i].toTensor().detach();
  op.callBoxedForDispatchKey(DispatchKey::Autograd, *stack);
  const at::ScalarType kept = stack->back().toTensor().scalar_type();
  torch::jit::drop(*stack, 3);
  const Channels channels(input);
  const Tensor x = inMath(input, input);
  const Moments moments = momentsOf(x, channels.others, eps);
  Tensor out = (x - moments.mean) * moments.rstd;
  if (given(weight)) out = out * inMath(weight, input).reshape(channels.shape);
  if (given(bias)) out = out + inMath(bias, input).reshape(channels.shape);
  push(*stack, Three{out.to(input.scalar_type()), moments.mean.reshape({-1}).to(kept), moments.rstd.reshape({-1}).to(kept)});
}

}  // namespace

OwnBackward::OwnBackward(bool own) : before_(ownBackward) { ownBackward = own; }
OwnBackward::~OwnBackward() { ownBackward = before_; }

void registerForwardRules() {
  // Wrappers of the levels around trace tensors carry no backend: AutogradOther.
  for (DispatchKey key : {DispatchKey::AutogradCPU, DispatchKey::AutogradLazy, DispatchKey::AutogradOther}) {
    // Lives as long as the process: destroying it at exit would race with libtorch's own teardown.
    auto& lib = *new torch::Library(torch::Library::IMPL, "aten", key, __FILE__, __LINE__);
    rule<&softmaxBackward>(lib, "_softmax_backward_data");
    rule<&logSoftmaxBackward>(lib, "_log_softmax_backward_data");
    rule<&nllLossBackward>(lib, "nll_loss_backward");
    rule<&layerNorm>(lib, "native_layer_norm");
    rule<&layerNormBackward, true>(lib, "native_layer_norm_backward");
    rule<&batchNormBackward, true>(lib, "native_batch_norm_backward");
    rule<&attention>(lib, "_scaled_dot_product_flash_attention_for_cpu");
    rule<&attentionBackward, true>(lib, "_scaled_dot_product_flash_attention_for_cpu_backward");
    lib.impl("native_batch_norm", torch::CppFunction::makeFromBoxedFunction<&batchNorm>());
  }
}

}  // namespace jorch::transforms
