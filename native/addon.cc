// Module initialisation, error translation, memory accounting.
#include "addon.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "device/devices.h"
#include "dispatch/autograd.h"
#include "dispatch/call.h"
#include "dispatch/hooks.h"
#include "jit/script_js.h"
#include "pjrt/exit_guard.h"
#include "program/compiled.h"
#include "program/executable_js.h"
#include "program/result_memory.h"
#include "shard/shard_js.h"
#include "tensor/data.h"
#include "tensor/share.h"
#include "tensor/tensor.h"
#include "throw_again.h"
#include "dispatch/tracing.h"
#include "transforms/callback_node.h"
#include "transforms/closure.h"
#include "transforms/levels.h"

extern "C" void omp_set_num_threads(int);  // libtorch's OpenMP; it holds for the calling thread

namespace jorch {

void Reaper::bury(napi_ref ref) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!closed) dead.push_back(ref);
}

void Reaper::drain(napi_env env) {
  std::vector<napi_ref> batch;
  {
    std::lock_guard<std::mutex> lock(mutex);
    batch.swap(dead);
  }
  for (napi_ref ref : batch) napi_delete_reference(env, ref);
}

Addon& Addon::of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Addon*>(data);
}

void account(Addon& addon, int64_t bytes) {
  addon.liveBytes += bytes;
  if (bytes > 0) addon.madeBytes += bytes;
}

namespace {

void collect(Addon& addon, napi_env env, bool full) {
  napi_value collector, undefined, argument;
  check(env, napi_get_reference_value(env, addon.collector, &collector));
  check(env, napi_get_undefined(env, &undefined));
  check(env, napi_get_boolean(env, full, &argument));
  check(env, napi_call_function(env, undefined, collector, 1, &argument, nullptr));
}

size_t handlesOf(const Addon& addon) { return addon.live.size() + addon.handles.weight(); }

}  // namespace

void relievePressure(Addon& addon, napi_env env) {
  constexpr int64_t kLeast = 64 * 1024 * 1024;
  if (!addon.collector) return;
  const bool tooMuch = addon.madeBytes >= std::max(kLeast, addon.keptBytes / 2);
  if (!tooMuch && addon.madeHandles < addon.handlesBetween) return;
  const int64_t before = addon.liveBytes;
  const size_t handles = handlesOf(addon);
  collect(addon, env, false);  // most tensors die young
  const size_t freed = handles - std::min(handles, handlesOf(addon));
  addon.handlesBetween = freed >= addon.madeHandles / 2 ? Addon::kFewHandles : std::min(2 * addon.handlesBetween, Addon::kManyHandles);
  addon.madeHandles = 0;
  if (!tooMuch) {
    addon.madeBytes -= std::min(addon.madeBytes, before - addon.liveBytes);
    return;
  }
  if (addon.liveBytes > addon.keptBytes + addon.madeBytes / 2) collect(addon, env, true);
  addon.madeBytes = 0;
  addon.keptBytes = addon.liveBytes;
}

void throwJs(napi_env env, const std::string& code, const std::string& message) noexcept {
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) != napi_ok || pending) return;
  napi_value error = nullptr, constructor = nullptr;
  napi_value args[2];
  Addon& addon = Addon::of(env);
  napi_create_string_utf8(env, code.c_str(), code.size(), &args[0]);
  napi_create_string_utf8(env, message.c_str(), message.size(), &args[1]);
  if (addon.errorClass && napi_get_reference_value(env, addon.errorClass, &constructor) == napi_ok && constructor &&
      napi_new_instance(env, constructor, 2, args, &error) == napi_ok) {
    napi_throw(env, error);
  } else {
    napi_throw_error(env, code.c_str(), message.c_str());
  }
}

namespace {

bool startsWith(const std::string& text, const char* prefix) { return text.rfind(prefix, 0) == 0; }

std::string codeOf(const std::string& text) {
  if (text.find("DefaultCPUAllocator") != std::string::npos || text.find("out of memory") != std::string::npos) return "OUT_OF_MEMORY";
  for (const char* size : {"TOO_LARGE", "integer multiplication overflow", "Storage size calculation overflowed"})
    if (text.find(size) != std::string::npos) return "TOO_LARGE";
  return "BAD_ARGUMENT";
}

// Every message begins with the function that the user called.
std::string prefixed(const char* where, const std::string& text) { return startsWith(text, where) ? text : std::string(where) + ": " + text; }

// libtorch's engine asserts this and asks for a bug report.
std::string inWords(const std::string& text) {
  if (text.find("isDifferentiableType(grad.scalar_type())") == std::string::npos) return text;
  return "a gradient reaches whole numbers, into which an in-place comparison (eq_, lt_, …) with a tensor that requires grad was written; compare with its detach()";
}

// "CODE: text" carries its own code across layers that know only texts.
void throwText(napi_env env, const char* where, std::string text) noexcept {
  text = inWords(text);
  const std::string code = codeOf(text);
  if (startsWith(text, (code + ": ").c_str())) text.erase(0, code.size() + 2);
  throwJs(env, code, prefixed(where, text));
}

}  // namespace

