/** @file Asking a compiled program about itself. */
#include "compiled.h"

namespace jorch::pjrt {

Compiled::~Compiled() {
  auto args = make<PJRT_Executable_Destroy_Args>();
  args.executable = executable_;
  if (PJRT_Error* error = api_->PJRT_Executable_Destroy(&args)) drop(api_, error);
}

size_t Compiled::outputCount() const {
  auto args = make<PJRT_Executable_NumOutputs_Args>();
  args.executable = executable_;
  call(api_, args);
  return args.num_outputs;
}

std::vector<ResultShape> Compiled::outputShapes() const {
  auto types = make<PJRT_Executable_OutputElementTypes_Args>();
  types.executable = executable_;
  call(api_, types);
  auto dims = make<PJRT_Executable_OutputDimensions_Args>();
  dims.executable = executable_;
  call(api_, dims);
  std::vector<ResultShape> result;
  const int64_t* next = dims.dims;
  for (size_t i = 0; i < dims.num_outputs; i++) {
    result.push_back({types.output_types[i], std::vector<int64_t>(next, next + dims.dim_sizes[i])});
    next += dims.dim_sizes[i];
  }
  return result;
}

std::string Compiled::serialize() const {
  auto args = make<PJRT_Executable_Serialize_Args>();
  args.executable = executable_;
  call(api_, args);
  std::string bytes(args.serialized_bytes, args.serialized_bytes_size);
  args.serialized_executable_deleter(args.serialized_executable);
  return bytes;
}

std::pair<std::string, std::string> Compiled::optimizedProgram() const {
  PJRT_Program program{};
  program.struct_size = PJRT_Program_STRUCT_SIZE;
  auto args = make<PJRT_Executable_OptimizedProgram_Args>();
  args.executable = executable_;
  args.program = &program;
  call(api_, args);  // without room for the code: tells its size
  std::string code(program.code_size, '\0');
  program.code = code.data();
  call(api_, args);
  return {std::move(code), std::string(program.format, program.format_size)};
}

std::vector<std::pair<std::string, double>> Compiled::costAnalysis() const {
  auto args = make<PJRT_Executable_GetCostAnalysis_Args>();
  args.executable = executable_;
  std::vector<std::pair<std::string, double>> result;
  if (PJRT_Error* error = tryCall(api_, args)) {
    drop(api_, error);  // CPU plugins have no estimates for a loaded executable
    return result;
  }
  for (size_t i = 0; i < args.num_properties; i++) {
    const PJRT_NamedValue& p = args.properties[i];
    if (p.type == PJRT_NamedValue_kFloat) result.emplace_back(std::string(p.name, p.name_size), p.float_value);
    else if (p.type == PJRT_NamedValue_kInt64) result.emplace_back(std::string(p.name, p.name_size), static_cast<double>(p.int64_value));
  }
  return result;
}

MemoryStats Compiled::memoryStats() const {
  MemoryStats stats;
  if (!has<PJRT_Executable_GetCompiledMemoryStats_Args>(api_)) return stats;
  auto args = make<PJRT_Executable_GetCompiledMemoryStats_Args>();
  args.executable = executable_;
  call(api_, args);
  stats.code = args.generated_code_size_in_bytes;
  stats.arguments = args.argument_size_in_bytes;
  stats.outputs = args.output_size_in_bytes;
  stats.aliased = args.alias_size_in_bytes;
  stats.temporaries = args.temp_size_in_bytes;
  return stats;
}

}  // namespace jorch::pjrt
