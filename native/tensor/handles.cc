#include "tensor/handles.h"

#include <c10/core/InferenceMode.h>

#include "addon.h"
#include "tensor/tensor.h"

namespace jorch {

// What one call left unmade.
struct Handles::Batch {
  struct Item {
    uint32_t number;
    uint32_t index;
    at::Tensor tensor;  // once an argument was made of it
  };
  std::unique_ptr<Unmade> source;
  std::vector<Item> items;
  size_t left;    // that have no wrap
  int64_t bytes;  // of those
};

namespace {

// A batch costs about what one handle does, besides its memory.
constexpr int64_t kBatchBytes = 2048;

}  // namespace

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

const at::Tensor& Handles::tensorOf(Batch& batch, uint32_t position) {
  Batch::Item& item = batch.items[position];
  if (!item.tensor.defined()) {
    c10::InferenceMode ordinary(false);  // as it was at the call
    item.tensor = batch.source->make(item.index);
  }
  return item.tensor;
}

const at::Tensor& Handles::tensor(uint32_t number, const char* what) {
  if (number == 0 || number >= places_.size()) throw JsError("BAD_ARGUMENT", std::string(what) + " must be a Tensor");
  const Place& place = places_[number];
  if (place.wrapped) return place.wrapped->get(what);
  return tensorOf(*place.batch, place.position);
}

napi_value Handles::takeUnmade(Addon& addon, napi_env env, std::unique_ptr<Unmade> source, c10::ArrayRef<uint32_t> indices, uint32_t* numbers) {
  auto batch = std::make_unique<Batch>();
  batch->source = std::move(source);
  batch->items.reserve(indices.size());
  batch->left = indices.size();
  batch->bytes = 0;
  for (uint32_t index : indices) {
    const uint32_t number = next();
    places_[number].batch = batch.get();
    places_[number].position = static_cast<uint32_t>(batch->items.size());
    batch->items.push_back({number, index, at::Tensor()});
    batch->bytes += batch->source->bytes(index);
    *numbers++ = number;
  }
  batches_++;
  addon.madeHandles++;
  account(addon, kBatchBytes + batch->bytes);
  // Runs inside garbage collection, when no handle is left that has no wrap: no JavaScript, no exception.
  const auto finalize = [](node_api_basic_env basicEnv, void* data, void*) {
    std::unique_ptr<Batch> ended(static_cast<Batch*>(data));
    Addon& addon = Addon::of(const_cast<napi_env>(basicEnv));
    for (const Batch::Item& item : ended->items)
      if (addon.handles.places_[item.number].batch == ended.get()) addon.handles.give(item.number);
    addon.handles.batches_--;
    account(addon, -kBatchBytes - ended->bytes);
  };
  Batch* held = batch.release();
  napi_value result = nullptr;
  const napi_status status = napi_create_external(env, held, finalize, nullptr, &result);
  if (status != napi_ok) finalize(env, held, nullptr);
  check(env, status);
  return result;
}

TensorWrap* Handles::adopt(Addon& addon, napi_env env, napi_value handle) {
  if (batches_ == 0) return nullptr;
  napi_value reader, undefined, read;
  uint32_t number = 0;
  if (napi_get_reference_value(env, unmade, &reader) != napi_ok || napi_get_undefined(env, &undefined) != napi_ok ||
      napi_call_function(env, undefined, reader, 1, &handle, &read) != napi_ok || napi_get_value_uint32(env, read, &number) != napi_ok)
    return nullptr;
  if (number == 0 || number >= places_.size() || !places_[number].batch) return nullptr;
  Batch& batch = *places_[number].batch;
  Batch::Item& item = batch.items[places_[number].position];
  TensorWrap* wrapped = TensorWrap::attach(addon, env, handle, number, tensorOf(batch, places_[number].position));
  // The batch lives: the handle, which is on the stack, holds it.
  const int64_t bytes = batch.source->bytes(item.index);
  item.tensor = at::Tensor();
  batch.bytes -= bytes;
  account(addon, -bytes);
  places_[number] = Place{wrapped};
  if (--batch.left == 0) batch.source.reset();
  return wrapped;
}

void Handles::count(int64_t& handles, int64_t& bytes) const {
  for (const Place& place : places_) {
    if (!place.batch) continue;
    handles++;
    bytes += place.batch->source->bytes(place.batch->items[place.position].index);
  }
}

}  // namespace jorch
