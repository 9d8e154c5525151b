// SPDX-License-Identifier: Apache-2.0
#include "refine/refined_tensors.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace precis {
namespace {

// The size of each row, [..., 1]: the median of its absolute values, since a few channels of keys
// are many times larger than all others (Qwen's key biases), scaled to be the standard deviation of
// normally distributed values. Rows that are next to 0, such as the values of attention sinks,
// count as a twentieth of the mean, so that they can move at all.
at::Tensor row_sizes(const at::Tensor& rows) {
  constexpr double kMedianToDeviation = 1.4826, kSmallest = 0.05;
  const at::Tensor sizes =
      std::get<0>(rows.abs().median(-1, /*keepdim=*/true)) * kMedianToDeviation;
  return at::maximum(sizes, sizes.mean() * kSmallest);
}

RefinedTensors::Part part_of(const at::Tensor& tensor, double rate) {
  const at::ScalarType dtype = tensor.scalar_type();
  // A copy, since tensors that were made in inference mode cannot take part in a backward pass.
  const at::Tensor given =
      tensor.to(at::promote_types(dtype, at::kFloat), /*non_blocking=*/false, /*copy=*/true)
          .detach();
  return {given, row_sizes(given), at::zeros_like(given).requires_grad_(true), rate, dtype};
}

at::Tensor value_of(const RefinedTensors::Part& part) {
  return (part.given + part.size * part.change).to(part.dtype);
}

}  // namespace

RefinedTensors::RefinedTensors(const MemoryTensors& given, const RefineRates& rates)
    : given_(given) {
  if (const auto* soft = std::get_if<SoftTokens>(&given)) {
    parts_.push_back(part_of(soft->embeddings, rates.embeddings));
    return;
  }
  const auto& cached = std::get<CachedTokens>(given);
  parts_.push_back(part_of(cached.keys, rates.keys));
  parts_.push_back(part_of(cached.values, rates.values));
}

MemoryTensors RefinedTensors::memory() const {
  if (std::holds_alternative<SoftTokens>(given_)) return SoftTokens{value_of(parts_[0])};
  CachedTokens changed = std::get<CachedTokens>(given_);
  changed.keys = value_of(parts_[0]);
  changed.values = value_of(parts_[1]);
  return changed;
}

std::vector<at::Tensor> RefinedTensors::changes() const {
  std::vector<at::Tensor> copies;
  for (const Part& part : parts_) copies.push_back(part.change.detach().clone());
  return copies;
}

void RefinedTensors::set_changes(const std::vector<at::Tensor>& changes) {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < parts_.size(); ++i) parts_[i].change.copy_(changes[i]);
}

}  // namespace precis
