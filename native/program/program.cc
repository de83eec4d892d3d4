/** @file The compiled call: everything here runs on every call, most of it in tens of nanoseconds. */
#include "program.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/zeros.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/COW.h>
#include <c10/util/SmallVector.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "aten_call.h"
#include "snapshot.h"
#include "device/bridge.h"
#include "device/device_tensor.h"
#include "device/devices.h"
#include "shard/sharded.h"

namespace jorch::program {
namespace {

/** Memory of one result: XLA's buffer, as the context of a c10::DataPtr. */
struct ResultMemory {
  pjrt::Buffer buffer;
  std::shared_ptr<const InputSpec> spec;
};

// Runs wherever the tensor's last reference dies: a finalizer during garbage collection, another thread, process exit. It touches
// no JavaScript, and plugin and client are never destroyed.
void freeResult(void* context) { delete static_cast<ResultMemory*>(context); }

/** A vector of small results: each of them holds it. */
struct PackMemory final : c10::intrusive_ptr_target {
  explicit PackMemory(pjrt::Buffer made) : buffer(std::move(made)), data(static_cast<char*>(buffer.pointer())) {}
  pjrt::Buffer buffer;
  char* data;
};

// Like freeResult.
void releasePack(void* context) { c10::raw::intrusive_ptr::decref(static_cast<PackMemory*>(context)); }

/** Results whose memory libtorch shares: it wants a deleter that takes the address. */
struct SharedResults {
  std::mutex mutex;
  std::unordered_map<void*, ResultMemory*> byAddress;
  static SharedResults& all() {
    static auto* results = new SharedResults;
    return *results;
  }
};

void freeSharedResult(void* data) {
  ResultMemory* memory = nullptr;
  {
    SharedResults& all = SharedResults::all();
    std::lock_guard<std::mutex> lock(all.mutex);
    const auto found = all.byAddress.find(data);
    if (found == all.byAddress.end()) return;
    memory = found->second;
    all.byAddress.erase(found);
  }
  delete memory;
}

const void* emptyData() {
  alignas(64) static const char nothing[64] = {};
  return nothing;  // XLA wants an address even for tensors without elements
}

bool zeroCopyAligned(const void* data) { return reinterpret_cast<uintptr_t>(data) % 64 == 0; }

constexpr auto kLazyBits = c10::DispatchKeySet({c10::DispatchKey::Conjugate, c10::DispatchKey::Negative, c10::DispatchKey::ZeroTensor, shard::kShardedKey});

[[noreturn]] void refuse(size_t index, const at::Tensor& tensor, const InputSpec& spec, bool onDevice = false) {
  TORCH_CHECK(tensor.defined(), "compiled call: argument ", index, " is undefined");
  TORCH_CHECK(tensor.layout() == c10::kStrided, "compiled call: argument ", index, " has layout ", tensor.layout(),
              "; only strided tensors can be given to compiled functions");
  TORCH_CHECK(onDevice || tensor.device().is_cpu(), "compiled call: argument ", index, " is on ", device::nameOf(tensor), ", the program runs on the CPU");
  TORCH_CHECK(false, "compiled call: argument ", index, " is ", tensor.scalar_type(), tensor.sizes(), ", the program was compiled for ",
              spec.dtype, at::IntArrayRef(spec.sizes));
}

bool isDense(const OutputSpec& spec) {
  if (spec.strides.empty()) return true;
  std::vector<std::pair<int64_t, int64_t>> dims;
  for (size_t d = 0; d < spec.sizes.size(); d++) {
    if (spec.sizes[d] == 0) return true;
    if (spec.sizes[d] != 1) dims.emplace_back(spec.strides[d], spec.sizes[d]);
  }
  std::sort(dims.begin(), dims.end());
  int64_t expected = 1;
  for (const auto& [stride, size] : dims) {
    if (stride != expected) return false;
    expected *= size;
  }
  return true;
}

}  // namespace

at::Tensor Outputs::over(uint32_t index, c10::DataPtr memory) const {
  const OutputSpec& spec = specs[index];
  // Resizable like any eager tensor: resize_ then moves the data to libtorch's own allocator.
  auto storage = c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), spec.bytes, std::move(memory), c10::GetCPUAllocator(),
                                                       /*resizable=*/true);
  at::Tensor tensor = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(std::move(storage)), c10::DispatchKeySet(c10::DispatchKey::CPU),
                                                               c10::scalarTypeToTypeMeta(spec.dtype));
  c10::TensorImpl* impl = tensor.unsafeGetTensorImpl();
  if (spec.strides.empty()) impl->set_sizes_contiguous(spec.sizes);
  else impl->set_sizes_and_strides(spec.sizes, spec.strides);
  return tensor;
}

