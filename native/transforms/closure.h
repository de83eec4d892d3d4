/** @file What a JavaScript callback closes over: found by watching a run of it, and exchanged in another run. */
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/flat_hash_map.h>
#include <napi.h>

#include <vector>

namespace jorch::closure {

/** While it lives on this thread, tensors that were not made under it and are used are noted. */
class Probe {
 public:
  Probe();
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  /** In the order of first use. */
  std::vector<at::Tensor> seen;

  void made(const at::Tensor& t);
  void used(const at::Tensor& t);

 private:
  std::vector<at::Tensor> held_;  // addresses stay unique while they are compared
  ska::flat_hash_set<const c10::TensorImpl*> known_;
};

/** While it lives on this thread, every use of from[i] is a use of to[i]. */
class Substitution {
 public:
  Substitution(const std::vector<at::Tensor>& from, std::vector<at::Tensor> to);
  ~Substitution();
  Substitution(const Substitution&) = delete;
  Substitution& operator=(const Substitution&) = delete;
  const at::Tensor* find(const c10::TensorImpl* impl) const;

 private:
  std::vector<at::Tensor> from_, to_;
  ska::flat_hash_map<const c10::TensorImpl*, size_t> at_;
};

/** A tensor is used by an operator: what stands for it now. */
const at::Tensor& use(const at::Tensor& t);
/** Whether something may stand for it, itself included, because the function runs with what it captures exchanged. */
bool isExchanged(const at::Tensor& t);
/** A tensor goes out to JavaScript. */
void note(const at::Tensor& t);
bool probing();

void init(Napi::Env env, Napi::Object exports);

}  // namespace jorch::closure
