// SPDX-License-Identifier: Apache-2.0
#include "ops/packed_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace precis {
namespace {

// reference::attention of each sequence on its own.
at::Tensor apart(const at::Tensor& q,
                 const at::Tensor& k,
                 const at::Tensor& v,
                 const ops::PackedSequences& sequences,
                 const ops::AttentionOptions& options) {
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i + 1 < sequences.queries.size(); ++i) {
    const auto own = [i](const at::Tensor& x, const std::vector<int64_t>& starts) {
      return x.slice(0, starts[i], starts[i + 1]).transpose(0, 1).unsqueeze(0).to(at::kDouble);
    };
    rows.push_back(
        ops::reference::dense_attention(
            own(q, sequences.queries), own(k, sequences.keys), own(v, sequences.keys), options)
            .squeeze(0)
            .transpose(0, 1));
  }
  return at::cat(rows);
}

TEST(PackedAttention, IsAttentionOfEachSequence) {
  at::manual_seed(2);
  const ops::PackedSequences sequences =
      ops::packed_sequences({0, 3, 4, 9}, {0, 3, 21, 40}, at::kCPU);
  for (const int64_t kv_heads : {1, 2, 4}) {
    const at::Tensor q = at::randn({9, 4, 16}), k = at::randn({40, kv_heads, 16});
    // A slice of a fused projection.
    const at::Tensor v = at::randn({40, 3 * kv_heads, 16}).narrow(1, kv_heads, kv_heads);
    for (const int64_t window : {0, 5}) {
      const ops::AttentionOptions options{0.3, window};
      const at::Tensor expected = apart(q, k, v, sequences, options);
      EXPECT_TRUE(ops::packed_attention(q, k, v, sequences, options)
                      .to(at::kDouble)
                      .allclose(expected, 1e-5, 1e-5));
      EXPECT_TRUE(ops::reference::packed_attention(q, k, v, sequences, options)
                      .to(at::kDouble)
                      .allclose(expected, 1e-5, 1e-5));
    }
  }
}

TEST(PackedAttention, RefusesMismatchedSequences) {
  const at::Tensor q = at::randn({4, 2, 8}), k = at::randn({6, 2, 8});
  const auto refuse = [&](std::vector<int64_t> queries, std::vector<int64_t> keys) {
    const auto sequences = ops::packed_sequences(std::move(queries), std::move(keys), at::kCPU);
    expect_error(ErrorKind::kInvalidArgument, "attention", [&] {
      ops::packed_attention(q, k, k, sequences, {1, 0});
    });
  };
  refuse({0, 4}, {0, 5});  // a token that belongs to no sequence
  refuse({0, 3}, {0, 6});
  refuse({0, 4}, {0, 3, 6});     // of another number of sequences
  refuse({0, 3, 4}, {0, 2, 6});  // more queries than keys
  refuse({0, 4, 4}, {0, 5, 6});  // a sequence without queries
  refuse({}, {});
}

}  // namespace
}  // namespace precis
