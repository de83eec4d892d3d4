// Which results of a trace are views of its inputs or of one another: they are views after the call, too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trace/tracer.h"

namespace jorch {

// `result` is base.as_strided(sizes, strides, base's offset + offset).
struct ViewOf {
  bool ofCapture;  // else of another result
  int64_t base;
  std::vector<int64_t> sizes, strides;
  int64_t offset;
  std::string history;  // "kept"; "none", "leaf": detached, requiring grad by itself or not; "no_grad": a view made without recording
};

// One per result. Bases that are no results yet are appended to `results`: the program returns them as well.
std::vector<std::optional<ViewOf>> findViews(trace::Tracer& tracer, std::vector<at::Tensor>& results, const std::vector<int64_t>& sameAs);

}  // namespace jorch
