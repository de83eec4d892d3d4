/** @file The recorded program on its way to JavaScript: numbers and texts, of which lib/compile/read-graph.ts makes the objects of graph.ts. */
#pragma once
#include <napi.h>

#include "graph.h"

namespace jorch::trace {

/**
 * `{ numbers: Float64Array, texts: string[], generators }`. Making the objects here would take three times as long as JavaScript takes: every
 * property that Node-API sets is looked up anew.
 */
Napi::Object toJs(Napi::Env env, const Graph& graph);

}  // namespace jorch::trace
