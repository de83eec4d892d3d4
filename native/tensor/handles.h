// Tensors by number: what JavaScript's handles carry, so that a call with many of them reads numbers instead of objects.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>
#include <napi.h>

#include <memory>
#include <vector>

namespace jorch {

struct Addon;
class TensorWrap;

// What tensors a call gives, whatever memory they are in.
class Forms {
 public:
  virtual ~Forms() = default;
  virtual at::Tensor over(uint32_t index, c10::DataPtr memory) const = 0;
};

// Tensors that are made when somebody looks at them.
class Unmade {
 public:
  virtual ~Unmade() = default;
  virtual at::Tensor make(uint32_t index) = 0;
  virtual int64_t bytes(uint32_t index) const = 0;
  virtual const void* data(uint32_t index) const = 0;
  virtual const std::shared_ptr<const Forms>& forms() const = 0;
};

// Which tensor each handle of this environment is. A number belongs to its handle until that is collected, so that whoever holds
// the handle may use the number.
class Handles {
 public:
  // 0 is the number of what is no handle.
  uint32_t take(TensorWrap* wrapped);
  void give(uint32_t number) noexcept;

  // The tensor with this number. Throws BAD_ARGUMENT and DISPOSED as wrapArgument does.
  const at::Tensor& tensor(uint32_t number, const char* what);

  // Numbers for source's tensors at `indices`, put into `numbers`. The value returned holds what they need: JavaScript keeps it with every handle
  // until somebody looks at it. Small ones of several calls are copied into one page, so that they have one finalizer.
  napi_value takeUnmade(Addon& addon, napi_env env, std::unique_ptr<Unmade> source, c10::ArrayRef<uint32_t> indices, uint32_t* numbers);
  // The wrap of a handle that had none because nobody had looked at it, or nullptr.
  TensorWrap* adopt(Addon& addon, napi_env env, napi_value handle);

  // Handles that nobody has looked at, and their memory.
  void count(int64_t& handles, int64_t& bytes) const;
  // The same for the garbage collector, in handles that are tensors.
  size_t weight() const { return weight_; }

  // Numbers on their way, in JavaScript's memory: of the leaves of a call, or of its results (program/entry.cc).
  uint32_t* exchange = nullptr;
  size_t capacity = 0;
  napi_ref exchanged = nullptr;  // keeps it
  napi_ref made = nullptr;       // the class of handles
  napi_ref token = nullptr;      // without which its constructor refuses
  napi_ref unmade = nullptr;     // reads the number of a handle that nobody has looked at, 0 of anything else

 private:
  class Batch;
  class CallBatch;
  class Page;
  struct Place {
    TensorWrap* wrapped = nullptr;
    Batch* batch = nullptr;  // and the position in it, while nobody has looked at the handle
    uint32_t position = 0;
  };
  uint32_t next();
  napi_value hold(Addon& addon, napi_env env, std::unique_ptr<Batch> batch);
  napi_value beginPage(Addon& addon, napi_env env);

  std::vector<Place> places_ = std::vector<Place>(1);
  std::vector<uint32_t> free_;  // has room for all of them: numbers are given back inside garbage collection
  size_t weight_ = 0;
  Page* page_ = nullptr;         // that is being filled, if it lives
  napi_ref pageKnown_ = nullptr;  // weak: a page without handles is garbage
};

}  // namespace jorch
