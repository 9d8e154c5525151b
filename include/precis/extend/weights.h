// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace precis {

// Where weights come from: named tensors that are read on demand. Implementations: safetensors and
// GGUF.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual const std::string& origin() const = 0;  // for messages: the path
  virtual std::vector<std::string> names() const = 0;
  virtual const std::vector<int64_t>& shape(const std::string& name) const = 0;
  // A fresh tensor on the CPU. Throws kBadWeights if it is not of a floating type.
  virtual at::Tensor load(const std::string& name, c10::ScalarType dtype) const = 0;
  // Rows first .. first + count of a tensor of one dimension or more as load() gives them,
  // [count, ...]; throws as load(). This one loads all of them at each call: a source that can
  // reads no others. REQUIRES: 0 <= first, first + count <= shape(name)[0].
  virtual at::Tensor load_rows(const std::string& name,
                               int64_t first,
                               int64_t count,
                               c10::ScalarType dtype) const;
  // Hash of names, shapes and stored bytes of all tensors: the same whatever dtype they are loaded
  // in.
  virtual std::string fingerprint() const = 0;
};

// Weights below one prefix. Remembers which were taken, so that a loader can insist that none is
// left over. Scopes share that memory with the object they were made from.
class Weights {
 public:
  Weights(std::shared_ptr<const WeightSource> source, c10::TensorOptions options);

  // Weights whose names start with this scope's prefix, then `name`, then a dot.
  Weights scope(std::string_view name) const;

  bool has(std::string_view name) const;
  // Throws kBadWeights if the tensor is missing or has another shape.
  at::Tensor take(std::string_view name, at::IntArrayRef shape) const;
  at::Tensor take(std::string_view name, at::IntArrayRef shape, c10::ScalarType dtype) const;
  // A part of what take(name, shape) gives: its rows first .. first + count, [count, ...]. Throws
  // as take(), and kInvalidArgument if there are no such rows.
  at::Tensor take_rows(std::string_view name,
                       at::IntArrayRef shape,
                       int64_t first,
                       int64_t count) const;
  // Counts as taken without being read: for known leftovers such as stored rotary tables.
  void skip(std::string_view name) const;

  // Names in the source that nobody took, over all scopes.
  std::vector<std::string> unread() const;
  // Throws kBadWeights naming the first of them, if any.
  void check_all_taken() const;
  const WeightSource& source() const { return *source_; }
  const c10::TensorOptions& options() const { return options_; }

 private:
  std::string full(std::string_view name) const;
  // The full name of one that is there, and counts as taken from now on.
  std::string taken(std::string_view name, at::IntArrayRef shape) const;

  std::shared_ptr<const WeightSource> source_;
  c10::TensorOptions options_;
  std::string prefix_;
  std::shared_ptr<const std::set<std::string>> names_;
  std::shared_ptr<std::set<std::string>> taken_;
};

}  // namespace precis
