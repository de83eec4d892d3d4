/** @file libtorch's CUDA library, loaded when it is first needed. */
#pragma once

namespace jorch::device {

/**
 * Lets libtorch's CUDA library be loaded late. libtorch asks once per process for what it calls CUDA's hooks, at the first `manual_seed`, backward or
 * convolution, and keeps the answer: there is none yet, then CUDA cannot be used for as long as the process lives. So the answer is one of ours, which
 * passes on to the library's as soon as that is there. Idempotent, and without effect where the library is never loaded.
 */
void allowLateCuda();
/** Says that the library has been loaded: until then nobody looks whether it has. */
void lateCudaIsLoaded() noexcept;

}  // namespace jorch::device
