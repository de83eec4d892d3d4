/** @file The recorded program as JavaScript objects, in the form of lib/compile/graph.ts. */
#pragma once
#include <napi.h>

#include "graph.h"

namespace jorch::trace {

/** Value objects are shared by identity between `values`, `inputs`, arguments and results. Throws Napi::Error. */
Napi::Object toJs(Napi::Env env, const Graph& graph);

}  // namespace jorch::trace
