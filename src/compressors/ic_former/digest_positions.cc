// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/digest_positions.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "base/spread_position.h"
#include "ops/copy_to_device.h"

namespace precis::ic_former {
namespace {

// Table of the positions 0 .. count - 1, computed in float64 and rounded once.
ops::RotaryTable rotary_table(int64_t count,
                              int64_t head_dim,
                              const DigestShape& shape,
                              const at::TensorOptions& options) {
  const auto wide = options.dtype(at::kDouble);
  const at::Tensor exponents = at::arange(0, head_dim, 2, wide) / static_cast<double>(head_dim);
  const at::Tensor frequencies = at::pow(shape.rope_base, exponents.neg());
  const at::Tensor angles = at::arange(count, wide).unsqueeze(1) * frequencies;
  const auto dtype = options.dtype() == at::kDouble ? at::kDouble : at::kFloat;
  return {angles.cos().to(dtype), angles.sin().to(dtype)};
}

ops::RotaryTable at_positions(const ops::RotaryTable& table, const at::Tensor& positions) {
  return {table.cos.index_select(0, positions), table.sin.index_select(0, positions)};
}

// Positions of the digests of one text, [num_digests] int64.
at::Tensor digest_positions(int64_t length,
                            int64_t num_digests,
                            const DigestShape& shape,
                            const at::TensorOptions& index) {
  if (!shape.spread) return at::arange(length, length + num_digests, index);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < num_digests; ++i)
    positions.push_back(spread_position(i, num_digests, length));
  return ops::copy_to_device_async(at::tensor(positions, at::kLong), index.device());
}

}  // namespace

DigestAngles digest_angles(std::span<const int64_t> lengths,
                           int64_t num_digests,
                           int64_t head_dim,
                           const DigestShape& shape,
                           const at::TensorOptions& options) {
  const auto index = options.dtype(at::kLong);
  std::vector<at::Tensor> keys, queries;
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const at::Tensor tokens = at::arange(longest, index);
  for (const int64_t length : lengths) {
    queries.push_back(digest_positions(length, num_digests, shape, index));
    keys.push_back(tokens.narrow(0, 0, length));
    keys.push_back(queries.back());
  }
  const auto table = rotary_table(longest + num_digests, head_dim, shape, options);
  return {at_positions(table, at::cat(keys, 0)), at_positions(table, at::cat(queries, 0))};
}

}  // namespace precis::ic_former
