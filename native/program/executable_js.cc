#include "program/executable_js.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string_view>

#include "pjrt/handover.h"
#include "pjrt/options_js.h"
#include "program/external.h"
#include "program/jobs.h"
#include "program/program.h"
#include "program/target.h"
#include "tensor/tensor.h"

namespace jorch {

namespace {

constexpr napi_type_tag kExecutableTag = {0x6a6f726368206578ULL, 0x3c5d1f70a9b84e22ULL};

// compileProgram(target, stablehlo, overrides) → an executable
Napi::Value CompileProgram(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    const program::Target target = program::targetFrom(info[0]);
    return wrapExecutable(info.Env(), target.client->compile(info[1].As<Napi::String>(), pjrt::optionsFrom(info[2]), target.partitioning));
  });
}

// loadProgram(target, bytes) → an executable. The bytes must be whole: damaged ones may end the process.
Napi::Value LoadProgram(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    const auto bytes = info[1].As<Napi::Buffer<char>>();
    return wrapExecutable(info.Env(), program::targetFrom(info[0]).client->deserialize(std::string(bytes.Data(), bytes.Length())));
  });
}

// serializeProgram(executable) → Buffer
Napi::Value SerializeProgram(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    const std::string bytes = executableFrom(info.Env(), info[0])->compiled().serialize();
    return Napi::Buffer<char>::Copy(info.Env(), bytes.data(), bytes.size());
  });
}

// compilerIdentity(target) → what compiled programs depend on besides their text and options
Napi::Value CompilerIdentity(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    return text(info.Env(), program::targetFrom(info[0]).identity());
  });
}

// compileOptions(target, overrides) → Buffer: what XLA would be told
Napi::Value CompileOptions(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    const program::Target target = program::targetFrom(info[0]);
    const std::string bytes = target.client->compileOptions(pjrt::optionsFrom(info[1]), target.partitioning);
    return Napi::Buffer<char>::Copy(info.Env(), bytes.data(), bytes.size());
  });
}

// prepareCompiler(plugin): begins to load the plugin on a thread of its own, so that tracing overlaps with it. Whatever goes wrong
// there goes wrong again, in words, when a program is compiled. The client is made by whoever compiles first: the environment is
// changed meanwhile, which must not happen beside running JavaScript.
void PrepareCompiler(const Napi::CallbackInfo& info) {
  static std::once_flag begun;
  std::call_once(begun, [&] {
    pjrt::Plugin::quiet();
    enqueue(Lane::Compile, [path = std::string(info[0].As<Napi::String>())] {
      try {
        pjrt::Plugin::load(path);
      } catch (...) {
      }
    });
  });
}

// Compiles, and serialises what came out if `keep`.
struct CompileJob : Job {
  program::Target target;
  std::string text;
  pjrt::OptionOverrides overrides;
  bool keep = false;
  ExecutableHolder executable;
  std::string bytes;

  void run() override {
    executable = target.client->compile(text, overrides, target.partitioning);
    if (keep) bytes = executable->compiled().serialize();
  }
  napi_value result(napi_env env) override {
    auto object = Napi::Object::New(env);
    object.Set("executable", Napi::Value(env, wrapExecutable(env, executable)));
    if (keep) object.Set("bytes", Napi::Buffer<char>::Copy(env, bytes.data(), bytes.size()));
    return object;
  }
};

// compileProgramAsync(target, stablehlo, overrides, keep) → a promise of { executable, bytes? }
Napi::Value CompileProgramAsync(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    auto job = std::make_shared<CompileJob>();
    job->target = program::targetFrom(info[0]);
    job->text = info[1].As<Napi::String>();
    job->overrides = pjrt::optionsFrom(info[2]);
    job->keep = info[3].ToBoolean();
    return submit(Addon::of(info.Env()), info.Env(), Lane::Compile, "compile", std::move(job));
  });
}

struct LoadJob : Job {
  pjrt::Client* client = nullptr;
  std::string bytes;
  ExecutableHolder executable;

  void run() override { executable = client->deserialize(bytes); }
  napi_value result(napi_env env) override { return wrapExecutable(env, executable); }
};

// loadProgramAsync(target, bytes) → a promise of an executable
Napi::Value LoadProgramAsync(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    auto job = std::make_shared<LoadJob>();
    job->client = program::targetFrom(info[0]).client;
    const auto bytes = info[1].As<Napi::Buffer<char>>();
    job->bytes.assign(bytes.Data(), bytes.Length());
    return submit(Addon::of(info.Env()), info.Env(), Lane::Compile, "compile", std::move(job));
  });
}

// A load that whoever comes first does: a thread of ours, or the one that needs the executable when those are busy.
class Loading {
 public:
  Loading(pjrt::Client* client, const Napi::Buffer<char>& bytes) : client_(client), bytes_(bytes.Data(), bytes.Length()) {}

  void run() noexcept {
    if (begun_.exchange(true)) return;
    try {
      executable_ = client_->deserialize(bytes_);
    } catch (...) {  // the caller loads once more, and hears why it fails
    }
    std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
    wake_.notify_all();
  }

  ExecutableHolder wait() {
    run();
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [this] { return over_; });
    return executable_;
  }

 private:
  pjrt::Client* client_;
  std::string bytes_;
  ExecutableHolder executable_;
  std::atomic<bool> begun_{false};
  bool over_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
};

constexpr napi_type_tag kLoadingTag = {0x6a6f726368206c64ULL, 0x51b09e7f3c2da684ULL};

// beginLoad(target, bytes) → a loading
Napi::Value BeginLoad(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    auto loading = std::make_shared<Loading>(program::targetFrom(info[0]).client, info[1].As<Napi::Buffer<char>>());
    enqueue(Lane::Compile, [loading] { loading->run(); });
    return externalOf(info.Env(), std::move(loading), kLoadingTag);
  });
}

