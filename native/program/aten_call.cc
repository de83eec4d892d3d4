/** @file Running ATen calls on XLA's threads. */
#include "aten_call.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/masked_fill.h>
#include <ATen/ops/ne.h>
#include <c10/core/StreamGuard.h>
#include <c10/util/strides.h>
#include <xla/ffi/api/ffi.h>

#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "aten_call_text.h"
#include "convolution_call.h"
#include "plain_kernels.h"
#include "result_memory.h"

extern "C" void omp_set_num_threads(int);  // libtorch's OpenMP; it holds for the calling thread

namespace jorch::program {
namespace {

namespace ffi = xla::ffi;

c10::ScalarType torchDtype(ffi::DataType type) {
  switch (type) {
    case ffi::DataType::F32: return c10::ScalarType::Float;
    case ffi::DataType::F64: return c10::ScalarType::Double;
    case ffi::DataType::F16: return c10::ScalarType::Half;
    case ffi::DataType::BF16: return c10::ScalarType::BFloat16;
    case ffi::DataType::S8: return c10::ScalarType::Char;
    case ffi::DataType::S16: return c10::ScalarType::Short;
    case ffi::DataType::S32: return c10::ScalarType::Int;
    case ffi::DataType::S64: return c10::ScalarType::Long;
    case ffi::DataType::U8: return c10::ScalarType::Byte;
    case ffi::DataType::U16: return c10::ScalarType::UInt16;
    case ffi::DataType::U32: return c10::ScalarType::UInt32;
    case ffi::DataType::U64: return c10::ScalarType::UInt64;
    case ffi::DataType::PRED: return c10::ScalarType::Bool;
    case ffi::DataType::C64: return c10::ScalarType::ComplexFloat;
    case ffi::DataType::C128: return c10::ScalarType::ComplexDouble;
    default: TORCH_CHECK(false, "jorch_aten: libtorch has no dtype for XLA's type ", static_cast<int>(type));
  }
}

/** Calls are parsed once per process: programs repeat them on every run, and the text is all that identifies them. */
std::shared_ptr<const AtenCall> lookup(std::string_view text) {
  static auto* mutex = new std::mutex;
  static auto* calls = new std::unordered_map<std::string, std::shared_ptr<const AtenCall>>;
  std::lock_guard<std::mutex> lock(*mutex);
  std::string key(text);
  auto found = calls->find(key);
  if (found == calls->end()) {
    if (calls->size() >= 4096) calls->clear();  // a bound, not a policy: running calls hold their own reference
    auto call = parseAtenCall(key);
    found = calls->emplace(std::move(key), std::move(call)).first;
  }
  return found->second;
}

at::Tensor view(void* data, at::IntArrayRef sizes, at::IntArrayRef strides, c10::ScalarType dtype, c10::Device device) {
  // Without asking the driver whose address it is.
  return at::for_blob(data, sizes).strides(strides).target_device(device).options(at::TensorOptions().dtype(dtype).device(device)).make_tensor();
}

// Handing a kernel's parts to OpenMP's threads and waiting for them takes longer than doing the work of a small one: each of XLA's threads has an
// OpenMP team of its own, whose waiting threads are in the way of XLA's. Of a convolution the number of elements does not tell the work.
class FewThreads {
 public:
  explicit FewThreads(const AtenCall& call, ffi::RemainingArgs args) {
    if (call.convolves) return;
    size_t elements = 0;
    for (size_t i = 0; i < args.size(); i++) elements += args.get<ffi::AnyBuffer>(i).value().element_count();
    if (elements > kSmall) return;
    threads_ = at::get_num_threads();
    omp_set_num_threads(1);
  }
  ~FewThreads() {
    if (threads_ > 0) omp_set_num_threads(threads_);
  }
  FewThreads(const FewThreads&) = delete;
  FewThreads& operator=(const FewThreads&) = delete;

