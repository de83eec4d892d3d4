// Runs of a compiled program on threads of our own, on the values that its parameters had at the call.
#pragma once

#include <memory>

#include "program/entry.h"

namespace jorch::program {

// The values of tensors as they are now, for startRun(); those that an earlier snapshot has at the same place are its values. `earlier` may be undefined; tensors that are not defined stand for what startRun() takes.
napi_value takeSnapshot(napi_env env, const Tensors& tensors, napi_value earlier);

// A promise of a run to finish. `snapshot`: undefined, or what takeSnapshot() gave for the leaves and behind them the captured tensors of the
// program meant; without one, all are taken as they are now.
napi_value startRun(Addon& addon, napi_env env, std::shared_ptr<const Entry> entry, Tensors leaves, napi_value snapshot);

// The results, as a call gives them; what the program changes is changed now. Throws BAD_ARGUMENT, and then changes nothing, when
// somebody else changed it meanwhile.
napi_value finishRun(Addon& addon, napi_env env, napi_value run, napi_value leaves);

}  // namespace jorch::program
