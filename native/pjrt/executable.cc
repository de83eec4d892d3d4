/** @file Running a compiled program, and what it knows of itself. */
#include "executable.h"

namespace jorch::pjrt {

Executable::Executable(Client& client, PJRT_LoadedExecutable* loaded) : client_(client), loaded_(loaded) {
  const PJRT_Api* api = client.api();
  try {
    auto args = make<PJRT_LoadedExecutable_GetExecutable_Args>();
    args.loaded_executable = loaded;
    call(api, args);
    executable_ = args.executable;
    auto outputs = make<PJRT_Executable_NumOutputs_Args>();
    outputs.executable = executable_;
    call(api, outputs);
    outputCount_ = outputs.num_outputs;
  } catch (...) {
    destroy();
    throw;
  }
}

void Executable::destroy() noexcept {
  const PJRT_Api* api = client_.api();
  auto executable = make<PJRT_Executable_Destroy_Args>();
  executable.executable = executable_;
  if (PJRT_Error* error = api->PJRT_Executable_Destroy(&executable)) drop(api, error);
  auto loaded = make<PJRT_LoadedExecutable_Destroy_Args>();
  loaded.executable = loaded_;
  if (PJRT_Error* error = api->PJRT_LoadedExecutable_Destroy(&loaded)) drop(api, error);
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

std::vector<ResultShape> Executable::outputShapes() const {
  auto types = make<PJRT_Executable_OutputElementTypes_Args>();
  types.executable = executable_;
  call(client_.api(), types);
  auto dims = make<PJRT_Executable_OutputDimensions_Args>();
  dims.executable = executable_;
  call(client_.api(), dims);
  std::vector<ResultShape> result;
  const int64_t* next = dims.dims;
  for (size_t i = 0; i < dims.num_outputs; i++) {
    result.push_back({types.output_types[i], std::vector<int64_t>(next, next + dims.dim_sizes[i])});
    next += dims.dim_sizes[i];
  }
  return result;
}

std::string Executable::serialize() const {
  auto args = make<PJRT_Executable_Serialize_Args>();
  args.executable = executable_;
  call(client_.api(), args);
  std::string bytes(args.serialized_bytes, args.serialized_bytes_size);
  args.serialized_executable_deleter(args.serialized_executable);
  return bytes;
}

std::pair<std::string, std::string> Executable::optimizedProgram() const {
  PJRT_Program program{};
  program.struct_size = PJRT_Program_STRUCT_SIZE;
  auto args = make<PJRT_Executable_OptimizedProgram_Args>();
  args.executable = executable_;
  args.program = &program;
  call(client_.api(), args);  // without room for the code: tells its size
  std::string code(program.code_size, '\0');
  program.code = code.data();
  call(client_.api(), args);
  return {std::move(code), std::string(program.format, program.format_size)};
}

std::vector<std::pair<std::string, double>> Executable::costAnalysis() const {
  auto args = make<PJRT_Executable_GetCostAnalysis_Args>();
  args.executable = executable_;
  std::vector<std::pair<std::string, double>> result;
  if (PJRT_Error* error = tryCall(client_.api(), args)) {
    drop(client_.api(), error);  // CPU plugins have no estimates for a loaded executable
    return result;
  }
  for (size_t i = 0; i < args.num_properties; i++) {
    const PJRT_NamedValue& p = args.properties[i];
    if (p.type == PJRT_NamedValue_kFloat) result.emplace_back(std::string(p.name, p.name_size), p.float_value);
    else if (p.type == PJRT_NamedValue_kInt64) result.emplace_back(std::string(p.name, p.name_size), static_cast<double>(p.int64_value));
  }
  return result;
}

MemoryStats Executable::memoryStats() const {
  MemoryStats stats;
  if (!has<PJRT_Executable_GetCompiledMemoryStats_Args>(client_.api())) return stats;
  auto args = make<PJRT_Executable_GetCompiledMemoryStats_Args>();
  args.executable = executable_;
  call(client_.api(), args);
  stats.code = args.generated_code_size_in_bytes;
  stats.arguments = args.argument_size_in_bytes;
  stats.outputs = args.output_size_in_bytes;
  stats.aliased = args.alias_size_in_bytes;
  stats.temporaries = args.temp_size_in_bytes;
  return stats;
}

}  // namespace jorch::pjrt