// Node throws the error again when the callback returns, with its own note of it still in place; a collection at that moment runs
// our finalizers, and Node takes the note for an error of theirs and ends the process. Room in the young generation prevents it.
void makeRoom(napi_env env) noexcept {
  const napi_ref reference = Addon::of(env).collector;
  napi_value pending = nullptr, collector = nullptr, undefined = nullptr, full = nullptr, result = nullptr;
  bool thrown = false;
  if (!reference || napi_is_exception_pending(env, &thrown) != napi_ok) return;
  if (thrown && napi_get_and_clear_last_exception(env, &pending) != napi_ok) return;
  if (napi_get_reference_value(env, reference, &collector) == napi_ok && collector && napi_get_undefined(env, &undefined) == napi_ok &&
      napi_get_boolean(env, false, &full) == napi_ok)
    napi_call_function(env, undefined, collector, 1, &full, &result);
  if (pending) napi_throw(env, pending);
}

void translateException(napi_env env, const char* where) noexcept {
  makeRoom(env);
  try {
    throw;
  } catch (const PendingException&) {
  } catch (const Napi::Error& error) {
    throwAgain(env, error);
  } catch (const JsError& error) {
    throwJs(env, error.code, prefixed(where, error.what() + (error.code == "LEAKED_TRACE" ? usedAt(env) : "")));
  } catch (const trace::Concretization& error) {
    throwConcretization(env, error);
  } catch (const c10::Error& error) {
    // An operator in a function that is being recorded: who reads the message looks at a compiled call, not at this line.
    throwText(env, where, error.what_without_backtrace() + (trace::current() ? usedAt(env) : ""));
  } catch (const std::bad_alloc&) {
    throwJs(env, "OUT_OF_MEMORY", std::string(where) + ": out of memory");
  } catch (const std::exception& error) {
    // Some of libtorch's exceptions arrive as std::runtime_error with the C++ backtrace in their text.
    std::string text = error.what();
    const auto backtrace = text.find("\nException raised from ");
    if (backtrace != std::string::npos) text.resize(backtrace);
    throwText(env, where, text);
  } catch (...) {
    throwJs(env, "BAD_ARGUMENT", std::string(where) + ": an unknown C++ exception");
  }
}

namespace {

// Node closes an addon that only worker threads loaded when the last of them ends; code of ours may still be called
// from libtorch's thread pool or a deleter. Stay.
void pinThisLibrary() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&pinThisLibrary), &info) && info.dli_fname) dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

std::atomic<int> environments{0};

// Each thread that computes has a pool of its own in OpenMP. The second environment of a process begins with half of the cores, the third with a
// third …: together they would have as many threads as cores for each. set_num_threads() says otherwise.
void shareCores() {
  const int order = ++environments;
  if (order == 1) return;
  // Asked for first: libtorch sets its default at this thread's first question, and would set it over ours later.
  const int most = at::get_num_threads();
  omp_set_num_threads(std::max(1, std::min(most, static_cast<int>(std::thread::hardware_concurrency()) / order)));
}

void finalizeAddon(napi_env env, void* data, void*) {
  environments--;
  auto* addon = static_cast<Addon*>(data);
  {
    std::lock_guard<std::mutex> lock(addon->reaper->mutex);
    addon->reaper->closed = true;
  }
  delete addon;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  pinThisLibrary();
  shareCores();
  program::ResultMemory::install();
  trace::registerKernels();
  auto* addon = new Addon(env);
  napi_set_instance_data(env, addon, [](node_api_basic_env e, void* data, void* hint) { finalizeAddon(const_cast<napi_env>(e), data, hint); }, nullptr);
  exports.Set("setErrorClass", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                napi_create_reference(info.Env(), info[0], 1, &Addon::of(info.Env()).errorClass);
              }));
  exports.Set("setCollector", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                napi_create_reference(info.Env(), info[0], 1, &Addon::of(info.Env()).collector);
              }));
  napi_create_reference(env, env.Global().Get("Array").As<Napi::Object>().Get("of"), 1, &addon->arrayOf);
  initTensor(env, exports);
  initData(env, exports);
  initShare(env, exports);
  initCall(env, exports);
  initAutograd(env, exports);
  hooks::init(env, exports);
  initTrace(env, exports);
  initCompiled(env, exports);
  initExecutable(env, exports);
  pjrt::initExitGuard(env, exports);
  device::initDevices(env, exports);
  shard::init(env, exports);
  transforms::init(env, exports);
  transforms::initCallbackNode(env, exports);
  closure::init(env, exports);
  jit::init(env, exports);
  return exports;
}

}  // namespace

}  // namespace jorch

static Napi::Object InitJorch(Napi::Env env, Napi::Object exports) { return jorch::Init(env, exports); }

NODE_API_MODULE(jorch, InitJorch)
