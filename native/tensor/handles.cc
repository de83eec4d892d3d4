#include "tensor/handles.h"

#include <c10/core/InferenceMode.h>

#include <cstring>

#include "addon.h"
#include "tensor/tensor.h"

namespace jorch {

namespace {

// A batch costs about what one handle does, besides its memory.
constexpr int64_t kBatchBytes = 2048;
// Programs read their arguments from whole cache lines on, and results come back as arguments.
constexpr int64_t kLine = 64;
// Whoever keeps one handle at which nobody looked keeps its page.
constexpr int64_t kPageBytes = 8192;
constexpr size_t kPageHandles = 64;
// Of the results of one call. Copying more costs more than a finalizer.
constexpr int64_t kPagedBytes = 2048;
// A page is to the garbage collector what so many handles are.
constexpr size_t kPageWeight = 4;

int64_t lines(int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

struct Block final : c10::intrusive_ptr_target {
  alignas(kLine) char bytes[kPageBytes];
};

}  // namespace

// Handles at which nobody has looked, and the tensors that were made of them as arguments.
class Handles::Batch {
 public:
  Batch(int64_t bytes, size_t weighs) : held(kBatchBytes + bytes), weight(weighs) {}
  virtual ~Batch() = default;
  virtual int64_t bytes(uint32_t position) const = 0;

  const at::Tensor& tensor(uint32_t position) {
    at::Tensor& made = tensors_[position];
    if (!made.defined()) {
      c10::InferenceMode ordinary(false);  // as it was at the call
      made = make(position);
    }
    return made;
  }
  // The tensor is the handle's own from now on. Returns of how many bytes the batch is rid.
  int64_t leave(uint32_t position) {
    tensors_[position] = at::Tensor();
    return left(position);
  }
  uint32_t add(uint32_t number) {
    numbers.push_back(number);
    tensors_.emplace_back();
    return static_cast<uint32_t>(numbers.size() - 1);
  }

  std::vector<uint32_t> numbers;  // by position
  int64_t held;                   // bytes, for the account
  const size_t weight;            // in handles, for the garbage collector

 protected:
  virtual at::Tensor make(uint32_t position) = 0;
  virtual int64_t left(uint32_t position) = 0;

 private:
  std::vector<at::Tensor> tensors_;
};

// The results of one call, in the memory of its program.
class Handles::CallBatch final : public Batch {
 public:
  CallBatch(std::unique_ptr<Unmade> source, c10::ArrayRef<uint32_t> indices, int64_t bytes)
      : Batch(bytes, 1), source_(std::move(source)), indices_(indices.vec()), left_(indices.size()) {}
  int64_t bytes(uint32_t position) const override { return source_->bytes(indices_[position]); }

 private:
  at::Tensor make(uint32_t position) override { return source_->make(indices_[position]); }
  int64_t left(uint32_t position) override {
    const int64_t gone = bytes(position);
    if (--left_ == 0) source_.reset();
    return gone;
  }

  std::unique_ptr<Unmade> source_;
  std::vector<uint32_t> indices_;
  size_t left_;
};

// Small results of several calls, one after the other.
class Handles::Page final : public Batch {
 public:
  Page() : Batch(kPageBytes, kPageWeight), block_(c10::make_intrusive<Block>()) {
    numbers.reserve(kPageHandles);
    items_.reserve(kPageHandles);
  }
  bool fits(size_t count, int64_t bytes) const { return items_.size() + count <= kPageHandles && used_ + bytes <= kPageBytes; }
  uint32_t put(uint32_t number, const Unmade& source, uint32_t index) {
    const int64_t bytes = source.bytes(index);
    std::memcpy(block_->bytes + used_, source.data(index), bytes);
    if (forms_.empty() || forms_.back() != source.forms()) forms_.push_back(source.forms());
    items_.push_back({index, static_cast<uint32_t>(forms_.size() - 1), used_, bytes});
    used_ += lines(bytes);
    return add(number);
  }
  int64_t bytes(uint32_t position) const override { return items_[position].bytes; }

 private:
  struct Item {
    uint32_t index;
    uint32_t form;
    int64_t offset;
    int64_t bytes;
  };
  at::Tensor make(uint32_t position) override {
    const Item& item = items_[position];
    char* data = block_->bytes + item.offset;
    return forms_[item.form]->over(item.index, c10::DataPtr(data, c10::intrusive_ptr<Block>(block_).release(), &release, c10::Device(c10::kCPU)));
  }
  int64_t left(uint32_t) override { return 0; }
  // Runs wherever the tensor's last reference dies.
  static void release(void* block) { c10::raw::intrusive_ptr::decref(static_cast<Block*>(block)); }

