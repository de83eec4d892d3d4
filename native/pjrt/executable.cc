/** @file Running a compiled program. */
#include "executable.h"

#include <mutex>
#include <optional>

#include "kept_heap.h"

namespace jorch::pjrt {

Executable::Executable(Client& client, PJRT_LoadedExecutable* loaded) : client_(client), loaded_(loaded) {
  try {
    auto args = make<PJRT_LoadedExecutable_GetExecutable_Args>();
    args.loaded_executable = loaded;
    call(client.api(), args);
    compiled_.emplace(client.api(), args.executable);
    outputCount_ = compiled_->outputCount();
    if (client.isCpu()) {
      const MemoryStats stats = compiled_->memoryStats();
      working_ = stats.temporaries + stats.outputs - stats.aliased;
    }
  } catch (...) {
    destroy();
    throw;
  }
}

void Executable::destroy() noexcept {
  compiled_.reset();
  if (loaded_ == nullptr) return;
  auto args = make<PJRT_LoadedExecutable_Destroy_Args>();
  args.executable = loaded_;
  const PJRT_Api* api = client_.api();
  if (PJRT_Error* error = api->PJRT_LoadedExecutable_Destroy(&args)) drop(api, error);
}

void Executable::executeOn(size_t devices, PJRT_Buffer* const* const* args, size_t argCount, PJRT_Buffer** const* outs, const std::vector<int64_t>& kept) const {
  const PJRT_Api* api = client_.api();
  PJRT_ExecuteOptions options{};
  options.struct_size = PJRT_ExecuteOptions_STRUCT_SIZE;
  options.non_donatable_input_indices = kept.data();
  options.num_non_donatable_input_indices = kept.size();
  PJRT_Event* one = nullptr;
  std::vector<PJRT_Event*> many(devices > 1 ? devices : 0);
  PJRT_Event** events = devices > 1 ? many.data() : &one;

  auto run = make<PJRT_LoadedExecutable_Execute_Args>();
  run.executable = loaded_;
  run.options = &options;
  run.argument_lists = args;
  run.num_devices = devices;
  run.num_args = argCount;
  run.output_lists = outs;
  run.device_complete_events = events;

  // Devices wait for one another in collectives: two programs, each with some of the threads, would wait for ever.
  std::unique_lock<std::mutex> alone(client_.collectives(), std::defer_lock);
  if (devices > 1) alone.lock();
  KeptHeap heap(working_);
  call(api, run);

  std::optional<PjrtError> failed;  // no exception_ptr: its symbols are newer than the systems we run on
  for (size_t d = 0; d < devices; d++) {
    try {
      Event(api, events[d]).await();
    } catch (const PjrtError& error) {
      if (!failed) failed = error;
    }
  }
  if (!failed) return;
  for (size_t d = 0; d < devices; d++)
    for (size_t i = 0; i < outputCount_; i++) Buffer(api, outs[d][i]).reset();
  throw *failed;
}

void Executable::start(PJRT_Buffer* const* args, size_t argCount, PJRT_Buffer** outs, const std::vector<int64_t>& keep) const {
  PJRT_ExecuteOptions options{};
  options.struct_size = PJRT_ExecuteOptions_STRUCT_SIZE;
  options.non_donatable_input_indices = keep.data();
  options.num_non_donatable_input_indices = keep.size();
  PJRT_Buffer* const* const argumentLists[1] = {args};
  PJRT_Buffer** const outputLists[1] = {outs};

  auto run = make<PJRT_LoadedExecutable_Execute_Args>();
  run.executable = loaded_;
  run.options = &options;
  run.argument_lists = argumentLists;
  run.num_devices = 1;
  run.num_args = argCount;
  run.output_lists = outputLists;
  call(client_.api(), run);
}

}  // namespace jorch::pjrt
