#include "sharded.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/accumulate.h>
#include <torch/library.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <string_view>

#include "program/program.h"

namespace jorch::shard {

namespace {

std::atomic<int64_t> alive{0};

void freeMemory(void* context) {
  delete static_cast<ShardedMemory*>(context);
  alive--;
}

ShardedMemory* memoryOf(c10::StorageImpl& storage) {
  c10::DataPtr& data = storage._mutable_data_ptr_no_checks();
  return data.get_deleter() == &freeMemory ? static_cast<ShardedMemory*>(data.get_context()) : nullptr;
}

ShardedMemory* memoryBehind(const at::Tensor& tensor) {
  return tensor.defined() && tensor.has_storage() ? memoryOf(*tensor.storage().unsafeGetStorageImpl()) : nullptr;
}

c10::DataPtr dataOf(std::unique_ptr<ShardedMemory> memory) {
  alive++;
  void* address = memory->host.get();
  return c10::DataPtr(address, memory.release(), &freeMemory, c10::Device(c10::kCPU));
}

// Keys are set where a TensorImpl is made; this one comes and goes with its storage.
struct Keys : c10::TensorImpl {
  using c10::TensorImpl::key_set_;
};
c10::DispatchKeySet& keysOf(const at::Tensor& tensor) { return tensor.unsafeGetTensorImpl()->*(&Keys::key_set_); }

size_t byteSize(const ShardedMemory& memory) { return c10::multiply_integers(memory.sizes) * c10::elementSize(memory.dtype); }

// Copies what `tile` (row-major, `tileSizes`) holds of the whole; what lies beyond its end is padding.
void place(char* whole, c10::IntArrayRef sizes, const char* tile, c10::IntArrayRef tileSizes, c10::IntArrayRef offsets, size_t itemBytes) {
  if (sizes.empty()) {
    std::memcpy(whole, tile, itemBytes);
    return;
  }
  const int64_t rows = std::min(tileSizes[0], sizes[0] - offsets[0]);
  const int64_t rowOfWhole = c10::multiply_integers(sizes.slice(1)) * static_cast<int64_t>(itemBytes);
  const int64_t rowOfTile = c10::multiply_integers(tileSizes.slice(1)) * static_cast<int64_t>(itemBytes);
  if (rows <= 0 || rowOfWhole == 0) return;
  whole += offsets[0] * rowOfWhole;
  if (rowOfWhole == rowOfTile) {
    std::memcpy(whole, tile, rows * rowOfTile);
    return;
  }
  for (int64_t row = 0; row < rows; row++)
    place(whole + row * rowOfWhole, sizes.slice(1), tile + row * rowOfTile, tileSizes.slice(1), offsets.slice(1), itemBytes);
}

void gather(ShardedMemory& memory) {
  TORCH_CHECK(!memory.pieces.empty(), "the tensor's memory was given to a compiled function ({ donate }) that failed; its values are lost");
  const Placement& placement = *memory.placement;
  c10::DataPtr host = c10::GetCPUAllocator()->allocate(byteSize(memory));
  const std::vector<int64_t> tileSizes = placement.tileSizes(memory.sizes);
  const size_t tileBytes = c10::multiply_integers(tileSizes) * c10::elementSize(memory.dtype);
  std::vector<bool> done(c10::multiply_integers(placement.tiles));
  std::string tile(tileBytes, '\0');
  for (size_t d = 0; d < memory.pieces.size() && tileBytes > 0; d++) {
    if (done[placement.tileOf[d]]) continue;
    done[placement.tileOf[d]] = true;
    memory.pieces[d]->toHost(tile.data(), tileBytes);
    place(static_cast<char*>(host.get()), memory.sizes, tile.data(), tileSizes, placement.offsets(d, memory.sizes), c10::elementSize(memory.dtype));
  }
  memory.host = std::move(host);
}

// Tensors may be read from several threads at once, which must not both gather.
std::mutex& gathering() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

void settle(const at::Tensor& tensor, bool written) {
  c10::StorageImpl& storage = *tensor.storage().unsafeGetStorageImpl();
  std::lock_guard<std::mutex> lock(gathering());
  ShardedMemory* memory = memoryOf(storage);
  if (memory == nullptr) {
    keysOf(tensor) = keysOf(tensor).remove(kShardedKey);
    return;
  }
  if (!memory->host) {
    gather(*memory);
    // The same context at an address: whoever looks at the storage from now on finds the values.
    c10::DataPtr& data = storage._mutable_data_ptr_no_checks();
    void* context = data.release_context();
    storage.set_data_ptr_noswap(c10::DataPtr(memory->host.get(), context, &freeMemory, c10::Device(c10::kCPU)));
  }
  if (!written) return;
  c10::DataPtr host = std::move(memory->host);
  storage.set_data_ptr_noswap(std::move(host));
  keysOf(tensor) = keysOf(tensor).remove(kShardedKey);
}

bool isLike(std::string_view name) { return name.size() > 5 && name.substr(name.size() - 5) == "_like"; }

// Operators that look at the tensor's shape and dtype only.
bool leavesDataAlone(std::string_view name) { return name == "aten::detach" || name == "aten::alias" || isLike(name) || name.substr(0, 10) == "aten::new_"; }

// What zeros_like and its kind have made on the host, spread as the tensor that it is like.
void spreadAs(const at::Tensor& like, c10::IValue& made) {
  const ShardedMemory* memory = shard::memoryOf(like);
  if (memory == nullptr || !made.isTensor() || shard::memoryOf(made.toTensor()) != nullptr) return;
  const at::Tensor& tensor = made.toTensor();
  const Placement& placement = *memory->placement;
  bool divides = tensor.is_contiguous() && tensor.sizes() == like.sizes() && tensor.device().is_cpu();
  for (size_t d = 0; divides && d < placement.tiles.size(); d++) divides = tensor.size(d) % placement.tiles[d] == 0;
  if (divides) made = spread(tensor, placement);
}

void runOnHost(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  const auto& arguments = op.schema().arguments();
  const std::string_view name(op.schema().name());
  // Written to by the operators of its kind: nothing is spread before it is complete.
  const at::Tensor like = isLike(name) && name != "aten::empty_like" ? (*stack)[stack->size() - arguments.size()].toTensor() : at::Tensor();
  if (!leavesDataAlone(name)) {
    const size_t first = stack->size() - arguments.size();
    for (size_t i = 0; i < arguments.size(); i++) {
      const auto* alias = arguments[i].alias_info();
      const bool written = alias != nullptr && alias->isWrite();
      const auto visit = [&](const at::Tensor& t) {
        if (t.defined() && t.key_set().has(kShardedKey)) settle(t, written);
      };
      const c10::IValue& value = (*stack)[first + i];
      if (value.isTensor()) visit(value.toTensor());
      else if (value.isTensorList())
        for (const at::Tensor& t : value.toTensorList()) visit(t);
      else if (value.isOptionalTensorList())
        for (const std::optional<at::Tensor>& t : value.toOptionalTensorList()) visit(t.value_or(at::Tensor()));
    }
  }
  op.redispatchBoxed(keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kShardedKey), stack);
  if (like.defined()) spreadAs(like, stack->back());
}

}  // namespace