at::Tensor materialize(const at::Tensor& tensor) {
  at::AutoDispatchBelowADInplaceOrView noGrad;
  if (tensor._is_zerotensor()) return at::zeros(tensor.sizes(), tensor.options());
  return shard::gathered(tensor).resolve_conj().resolve_neg().contiguous();
}

namespace {

// A snapshot costs more than copying less than this.
constexpr int64_t kSharedBytes = 256 * 1024;
// What may be on its way at once: memory that nobody but the copy holds any more.
constexpr int64_t kMostOnTheWay = int64_t{1} << 30;
std::atomic<int64_t> bytesOnTheWay{0};

/** A tensor whose memory is being read; destroyed by whoever has read it. */
struct OnTheWay {
  explicit OnTheWay(at::Tensor values) : tensor(std::move(values)), bytes(static_cast<int64_t>(tensor.nbytes())) { bytesOnTheWay += bytes; }
  ~OnTheWay() { bytesOnTheWay -= bytes; }
  const at::Tensor tensor;
  const int64_t bytes;
};

}  // namespace

pjrt::Buffer upload(const pjrt::Client& client, const at::Tensor& tensor) {
  at::Tensor plain = materialize(tensor);
  const auto bytes = static_cast<int64_t>(plain.nbytes());
  if (bytes >= kSharedBytes && bytesOnTheWay.load(std::memory_order_relaxed) + bytes <= kMostOnTheWay) {
    // Nobody else can write to what has just been made.
    const bool fresh = plain.storage().use_count() == 1 && !plain.is_same(tensor);
    auto held = std::make_shared<OnTheWay>(fresh ? std::move(plain) : snapshot(plain));
    const at::Tensor& values = held->tensor;
    return pjrt::fromHostLater(client, values.const_data_ptr(), elementType(values.scalar_type()), values.sizes().data(), values.sizes().size(),
                                       [held]() mutable { held.reset(); });
  }
  const void* data = plain.numel() == 0 ? emptyData() : plain.const_data_ptr();
  return pjrt::Buffer::fromHost(client, data, elementType(plain.scalar_type()), plain.sizes().data(), plain.sizes().size(),
                                PJRT_HostBufferSemantics_kImmutableOnlyDuringCall);
}

bool makeSimple(c10::StorageImpl& storage) {
  c10::DataPtr& pointer = storage._mutable_data_ptr_no_checks();
  void* data = pointer.get();
  if (pointer.get_deleter() != &freeResult || data == nullptr) return false;
  SharedResults& all = SharedResults::all();
  std::lock_guard<std::mutex> lock(all.mutex);
  auto* memory = static_cast<ResultMemory*>(pointer.get_context());
  if (!all.byAddress.emplace(data, memory).second) return false;
  pointer.release_context();
  pointer = c10::DataPtr(data, data, &freeSharedResult, c10::Device(c10::kCPU));
  return true;
}

pjrt::Client& cpuClient(const std::string& path) {
  pjrt::Plugin& plugin = pjrt::Plugin::load(path);
  registerAtenCall(plugin);
  return pjrt::Client::get(plugin);
}

void adoptCpuClient(const std::string& path, PJRT_Client* client) {
  pjrt::Plugin& plugin = pjrt::Plugin::load(path);
  registerAtenCall(plugin);
  pjrt::Client::adopt(plugin, client);
}

