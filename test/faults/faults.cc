// Faults for tests, put under the very addons that are shipped: preloaded into a process (LD_PRELOAD), this library lets the n-th allocation that
// jorch's own code makes fail, the n-th call that reaches a PJRT plugin, or (faulty_memory.cc) the n-th tensor that libtorch asks memory for.
// Loaded as an addon too, it is told by JavaScript what is to fail.
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <node_api.h>
#include <pjrt_c_api.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unwind.h>

#include <array>
#include <atomic>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

namespace {

enum Kind { kNone = 0, kAllocation = 1, kTensorError = 2, kTensorAllocation = 3, kPlugin = 4 };

std::atomic<int> armed{kNone};
std::atomic<long> seen{0}, wanted{0};
std::atomic<bool> fired{false};

struct Range {
  uintptr_t from, to;
  bool holds(uintptr_t pc) const { return pc >= from && pc < to; }
};
Range own[2] = {};  // the code of jorch.node and jorch_rt.node
Range standard{};   // libstdc++: a string that grows asks for memory on behalf of its caller
Range here{};

bool endsWith(const char* text, const char* end) {
  const size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

int findCode(dl_phdr_info* object, size_t, void*) {
  Range* range = nullptr;
  const char* name = object->dlpi_name ? object->dlpi_name : "";
  if (endsWith(name, "/jorch.node")) range = &own[0];
  else if (endsWith(name, "/jorch_rt.node")) range = &own[1];
  else if (strstr(name, "/libstdc++.so")) range = &standard;
  else if (endsWith(name, "/faults.node")) range = &here;
  for (int i = 0; range != nullptr && i < object->dlpi_phnum; i++) {
    const auto& header = object->dlpi_phdr[i];
    if (header.p_type == PT_LOAD && (header.p_flags & PF_X)) *range = {object->dlpi_addr + header.p_vaddr, object->dlpi_addr + header.p_vaddr + header.p_memsz};
  }
  return 0;
}

// The first frame that is neither ours here nor libstdc++'s.
_Unwind_Reason_Code firstFrame(_Unwind_Context* context, void* found) {
  const uintptr_t pc = _Unwind_GetIP(context);
  if (here.holds(pc) || standard.holds(pc)) return _URC_NO_REASON;
  *static_cast<uintptr_t*>(found) = pc;
  return _URC_END_OF_STACK;
}

bool askedByJorch(uintptr_t pc) {
  if (standard.holds(pc)) _Unwind_Backtrace(firstFrame, &pc);
  return own[0].holds(pc) || own[1].holds(pc);
}

}  // namespace

// Whether the fault of this kind is due now; it comes once.
extern "C" __attribute__((visibility("default"))) bool jorchFaultIsDue(int kind) {
  if (armed.load(std::memory_order_relaxed) != kind) return false;
  if (++seen != wanted) return false;
  fired = true;
  return true;
}

__attribute__((visibility("default"))) void* operator new(size_t size) {
  if (__builtin_expect(armed.load(std::memory_order_relaxed) == kAllocation, 0) &&
      askedByJorch(reinterpret_cast<uintptr_t>(__builtin_return_address(0))) && jorchFaultIsDue(kAllocation))
    throw std::bad_alloc();
  if (void* memory = malloc(size ? size : 1)) return memory;
  throw std::bad_alloc();
}
__attribute__((visibility("default"))) void* operator new[](size_t size) {
  if (__builtin_expect(armed.load(std::memory_order_relaxed) == kAllocation, 0) &&
      askedByJorch(reinterpret_cast<uintptr_t>(__builtin_return_address(0))) && jorchFaultIsDue(kAllocation))
    throw std::bad_alloc();
  if (void* memory = malloc(size ? size : 1)) return memory;
  throw std::bad_alloc();
}
__attribute__((visibility("default"))) void operator delete(void* memory) noexcept { free(memory); }
__attribute__((visibility("default"))) void operator delete[](void* memory) noexcept { free(memory); }
__attribute__((visibility("default"))) void operator delete(void* memory, size_t) noexcept { free(memory); }
__attribute__((visibility("default"))) void operator delete[](void* memory, size_t) noexcept { free(memory); }

namespace {

// Where an exception found nobody: the test that started the process shows it.
[[noreturn]] void tellAndEnd() {
  void* frames[24];
  backtrace_symbols_fd(frames, backtrace(frames, 24), 2);
  abort();
}

// The plugin's table of functions: behind its head, nothing but pointers to functions that take one struct.
using PluginFunction = PJRT_Error* (*)(void*);
constexpr size_t kHead = offsetof(PJRT_Api, PJRT_Error_Destroy) / sizeof(void*);
constexpr size_t kFirst = offsetof(PJRT_Api, PJRT_Plugin_Initialize) / sizeof(void*);  // before it: functions of errors, which cannot fail
constexpr size_t kMost = 256;
PluginFunction originals[kMost] = {};

// An error of the plugin's own making: every function refuses arguments of another size.
PJRT_Error* anError() {
  PJRT_Client_PlatformName_Args args{};
  return originals[offsetof(PJRT_Api, PJRT_Client_PlatformName) / sizeof(void*)](&args);
}

template <size_t I>
PJRT_Error* failing(void* args) {
  if (!jorchFaultIsDue(kPlugin)) return originals[I](args);
  // Whatever happens, it is over when this returns.
  if (I == offsetof(PJRT_Api, PJRT_Event_Await) / sizeof(void*)) originals[I](args);
  return anError();
}
template <size_t... I>
constexpr std::array<PluginFunction, sizeof...(I)> failingTable(std::index_sequence<I...>) {
  return {&failing<I>...};
}
constexpr auto kFailing = failingTable(std::make_index_sequence<kMost>());
static_assert(kHead < kFirst);

bool patch(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  auto* get = library ? reinterpret_cast<PJRT_Api* (*)()>(dlsym(library, "GetPjrtApi")) : nullptr;
  if (get == nullptr) return false;
  PJRT_Api* api = get();
  auto** table = reinterpret_cast<PluginFunction*>(api);
  const auto page = reinterpret_cast<uintptr_t>(api) & ~uintptr_t{4095};
  mprotect(reinterpret_cast<void*>(page), reinterpret_cast<uintptr_t>(api) + api->struct_size - page, PROT_READ | PROT_WRITE);
  for (size_t i = kFirst; i < api->struct_size / sizeof(void*) && i < kMost; i++) {
    if (table[i] == nullptr || table[i] == kFailing[i]) continue;
    originals[i] = table[i];
    table[i] = kFailing[i];
  }
  return true;
}

// arm(kind, n)
napi_value Arm(napi_env env, napi_callback_info info) {
  napi_value args[2];
  size_t count = 2;
  int64_t kind = 0, n = 0;
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  napi_get_value_int64(env, args[0], &kind);
  napi_get_value_int64(env, args[1], &n);
  dl_iterate_phdr(findCode, nullptr);
  std::set_terminate(tellAndEnd);
  seen = 0;
  wanted = n;
  fired = false;
  armed = static_cast<int>(kind);
  return nullptr;
}

// disarm() → how many places were passed, negative when one of them failed
napi_value Disarm(napi_env env, napi_callback_info) {
  armed = kNone;
  napi_value result;
  napi_create_int64(env, fired ? -seen.load() : seen.load(), &result);
  return result;
}

// patch(plugin) → whether it is loaded
napi_value Patch(napi_env env, napi_callback_info info) {
  napi_value arg, result;
  size_t count = 1;
  char path[4096];
  napi_get_cb_info(env, info, &count, &arg, nullptr, nullptr);
  napi_get_value_string_utf8(env, arg, path, sizeof path, nullptr);
  napi_get_boolean(env, patch(path), &result);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"arm", nullptr, Arm, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"disarm", nullptr, Disarm, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"patch", nullptr, Patch, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, 3, functions);
  return exports;
}
