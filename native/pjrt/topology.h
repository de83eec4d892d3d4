/** @file Compiling for a GPU that is not there: ahead-of-time compilation against a description of the card. */
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compiled.h"
#include "options.h"
#include "plugin.h"

namespace jorch::pjrt {

/** The cards that compileFor knows: `a100`, `h100`, `h200`, `b200`. */
std::vector<std::string> gpuTargets();

/**
 * Compiles StableHLO text for `target` with the CUDA plugin, without a GPU or a driver. The result cannot run here; serialized, it
 * loads with Client::deserialize on a machine with that card and the same plugin.
 * `cudaDirectory` holds `bin/ptxas` and `nvvm/libdevice` (the wheels nvidia-cuda-nvcc and nvidia-nvvm put them there together).
 * Kernels are chosen by XLA's cost model, not by timing candidates, for which a card would be needed.
 * Throws TooLarge; PjrtError: INVALID_ARGUMENT for a target that is not known, otherwise as the compiler reports.
 */
std::unique_ptr<Compiled> compileFor(Plugin& plugin, const std::string& target, const std::string& stablehlo,
                                     const std::string& cudaDirectory, const OptionOverrides& overrides = {});

}  // namespace jorch::pjrt
