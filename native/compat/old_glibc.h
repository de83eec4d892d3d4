// Included before every source file (CMakeLists.txt). A plain link binds to the newest version of each function that the machine's glibc and
// libstdc++ have; this binds to the versions that Node 20's own floor has (glibc 2.28, GLIBCXX_3.4.28), so that a binary built here loads
// there. scripts/check-symbols.mjs looks at the result and names what is missing here.
#pragma once
#if defined(__linux__) && defined(__x86_64__)
#include <features.h>
#ifdef __GLIBC__
// glibc 2.34 moved these from libdl and libpthread into libc under a new version; the old name is the same function.
__asm__(".symver dlopen, dlopen@GLIBC_2.2.5");
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");
__asm__(".symver dlerror, dlerror@GLIBC_2.2.5");
__asm__(".symver dladdr, dladdr@GLIBC_2.2.5");
__asm__(".symver pthread_once, pthread_once@GLIBC_2.2.5");
__asm__(".symver pthread_atfork, pthread_atfork@GLIBC_2.2.5");
// std::condition_variable::wait(unique_lock&): 3.4.30 is the same, declared noexcept.
__asm__(".symver _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE, _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");
#endif
#endif
