/** @file Which CPU this is: compiled programs run only on one like it. */
#pragma once

#include <string>

namespace jorch::pjrt {

/** Model and instruction sets of the CPU, and what the operating system enables of them, as text. */
std::string cpuFeatures();

}  // namespace jorch::pjrt
