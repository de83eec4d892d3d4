// libstdc++'s shared_ptr asks glibc (2.32 and newer) whether the process has one thread, to leave out atomic instructions. Node never has one:
// a "no" of our own, seen only inside this library, needs no new glibc.
extern "C" {
extern __attribute__((visibility("hidden"))) char __libc_single_threaded;
char __libc_single_threaded = 0;
}
