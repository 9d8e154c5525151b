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

// Named tensors that are read on demand. Implementations: safetensors and GGUF.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual const std::string& origin() const = 0;  // the path, for messages
  virtual std::vector<std::string> names() const = 0;
  virtual const std::vector<int64_t>& shape(const std::string& name) const = 0;
  // A new tensor on the CPU, converted to `dtype`. Throws kBadWeights if the stored one is not of a
  // floating type.
  virtual at::Tensor load(const std::string& name, c10::ScalarType dtype) const = 0;
  // Rows first .. first + count - 1 of what load() returns, [count, ...]; throws as load(). The
  // default loads the whole tensor at each call: override it where rows can be read alone.
  // REQUIRES: one dimension or more, 0 <= first, first + count <= shape(name)[0].
  virtual at::Tensor load_rows(const std::string& name,
                               int64_t first,
                               int64_t count,
                               c10::ScalarType dtype) const;
  // Hash of names, shapes and stored bytes of all tensors, independent of the dtype that they are
  // loaded in.
  virtual std::string fingerprint() const = 0;
};

// The tensors of a source below one prefix. Records which were taken, so that a loader can refuse a
// file with unused tensors. Scopes share that record with the object that they were made from.
class Weights {
 public:
  Weights(std::shared_ptr<const WeightSource> source, c10::TensorOptions options);

  // The tensors whose names start with this scope's prefix, then `name`, then a dot.
  Weights scope(std::string_view name) const;

  bool has(std::string_view name) const;
  // The tensor in the dtype and on the device of options(), or in `dtype`. Throws kBadWeights if it
  // is missing or has another shape.
  at::Tensor take(std::string_view name, at::IntArrayRef shape) const;
  at::Tensor take(std::string_view name, at::IntArrayRef shape, c10::ScalarType dtype) const;
  // Rows first .. first + count - 1 of what take(name, shape) returns, [count, ...]. Throws as
  // take(), and kInvalidArgument if there are no such rows.
  at::Tensor take_rows(std::string_view name,
                       at::IntArrayRef shape,
                       int64_t first,
                       int64_t count) const;
  // Marks a tensor as taken without reading it: one that is known and not needed, such as a stored
  // rotary table.
  void skip(std::string_view name) const;

  // Names of the tensors that no scope has taken or skipped.
  std::vector<std::string> unread() const;
  // Throws kBadWeights naming the first of them, if there is one.
  void check_all_taken() const;
  const WeightSource& source() const { return *source_; }
  const c10::TensorOptions& options() const { return options_; }

 private:
  std::string full(std::string_view name) const;
  // Checks that the tensor exists and has this shape, marks it as taken and returns its full name.
  std::string taken(std::string_view name, at::IntArrayRef shape) const;

  std::shared_ptr<const WeightSource> source_;
  c10::TensorOptions options_;
  std::string prefix_;
  std::shared_ptr<const std::set<std::string>> names_;
  std::shared_ptr<std::set<std::string>> taken_;
};

}  // namespace precis
