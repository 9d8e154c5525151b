// SPDX-License-Identifier: Apache-2.0
#include "compressors/attention_matching/fit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "compressors/attention_matching/fit_limits.h"
#include "ops/forward_selection.h"

namespace precis {
namespace {

constexpr int64_t kQueriesAtOnce = 256;
constexpr double kRidge = 1e-3;          // of the mean diagonal of normal equations
constexpr double kSmallest = 1e-20;      // keeps sums above 0 where no query attends to the block
constexpr double kLargestWeight = 20.0;  // upper bound of a kept token's weight
constexpr double kSmallestWeight = 1 / kLargestWeight;

at::Tensor transposed(const at::Tensor& x) { return x.transpose(1, 2); }

// Indices of the `count` tokens of largest weight, [h, count] ascending.
at::Tensor largest(const at::Tensor& weights, int64_t count) {
  return std::get<0>(std::get<1>(weights.topk(count, 1)).sort(1));
}

at::Tensor gathered(const at::Tensor& x, const at::Tensor& rows) {
  return x.gather(1, rows.unsqueeze(2).expand({-1, -1, x.size(2)}));
}

// Attention of the queries over a block.
struct BlockAttention {
  at::Tensor mass;        // [h, m] log of the sum of exp(score) over the block
  at::Tensor output;      // [h, m, head_dim] attention output within the block
  at::Tensor root;        // [h, m, 1] square root of the block's share of the query's attention
  at::Tensor importance;  // [h, n] for each token: sum over queries of share * attention^2
};

// Processes kQueriesAtOnce queries at a time, so that their scores stay in the processor's cache.
BlockAttention attend_block(const BlockHeads& block) {
  const int64_t m = block.queries.size(1);
  const at::Tensor keys = transposed(block.keys);
  std::vector<at::Tensor> masses, output, shares;
  at::Tensor importance = at::zeros({keys.size(0), 1, keys.size(2)}, keys.options());
  for (int64_t first = 0; first < m; first += kQueriesAtOnce) {
    const int64_t size = std::min(kQueriesAtOnce, m - first);
    at::Tensor scores = block.queries.narrow(1, first, size).bmm(keys);
    const at::Tensor top = scores.amax(2, true);
    at::Tensor weights = scores.sub_(top).exp_();
    const at::Tensor sum = weights.sum(2, true);
    const at::Tensor mass = top + sum.log();
    const at::Tensor share = at::sigmoid(mass - block.outside.narrow(1, first, size).unsqueeze(2));
    output.push_back(weights.bmm(block.values).div_(sum));
    importance.baddbmm_(transposed(share / sum.square()), weights.square_());
    masses.push_back(mass.squeeze(2));
    shares.push_back(share);
  }
  return {
      at::cat(masses, 1), at::cat(output, 1), at::cat(shares, 1).sqrt_(), importance.squeeze(1)};
}

// Ridge regression towards `near`: solves
//   (basis^T basis + ridge) x = basis^T target + ridge * near,
// where ridge is kRidge times the mean diagonal. basis: [h, m, n], target: [h, m, k].
at::Tensor least_squares(const at::Tensor& basis, const at::Tensor& target, double near) {
  const at::Tensor across = transposed(basis);
  at::Tensor gram = across.bmm(basis);
  at::Tensor diagonal = gram.diagonal(0, 1, 2);
  const at::Tensor ridge = diagonal.mean(1, true) * kRidge + kSmallest;
  diagonal.add_(ridge);
  const at::Tensor right = across.bmm(target) + near * ridge.unsqueeze(2);
  return at::cholesky_solve(right, std::get<0>(at::linalg_cholesky_ex(gram)));
}

// Forward selection among the tokens of largest score: those whose attention columns, linearly
// combined, best reproduce the block's output and its mass (equally weighted).
// [h, count] int64, ascending.
at::Tensor selected(const BlockHeads& block, const BlockAttention& whole, int64_t count) {
  const int64_t n = block.keys.size(1), m = block.queries.size(1);
  const int64_t num_candidates = std::min(n, kCandidates * count);
  const at::Tensor& scores = block.scores.defined() ? block.scores : whole.importance;
  const at::Tensor candidates = largest(scores, num_candidates);
  const int64_t step = std::max<int64_t>(1, m / std::max(kSelectionQueries, num_candidates));
  const auto sampled = [&](const at::Tensor& x) { return x.slice(1, step / 2, m, step); };
  const at::Tensor root = sampled(whole.root), output = sampled(whole.output) * root;
  const at::Tensor products =
      sampled(block.queries).bmm(transposed(gathered(block.keys, candidates)));
  const at::Tensor columns = (products - sampled(whole.mass).unsqueeze(2)).exp_().mul_(root);
  const at::Tensor scale =
      output.norm(2, {1, 2}, true).div_(root.norm(2, {1, 2}, true).clamp_min(kSmallest));
  const at::Tensor targets = at::cat({output, root * scale}, 2);
  const at::Tensor chosen = ops::forward_selection(
      transposed(columns).bmm(columns), transposed(targets).bmm(columns), count, kRidge);
  return candidates.gather(1, chosen);
}

// Keys whose total mass is that of the block. Least squares give each kept token a weight that
// multiplies its attention; log(weight) is added to the token's scores by adding log(weight) * u to
// its key, where u is the direction with q u close to 1 for all queries. [h, t, head_dim]
at::Tensor folded_keys(const BlockHeads& block,
                       const BlockAttention& whole,
                       const at::Tensor& keys) {
  const at::Tensor scores = block.queries.bmm(transposed(keys));
  const at::Tensor columns = (scores - whole.mass.unsqueeze(2)).exp_().mul_(whole.root);
  const at::Tensor weights = least_squares(columns, whole.root, 1.0);  // [h, t, 1]
  const at::Tensor bias = weights.clamp(kSmallestWeight, kLargestWeight).log();
  const at::Tensor direction = least_squares(block.queries * whole.root, whole.root, 0.0);
  return keys + bias * transposed(direction);
}

// Values with which attention over `keys` gives the block's output: the kept tokens' own values
// plus a correction by ridge regression. [h, t, head_dim]
at::Tensor fitted_values(const BlockHeads& block,
                         const BlockAttention& whole,
                         const at::Tensor& keys,
                         const at::Tensor& values) {
  const at::Tensor attention = block.queries.bmm(transposed(keys)).softmax(2);
  const at::Tensor missing = (whole.output - attention.bmm(values)).mul_(whole.root);
  return values + least_squares(attention * whole.root, missing, 0.0);
}

}  // namespace

at::Tensor log_mass(const at::Tensor& queries, const at::Tensor& keys) {
  return queries.bmm(transposed(keys)).logsumexp(2);
}

FittedRows fit_rows(const BlockHeads& block, int64_t count, at::ScalarType dtype) {
  const int64_t n = block.keys.size(1);
  if (count == n) {
    const at::Tensor all = at::arange(n, block.keys.options().dtype(at::kLong));
    return {all.expand({block.keys.size(0), n}), block.keys, block.values};
  }
  const BlockAttention whole = attend_block(block);
  const at::Tensor rows = selected(block, whole, count);
  const at::Tensor keys =
      folded_keys(block, whole, gathered(block.keys, rows)).to(dtype).to(at::kFloat);
  return {rows, keys, fitted_values(block, whole, keys, gathered(block.values, rows))};
}

}  // namespace precis
