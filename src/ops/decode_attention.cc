// SPDX-License-Identifier: Apache-2.0
#include "ops/decode_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

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
  if (q.is_cuda() && (kernels::cuda() == nullptr || q.size(2) > kernels::cuda()->widest_head))
    return false;
  return std::all_of(cached.begin(), cached.end(), [&](const CachedKeysValues& own) {
    const bool applies = q.is_cuda() ? gpu_kernel_applies(q, {own.keys, own.values}) &&
                                           may_be_read_in_packs(own.keys) &&
                                           may_be_read_in_packs(own.values)
                                     : kernel_applies(q, {own.keys, own.values});
    return applies && dense_rows(own.keys) && dense_rows(own.values) &&
           own.keys.stride(0) == own.values.stride(0) && own.keys.size(0) == cached[0].keys.size(0);
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

// The same rows in the memory of the GPU that q lies on, without waiting for it.
at::Tensor on_device(const std::vector<kernels::CachedRows>& rows, const at::Tensor& q) {
  const auto bytes = static_cast<int64_t>(rows.size() * sizeof(kernels::CachedRows));
  const at::Tensor pinned = at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(true));
  std::memcpy(pinned.mutable_data_ptr(), rows.data(), bytes);
  return pinned.to(q.device(), /*non_blocking=*/true);
}

void attend_on_gpu(const at::Tensor& q,
                   const std::vector<kernels::CachedRows>& rows,
                   kernels::Element element,
                   kernels::DecodeAttentionArguments arguments) {
  const at::Tensor own = on_device(rows, q);
  arguments.cached = static_cast<const kernels::CachedRows*>(own.const_data_ptr());
  on_gpu(q, "decode_attention", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
    gpu.decode_attention(element, arguments, q.size(0), stream);
  });
}

at::Tensor by_kernel(const at::Tensor& q,
                     const std::vector<CachedKeysValues>& cached,
                     const AttentionOptions& options) {
  const std::vector<kernels::CachedRows> rows = rows_seen(cached, options.window);
  int64_t most_keys = 0;
  for (const auto& own : rows) most_keys = std::max(most_keys, own.num_keys - own.first_key);
  const int64_t heads = q.size(1), kv_heads = cached[0].keys.size(0), width = q.size(2);
  const int64_t of_part = q.is_cuda() ? kernels::kKeysPerGpuPart : kernels::kKeysPerPart;
  const int64_t parts = (most_keys + of_part - 1) / of_part;
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
  if (q.is_cuda()) {
    attend_on_gpu(query, rows, element_of(cached[0].keys), arguments);
    return out.to(q.scalar_type());
  }
  const int64_t most_of_part = std::min(most_keys, of_part);
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