// endLoad(loading) → the executable, when it is there; undefined when it could not be loaded
Napi::Value EndLoad(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    const ExecutableHolder executable = externalFrom<std::shared_ptr<Loading>>(info.Env(), info[0], kLoadingTag, "a loading")->wait();
    return executable ? wrapExecutable(info.Env(), executable) : napi_value(info.Env().Undefined());
  });
}

pjrt::Handover& handoverFrom(napi_env env, const Napi::Value& value) {
  return *externalFrom<pjrt::Handover*>(env, value, pjrt::kHandoverTag, "what was prefetched");
}

// adoptClient(handover): its client is the one that compiles for the CPU
Napi::Value AdoptClient(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    const pjrt::Handover& handover = handoverFrom(info.Env(), info[0]);
    program::adoptCpuClient(handover.plugin, handover.client);
    return info.Env().Undefined();
  });
}

// takeProgram(handover, n, wait) → the n-th executable; undefined when there is none, or, unless `wait`, not yet
Napi::Value TakeProgram(const Napi::CallbackInfo& info) {
  return entry(info, "compile", "COMPILE_FAILED", [&]() -> napi_value {
    pjrt::Handover& handover = handoverFrom(info.Env(), info[0]);
    pjrt::Client& client = program::cpuClient(handover.plugin);
    PJRT_LoadedExecutable* loaded = handover.take(&handover, info[1].As<Napi::Number>().Uint32Value(), info[2].ToBoolean());
    if (loaded == nullptr) return info.Env().Undefined();
    return wrapExecutable(info.Env(), std::make_shared<pjrt::Executable>(client, loaded));
  });
}

// optimizedProgram(executable) → { format, bytes, memory, cost }
Napi::Value OptimizedProgram(const Napi::CallbackInfo& info) {
  return entry(info, "lower", "BAD_ARGUMENT", [&]() -> napi_value {
    const ExecutableHolder executable = executableFrom(info.Env(), info[0]);
    const auto [bytes, format] = executable->compiled().optimizedProgram();
    auto result = Napi::Object::New(info.Env());
    result.Set("format", format);
    result.Set("bytes", Napi::Buffer<char>::Copy(info.Env(), bytes.data(), bytes.size()));
    const auto memory = executable->compiled().memoryStats();
    auto stats = Napi::Object::New(info.Env());
    stats.Set("code", static_cast<double>(memory.code));
    stats.Set("arguments", static_cast<double>(memory.arguments));
    stats.Set("outputs", static_cast<double>(memory.outputs));
    stats.Set("temporaries", static_cast<double>(memory.temporaries));
    result.Set("memory", stats);
    auto cost = Napi::Object::New(info.Env());
    for (const auto& [name, figure] : executable->compiled().costAnalysis()) cost.Set(name, figure);
    result.Set("cost", cost);
    return result;
  });
}

}  // namespace

ExecutableHolder executableFrom(napi_env env, const Napi::Value& value) {
  bool tagged = false;
  if (!value.IsExternal() || napi_check_object_type_tag(env, value, &kExecutableTag, &tagged) != napi_ok || !tagged)
    throw JsError("BAD_ARGUMENT", "expected an executable");
  return *value.As<Napi::External<ExecutableHolder>>().Data();
}

napi_value wrapExecutable(napi_env env, ExecutableHolder executable) {
  auto external = Napi::External<ExecutableHolder>::New(env, new ExecutableHolder(std::move(executable)), [](Napi::BasicEnv, ExecutableHolder* held) { delete held; });
  check(env, napi_type_tag_object(env, external, &kExecutableTag));
  return external;
}

JsError jsErrorFrom(const pjrt::PjrtError& error, const char* code) {
  const std::string text = error.what();
  const bool memory = text.find("RESOURCE_EXHAUSTED") != std::string::npos || text.find("Out of memory") != std::string::npos;
  if (std::string_view(error.function()) == "RUNTIME_MISSING") return JsError("RUNTIME_MISSING", error.message());
  return JsError(memory ? "OUT_OF_MEMORY" : code, text);
}

void initExecutable(Napi::Env env, Napi::Object exports) {
  exports.Set("compileProgram", Napi::Function::New(env, CompileProgram, "compileProgram"));
  exports.Set("loadProgram", Napi::Function::New(env, LoadProgram, "loadProgram"));
  exports.Set("compileProgramAsync", Napi::Function::New(env, CompileProgramAsync, "compileProgramAsync"));
  exports.Set("loadProgramAsync", Napi::Function::New(env, LoadProgramAsync, "loadProgramAsync"));
  exports.Set("adoptClient", Napi::Function::New(env, AdoptClient, "adoptClient"));
  exports.Set("takeProgram", Napi::Function::New(env, TakeProgram, "takeProgram"));
  exports.Set("beginLoad", Napi::Function::New(env, BeginLoad, "beginLoad"));
  exports.Set("endLoad", Napi::Function::New(env, EndLoad, "endLoad"));
  exports.Set("serializeProgram", Napi::Function::New(env, SerializeProgram, "serializeProgram"));
  exports.Set("compilerIdentity", Napi::Function::New(env, CompilerIdentity, "compilerIdentity"));
  exports.Set("compileOptions", Napi::Function::New(env, CompileOptions, "compileOptions"));
  exports.Set("prepareCompiler", Napi::Function::New(env, PrepareCompiler, "prepareCompiler"));
  exports.Set("optimizedProgram", Napi::Function::New(env, OptimizedProgram, "optimizedProgram"));
}

}  // namespace jorch
