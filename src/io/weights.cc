// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/weights.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace precis {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += concat(i ? ", " : "", shape[i]);
  return text + "]";
}

}  // namespace

at::Tensor WeightSource::load_rows(const std::string& name,
                                   int64_t first,
                                   int64_t count,
                                   c10::ScalarType dtype) const {
  return load(name, dtype).narrow(0, first, count);
}

Weights::Weights(std::shared_ptr<const WeightSource> source, c10::TensorOptions options)
    : source_(std::move(source)),
      options_(options),
      taken_(std::make_shared<std::set<std::string>>()) {
  const auto names = source_->names();
  names_ = std::make_shared<std::set<std::string>>(names.begin(), names.end());
}

Weights Weights::scope(std::string_view name) const {
  Weights inner = *this;
  inner.prefix_ = full(name) + ".";
  return inner;
}

std::string Weights::full(std::string_view name) const { return prefix_ + std::string(name); }

bool Weights::has(std::string_view name) const { return names_->contains(full(name)); }

at::Tensor Weights::take(std::string_view name, at::IntArrayRef shape) const {
  return take(name, shape, c10::typeMetaToScalarType(options_.dtype()));
}

at::Tensor Weights::take(std::string_view name,
                         at::IntArrayRef shape,
                         c10::ScalarType dtype) const {
  return source_->load(taken(name, shape), dtype).to(options_.device());
}

at::Tensor Weights::take_rows(std::string_view name,
                              at::IntArrayRef shape,
                              int64_t first,
                              int64_t count) const {
  PRECIS_CHECK(!shape.empty() && first >= 0 && count >= 0 && count <= shape[0] - first,
               kInvalidArgument,
               source_->origin(),
               ": tensor ",
               full(name),
               " has no rows ",
               first,
               " to ",
               first + count);
  const auto dtype = c10::typeMetaToScalarType(options_.dtype());
  return source_->load_rows(taken(name, shape), first, count, dtype).to(options_.device());
}

std::string Weights::taken(std::string_view name, at::IntArrayRef shape) const {
  const std::string whole = full(name);
  PRECIS_CHECK(has(name), kBadWeights, source_->origin(), ": tensor ", whole, " is missing");
  const auto& stored = source_->shape(whole);
  PRECIS_CHECK(at::IntArrayRef(stored) == shape,
               kBadWeights,
               source_->origin(),
               ": tensor ",
               whole,
               " is ",
               shape_text(stored),
               ", expected ",
               shape_text(shape));
  taken_->insert(whole);
  return whole;
}

void Weights::skip(std::string_view name) const { taken_->insert(full(name)); }

std::vector<std::string> Weights::unread() const {
  std::vector<std::string> left;
  for (const std::string& name : *names_) {
    if (!taken_->contains(name)) left.push_back(name);
  }
  return left;
}

void Weights::check_all_taken() const {
  const auto left = unread();
  PRECIS_CHECK(left.empty(), kBadWeights, source_->origin(), ": surplus tensor ", left.front());
}

}  // namespace precis
