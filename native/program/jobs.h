// Work off the JS thread: threads of our own (libuv's pool is for files and names), results handed back to the environment
// that asked.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>

namespace jorch {

struct Addon;

class Job {
 public:
  virtual ~Job() = default;
  // On one of our threads. What it throws rejects the promise.
  virtual void run() = 0;
  // On the JS thread, when `run` is over: the value that the promise resolves with.
  virtual napi_value result(napi_env env) = 0;
};

// Compilations take seconds and must not keep short runs waiting.
enum class Lane { Compile, Run };

// Runs `job` and returns a promise. `where` begins the messages of errors. The process stays alive until the promise settles;
// an environment that ends before gets no result, and the job ends unheard.
napi_value submit(Addon& addon, napi_env env, Lane lane, const char* where, std::shared_ptr<Job> job);

// Runs `work`, which must not throw, on one of our threads. Nobody hears of its end.
void enqueue(Lane lane, std::function<void()> work);

}  // namespace jorch
