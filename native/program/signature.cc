#include "program/signature.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/flat_hash_map.h>

#include "device/device_tensor.h"

namespace jorch::program {

namespace {

const void* tensorOf(const at::Tensor& t) { return t.unsafeGetTensorImpl(); }
const void* memoryOf(const at::Tensor& t) { return device::memoryOf(t); }

template <class KeyOf>
std::vector<uint32_t> pattern(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures, KeyOf keyOf) {
  std::vector<uint32_t> result;
  ska::flat_hash_map<const void*, uint32_t> seen;
  for (const auto& list : {args, captures})
    for (const auto& tensor : list) result.push_back(seen.emplace(keyOf(tensor), static_cast<uint32_t>(result.size())).first->second);
  return result;
}

}  // namespace

uint64_t modes() {
  uint64_t bits = at::GradMode::is_enabled();
  bits |= static_cast<uint64_t>(c10::InferenceMode::is_enabled()) << 1;
  bits |= static_cast<uint64_t>(at::autocast::is_autocast_enabled(at::kCPU)) << 2;
  bits |= static_cast<uint64_t>(at::autocast::get_autocast_dtype(at::kCPU)) << 8;
  bits |= static_cast<uint64_t>(c10::typeMetaToScalarType(c10::get_default_dtype())) << 16;
  return bits;
}

std::vector<uint32_t> sameTensors(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures) { return pattern(args, captures, tensorOf); }
std::vector<uint32_t> sameMemories(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures) { return pattern(args, captures, memoryOf); }

bool hasTwins(const std::vector<uint32_t>& numbers) {
  for (uint32_t i = 0; i < numbers.size(); i++)
    if (numbers[i] != i) return true;
  return false;
}

std::vector<int64_t> positions(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures) {
  std::vector<int64_t> result;
  for (const auto& list : {args, captures})
    for (const auto& tensor : list) {
      result.push_back(tensor.has_storage() ? tensor.storage_offset() : 0);
      result.push_back(tensor.has_storage() ? static_cast<int64_t>(tensor.storage().nbytes()) : 0);
    }
  return result;
}

Circumstances Circumstances::of(c10::ArrayRef<at::Tensor> args, c10::ArrayRef<at::Tensor> captures) {
  Circumstances result{modes(), {}, {}, sameTensors(args, captures), sameMemories(args, captures), positions(args, captures)};
  for (const auto& tensor : args) result.args.push_back(Signature::of(tensor));
  for (const auto& tensor : captures) result.captures.push_back(Signature::of(tensor));
  return result;
}

}  // namespace jorch::program
