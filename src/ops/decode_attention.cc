// SPDX-License-Identifier: Apache-2.0
#include "ops/decode_attention.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

void check_shapes(const at::Tensor& q, const std::vector<CachedKeysValues>& cached) {
  PRECIS_CHECK(q.dim() == 3 && !cached.empty() && q.size(0) == std::ssize(cached),
               kInvalidArgument,
               "attention: queries ",
               q.sizes(),
               " of ",
               cached.size(),
               " sequences");
  for (const auto& [keys, values] : cached) {
    PRECIS_CHECK(keys.dim() == 3 && keys.sizes() == values.sizes() && keys.size(0) > 0 &&
                     keys.size(1) > 0 && keys.size(2) == q.size(2) && q.size(1) % keys.size(0) == 0,
                 kInvalidArgument,
                 "attention: queries ",
                 q.sizes(),
                 " do not fit keys ",
                 keys.sizes(),
                 " and values ",
                 values.sizes());
    PRECIS_CHECK(keys.scalar_type() == q.scalar_type() && values.scalar_type() == q.scalar_type(),
                 kInvalidArgument,
                 "attention: queries are ",
                 at::toString(q.scalar_type()),
                 ", keys ",
                 at::toString(keys.scalar_type()),
                 ", values ",
                 at::toString(values.scalar_type()),
                 "; expected one dtype");
  }
}

bool dense_rows(const at::Tensor& x) { return x.stride(2) == 1 && x.stride(1) == x.size(2); }

bool decode_kernel_applies(const at::Tensor& q, const std::vector<CachedKeysValues>& cached) {
  return std::all_of(cached.begin(), cached.end(), [&](const CachedKeysValues& own) {
    return kernel_applies(q, {own.keys, own.values}) && dense_rows(own.keys) &&
           dense_rows(own.values) && own.keys.stride(0) == own.values.stride(0) &&
           own.keys.size(0) == cached[0].keys.size(0);
  });
}

std::vector<kernels::CachedRows> rows_seen(const std::vector<CachedKeysValues>& cached,
                                           int64_t window) {
  std::vector<kernels::CachedRows> rows;
  rows.reserve(cached.size());
  for (const auto& [keys, values] : cached) {
    const int64_t num_keys = keys.size(1);
    rows.push_back({keys.const_data_ptr(),
                    values.const_data_ptr(),
                    keys.stride(0),
                    window > 0 ? std::max<int64_t>(0, num_keys - window) : 0,
                    num_keys});
  }
  return rows;
}

at::Tensor by_kernel(const at::Tensor& q,
                     const std::vector<CachedKeysValues>& cached,
                     const AttentionOptions& options) {
  const std::vector<kernels::CachedRows> rows = rows_seen(cached, options.window);
  int64_t most_keys = 0;
  for (const auto& own : rows) most_keys = std::max(most_keys, own.num_keys - own.first_key);
  const int64_t heads = q.size(1), kv_heads = cached[0].keys.size(0), width = q.size(2);
  constexpr int64_t kOfPart = kernels::kKeysPerPart;
  const int64_t parts = (most_keys + kOfPart - 1) / kOfPart;
  const at::Tensor query = q.to(at::kFloat).contiguous();
  const at::Tensor out = at::empty(q.sizes(), query.options());
  const at::Tensor states = at::empty({q.size(0) * heads * parts * (width + 2)}, query.options());
  const kernels::DecodeAttentionArguments arguments{query.const_data_ptr<float>(),
                                                    rows.data(),
                                                    out.mutable_data_ptr<float>(),
                                                    states.mutable_data_ptr<float>(),
                                                    heads,
                                                    kv_heads,
                                                    width,
                                                    parts,
                                                    static_cast<float>(options.scale)};
  const int64_t most_of_part = std::min(most_keys, kOfPart);
  for_row_ranges(q.size(0) * kv_heads * parts,
                 heads / kv_heads * most_of_part * width,
                 [&](int64_t first, int64_t last) {
                   kernels::cpu().decode_attention(
                       element_of(cached[0].keys), arguments, first, last);
                 });
  for_row_ranges(q.size(0) * heads, parts * width, [&](int64_t first, int64_t last) {
    kernels::cpu().merge_decode_attention(arguments, first, last);
  });
  return out.to(q.scalar_type());
}

// One sequence after the other, by any attention of four dimensions.
template <typename Attention>
at::Tensor one_after_the_other(const at::Tensor& q,
                               const std::vector<CachedKeysValues>& cached,
                               const AttentionOptions& options,
                               const Attention& attend) {
  std::vector<at::Tensor> rows;
  const std::vector<at::Tensor> queries = q.unbind(0);
  for (size_t i = 0; i < cached.size(); ++i) {
    const auto& [keys, values] = cached[i];
    const at::Tensor query = queries[i].unsqueeze(1).unsqueeze(0);
    rows.push_back(attend(query, keys.unsqueeze(0), values.unsqueeze(0), options, at::Tensor())
                       .view({q.size(1), q.size(2)}));
  }
  return at::stack(rows);
}

}  // namespace

at::Tensor reference::decode_attention(const at::Tensor& q,
                                       const std::vector<CachedKeysValues>& cached,
                                       const AttentionOptions& options) {
  return one_after_the_other(q, cached, options, reference::attention);
}

at::Tensor decode_attention(const at::Tensor& q,
                            const std::vector<CachedKeysValues>& cached,
                            const AttentionOptions& options) {
  check_shapes(q, cached);
  return decode_kernel_applies(q, cached) ? by_kernel(q, cached, options)
                                          : one_after_the_other(q, cached, options, ops::attention);
}

}  // namespace precis::ops
