#include "rt/prefetch.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pjrt/buffer.h"
#include "pjrt/client.h"
#include "pjrt/executable.h"
#include "pjrt/exit_guard.h"
#include "pjrt/handover.h"
#include "rt/element_types.h"

namespace jorch::rt {

namespace {

// By the system's clock: waiting by the steady one needs a symbol of glibc 2.30.
std::chrono::system_clock::time_point soon(int ms) { return std::chrono::system_clock::now() + std::chrono::milliseconds(ms); }

using pjrt::Buffer;

struct Parameter {
  const ElementType* type;
  std::vector<int64_t> shape;
  size_t bytes;
};

struct Program {
  enum { Waiting, Working, Over } state = Waiting;
  std::string bytes;
  // Whether to run it once on zeros.
  bool tried = false;
  std::vector<Parameter> parameters;
  std::unique_ptr<pjrt::Executable> executable;
};

// The first run of a program costs more than the others: kernels are chosen and constants packed then. What it computes here nobody sees.
void tryOut(const pjrt::Executable& executable, const std::vector<Parameter>& parameters) {
  // Larger ones are mapped anew (KeptHeap), which both addons would have to agree about.
  if (executable.compiled().memoryStats().temporaries > (32 << 20)) return;
  size_t largest = 64;
  for (const Parameter& p : parameters) largest = std::max(largest, p.bytes);
  const std::vector<char> zeros(largest);
  const pjrt::Client& client = executable.client();
  std::vector<Buffer> buffers;
  std::vector<PJRT_Buffer*> arguments;
  for (const Parameter& p : parameters) {
    buffers.push_back(Buffer::fromHost(client, zeros.data(), p.type->type, p.shape.data(), p.shape.size(), PJRT_HostBufferSemantics_kImmutableOnlyDuringCall));
    arguments.push_back(buffers.back().get());
  }
  std::vector<PJRT_Buffer*> results(executable.outputCount());
  executable.execute(arguments.data(), arguments.size(), results.data());
  for (PJRT_Buffer* result : results) Buffer(client.api(), result).reset();
}

class Prefetch : public pjrt::Handover {
 public:
  Prefetch(pjrt::Client& of, std::vector<Program> programs) : client_(of), programs_(std::move(programs)) {
    plugin = of.plugin().path().c_str();
    client = of.get();
    take = [](Handover* self, size_t n, bool wait) { return static_cast<Prefetch*>(self)->give(n, wait); };
  }

  // All of them, one after the other.
  void work() {
    for (size_t n = 0; n < programs_.size(); n++) {
      if (abandoned()) break;
      if (claim(n)) load(n, /*alone=*/false);
    }
    become(Stage::Over);
  }

  // Waits until the first trial has got going, or there is none; not long.
  void waitUntilUnderWay() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_until(lock, soon(40), [&] { return stage_ != Stage::Loading; });
    changed_.wait_until(lock, soon(8), [&] { return stage_ != Stage::Trying; });
  }

  // Nobody will ask for what has not been begun.
  void abandon() {
    std::lock_guard<std::mutex> lock(mutex_);
    abandoned_ = true;
  }

 private:
  enum class Stage { Loading, Trying, Over };
  void become(Stage stage) {
    std::lock_guard<std::mutex> lock(mutex_);
    stage_ = stage;
    changed_.notify_all();
  }

  bool abandoned() {
    std::lock_guard<std::mutex> lock(mutex_);
    return abandoned_;
  }

  bool claim(size_t n) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (programs_[n].state != Program::Waiting) return false;
    programs_[n].state = Program::Working;
    return true;
  }

  // `alone`: by the thread that is about to run it.
  void load(size_t n, bool alone) noexcept {
    Program& program = programs_[n];
    std::unique_ptr<pjrt::Executable> executable;
    try {
      executable = std::make_unique<pjrt::Executable>(client_, client_.deserialize(program.bytes)->release());
      if (program.tried && !alone) {
        become(Stage::Trying);
        tryOut(*executable, program.parameters);
      }
    } catch (...) {  // whoever needs it loads or compiles it, and hears why that fails
    }
    std::lock_guard<std::mutex> lock(mutex_);
    program.executable = std::move(executable);
    program.bytes = {};
    program.state = Program::Over;
    changed_.notify_all();
  }

