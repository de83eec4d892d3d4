#include "placement.h"

#include <c10/util/Exception.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

namespace jorch::shard {

namespace {

struct Known {
  std::mutex mutex;
  std::map<std::tuple<pjrt::Client*, std::vector<int64_t>, std::vector<int64_t>, std::vector<int64_t>>, uint32_t> layouts;
  std::map<std::pair<uint32_t, std::string>, const Placement*> byName;
  std::vector<const Placement*> byId;
  static Known& all() {
    static auto* known = new Known;
    return *known;
  }
};

}  // namespace

bool Placement::replicated() const {
  return std::all_of(tiles.begin(), tiles.end(), [](int64_t n) { return n == 1; });
}

std::vector<int64_t> Placement::tileSizes(c10::IntArrayRef sizes) const {
  std::vector<int64_t> result;
  for (size_t d = 0; d < tiles.size(); d++) result.push_back((sizes[d] + tiles[d] - 1) / tiles[d]);
  return result;
}

std::vector<int64_t> Placement::offsets(size_t device, c10::IntArrayRef sizes) const {
  std::vector<int64_t> result = tileSizes(sizes);
  int64_t rest = tileOf[device];
  for (size_t d = tiles.size(); d-- > 0; rest /= tiles[d]) result[d] *= rest % tiles[d];
  return result;
}

const Placement& intern(Placement placement) {
  const int64_t count = c10::multiply_integers(placement.tiles);
  TORCH_CHECK(placement.client && placement.tileOf.size() == placement.devices.size(), "placement: a tile for each device is needed");
  for (int64_t tile : placement.tileOf) TORCH_CHECK(tile >= 0 && tile < count, "placement: tile ", tile, " of ", count);
  for (int64_t device : placement.devices)
    TORCH_CHECK(device >= 0 && device < static_cast<int64_t>(placement.client->devices().size()), "placement: device ", device, " of ", placement.client->devices().size());
  Known& known = Known::all();
  std::lock_guard<std::mutex> lock(known.mutex);
  const auto next = static_cast<uint32_t>(known.layouts.size()) + 1;
  placement.layout = known.layouts.emplace(std::make_tuple(placement.client, placement.devices, placement.tiles, placement.tileOf), next).first->second;
  auto [found, added] = known.byName.emplace(std::make_pair(placement.layout, placement.mesh), nullptr);
  if (added) {
    placement.id = static_cast<uint32_t>(known.byId.size()) + 1;
    found->second = new Placement(std::move(placement));
    known.byId.push_back(found->second);
  }
  return *found->second;
}

const Placement& placementAt(uint32_t id) {
  Known& known = Known::all();
  std::lock_guard<std::mutex> lock(known.mutex);
  TORCH_CHECK(id >= 1 && id <= known.byId.size(), "placement: there is none with number ", id);
  return *known.byId[id - 1];
}

}  // namespace jorch::shard
