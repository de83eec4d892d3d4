/** @file Forward mode for backward operators that libtorch's C++ part has none for. */
#pragma once

namespace jorch::transforms {

/** Once per process, before any operator runs. */
void registerForwardRules();

}  // namespace jorch::transforms
