// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <utility>

#include "kernels/kernels.h"

namespace precis::ops {

// Rows of a sequence in pages: [layers, 2, kv_heads, kRowsPerPage, head_dim] each, contiguous, keys
// before values. Row r is row r % kRowsPerPage of page r / kRowsPerPage.
inline constexpr int64_t kRowsPerPage = kernels::kRowsPerPage;

inline int64_t pages_for(int64_t rows) { return (rows + kRowsPerPage - 1) / kRowsPerPage; }

// Puts rows of one layer, [kv_heads, n, head_dim] each, at rows first .. first + n - 1.
void write_to_pages(std::span<const at::Tensor> pages,
                    int64_t layer,
                    int64_t first,
                    const at::Tensor& keys,
                    const at::Tensor& values);

// A copy of rows first .. first + count - 1 of one layer: keys and values, [kv_heads, count,
// head_dim] each. REQUIRES: count at least 1.
std::pair<at::Tensor, at::Tensor> read_from_pages(std::span<const at::Tensor> pages,
                                                  int64_t layer,
                                                  int64_t first,
                                                  int64_t count);

namespace reference {
std::pair<at::Tensor, at::Tensor> read_from_pages(std::span<const at::Tensor> pages,
                                                  int64_t layer,
                                                  int64_t first,
                                                  int64_t count);
void write_to_pages(std::span<const at::Tensor> pages,
                    int64_t layer,
                    int64_t first,
                    const at::Tensor& keys,
                    const at::Tensor& values);
}  // namespace reference

}  // namespace precis::ops