PJRT_Buffer_Type elementType(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::ScalarType::Float: return PJRT_Buffer_Type_F32;
    case c10::ScalarType::Double: return PJRT_Buffer_Type_F64;
    case c10::ScalarType::Half: return PJRT_Buffer_Type_F16;
    case c10::ScalarType::BFloat16: return PJRT_Buffer_Type_BF16;
    case c10::ScalarType::Char: return PJRT_Buffer_Type_S8;
    case c10::ScalarType::Short: return PJRT_Buffer_Type_S16;
    case c10::ScalarType::Int: return PJRT_Buffer_Type_S32;
    case c10::ScalarType::Long: return PJRT_Buffer_Type_S64;
    case c10::ScalarType::Byte: return PJRT_Buffer_Type_U8;
    case c10::ScalarType::UInt16: return PJRT_Buffer_Type_U16;
    case c10::ScalarType::UInt32: return PJRT_Buffer_Type_U32;
    case c10::ScalarType::UInt64: return PJRT_Buffer_Type_U64;
    case c10::ScalarType::Bool: return PJRT_Buffer_Type_PRED;
    case c10::ScalarType::ComplexFloat: return PJRT_Buffer_Type_C64;
    case c10::ScalarType::ComplexDouble: return PJRT_Buffer_Type_C128;
    default: TORCH_CHECK(false, "jorch: XLA has no element type for ", dtype);
  }
}

/** What one run holds besides the cached wrappers. */
class Program::Arguments {
 public:
  // Whoever comes second (another thread; an ATen call that runs the same program) wraps its arguments afresh.
  explicit Arguments(std::atomic_flag& slotsTaken) : slotsTaken_(slotsTaken), owner_(!slotsTaken.test_and_set(std::memory_order_acquire)) {}
  ~Arguments() {
    buffers.clear();  // before the tensors whose memory they are
    if (owner_) slotsTaken_.clear(std::memory_order_release);
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;
  bool ownsSlots() const { return owner_; }

  c10::SmallVector<at::Tensor, 4> tensors;
  c10::SmallVector<pjrt::Buffer, 4> buffers;

 private:
  std::atomic_flag& slotsTaken_;
  bool owner_;
};

/** What a run gave of which there are no tensors yet. */
class Program::Packed final : public Unmade {
 public:
  Packed(const Program& program, c10::SmallVector<pjrt::Buffer, 4> buffers)
      : forms_(program.forms_), outputs_(program.outputs_), buffers_(std::move(buffers)) {}
  at::Tensor make(uint32_t index) override {
    const OutputSpec& spec = outputs_->specs[index];
    if (packs_.empty()) packs_.resize(buffers_.size());
    auto& pack = packs_[spec.returned];
    if (!pack) pack = c10::make_intrusive<PackMemory>(std::move(buffers_[spec.returned]));
    char* data = pack->data + spec.offset;
    return outputs_->over(index, c10::DataPtr(data, c10::intrusive_ptr<PackMemory>(pack).release(), &releasePack, c10::Device(c10::kCPU)));
  }
  int64_t bytes(uint32_t index) const override { return outputs_->specs[index].bytes; }
  const void* data(uint32_t index) const override {
    const OutputSpec& spec = outputs_->specs[index];
    const bool shared = !packs_.empty() && packs_[spec.returned];  // with a tensor that is there
    return (shared ? packs_[spec.returned]->data : static_cast<const char*>(buffers_[spec.returned].pointer())) + spec.offset;
  }
  const std::shared_ptr<const Forms>& forms() const override { return forms_; }

