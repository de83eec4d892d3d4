#include "cpu_features.h"

#include <cstdint>
#include <cstdio>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace jorch::pjrt {

std::string cpuFeatures() {
#if defined(__x86_64__)
  std::string result;
  uint32_t a = 0, b = 0, c = 0, d = 0;
  const auto append = [&](uint32_t word) {
    char text[12];
    std::snprintf(text, sizeof text, "%08x.", word);
    result += text;
  };
  bool saves = false;
  if (__get_cpuid(1, &a, &b, &c, &d)) {
    // Not ebx: it holds the number of the core that runs this.
    for (uint32_t word : {a, c, d}) append(word);
    saves = (c & bit_OSXSAVE) != 0;
  }
  for (uint32_t leaf : {0u, 1u, 2u})
    if (__get_cpuid_count(7, leaf, &a, &b, &c, &d))
      for (uint32_t word : {a, b, c, d}) append(word);
  for (uint32_t leaf : {0x80000001u, 0x80000002u, 0x80000003u, 0x80000004u})
    if (__get_cpuid(leaf, &a, &b, &c, &d))
      for (uint32_t word : {a, leaf == 0x80000001u ? 0u : b, c, d}) append(word);
  if (saves) {
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    append(low);
    append(high);
  }
  return result;
#else
#error "say which CPU features compiled programs depend on"
#endif
}

}  // namespace jorch::pjrt
