// Programs loaded, and run once, while the process is still loading libtorch.
#pragma once

#include <napi.h>

#include <functional>

namespace jorch::rt {

/**
 * Waits, on any thread, until what `prefetch` gave has got going; nothing for other values. While a library is opened, threads that use a thread_local of the
 * plugin's for the first time wait for the dynamic linker (__cxa_thread_atexit takes its lock): those of a trial should have done that before.
 */
std::function<void()> untilUnderWay(const Napi::Value& prefetch);

void initPrefetch(Napi::Env env, Napi::Object exports);

}  // namespace jorch::rt
