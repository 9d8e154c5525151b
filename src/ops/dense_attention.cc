// SPDX-License-Identifier: Apache-2.0
#include "ops/dense_attention.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <limits>

#include "base/check.h"
#include "base/processor.h"

namespace precis::ops {
namespace {

// Mask of the keys that each query attends to, [n, m]: those up to its own, or the visible ones and
// its own; in a window, the latest of these.
at::Tensor allowed(
    int64_t n, int64_t m, int64_t window, const at::Tensor& visible, c10::Device device) {
  const auto index = at::TensorOptions(at::kLong).device(device);
  const at::Tensor own = at::arange(m - n, m, index).unsqueeze(1);
  const at::Tensor key = at::arange(m, index).unsqueeze(0);
  if (!visible.defined()) {
    const at::Tensor mask = key <= own;
    return window > 0 ? mask.logical_and(key > own - window) : mask;
  }
  const at::Tensor position = visible.unsqueeze(1);  // the query's, for a window
  at::Tensor mask = key < position;
  if (window > 0) mask = mask.logical_and(key > position - window);
  return mask.logical_or(key == own);
}

// [batch, kv_heads, m, d] -> [batch, heads, m, d], each head repeated for the queries that share
// it.
at::Tensor repeat_heads(const at::Tensor& x, int64_t heads) {
  const int64_t group = heads / x.size(1);
  if (group == 1) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), group, x.size(2), x.size(3)})
      .reshape({x.size(0), heads, x.size(2), x.size(3)});
}

void check_shapes(const at::Tensor& q,
                  const at::Tensor& k,
                  const at::Tensor& v,
                  const at::Tensor& visible) {
  PRECIS_CHECK(q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes(),
               kInvalidArgument,
               "attention: expected q, k, v of 4 dimensions, got [",
               q.sizes(),
               "], [",
               k.sizes(),
               "], [",
               v.sizes(),
               "]");
  PRECIS_CHECK(q.size(1) % k.size(1) == 0,
               kInvalidArgument,
               "attention: ",
               q.size(1),
               " query heads are no multiple of ",
               k.size(1),
               " key heads");
  PRECIS_CHECK(q.size(0) == k.size(0) && q.size(3) == k.size(3) && q.size(2) <= k.size(2),
               kInvalidArgument,
               "attention: queries [",
               q.sizes(),
               "] do not fit keys [",
               k.sizes(),
               "]");
  PRECIS_CHECK(!visible.defined() || (visible.scalar_type() == at::kLong && visible.dim() == 1 &&
                                      visible.size(0) == q.size(2)),
               kInvalidArgument,
               "attention: visible_cache_len is not one length for each of the ",
               q.size(2),
               " queries");
  const auto dtype = q.scalar_type();
  PRECIS_CHECK(k.scalar_type() == dtype && v.scalar_type() == dtype,
               kInvalidArgument,
               "attention: queries are ",
               at::toString(dtype),
               ", keys ",
               at::toString(k.scalar_type()),
               ", values ",
               at::toString(v.scalar_type()),
               "; expected one dtype");
}

// Queries for which a backward pass takes equally long in both dtypes.
constexpr int64_t kShort = 192;

// True for bfloat16 on a processor without bfloat16 products, and for backward passes of short
// sequences: libtorch sets up a bfloat16 product anew for every 32 queries of every head, which
// takes longer than float32 does (112 queries, 9 heads: 2 times).
bool is_faster_in_float32(const at::Tensor& q, const at::Tensor& k) {
  if (!q.is_cpu() || q.scalar_type() != at::kBFloat16) return false;
  const bool backward = c10::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad());
  return !processor_has_bfloat16() || (backward && q.size(2) <= kShort);
}

at::Tensor prefill(const at::Tensor& q,
                   const at::Tensor& k,
                   const at::Tensor& v,
                   const AttentionOptions& options,
                   const at::Tensor& visible) {
  const int64_t n = q.size(2), m = k.size(2);
  const bool windowed = options.window > 0 && options.window < m;
  const bool plain_causal = n == m && !windowed && !visible.defined();
  std::optional<at::Tensor> mask;
  if (!plain_causal) mask = allowed(n, m, windowed ? options.window : 0, visible, q.device());
  // libtorch's CPU kernel supports grouped queries, but not all its GPU kernels do.
  const bool shares_heads = q.is_cpu() && q.size(1) != k.size(1);
  const auto heads = [&](const at::Tensor& x) {
    return shares_heads ? x : repeat_heads(x, q.size(1));
  };
  return at::scaled_dot_product_attention(
      q, heads(k), heads(v), mask, 0.0, plain_causal, options.scale, shares_heads);
}

}  // namespace

at::Tensor reference::dense_attention(const at::Tensor& q,
                                      const at::Tensor& k,
                                      const at::Tensor& v,
                                      const AttentionOptions& options,
                                      const at::Tensor& visible) {
  const at::Tensor keys = repeat_heads(k, q.size(1));
  const at::Tensor mask = allowed(q.size(2), k.size(2), options.window, visible, q.device());
  // Scores are float32: in bfloat16, scores over 100, as a new IC-Former has, would be rounded to
  // integers before they are scaled.
  const auto wide = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor scores =
      (at::matmul(q.to(wide), keys.to(wide).transpose(-2, -1)) * options.scale)
          .masked_fill(mask.logical_not(), -std::numeric_limits<float>::infinity());
  return at::matmul(scores.softmax(-1).to(q.scalar_type()), repeat_heads(v, q.size(1)));
}

at::Tensor dense_attention(const at::Tensor& q,
                           const at::Tensor& k,
                           const at::Tensor& v,
                           const AttentionOptions& options,
                           const at::Tensor& visible) {
  check_shapes(q, k, v, visible);
  if (is_faster_in_float32(q, k)) {
    return prefill(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), options, visible)
        .to(q.scalar_type());
  }
  return prefill(q, k, v, options, visible);
}

}  // namespace precis::ops