ShardedMemory* memoryOf(const at::Tensor& tensor) {
  if (C10_LIKELY(alive.load(std::memory_order_relaxed) == 0)) return nullptr;
  ShardedMemory* memory = memoryBehind(tensor);
  const bool whole = memory != nullptr && tensor.storage_offset() == 0 && tensor.scalar_type() == memory->dtype &&
                     tensor.sizes() == at::IntArrayRef(memory->sizes) && tensor.is_contiguous() && !tensor.is_conj() && !tensor.is_neg();
  return whole ? memory : nullptr;
}

uint32_t placementOf(const at::Tensor& tensor) {
  const ShardedMemory* memory = memoryOf(tensor);
  return memory == nullptr ? 0 : memory->placement->id;
}

bool fits(const at::Tensor& tensor, uint32_t placement) {
  const ShardedMemory* memory = memoryOf(tensor);
  const Placement& expected = placementAt(placement);
  if (memory != nullptr && memory->placement->layout == expected.layout) return true;
  return expected.replicated() && (memory == nullptr || !memory->placement->sameDevices(expected));
}

at::Tensor make(const Placement& placement, std::vector<int64_t> sizes, c10::ScalarType dtype, std::vector<Piece> pieces) {
  std::unique_ptr<ShardedMemory> memory(new ShardedMemory{&placement, std::move(sizes), dtype, std::move(pieces), {}});
  const std::vector<int64_t> shape = memory->sizes;
  const int64_t bytes = static_cast<int64_t>(byteSize(*memory));
  auto storage = c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), bytes, dataOf(std::move(memory)), c10::GetCPUAllocator(), /*resizable=*/true);
  at::Tensor tensor = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(std::move(storage)), c10::DispatchKeySet({c10::DispatchKey::CPU, kShardedKey}),
                                                               c10::scalarTypeToTypeMeta(dtype));
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(shape);
  return tensor;
}

