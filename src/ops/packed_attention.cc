// SPDX-License-Identifier: Apache-2.0
#include "ops/packed_attention.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "ops/copy_to_device.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

at::Tensor int32_on(const std::vector<int64_t>& starts, c10::Device device) {
  return copy_to_device_async(at::tensor(starts, at::kInt), device);
}

int64_t longest(const std::vector<int64_t>& starts) {
  int64_t most = 0;
  for (size_t i = 0; i + 1 < starts.size(); ++i) most = std::max(most, starts[i + 1] - starts[i]);
  return most;
}

void check(const at::Tensor& q,
           const at::Tensor& k,
           const at::Tensor& v,
           const PackedSequences& sequences) {
  const std::vector<int64_t>&queries = sequences.queries, &keys = sequences.keys;
  bool fits = q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(2) == k.size(2) &&
              k.size(1) > 0 && q.size(1) % k.size(1) == 0 && !queries.empty() &&
              queries.size() == keys.size() && queries.front() == 0 && keys.front() == 0 &&
              queries.back() == q.size(0) && keys.back() == k.size(0) &&
              q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type();
  for (size_t i = 0; fits && i + 1 < queries.size(); ++i) {
    const int64_t own = queries[i + 1] - queries[i];
    fits = own >= 1 && own <= keys[i + 1] - keys[i];
  }
  PRECIS_CHECK(fits,
               kInvalidArgument,
               "attention: queries ",
               q.sizes(),
               ", keys ",
               k.sizes(),
               " and values ",
               v.sizes(),
               " of one dtype are not the tokens of ",
               queries.size(),
               " - 1 sequences");
}

// FlashAttention-2, whose causal mask is aligned to the last key.
bool flash_applies(const at::Tensor& q) {
  return q.scalar_type() == at::kBFloat16 && q.size(2) % 8 == 0 && q.size(2) <= 256;
}

at::Tensor by_flash(const at::Tensor& q,
                    const at::Tensor& k,
                    const at::Tensor& v,
                    const PackedSequences& sequences,
                    const AttentionOptions& options) {
  const auto before =
      options.window > 0 ? std::optional<int64_t>(options.window - 1) : std::optional<int64_t>();
  return std::get<0>(at::_flash_attention_forward(q,
                                                  k,
                                                  v,
                                                  sequences.cu_seqlens_q,
                                                  sequences.cu_seqlens_k,
                                                  longest(sequences.queries),
                                                  longest(sequences.keys),
                                                  /*dropout_p=*/0.0,
                                                  /*is_causal=*/true,
                                                  /*return_debug_mask=*/false,
                                                  options.scale,
                                                  before,
                                                  /*window_size_right=*/0));
}

// libtorch's kernel for float32. It does not support grouped queries, so heads are repeated.
at::Tensor by_efficient_attention(const at::Tensor& q,
                                  const at::Tensor& k,
                                  const at::Tensor& v,
                                  const PackedSequences& sequences,
                                  const AttentionOptions& options) {
  constexpr int64_t kCausalFromTheLastKey = 2;
  // Counts the query's own key, as our window does.
  const auto window =
      options.window > 0 ? std::optional<int64_t>(options.window) : std::optional<int64_t>();
  const auto batch = [&](const at::Tensor& x) {
    return x.repeat_interleave(q.size(1) / x.size(1), 1).unsqueeze(0);
  };
  return std::get<0>(at::_efficient_attention_forward(batch(q),
                                                      batch(k),
                                                      batch(v),
                                                      /*bias=*/{},
                                                      sequences.cu_seqlens_q,
                                                      sequences.cu_seqlens_k,
                                                      longest(sequences.queries),
                                                      longest(sequences.keys),
                                                      /*dropout_p=*/0.0,
                                                      kCausalFromTheLastKey,
                                                      /*compute_log_sumexp=*/false,
                                                      options.scale,
                                                      /*seqlen_k=*/{},
                                                      window))
      .squeeze(0);
}

// Calls a dense attention for each sequence.
template <typename Attention>
at::Tensor for_each_sequence(const at::Tensor& q,
                             const at::Tensor& k,
                             const at::Tensor& v,
                             const PackedSequences& sequences,
                             const AttentionOptions& options,
                             const Attention& attend) {
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i + 1 < sequences.queries.size(); ++i) {
    const auto own = [i](const at::Tensor& x, const std::vector<int64_t>& starts) {
      return x.narrow(0, starts[i], starts[i + 1] - starts[i]).transpose(0, 1).unsqueeze(0);
    };
    outputs.push_back(attend(own(q, sequences.queries),
                             own(k, sequences.keys),
                             own(v, sequences.keys),
                             options,
                             at::Tensor())
                          .squeeze(0)
                          .transpose(0, 1));
  }
  return at::cat(outputs, 0);
}

}  // namespace

PackedSequences packed_sequences(std::vector<int64_t> queries,
                                 std::vector<int64_t> keys,
                                 c10::Device device) {
  PackedSequences packed{std::move(queries), std::move(keys), {}, {}};
  if (!device.is_cuda()) return packed;
  packed.cu_seqlens_q = int32_on(packed.queries, device);
  packed.cu_seqlens_k =
      packed.keys == packed.queries ? packed.cu_seqlens_q : int32_on(packed.keys, device);
  return packed;
}

bool attention_is_packed(const at::Tensor& q) {
  return !c10::GradMode::is_enabled() && gpu_kernel_applies(q);
}

at::Tensor reference::packed_attention(const at::Tensor& q,
                                       const at::Tensor& k,
                                       const at::Tensor& v,
                                       const PackedSequences& sequences,
                                       const AttentionOptions& options) {
  return for_each_sequence(q, k, v, sequences, options, reference::dense_attention);
}

at::Tensor packed_attention(const at::Tensor& q,
                            const at::Tensor& k,
                            const at::Tensor& v,
                            const PackedSequences& sequences,
                            const AttentionOptions& options) {
  check(q, k, v, sequences);
  if (gpu_kernel_applies(q, {k, v}) && sequences.cu_seqlens_q.defined()) {
    if (flash_applies(q)) return by_flash(q, k, v, sequences, options);
    // Its kernels load four values at a time.
    if (q.scalar_type() == at::kFloat && q.size(2) % 4 == 0)
      return by_efficient_attention(q, k, v, sequences, options);
  }
  return for_each_sequence(q, k, v, sequences, options, ops::dense_attention);
}

}  // namespace precis::ops