  PJRT_LoadedExecutable* give(size_t n, bool wait) noexcept {
    if (n >= programs_.size()) return nullptr;
    if (wait && claim(n)) load(n, /*alone=*/true);
    std::unique_lock<std::mutex> lock(mutex_);
    if (wait) changed_.wait(lock, [&] { return programs_[n].state == Program::Over; });
    Program& program = programs_[n];
    if (program.state != Program::Over || !program.executable) return nullptr;
    PJRT_LoadedExecutable* loaded = program.executable->release();
    program.executable.reset();
    return loaded;
  }

  pjrt::Client& client_;
  std::vector<Program> programs_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool abandoned_ = false;
  Stage stage_ = Stage::Loading;
};

// What JavaScript holds: the table first, for the other addon.
struct Held {
  pjrt::Handover* table;
  std::shared_ptr<Prefetch> owner;
};

Program programFrom(const Napi::Object& object) {
  Program program;
  const auto bytes = object.Get("bytes").As<Napi::Buffer<char>>();
  program.bytes.assign(bytes.Data(), bytes.Length());
  const Napi::Value inputs = object.Get("inputs");
  if (!inputs.IsArray()) return program;
  const auto list = inputs.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const auto input = Napi::Value(list.Get(i)).As<Napi::Object>();
    Parameter parameter{typeNamed(input.Get("dtype").As<Napi::String>()), {}, 0};
    if (parameter.type == nullptr) return program;
    parameter.bytes = parameter.type->bytes;
    const auto shape = input.Get("shape").As<Napi::Array>();
    for (uint32_t d = 0; d < shape.Length(); d++) {
      parameter.shape.push_back(Napi::Value(shape.Get(d)).As<Napi::Number>().Int64Value());
      parameter.bytes *= static_cast<size_t>(parameter.shape.back());
    }
    program.parameters.push_back(std::move(parameter));
  }
  program.tried = true;
  return program;
}

// prefetch(plugin, { bytes, inputs? }[]) → a handover: begins to load them on a thread of its own, and to run once, on zeros, those whose
// inputs are said. The plugin's client is made before this returns: that changes the environment, which must not happen beside JavaScript.
Napi::Value BeginPrefetch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<Program> programs;
  const auto given = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < given.Length(); i++) programs.push_back(programFrom(Napi::Value(given.Get(i)).As<Napi::Object>()));
  pjrt::Client* client = nullptr;
  try {
    client = &pjrt::Client::get(pjrt::Plugin::load(info[0].As<Napi::String>()));
  } catch (const pjrt::PjrtError&) {
    return env.Undefined();  // whoever compiles hears of it
  }
  auto prefetch = std::make_shared<Prefetch>(*client, std::move(programs));
  std::thread([prefetch, working = std::make_unique<pjrt::Working>()] { prefetch->work(); }).detach();
  auto external = Napi::External<Held>::New(env, new Held{prefetch.get(), prefetch}, [](Napi::BasicEnv, Held* held) {
    held->owner->abandon();
    delete held;
  });
  napi_type_tag_object(env, external, &pjrt::kHandoverTag);
  return external;
}

}  // namespace

std::function<void()> untilUnderWay(const Napi::Value& prefetch) {
  bool tagged = false;
  if (!prefetch.IsExternal() || napi_check_object_type_tag(prefetch.Env(), prefetch, &pjrt::kHandoverTag, &tagged) != napi_ok || !tagged) return [] {};
  return [owner = prefetch.As<Napi::External<Held>>().Data()->owner] { owner->waitUntilUnderWay(); };
}

void initPrefetch(Napi::Env env, Napi::Object exports) { exports.Set("prefetch", Napi::Function::New(env, BeginPrefetch, "prefetch")); }

}  // namespace jorch::rt
