// Per-environment state and the guard that every entry from JavaScript goes through.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/flat_hash_map.h>
#include <napi.h>

#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "tensor/handles.h"

namespace jorch {

class TensorWrap;
class Channel;

// What JavaScript sees as a JorchError: a stable code and a text.
struct JsError : std::runtime_error {
  JsError(std::string errorCode, const std::string& message) : std::runtime_error(message), code(std::move(errorCode)) {}
  std::string code;
};

// A JavaScript exception is already pending in the environment; unwinds C++ without touching it.
struct PendingException {};

// References to JavaScript values whose owners die on other threads or inside the garbage collector. They are put here
// and deleted at the next call on the JS thread. Outlives the environment: a tensor's memory may be freed after it.
struct Reaper {
  std::mutex mutex;
  std::vector<napi_ref> dead;
  bool closed = false;
  void bury(napi_ref ref);
  void drain(napi_env env);
};

struct Addon {
  explicit Addon(napi_env environment) : env(environment), reaper(std::make_shared<Reaper>()) {}
  static Addon& of(napi_env env);

  napi_env env;
  napi_ref errorClass = nullptr;  // JorchError, set by lib/runtime/errors.ts
  napi_ref lineReader = nullptr;  // returns the user's source line of the running call
  napi_ref lineNoter = nullptr;   // while tracing: puts the place of that line among the trace's into `line`
  const int32_t* line = nullptr;  // memory of JavaScript's, kept by `lineMemory`
  napi_ref lineMemory = nullptr;
  napi_ref creationHook = nullptr;  // called with every new tensor while a scope() is open
  ska::flat_hash_set<TensorWrap*> live;
  Handles handles;
  struct Held {
    int64_t handles = 0;
    int64_t bytes = 0;
  };
  ska::flat_hash_map<const void*, Held> storages;  // memory is counted once however many handles share it
  int64_t liveBytes = 0;
  int64_t madeBytes = 0;       // since the last collection for memory, less what others freed
  int64_t keptBytes = 0;       // what that left
  size_t madeHandles = 0;      // since the last collection
  // So few between collections that the memory of dead handles is used again while it is in the processor's cache; so many at most, where handles live.
  static constexpr size_t kFewHandles = 1024, kManyHandles = 32 * 1024;
  size_t handlesBetween = kFewHandles;
  napi_ref arrayOf = nullptr;    // Array.of: many elements at once cost a tenth of one by one
  napi_ref collector = nullptr;  // collect(full): JavaScript's garbage collector
  std::shared_ptr<Reaper> reaper;
  std::shared_ptr<Channel> channel;  // results of other threads; opened with the first job
};

// Exact bookkeeping of the memory that handles hold. Safe inside garbage collection.
void account(Addon& addon, int64_t bytes);

// Collects garbage when enough tensors were made since the last time. V8 cannot see tensor memory, and telling it
// (napi_adjust_external_memory) ends the process in synchronous loops on Node 20: V8's CppHeap fails a check
// (marking_done_) when external pressure finishes an incremental marking. Call only where JavaScript may run.
void relievePressure(Addon& addon, napi_env env);

// Throws `error` as a JorchError into JavaScript. Never throws a C++ exception itself.
void throwJs(napi_env env, const std::string& code, const std::string& message) noexcept;

// Translates the exception being handled (call only inside a catch block).
void translateException(napi_env env, const char* where) noexcept;

// Runs `body`; whatever it throws becomes a JorchError and the call returns undefined to N-API.
template <class Body>
napi_value guarded(napi_env env, const char* where, Body&& body) noexcept {
  try {
    return body();
  } catch (...) {
    translateException(env, where);
    return nullptr;
  }
}

inline void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  if (status == napi_pending_exception || status == napi_cannot_run_js) throw PendingException{};
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  throw JsError("BAD_ARGUMENT", info && info->error_message ? info->error_message : "a Node-API call failed");
}

}  // namespace jorch
