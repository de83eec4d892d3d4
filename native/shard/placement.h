/** @file How a tensor is cut into tiles and which device holds which. */
#pragma once

#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <string>
#include <vector>

#include "../pjrt/client.h"

namespace jorch::shard {

/** Interned: equal placements are one object, with one number. */
struct Placement {
  pjrt::Client* client = nullptr;
  /** Positions among the client's devices, in the order of the mesh. */
  std::vector<int64_t> devices;
  /** Per dimension of the tensor: into how many tiles. */
  std::vector<int64_t> tiles;
  /** Per device of the mesh: its tile, counted row-major over `tiles`. */
  std::vector<int64_t> tileOf;
  /** The mesh whose words describe it: of no meaning here. */
  std::string mesh;
  /** From 1 on. */
  uint32_t id = 0;
  /** Equal for placements that differ in `mesh` only. */
  uint32_t layout = 0;

  /** Every device holds the whole. */
  bool replicated() const;
  /** What a device holds of a tensor of these sizes; the last tile of a dimension that does not divide is padded. */
  std::vector<int64_t> tileSizes(c10::IntArrayRef sizes) const;
  /** Where its tile begins. */
  std::vector<int64_t> offsets(size_t device, c10::IntArrayRef sizes) const;
  bool sameDevices(const Placement& other) const { return client == other.client && devices == other.devices; }
};

/** Throws c10::Error for tiles that the devices cannot hold. Never freed: there are few. */
const Placement& intern(Placement placement);
/** Throws c10::Error for a number that is none. */
const Placement& placementAt(uint32_t id);

}  // namespace jorch::shard