 private:
  std::shared_ptr<const Forms> forms_;
  const Outputs* outputs_;
  c10::SmallVector<pjrt::Buffer, 4> buffers_;  // by the executable's results
  c10::SmallVector<c10::intrusive_ptr<PackMemory>, 4> packs_;
};

Program::Program(std::shared_ptr<pjrt::Executable> executable, std::vector<InputSpec> inputs, std::vector<OutputSpec> outputs, c10::DeviceIndex device)
    : executable_(std::move(executable)), device_(device), inputs_(std::move(inputs)), donated_(inputs_.size(), -1), slots_(inputs_.size()) {
  TORCH_CHECK(device_ != 0 || executable_->client().isCpu(), "Program: the executable is for ", executable_->client().platform(), ", not for the CPU");
  size_t alone = 0;  // results that the executable returns by themselves, before the vectors
  int64_t packs = 0;
  for (const OutputSpec& spec : outputs) {
    alone += spec.pack < 0;
    packs = std::max<int64_t>(packs, spec.pack + 1);
  }
  TORCH_CHECK(executable_->outputCount() == alone + packs, "Program: ", alone, " results and ", packs, " vectors of small ones described, the executable has ",
              executable_->outputCount(), " results");
  TORCH_CHECK(packs == 0 || device_ == 0, "Program: vectors of results are for the CPU");
  for (const InputSpec& input : inputs_) inputTypes_.push_back(elementType(input.dtype));
  const auto shapes = executable_->compiled().outputShapes();
  size_t next = 0;
  for (size_t i = 0; i < outputs.size(); i++) {
    OutputSpec& spec = outputs[i];
    TORCH_CHECK(spec.strides.empty() || spec.strides.size() == spec.sizes.size(), "Program: result ", i, " has ", spec.sizes.size(),
                " sizes but ", spec.strides.size(), " strides");
    // Everything after this trusts the spec with raw memory.
    spec.returned = spec.pack < 0 ? next++ : alone + spec.pack;
    const auto& shape = shapes[spec.returned];
    const int64_t given = c10::multiply_integers(shape.dims), wanted = c10::multiply_integers(spec.sizes);
    const auto item = static_cast<int64_t>(c10::elementSize(spec.dtype));
    const bool fits = spec.pack < 0 ? given == wanted : spec.offset >= 0 && spec.offset % 64 == 0 && spec.offset <= (given - wanted) * item;
    TORCH_CHECK(shape.type == elementType(spec.dtype) && fits, "Program: result ", i, " is described as ", spec.dtype, at::IntArrayRef(spec.sizes),
                ", the executable returns type ", static_cast<int>(shape.type), " ", at::IntArrayRef(shape.dims));
    TORCH_CHECK(isDense(spec), "Program: result ", i, " has strides ", at::IntArrayRef(spec.strides), " for sizes ",
                at::IntArrayRef(spec.sizes), ", which are not dense");
    physical_.push_back(std::make_shared<const InputSpec>(InputSpec{shape.dims, spec.dtype}));
    spec.bytes = wanted * item;
    outputBytes_ += spec.bytes;
  }
  auto made = std::make_shared<const Outputs>(std::move(outputs));
  outputs_ = made.get();
  forms_ = std::move(made);
}

PJRT_Buffer* Program::argument(size_t index, const at::Tensor& tensor, Arguments& held, bool inPlace) {
  const InputSpec& spec = inputs_[index];
  if (C10_UNLIKELY(!tensor.defined() || tensor.layout() != c10::kStrided || !tensor.device().is_cpu() ||
                   tensor.scalar_type() != spec.dtype || tensor.sizes() != at::IntArrayRef(spec.sizes)))
    refuse(index, tensor, spec);

  const at::Tensor* plain = &tensor;
  if (C10_UNLIKELY(tensor.key_set().has_any(kLazyBits) || !tensor.is_contiguous())) {
    held.tensors.push_back(materialize(tensor));
    plain = &held.tensors.back();
  }
  const void* data = plain->numel() == 0 ? emptyData() : plain->const_data_ptr();

  if (C10_UNLIKELY(donated_[index] >= 0)) {
    // The buffer is gone after the run; the memory stays the tensor's. Memory that must not be overwritten (a snapshot's too) is copied.
    const bool own = inPlace && plain == &tensor && zeroCopyAligned(data) && !c10::impl::cow::is_cow_data_ptr(tensor.storage().data_ptr());
    held.buffers.push_back(pjrt::Buffer::fromHost(executable_->client(), data, inputTypes_[index], spec.sizes.data(), spec.sizes.size(),
                                                  own ? PJRT_HostBufferSemantics_kMutableZeroCopy : PJRT_HostBufferSemantics_kImmutableOnlyDuringCall));
    return held.buffers.back().get();
  }

  // A result of an earlier call comes back as it went out, when it was not reshaped since.
  const c10::DataPtr& memory = plain->storage().data_ptr();
  if (memory.get_deleter() == &freeResult && memory.get() == data) {
    const auto* result = static_cast<const ResultMemory*>(memory.get_context());
    if (result->spec->dtype == spec.dtype && result->spec->sizes == spec.sizes) return result->buffer.get();
  }

  pjrt::Client& client = executable_->client();
  // Compiled code relies on the alignment of its arguments; XLA copies what does not have it. That copy is stale in the next call.
  if (!zeroCopyAligned(data)) {
    held.buffers.push_back(pjrt::Buffer::fromHost(client, data, inputTypes_[index], spec.sizes.data(), spec.sizes.size(),
                                                  PJRT_HostBufferSemantics_kImmutableOnlyDuringCall));
    return held.buffers.back().get();
  }

  const bool cacheable = held.ownsSlots() && plain == &tensor;
  if (cacheable) {
    Slot& slot = slots_[index];
    if (slot.latest.data == data) return slot.latest.buffer.get();
    std::swap(slot.latest, slot.previous);
    if (slot.latest.data == data) return slot.latest.buffer.get();
  }
  // Programs only read their arguments: no parameter is donated.
  pjrt::Buffer buffer = pjrt::Buffer::view(client, const_cast<void*>(data), inputTypes_[index], spec.sizes.data(), spec.sizes.size());
  if (!cacheable) {
    held.buffers.push_back(std::move(buffer));
    return held.buffers.back().get();
  }
  slots_[index].latest = Wrapped{data, std::move(buffer)};
  return slots_[index].latest.buffer.get();
}

void Program::runOnDevice(c10::ArrayRef<at::Tensor> args, std::vector<at::Tensor>& outs, bool inPlace) {
  const pjrt::Client& client = executable_->client();
  device::Bridge* const bridge = device::bridgeOf(device_);
  std::vector<std::shared_ptr<pjrt::Buffer>> held;
  std::vector<PJRT_Buffer*> in;
  std::vector<int64_t> keep;
  // Of libtorch's tensors there: row-major ones, whose making is queued before XLA is told to wait for what is queued.
  std::vector<at::Tensor> plain(args.size());
  bool views = false;
  for (size_t i = 0; bridge != nullptr && i < args.size(); i++) {
    if (!bridge->owns(args[i]) || args[i].layout() != c10::kStrided) continue;
    plain[i] = materialize(args[i]);
    if (!device::Bridge::viewable(plain[i])) plain[i] = plain[i].clone();
    views = true;
  }
  const pjrt::NativeStream settled = views ? bridge->settle() : 0;
  for (size_t i = 0; i < args.size(); i++) {
    const InputSpec& spec = inputs_[i];
    if (!args[i].defined() || args[i].layout() != c10::kStrided || args[i].scalar_type() != spec.dtype || args[i].sizes() != at::IntArrayRef(spec.sizes))
      refuse(i, args[i], spec, true);
    if (const device::DeviceTensor* own = device::deviceTensor(args[i])) {
      TORCH_CHECK(own->device().index() == device_, "compiled call: argument ", i, " is on ", device::nameOf(args[i]), ", the program runs on ",
                  device::nameOf(device_), "; move it there with to()");
      // Copies share buffers: what somebody else reads as well is not the program's to take.
      if (donated_[i] >= 0 && !(inPlace && own->memory->buffer.use_count() == 1)) keep.push_back(static_cast<int64_t>(i));
      in.push_back(own->memory->buffer->get());
      held.push_back(own->memory->buffer);
    } else if (plain[i].defined()) {
      if (donated_[i] >= 0 && !(inPlace && plain[i].is_same(args[i]))) keep.push_back(static_cast<int64_t>(i));
      held.push_back(std::make_shared<pjrt::Buffer>(bridge->view(plain[i], inputTypes_[i], settled)));
      in.push_back(held.back()->get());
    } else {
      TORCH_CHECK(args[i].device().is_cpu(), "compiled call: argument ", i, " is on ", device::nameOf(args[i]), ", the program runs on ", device::nameOf(device_));
      held.push_back(std::make_shared<pjrt::Buffer>(upload(client, args[i])));
      in.push_back(held.back()->get());
    }
  }
  std::vector<PJRT_Buffer*> raw(outputs_->specs.size());
  executable_->start(in.data(), in.size(), raw.data(), keep);
  std::vector<std::shared_ptr<pjrt::Buffer>> results;
  for (PJRT_Buffer* buffer : raw) results.push_back(std::make_shared<pjrt::Buffer>(client.api(), buffer));
  for (size_t i = 0; i < results.size(); i++)
    outs.push_back(bridge != nullptr ? bridge->tensor(std::move(results[i]), outputs_->specs[i].sizes, outputs_->specs[i].dtype)
                                     : device::makeDeviceTensor(std::move(results[i]), outputs_->specs[i].sizes, outputs_->specs[i].dtype, device_));
  for (size_t i = 0; inPlace && i < donated_.size(); i++) {
    // Computed where the argument is: the result is that memory, which is not XLA's to free.
    if (donated_[i] >= 0 && plain[i].is_same(args[i]) && plain[i].defined() && outs[donated_[i]].const_data_ptr() == args[i].const_data_ptr()) outs[donated_[i]] = args[i].detach();
  }
}

at::Tensor Program::result(size_t index, pjrt::Buffer buffer) const {
  void* data = buffer.pointer();
  return outputs_->over(static_cast<uint32_t>(index), c10::DataPtr(data, new ResultMemory{std::move(buffer), physical_[index]}, &freeResult, c10::Device(c10::kCPU)));
}

void Program::run(c10::ArrayRef<at::Tensor> args, std::vector<at::Tensor>& outs, bool inPlace, Later* later) {
  outs.clear();
  TORCH_CHECK(args.size() == inputs_.size(), "compiled call: ", inputs_.size(), " arguments expected, got ", args.size());
  if (device_ != 0) return runOnDevice(args, outs, inPlace);

  Arguments held(slotsTaken_);
  c10::SmallVector<PJRT_Buffer*, 32> in(args.size());
  for (size_t i = 0; i < args.size(); i++) in[i] = argument(i, args[i], held, inPlace);

  c10::SmallVector<PJRT_Buffer*, 32> raw(executable_->outputCount());
  try {
    executable_->execute(in.data(), in.size(), raw.data());
  } catch (const pjrt::PjrtError& error) {
    const std::string message = atenCallError(error.message());
    if (message.empty()) throw;
    TORCH_CHECK(false, message);
  }

  c10::SmallVector<pjrt::Buffer, 4> buffers;
  for (PJRT_Buffer* buffer : raw) buffers.emplace_back(executable_->client().api(), buffer);
  const std::vector<OutputSpec>& specs = outputs_->specs;
  outs.resize(specs.size());
  const auto waits = [&](size_t i) { return later && later->results[i]; };
  bool left = false;
  for (size_t i = 0; i < specs.size(); i++) {
    if (specs[i].pack >= 0 || waits(i)) left = true;
    else outs[i] = result(i, std::move(buffers[specs[i].returned]));
  }
  std::unique_ptr<Packed> packed = left ? std::make_unique<Packed>(*this, std::move(buffers)) : nullptr;
  for (size_t i = 0; left && i < specs.size(); i++)
    if (specs[i].pack >= 0 && !waits(i)) outs[i] = packed->make(static_cast<uint32_t>(i));
  for (size_t i = 0; inPlace && i < donated_.size(); i++) {
    // Computed where the argument is: the result is that memory, which is not XLA's to free.
    if (donated_[i] >= 0 && outs[donated_[i]].defined() && outs[donated_[i]].const_data_ptr() == args[i].const_data_ptr()) outs[donated_[i]] = args[i].detach();
  }
  if (later && left) later->unmade = std::move(packed);
}

}  // namespace jorch::program
