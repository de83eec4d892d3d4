#include "program/jobs.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "addon.h"
#include "pjrt/api.h"
#include "pjrt/exit_guard.h"
#include "program/executable_js.h"

namespace jorch {

namespace {

// Threads are started when there is more work than idle threads, up to a limit, and never end. Leaked, like everything that
// threads use while a process exits.
class Pool {
 public:
  explicit Pool(size_t limit) : limit_(limit) {}

  void add(std::function<void()> work) {
    std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back({std::make_unique<pjrt::Working>(), std::move(work)});
    if (idle_ < queue_.size() && threads_ < limit_) {
      try {
        std::thread([this] { serve(); }).detach();
        threads_++;
      } catch (...) {  // the threads that there are come to it
        if (threads_ == 0) {
          queue_.pop_back();
          throw;
        }
      }
    }
    wake_.notify_one();
  }

  static Pool& of(Lane lane) {
    static const size_t cores = std::max(1u, std::thread::hardware_concurrency());
    static auto* compile = new Pool(std::max<size_t>(2, cores / 2));
    static auto* run = new Pool(std::max<size_t>(2, cores));
    return lane == Lane::Compile ? *compile : *run;
  }

 private:
  [[noreturn]] void serve() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      idle_++;
      wake_.wait(lock, [this] { return !queue_.empty(); });
      idle_--;
      Item item = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      item.work();
    }
  }

  // Counts as working from when it is asked for until it is gone.
  struct Item {
    std::unique_ptr<pjrt::Working> working;
    std::function<void()> work;
  };

  const size_t limit_;
  size_t threads_ = 0, idle_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> queue_;
};

struct Done {
  std::shared_ptr<Job> job;
  napi_deferred deferred;
  const char* where;
  std::exception_ptr error;
};

}  // namespace

// The way back into one environment. Threads hold it by shared_ptr and may outlive the environment.
class Channel {
 public:
  static std::shared_ptr<Channel> open(napi_env env) {
    auto channel = std::make_shared<Channel>();
    napi_value name;
    check(env, napi_create_string_utf8(env, "jorch", NAPI_AUTO_LENGTH, &name));
    check(env, napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, channel.get(), deliver, &channel->function_));
    check(env, napi_unref_threadsafe_function(env, channel->function_));
    // Runs before Node closes the function itself, which was registered earlier.
    check(env, napi_add_env_cleanup_hook(env, close, new std::shared_ptr<Channel>(channel)));
    return channel;
  }

  void expect(napi_env env) {
    if (pending_++ == 0) check(env, napi_ref_threadsafe_function(env, function_));
  }

  // From any thread. A list of one, because nobody would hear of an allocation that fails here.
  void post(std::list<Done> done) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return;
    done_.splice(done_.end(), done);
    napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
  }

 private:
  static void close(void* data) {
    auto* held = static_cast<std::shared_ptr<Channel>*>(data);
    std::list<Done> unheard;
    {
      std::lock_guard<std::mutex> lock((*held)->mutex_);
      (*held)->closed_ = true;
      unheard.swap((*held)->done_);
      napi_release_threadsafe_function((*held)->function_, napi_tsfn_abort);
    }
    unheard.clear();
    delete held;
    pjrt::guardExit();  // the process may be what ends, with no more JavaScript
  }

  // The JS thread: one call per posted result, each takes whatever is there.
  static void deliver(napi_env env, napi_value, void* context, void*) {
    if (env == nullptr) return;
    auto* channel = static_cast<Channel*>(context);
    std::list<Done> done;  // takes no memory, as a deque would
    {
      std::lock_guard<std::mutex> lock(channel->mutex_);
      if (channel->closed_) return;
      done.swap(channel->done_);
    }
    for (Done& one : done) {
      if (--channel->pending_ == 0) napi_unref_threadsafe_function(env, channel->function_);
      settle(env, one);
    }
  }

  static void settle(napi_env env, Done& done) {
    napi_value value = guarded(env, done.where, [&]() -> napi_value {
      if (!done.error) return done.job->result(env);
      try {
        std::rethrow_exception(done.error);
      } catch (const pjrt::PjrtError& error) {
        throw jsErrorFrom(error, "COMPILE_FAILED");
      }
    });
    bool pending = false;
    if (napi_is_exception_pending(env, &pending) != napi_ok) return;
    if (pending) {
      napi_value error;
      if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_reject_deferred(env, done.deferred, error);
      return;
    }
    if (value == nullptr) napi_get_undefined(env, &value);
    napi_resolve_deferred(env, done.deferred, value);
  }

  napi_threadsafe_function function_ = nullptr;
  size_t pending_ = 0;  // JS thread only
  std::mutex mutex_;
  bool closed_ = false;
  std::list<Done> done_;
};

void enqueue(Lane lane, std::function<void()> work) {
  Pool::of(lane).add(std::move(work));
}

napi_value submit(Addon& addon, napi_env env, Lane lane, const char* where, std::shared_ptr<Job> job) {
  if (!addon.channel) addon.channel = Channel::open(env);
  napi_deferred deferred;
  napi_value promise;
  check(env, napi_create_promise(env, &deferred, &promise));
  enqueue(lane, [channel = addon.channel, done = std::list<Done>{Done{std::move(job), deferred, where, nullptr}}]() mutable {
    try {
      done.front().job->run();
    } catch (...) {
      done.front().error = std::current_exception();
    }
    channel->post(std::move(done));
  });
  // Results are heard on this thread, so not before. Last: what waits for a job that was never begun would wait for ever.
  addon.channel->expect(env);
  return promise;
}

}  // namespace jorch
