// A TorchScript program: its objects, where their tensors are, and calls with the tensors that JavaScript holds for them.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "jit/code.h"

namespace jorch::jit {

// A slot of an object that holds a tensor, or may.
struct Place {
  c10::intrusive_ptr<c10::ivalue::Object> object;
  size_t slot;
  int64_t tensor;  // which of JavaScript's; -1 while the slot holds None
  bool parameter;
};

// A container attribute with tensors in it.
struct Container {
  c10::intrusive_ptr<c10::ivalue::Object> object;
  size_t slot;
};

class Script {
 public:
  explicit Script(torch::jit::Module root);

  const torch::jit::Module& root() const { return root_; }
  // Objects, not modules: making a torch::jit::Module allocates inside a noexcept constructor of libtorch's.
  const std::vector<torch::jit::Object>& objects() const { return objects_; }
  const std::vector<Place>& places() const { return places_; }
  // Different tensors in the order of the places; what the slots held when the file was read.
  const std::vector<at::Tensor>& tensors() const { return tensors_; }
  int64_t indexOf(const c10::ivalue::Object& object) const;

  const torch::jit::Code& code(size_t object, const std::string& method, bool traced);

  // What a call put into a place instead of the tensor that it was given; undefined for None.
  struct Change {
    size_t place;
    at::Tensor now;
  };
  struct Outcome {
    c10::IValue result;
    std::vector<Change> changes;
  };
  // Calls a method; `held` are the tensors that the places hold now (undefined for None), eager ones. In a trace they are lifted, and what the
  // script keeps in its attributes is written into them. Afterwards the slots hold `held` again.
  Outcome call(size_t object, const std::string& method, torch::jit::Stack stack, const std::vector<at::Tensor>& held);

  // Text that is equal as long as no attribute that a program may depend on has changed, apart from the tensors of places.
  std::string key() const;
  // An attribute that only JavaScript changes: from now on part of the key.
  void watch(size_t object, const std::string& name);

 private:
  void visit(const torch::jit::ObjectPtr& object);
  void findWatched();

  torch::jit::Module root_;
  std::vector<torch::jit::Object> objects_;
  std::unordered_map<const c10::ivalue::Object*, int64_t> indices_;
  std::vector<Place> places_;
  std::vector<Container> containers_;
  std::vector<at::Tensor> tensors_;
  std::vector<std::pair<c10::intrusive_ptr<c10::ivalue::Object>, size_t>> watched_;
  std::map<std::tuple<size_t, std::string, bool>, torch::jit::Code> codes_;
};

}  // namespace jorch::jit