  c10::intrusive_ptr<Block> block_;
  std::vector<std::shared_ptr<const Forms>> forms_;
  std::vector<Item> items_;
  int64_t used_ = 0;
};

uint32_t Handles::next() {
  if (free_.empty()) {
    const size_t before = places_.size();
    const size_t size = std::max<size_t>(64, before * 2);
    free_.reserve(size);
    places_.resize(size);
    for (size_t number = size; number-- > before;) free_.push_back(static_cast<uint32_t>(number));
  }
  const uint32_t number = free_.back();
  free_.pop_back();
  return number;
}

uint32_t Handles::take(TensorWrap* wrapped) {
  const uint32_t number = next();
  places_[number].wrapped = wrapped;
  return number;
}

void Handles::give(uint32_t number) noexcept {
  places_[number] = Place{};
  free_.push_back(number);
}

const at::Tensor& Handles::tensor(uint32_t number, const char* what) {
  if (number == 0 || number >= places_.size()) throw JsError("BAD_ARGUMENT", std::string(what) + " must be a Tensor");
  const Place& place = places_[number];
  if (place.wrapped) return place.wrapped->get(what);
  return place.batch->tensor(place.position);
}

napi_value Handles::hold(Addon& addon, napi_env env, std::unique_ptr<Batch> batch) {
  // Runs inside garbage collection, when no handle is left that has no wrap: no JavaScript, no exception.
  const auto finalize = [](node_api_basic_env basicEnv, void* data, void*) {
    std::unique_ptr<Batch> ended(static_cast<Batch*>(data));
    Addon& addon = Addon::of(const_cast<napi_env>(basicEnv));
    for (const uint32_t number : ended->numbers)
      if (addon.handles.places_[number].batch == ended.get()) addon.handles.give(number);
    addon.handles.weight_ -= ended->weight;
    if (addon.handles.page_ == ended.get()) addon.handles.page_ = nullptr;
    account(addon, -ended->held);
  };
  weight_ += batch->weight;
  addon.madeHandles += batch->weight;
  account(addon, batch->held);
  Batch* held = batch.release();
  napi_value result = nullptr;
  const napi_status status = napi_create_external(env, held, finalize, nullptr, &result);
  if (status != napi_ok) finalize(env, held, nullptr);
  check(env, status);
  return result;
}

napi_value Handles::beginPage(Addon& addon, napi_env env) {
  relievePressure(addon, env);
  auto page = std::make_unique<Page>();
  Page* const fresh = page.get();
  napi_value result = hold(addon, env, std::move(page));
  if (pageKnown_) napi_delete_reference(env, pageKnown_);
  page_ = nullptr;
  check(env, napi_create_reference(env, result, 0, &pageKnown_));
  page_ = fresh;
  return result;
}

napi_value Handles::takeUnmade(Addon& addon, napi_env env, std::unique_ptr<Unmade> source, c10::ArrayRef<uint32_t> indices, uint32_t* numbers) {
  int64_t bytes = 0;
  for (uint32_t index : indices) bytes += lines(source->bytes(index));
  napi_value result = nullptr;
  if (bytes <= kPagedBytes && indices.size() <= kPageHandles) {
    if (page_ && page_->fits(indices.size(), bytes)) check(env, napi_get_reference_value(env, pageKnown_, &result));
    if (!result) result = beginPage(addon, env);
    for (uint32_t index : indices) {
      const uint32_t number = next();
      const uint32_t position = page_->put(number, *source, index);
      places_[number] = Place{nullptr, page_, position};
      *numbers++ = number;
    }
    return result;
  }
  relievePressure(addon, env);
  auto batch = std::make_unique<CallBatch>(std::move(source), indices, bytes);
  for (size_t i = 0; i < indices.size(); i++) {
    const uint32_t number = next();
    places_[number] = Place{nullptr, batch.get(), batch->add(number)};
    *numbers++ = number;
  }
  return hold(addon, env, std::move(batch));
}

TensorWrap* Handles::adopt(Addon& addon, napi_env env, napi_value handle) {
  if (weight_ == 0) return nullptr;
  napi_value reader, undefined, read;
  uint32_t number = 0;
  if (napi_get_reference_value(env, unmade, &reader) != napi_ok || napi_get_undefined(env, &undefined) != napi_ok ||
      napi_call_function(env, undefined, reader, 1, &handle, &read) != napi_ok || napi_get_value_uint32(env, read, &number) != napi_ok)
    return nullptr;
  if (number == 0 || number >= places_.size() || !places_[number].batch) return nullptr;
  // The reader made the handle let go of the batch, which the next collection may end.
  const Place place = places_[number];
  at::Tensor tensor = place.batch->tensor(place.position);
  const int64_t gone = place.batch->leave(place.position);
  place.batch->held -= gone;
  account(addon, -gone);
  places_[number] = Place{};
  TensorWrap* wrapped = TensorWrap::attach(addon, env, handle, number, std::move(tensor));
  places_[number].wrapped = wrapped;
  return wrapped;
}

void Handles::count(int64_t& handles, int64_t& bytes) const {
  for (const Place& place : places_) {
    if (!place.batch) continue;
    handles++;
    bytes += place.batch->bytes(place.position);
  }
}

}  // namespace jorch
