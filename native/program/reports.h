// What a run of a compiled program has to say before its effects are seen: values to print, checks of its data.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <memory>
#include <vector>

#include "addon.h"

namespace jorch {

class Reports {
 public:
  // spec: undefined, or { outputs, flags, handler }; then nullptr, or the reports of one program.
  static std::shared_ptr<const Reports> from(Addon& addon, napi_env env, const Napi::Value& spec);
  ~Reports();
  Reports(const Reports&) = delete;
  Reports& operator=(const Reports&) = delete;

  // After a run, before anything is changed: calls handler(values, flags, parameters) when there is something to print or a flag is
  // set. What it throws ends the call.
  void deliver(c10::ArrayRef<at::Tensor> parameters, c10::ArrayRef<at::Tensor> outputs) const;

  // After a run that raised: handler(null, null, parameters) may throw an error that says more.
  void failed(c10::ArrayRef<at::Tensor> parameters) const;

 private:
  Reports() = default;
  void call(napi_value values, napi_value flags, c10::ArrayRef<at::Tensor> parameters) const;

  std::vector<uint32_t> outputs_;  // to print
  int32_t flags_ = -1;             // the output with one bool per check, or -1
  napi_ref handler_ = nullptr;
  std::shared_ptr<Reaper> reaper_;
  napi_env env_ = nullptr;  // of the thread that made them, which also runs them
};

}  // namespace jorch
