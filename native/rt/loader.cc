// A small addon without libtorch. It runs exported programs, and opens shared libraries by absolute path, so that jorch.node's own
// dependencies (libtorch_cpu, libc10) are found by soname wherever the runtime parts were unpacked.
#include <dlfcn.h>
#include <napi.h>

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
  jorch::rt::initPrograms(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(jorch_rt, Init)