 private:
  static constexpr size_t kSmall = 1 << 15;
  int threads_ = 0;
};

at::Tensor operand(ffi::AnyBuffer buffer, AtenCall::Order order, c10::Device device) {
  const auto dims = buffer.dimensions();
  const at::IntArrayRef sizes(dims.begin(), dims.size());
  const c10::ScalarType dtype = torchDtype(buffer.element_type());
  const at::DimVector strides =
      order == AtenCall::Order::ChannelsLast ? at::DimVector(c10::get_channels_last_strides_2d(sizes)) : c10::contiguous_strides(sizes);
  void* data = buffer.untyped_data();
  // ATen's vectorized kernels load complex128 with 16-byte alignment and crash on less. On a GPU XLA aligns all buffers.
  if (device.is_cpu() && reinterpret_cast<uintptr_t>(data) % 16 != 0 && buffer.size_bytes() > 0) {
    at::Tensor copy = at::empty_strided(sizes, strides, at::TensorOptions().dtype(dtype));
    std::memcpy(copy.data_ptr(), data, buffer.size_bytes());
    return copy;
  }
  return view(data, sizes, strides, dtype, device);
}

// Whether a result is where XLA wants it already.
bool liesThere(const at::Tensor& result, const void* data, const AtenCall::Out& out) {
  return result.const_data_ptr() == data && result.strides() == at::IntArrayRef(out.strides) && !result.is_conj() && !result.is_neg();
}

void store(const at::Tensor& result, ffi::AnyBuffer buffer, size_t index, const AtenCall& call, c10::Device device) {
  const auto dims = buffer.dimensions();
  const at::IntArrayRef sizes(dims.begin(), dims.size());
  const c10::ScalarType dtype = torchDtype(buffer.element_type());
  TORCH_CHECK(result.defined(), call.op.operator_name(), ": result ", index, " is undefined, the compiled program expects ", dtype, sizes);
  TORCH_CHECK(result.sizes() == sizes && result.scalar_type() == dtype, call.op.operator_name(), ": result ", index, " is ",
              result.scalar_type(), result.sizes(), ", the compiled program expects ", dtype, sizes,
              " (its shape must not depend on data inside compile())");
  if (result.numel() == 0 || liesThere(result, buffer.untyped_data(), call.outs[index])) return;
  const at::Tensor plain = result.resolve_conj().resolve_neg();
  const at::Tensor target = view(buffer.untyped_data(), sizes, call.outs[index].strides, dtype, device);
  const bool alike = plain.strides() == target.strides() || (plain.is_contiguous() && target.is_contiguous());
  if (alike && device.is_cpu() && plain.is_non_overlapping_and_dense()) std::memcpy(target.mutable_data_ptr(), plain.const_data_ptr(), plain.nbytes());
  else target.copy_(plain);
}

// libtorch's kernels leave what they had where a factorisation fails.
void spoil(const at::Tensor& result, const at::Tensor& flag) {
  if (flag.is_cpu() && flag.numel() == 1 && *flag.const_data_ptr<int32_t>() == 0) return;
  at::Tensor failed = flag.ne(0);
  while (failed.dim() < result.dim()) failed = failed.unsqueeze(-1);
  result.masked_fill_(failed, std::numeric_limits<double>::quiet_NaN());
}

void flatten(const c10::IValue& value, std::vector<at::Tensor>& out) {
  if (value.isTensor()) out.push_back(value.toTensor());
  else if (value.isTensorList())
    for (const at::Tensor& t : value.toTensorVector()) out.push_back(t);
  else if (value.isNone()) out.emplace_back();
}

// Large results that XLA has room for where libtorch would take memory.
std::vector<ResultMemory::Block> lendable(const AtenCall& call, ffi::RemainingRets rets, c10::Device device) {
  constexpr size_t kWorth = 1 << 16;
  std::vector<ResultMemory::Block> blocks;
  if (!call.lends || !device.is_cpu()) return blocks;
  for (size_t i = 0; i < rets.size(); i++) {
    ffi::AnyBuffer buffer = *rets.get<ffi::AnyBuffer>(i).value();
    if (buffer.size_bytes() >= kWorth && reinterpret_cast<uintptr_t>(buffer.untyped_data()) % 64 == 0) blocks.push_back({buffer.untyped_data(), buffer.size_bytes()});
  }
  return blocks;
}

// A result that lies in memory of another one, or in another order than XLA wants it, would be overwritten before it is read.
void setApart(const ResultMemory& memory, std::vector<at::Tensor>& results, const AtenCall& call, ffi::RemainingRets rets) {
  size_t buffer = 0;
  for (size_t i = 0; i < results.size() && i < call.outs.size(); i++) {
    if (!call.outs[i].defined || buffer >= rets.size()) continue;
    const void* own = rets.get<ffi::AnyBuffer>(buffer++).value()->untyped_data();
    if (!results[i].defined() || !results[i].has_storage() || !memory.isLent(results[i].storage().data())) continue;
    if (!liesThere(results[i], own, call.outs[i])) results[i] = results[i].clone();
  }
}

// Those behind the operator's own.
std::vector<at::Tensor> stepOperands(const AtenCall& call, ffi::RemainingArgs args, size_t next) {
  std::vector<at::Tensor> operands;
  for (const AtenCall::Step& step : call.steps) {
    const bool image = step.kind == AtenCall::Step::Kind::Add;
    for (size_t i = 0; i < step.operands(); i++)
      operands.push_back(operand(args.get<ffi::AnyBuffer>(next++).value(), image ? AtenCall::Order::ChannelsLast : AtenCall::Order::Rows, c10::Device(c10::kCPU)));
  }
  return operands;
}

void run(const AtenCall& call, ffi::RemainingArgs args, ffi::RemainingRets rets, c10::Device device) {
  PlainKernels guard;
  FewThreads threads(call, args);
  TORCH_CHECK(args.size() == call.operands, call.op.operator_name(), ": ", call.operands, " operands expected, got ", args.size());
  std::vector<c10::IValue> stack = call.stack;
  if (!device.is_cpu())
    for (c10::IValue& value : stack)
      if (value.isDevice()) value = device;
  size_t next = 0;
  auto take = [&](const AtenCall::Slot& slot) {
    const at::Tensor given = operand(args.get<ffi::AnyBuffer>(next++).value(), slot.order, device);
    return slot.order == AtenCall::Order::Transposed ? given.mT() : given;
  };
  for (const auto& slot : call.slots) {
    switch (slot.kind) {
      case AtenCall::Operand::One: stack[slot.argument] = take(slot); break;
      case AtenCall::Operand::List: {
        c10::List<at::Tensor> list;
        for (size_t i = 0; i < slot.present.size(); i++) list.push_back(take(slot));
        stack[slot.argument] = std::move(list);
        break;
      }
      case AtenCall::Operand::OptionalList: {
        c10::List<std::optional<at::Tensor>> list;
        for (bool present : slot.present) list.push_back(present ? std::optional<at::Tensor>(take(slot)) : std::nullopt);
        stack[slot.argument] = std::move(list);
        break;
      }
    }
  }
  if (call.guard) call.guard(call.op.schema(), stack);
  if (!call.steps.empty()) {
    TORCH_CHECK(device.is_cpu() && rets.size() == 1, call.op.operator_name(), ": a call with steps has one result, on the CPU");
    ffi::AnyBuffer buffer = *rets.get<ffi::AnyBuffer>(0).value();
    const at::IntArrayRef sizes(buffer.dimensions().begin(), buffer.dimensions().size());
    runConvolution(call, stack, stepOperands(call, args, next), view(buffer.untyped_data(), sizes, call.outs[0].strides, torchDtype(buffer.element_type()), device));
    return;
  }
  std::vector<at::Tensor> results;
  ResultMemory memory(lendable(call, rets, device));
  call.op.callBoxed(stack);
  memory.stop();
  for (const c10::IValue& value : stack) flatten(value, results);
  setApart(memory, results, call, rets);
  TORCH_CHECK(results.size() == call.outs.size(), call.op.operator_name(), ": ", call.outs.size(), " results expected, got ", results.size());
  size_t buffer = 0;
  for (size_t i = 0; i < results.size(); i++)
    if (call.outs[i].defined) {
      TORCH_CHECK(buffer < rets.size(), call.op.operator_name(), ": the custom call has only ", rets.size(), " results");
      const at::Tensor& result = results[i];
      const int64_t flag = call.outs[i].flag;
      if (flag >= 0 && static_cast<size_t>(flag) < results.size()) spoil(result, results[flag]);
      store(call.outs[i].transposed ? result.mT() : result, *rets.get<ffi::AnyBuffer>(buffer++).value(), i, call, device);
    }
}

// XLA wraps a handler's message in words of its own; the marks let atenCallError find torch's words again.
constexpr std::string_view kBegin = "jorch_aten{{", kEnd = "}}jorch_aten";

ffi::Error failure(ffi::ErrorCode code, const char* message) {
  return ffi::Error(code, std::string(kBegin) + message + std::string(kEnd));
}

// The operator, unless torch's words begin with it.
std::string named(std::string_view call, const std::string& words) {
  const std::string_view op = call.substr(0, call.find_first_of("|.")).substr(std::string_view("aten::").size());
  const size_t start = words.compare(0, 6, "aten::") == 0 ? 6 : 0;
  return words.compare(start, op.size(), op) == 0 ? words : std::string(op) + ": " + words;
}

// No exception may leave: XLA is built without them and would end the process.
template <class Body>
ffi::Error attempt(std::string_view text, Body body) {
  try {
    body();
    return ffi::Error::Success();
  } catch (const c10::Error& error) {
    return failure(ffi::ErrorCode::kInvalidArgument, named(text, error.what_without_backtrace()).c_str());
  } catch (const std::exception& error) {
    return failure(ffi::ErrorCode::kInternal, error.what());
  } catch (...) {
    return failure(ffi::ErrorCode::kInternal, "unknown C++ exception");
  }
}

ffi::Error handle(ffi::RemainingArgs args, ffi::RemainingRets rets, std::string_view text) {
  return attempt(text, [&] { run(*lookup(text), args, rets, c10::Device(c10::kCPU)); });
}

// XLA's stream becomes libtorch's current one for as long as it queues its kernels: they run after what computes the operands and before what reads the results,
// and its allocator, which keeps memory by stream, gives what the kernels need in between.
ffi::Error handleOnCuda(void* stream, ffi::RemainingArgs args, ffi::RemainingRets rets, std::string_view text) {
  return attempt(text, [&] {
    const c10::Device device(c10::kCUDA, 0);
    TORCH_CHECK(c10::impl::hasDeviceGuardImpl(c10::kCUDA), "libtorch's CUDA library, which this operator runs by, is not loaded (npx jorch doctor says why)");
    const c10::StreamGuard current(c10::Stream(c10::Stream::UNSAFE, device, reinterpret_cast<c10::StreamId>(stream)));
    run(*lookup(text), args, rets, device);
  });
}

XLA_FFI_DEFINE_HANDLER(kHandler, handle, ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attr<std::string_view>("call"));
XLA_FFI_DEFINE_HANDLER(kCudaHandler, handleOnCuda, ffi::Ffi::Bind().Ctx<ffi::PlatformStream<void*>>().RemainingArgs().RemainingRets().Attr<std::string_view>("call"));

}  // namespace

void registerAtenCall(pjrt::Plugin& plugin) { plugin.registerHandler("jorch_aten", reinterpret_cast<void*>(kHandler), "HOST"); }
void registerCudaAtenCall(pjrt::Plugin& plugin) { plugin.registerHandler("jorch_aten", reinterpret_cast<void*>(kCudaHandler), "CUDA"); }

void checkAtenCall(std::string_view text) { lookup(text); }

std::string atenCallError(std::string_view message) {
  const size_t begin = message.find(kBegin);
  const size_t end = message.rfind(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
  return std::string(message.substr(begin + kBegin.size(), end - begin - kBegin.size()));
}

}  // namespace jorch::program
