#include "sharded_program.h"

#include <algorithm>

namespace jorch::shard {

ShardedProgram::ShardedProgram(std::shared_ptr<pjrt::Executable> executable, size_t devices, std::vector<Value> inputs, std::vector<Value> outputs)
    : executable_(std::move(executable)), inputs_(std::move(inputs)), outputs_(std::move(outputs)), donated_(inputs_.size()), deviceCount_(devices) {
  TORCH_CHECK(executable_->outputCount() == outputs_.size(), "ShardedProgram: ", outputs_.size(), " results described, the executable has ", executable_->outputCount());
  for (const auto* values : {&inputs_, &outputs_})
    for (const Value& value : *values) TORCH_CHECK(value.placement->devices.size() == devices, "ShardedProgram: a placement on ", value.placement->devices.size(), " of ", devices, " devices");
  const auto shapes = executable_->compiled().outputShapes();
  for (size_t i = 0; i < outputs_.size(); i++) {
    const Value& value = outputs_[i];
    // Everything after this trusts it with raw memory.
    TORCH_CHECK(value.placement->tiles.size() == value.sizes.size() && shapes[i].type == program::elementType(value.dtype) && shapes[i].dims == value.placement->tileSizes(value.sizes),
                "ShardedProgram: result ", i, " is described as ", value.dtype, at::IntArrayRef(value.sizes), " in tiles of ", at::IntArrayRef(value.placement->tileSizes(value.sizes)),
                ", the executable returns type ", static_cast<int>(shapes[i].type), " ", at::IntArrayRef(shapes[i].dims));
  }
}

void ShardedProgram::run(c10::ArrayRef<at::Tensor> args, std::vector<at::Tensor>& outs, bool inPlace, program::Later*) {
  outs.clear();
  TORCH_CHECK(args.size() == inputs_.size(), "compiled call: ", inputs_.size(), " arguments expected, got ", args.size());

  std::vector<std::vector<Piece>> held;
  std::vector<ShardedMemory*> given;
  std::vector<int64_t> kept;
  for (size_t i = 0; i < args.size(); i++) {
    const Value& expected = inputs_[i];
    const at::Tensor& arg = args[i];
    TORCH_CHECK(arg.defined() && arg.layout() == c10::kStrided && arg.scalar_type() == expected.dtype && arg.sizes() == at::IntArrayRef(expected.sizes), "compiled call: argument ", i,
                " is not the ", expected.dtype, at::IntArrayRef(expected.sizes), " that the program was compiled for");
    ShardedMemory* memory = memoryOf(arg);
    const bool inPlaceOf = memory != nullptr && memory->placement->layout == expected.placement->layout && !memory->pieces.empty();
    held.push_back(inPlaceOf ? memory->pieces : split(arg, *expected.placement, /*borrow=*/!donated_[i]));
    if (!donated_[i]) continue;
    // One holder is the tensor, one are we.
    const bool ours = !inPlaceOf || std::all_of(held.back().begin(), held.back().end(), [](const Piece& piece) { return piece.use_count() == 2; });
    if (!inPlace || !ours) kept.push_back(static_cast<int64_t>(i));
    else if (inPlaceOf) given.push_back(memory);
  }

  std::vector<std::vector<PJRT_Buffer*>> in(deviceCount_), out(deviceCount_, std::vector<PJRT_Buffer*>(outputs_.size()));
  std::vector<PJRT_Buffer* const*> inLists;
  std::vector<PJRT_Buffer**> outLists;
  for (size_t d = 0; d < deviceCount_; d++) {
    for (const auto& pieces : held) in[d].push_back(pieces[d]->get());
    inLists.push_back(in[d].data());
    outLists.push_back(out[d].data());
  }
  for (ShardedMemory* memory : given) memory->pieces.clear();
  executable_->executeOn(deviceCount_, inLists.data(), args.size(), outLists.data(), kept);

  const PJRT_Api* api = executable_->client().api();
  for (size_t i = 0; i < outputs_.size(); i++) {
    std::vector<Piece> pieces;
    for (size_t d = 0; d < deviceCount_; d++) pieces.push_back(std::make_shared<pjrt::Buffer>(api, out[d][i]));
    outs.push_back(make(*outputs_[i].placement, outputs_[i].sizes, outputs_[i].dtype, std::move(pieces)));
  }
}

}  // namespace jorch::shard
