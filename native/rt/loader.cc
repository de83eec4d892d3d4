// A small addon without libtorch. It runs exported programs, and opens shared libraries by absolute path, so that jorch.node's own
// dependencies (libtorch_cpu, libc10) are found by soname wherever the runtime parts were unpacked.
#include <dlfcn.h>
#include <link.h>
#include <napi.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cstdlib>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pjrt/exit_guard.h"
#include "rt/prefetch.h"
#include "rt/programs.h"

namespace {

// Returns undefined, or the dynamic linker's message. Libraries stay open for the life of the process: libtorch pins
// itself (GNU_UNIQUE) and closing it under live tensors would crash.
Napi::Value Open(const Napi::CallbackInfo& info) {
  const std::string path = info[0].As<Napi::String>();
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return info.Env().Undefined();
  const char* message = dlerror();
  return Napi::String::New(info.Env(), message ? message : "dlopen failed");
}

// What one thread opens, and that thread.
struct Opening {
  std::thread thread;
  ~Opening() {
    if (thread.joinable()) thread.detach();
  }
};
constexpr napi_type_tag kOpeningTag = {0x6a6f726368206f70ULL, 0x5d0f7b3a91c2e846ULL};

// Memory for what libtorch allocates while it registers its operators. glibc grows the heap of a thread other than the first by single pages, with a
// system call each: 11,000 of them, and each stops the page faults of all other threads. Free blocks with something behind them are no end of a heap,
// which would be given back; pages of 2 MiB spare the faults where the system has them.
void makeRoom() {
  constexpr size_t kBlock = 64 << 10, kBlocks = 57 * 16, kHugePage = 2 << 20;
  std::vector<char*> blocks;
  blocks.reserve(kBlocks);
  while (blocks.size() < kBlocks) {
    blocks.push_back(static_cast<char*>(malloc(kBlock)));
    if (blocks.back() == nullptr) break;
  }
  static void* behind = nullptr;
  behind = malloc(64);
  const auto from = (reinterpret_cast<uintptr_t>(blocks.front()) + kHugePage - 1) / kHugePage * kHugePage;
  const auto to = reinterpret_cast<uintptr_t>(behind) / kHugePage * kHugePage;
  // Only where the blocks lie in a row, as they do in a new heap.
  if (from < to && to - from < kBlock * kBlocks) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
  for (char* block : blocks) free(block);
}

// openAhead(paths, prefetched?) → begins to open them on a thread, once programs are being fetched. What libtorch's constructors read of the environment nobody may write until endOpen.
// What comes after a library that cannot be opened is left alone: `open` says why. The last is an addon, bound lazily as Node does it.
Napi::Value OpenAhead(const Napi::CallbackInfo& info) {
  const auto given = info[0].As<Napi::Array>();
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < given.Length(); i++) paths.push_back(Napi::Value(given.Get(i)).As<Napi::String>());
  auto* opening = new Opening;
  auto external = Napi::External<Opening>::New(info.Env(), opening, [](Napi::BasicEnv, Opening* held) { delete held; });
  napi_type_tag_object(info.Env(), external, &kOpeningTag);
  opening->thread = std::thread([paths = std::move(paths), wait = jorch::rt::untilUnderWay(info[1]), working = std::make_unique<jorch::pjrt::Working>()] {
    wait();
    makeRoom();
    for (const std::string& path : paths)
      if (!dlopen(path.c_str(), (&path == &paths.back() ? RTLD_LAZY : RTLD_NOW) | RTLD_LOCAL)) return;
  });
  return external;
}

// endOpen(opening): waits for its thread.
Napi::Value EndOpen(const Napi::CallbackInfo& info) {
  bool tagged = false;
  if (info[0].IsExternal() && napi_check_object_type_tag(info.Env(), info[0], &kOpeningTag, &tagged) == napi_ok && tagged) {
    std::thread& thread = info[0].As<Napi::External<Opening>>().Data()->thread;
    if (thread.joinable()) thread.join();
  }
  return info.Env().Undefined();
}

// statx, because glibc 2.28 has it: what "stat" compiles to is a symbol of 2.33.
bool identify(const std::string& path, struct statx& file) { return statx(AT_FDCWD, path.c_str(), 0, STATX_INO, &file) == 0; }

// twin(path) → the path of another file with this name that the process has loaded, or undefined. A hard link is the same file.
Napi::Value Twin(const Napi::CallbackInfo& info) {
  struct Search {
    std::string name;
    struct statx file;
    std::string found;
  } search;
  const std::string path = info[0].As<Napi::String>();
  search.name = path.substr(path.rfind('/') + 1);
  if (!identify(path, search.file)) return info.Env().Undefined();
  dl_iterate_phdr(
      [](dl_phdr_info* object, size_t, void* data) {
        auto& wanted = *static_cast<Search*>(data);
        const std::string loaded = object->dlpi_name ? object->dlpi_name : "";
        struct statx file;
        if (loaded.substr(loaded.rfind('/') + 1) != wanted.name || !identify(loaded, file)) return 0;
        const auto& own = wanted.file;
        if (file.stx_dev_major == own.stx_dev_major && file.stx_dev_minor == own.stx_dev_minor && file.stx_ino == own.stx_ino) return 0;
        wanted.found = loaded;
        return 1;
      },
      &search);
  return search.found.empty() ? info.Env().Undefined() : Napi::String::New(info.Env(), search.found);
}

// Node closes an addon that only worker threads loaded when the last of them ends; the plugin's threads may still call into it.
void pinThisLibrary() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&pinThisLibrary), &info) && info.dli_fname) dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  pinThisLibrary();
  exports.Set("open", Napi::Function::New(env, Open, "open"));
  exports.Set("openAhead", Napi::Function::New(env, OpenAhead, "openAhead"));
  exports.Set("endOpen", Napi::Function::New(env, EndOpen, "endOpen"));
  exports.Set("setCollector", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                info.Env().SetInstanceData(new Napi::FunctionReference(Napi::Persistent(info[0].As<Napi::Function>())));
              }));
  exports.Set("twin", Napi::Function::New(env, Twin, "twin"));
  jorch::rt::initPrograms(env, exports);
  jorch::rt::initPrefetch(env, exports);
  jorch::pjrt::initExitGuard(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(jorch_rt, Init)
