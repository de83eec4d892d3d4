/** @file Running a compiled program. */
#include "executable.h"

namespace jorch::pjrt {

Executable::Executable(Client& client, PJRT_LoadedExecutable* loaded) : client_(client), loaded_(loaded) {
  try {
    auto args = make<PJRT_LoadedExecutable_GetExecutable_Args>();
    args.loaded_executable = loaded;
    call(client.api(), args);
    compiled_.emplace(client.api(), args.executable);
    outputCount_ = compiled_->outputCount();
  } catch (...) {
    destroy();
    throw;
  }
}

void Executable::destroy() noexcept {
  compiled_.reset();
  auto args = make<PJRT_LoadedExecutable_Destroy_Args>();
  args.executable = loaded_;
  const PJRT_Api* api = client_.api();
  if (PJRT_Error* error = api->PJRT_LoadedExecutable_Destroy(&args)) drop(api, error);
}

void Executable::execute(PJRT_Buffer* const* args, size_t argCount, PJRT_Buffer** outs) const {
  const PJRT_Api* api = client_.api();
  PJRT_ExecuteOptions options{};
  options.struct_size = PJRT_ExecuteOptions_STRUCT_SIZE;
  PJRT_Buffer* const* const argumentLists[1] = {args};
  PJRT_Buffer** const outputLists[1] = {outs};
  PJRT_Event* events[1] = {nullptr};

  auto run = make<PJRT_LoadedExecutable_Execute_Args>();
  run.executable = loaded_;
  run.options = &options;
  run.argument_lists = argumentLists;
  run.num_devices = 1;
  run.num_args = argCount;
  run.output_lists = outputLists;
  run.device_complete_events = events;
  call(api, run);

  try {
    Event(api, events[0]).await();
  } catch (...) {
    for (size_t i = 0; i < outputCount_; i++) Buffer(api, outs[i]).reset();
    throw;
  }
}

}  // namespace jorch::pjrt
