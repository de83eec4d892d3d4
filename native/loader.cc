// A small addon without libtorch: opens shared libraries by absolute path, so that jorch.node's own dependencies
// (libtorch_cpu, libc10) are found by soname wherever the runtime parts were unpacked.
#include <dlfcn.h>
#include <napi.h>

namespace {

// Returns undefined, or the dynamic linker's message. Libraries stay open for the life of the process: libtorch pins
// itself (GNU_UNIQUE) and closing it under live tensors would crash.
Napi::Value Open(const Napi::CallbackInfo& info) {
  const std::string path = info[0].As<Napi::String>();
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return info.Env().Undefined();
  const char* message = dlerror();
  return Napi::String::New(info.Env(), message ? message : "dlopen failed");
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("open", Napi::Function::New(env, Open, "open"));
  return exports;
}

}  // namespace

NODE_API_MODULE(jorch_rt, Init)
