// A small addon without libtorch. It runs exported programs, and opens shared libraries by absolute path, so that jorch.node's own
// dependencies (libtorch_cpu, libc10) are found by soname wherever the runtime parts were unpacked.
#include <dlfcn.h>
#include <link.h>
#include <napi.h>
#include <sys/stat.h>

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

// twin(path) → the path of another file with this name that the process has loaded, or undefined. A hard link is the same file.
Napi::Value Twin(const Napi::CallbackInfo& info) {
  struct Search {
    std::string name;
    struct stat file;
    std::string found;
  } search;
  const std::string path = info[0].As<Napi::String>();
  search.name = path.substr(path.rfind('/') + 1);
  if (stat(path.c_str(), &search.file) != 0) return info.Env().Undefined();
  dl_iterate_phdr(
      [](dl_phdr_info* object, size_t, void* data) {
        auto& wanted = *static_cast<Search*>(data);
        const std::string loaded = object->dlpi_name ? object->dlpi_name : "";
        struct stat file;
        if (loaded.substr(loaded.rfind('/') + 1) != wanted.name || stat(loaded.c_str(), &file) != 0) return 0;
        if (file.st_dev == wanted.file.st_dev && file.st_ino == wanted.file.st_ino) return 0;
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
  exports.Set("setCollector", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                info.Env().SetInstanceData(new Napi::FunctionReference(Napi::Persistent(info[0].As<Napi::Function>())));
              }));
  exports.Set("twin", Napi::Function::New(env, Twin, "twin"));
  jorch::rt::initPrograms(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(jorch_rt, Init)