at::Tensor share(const at::Tensor& tensor) {
  const ShardedMemory& memory = *memoryOf(tensor);
  return make(*memory.placement, memory.sizes, memory.dtype, memory.pieces);
}

at::Tensor spread(const at::Tensor& tensor, const Placement& placement) {
  const ShardedMemory* memory = memoryOf(tensor);
  const bool there = memory != nullptr && memory->placement->layout == placement.layout && !memory->pieces.empty();
  return make(placement, tensor.sizes().vec(), tensor.scalar_type(), there ? memory->pieces : split(tensor, placement, /*borrow=*/false));
}

std::vector<Piece> split(const at::Tensor& given, const Placement& placement, bool borrow) {
  at::AutoDispatchBelowADInplaceOrView noGrad;
  const at::Tensor tensor = gathered(given).resolve_conj().resolve_neg().contiguous();
  const size_t rank = placement.tiles.size();
  TORCH_CHECK(static_cast<size_t>(tensor.dim()) == rank, "a tensor with ", tensor.dim(), " dimensions cannot have a placement of ", rank);
  const std::vector<int64_t> tile = placement.tileSizes(tensor.sizes());
  std::vector<int64_t> byteStrides;
  bool rowMajor = true;
  for (size_t d = 0; d < rank; d++) {
    TORCH_CHECK(tensor.size(d) % placement.tiles[d] == 0, "dimension ", d, " of size ", tensor.size(d), " cannot be cut into ", placement.tiles[d]);
    byteStrides.push_back(tensor.stride(d) * static_cast<int64_t>(tensor.itemsize()));
    rowMajor = rowMajor && (d == 0 || placement.tiles[d] == 1);
  }
  static constexpr char kNothing[64] = {};
  const char* data = tensor.numel() == 0 ? kNothing : static_cast<const char*>(tensor.const_data_ptr());
  // Memory that was made here is gone afterwards.
  const bool alias = borrow && tensor.is_same(given);
  std::vector<Piece> pieces;
  for (size_t device = 0; device < placement.devices.size(); device++) {
    const std::vector<int64_t> offsets = placement.offsets(device, tensor.sizes());
    const char* begin = data;
    for (size_t d = 0; d < rank && tensor.numel() > 0; d++) begin += offsets[d] * byteStrides[d];
    pieces.push_back(std::make_shared<pjrt::Buffer>(pjrt::Buffer::fromHost(
        *placement.client, placement.client->devices()[placement.devices[device]], begin, program::elementType(tensor.scalar_type()), tile.data(), rank,
        rowMajor ? nullptr : byteStrides.data(), alias ? PJRT_HostBufferSemantics_kImmutableZeroCopy : PJRT_HostBufferSemantics_kImmutableOnlyDuringCall)));
  }
  return pieces;
}

void notice(const at::Tensor& tensor) {
  if (C10_LIKELY(alive.load(std::memory_order_relaxed) == 0)) return;
  if (memoryBehind(tensor) != nullptr && !tensor.key_set().has(kShardedKey)) keysOf(tensor) = keysOf(tensor).add(kShardedKey);
}

const at::Tensor& gathered(const at::Tensor& tensor) {
  if (memoryBehind(tensor) != nullptr) settle(tensor, /*written=*/false);
  return tensor;
}

bool assign(const at::Tensor& target, const at::Tensor& fresh) {
  const ShardedMemory* memory = memoryOf(fresh);
  if (memory == nullptr) return false;
  c10::StorageImpl& storage = *target.storage().unsafeGetStorageImpl();
  // As in program::assign: other memory than libtorch's own may be somebody else's too.
  const bool whole = storage.allocator() == c10::GetCPUAllocator() && target.storage_offset() == 0 && target.is_contiguous() &&
                     storage.nbytes() == static_cast<size_t>(target.nbytes()) && target.scalar_type() == fresh.scalar_type() && target.sizes() == fresh.sizes();
  if (!whole) return false;
  storage.set_data_ptr_noswap(dataOf(std::unique_ptr<ShardedMemory>(new ShardedMemory{memory->placement, memory->sizes, memory->dtype, memory->pieces, {}})));
  notice(target);
  if (!target.is_inference()) target.unsafeGetTensorImpl()->bump_version();
  return true;
}

void registerKey() {
  static std::once_flag once;
  std::call_once(once, [] {
    auto& library = *new torch::Library(torch::Library::IMPL, "_", kShardedKey, __FILE__, __LINE__);
    library.fallback(torch::CppFunction::makeFromBoxedFunction<&runOnHost>());
  });
}

}  // namespace jorch::shard
