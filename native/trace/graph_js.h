/** @file The recorded program as the JavaScript objects of lib/compile/graph.ts. */
#pragma once
#include <napi.h>

#include "graph.h"

namespace jorch::trace {

/** Values are shared by identity: an argument or a result is always the object in `values`. */
Napi::Object toJs(Napi::Env env, const Graph& graph);

}  // namespace jorch::trace
