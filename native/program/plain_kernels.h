/** @file The state in which libtorch's kernels run inside programs. */
#pragma once

#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace jorch::program {

// XLA's CPU programs flush denormals to zero, and no option changes that; a kernel of libtorch must not do so only because it is
// called from one.
class KeepDenormals {
#if defined(__SSE2__)
 public:
  KeepDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ & ~kFlushBits); }
  ~KeepDenormals() { _mm_setcsr(saved_); }
  KeepDenormals(const KeepDenormals&) = delete;
  KeepDenormals& operator=(const KeepDenormals&) = delete;

 private:
  static constexpr unsigned kFlushBits = 0x8040;  // FTZ and DAZ
  unsigned saved_;
#endif
};

// XLA may run the handler on one of its own threads or on the caller's, whose thread-local state (an open trace, functorch levels,
// autograd, autocast) means nothing here. So the state is set, not inherited: plain kernels, factories allowed.
struct PlainKernels {
  c10::impl::ForceDispatchKeyGuard keys{
      c10::DispatchKeySet(c10::DispatchKey::BackendSelect),
      c10::autograd_dispatch_keyset_with_ADInplaceOrView | c10::default_excluded_set | c10::DispatchKeySet(c10::DispatchKey::Functionalize)};
  c10::AutoGradMode grad{false};
  KeepDenormals denormals;
};

}  // namespace jorch::program
