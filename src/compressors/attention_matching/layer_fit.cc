// SPDX-License-Identifier: Apache-2.0
#include "compressors/attention_matching/layer_fit.h"

#include <ATen/ATen.h>

#include <limits>

#include "compressors/attention_matching/fit_limits.h"

namespace precis {
namespace {

at::Tensor tokens_of(const at::Tensor& x, const TokenRange& range) {
  return x.narrow(1, range.first, range.size);
}

// logsumexp of all masses but that of `index`, [h, m].
at::Tensor all_but(const std::vector<at::Tensor>& masses, size_t index) {
  std::vector<at::Tensor> others;
  for (size_t i = 0; i < masses.size(); ++i)
    if (i != index) others.push_back(masses[i]);
  if (others.empty()) return at::full_like(masses[index], -std::numeric_limits<double>::infinity());
  return others.size() == 1 ? others[0] : at::stack(others).logsumexp(0);
}

FittedRows copied(const LayerHeads& heads, const TokenRange& range) {
  const at::Tensor rows =
      at::arange(range.first, range.first + range.size, heads.keys.options().dtype(at::kLong));
  return {rows.expand({heads.keys.size(0), range.size}),
          tokens_of(heads.keys, range),
          tokens_of(heads.values, range)};
}

FittedRows joined(const std::vector<FittedRows>& pieces) {
  if (pieces.size() == 1) return pieces[0];
  std::vector<at::Tensor> rows, keys, values;
  for (const FittedRows& piece : pieces) {
    rows.push_back(piece.rows);
    keys.push_back(piece.keys);
    values.push_back(piece.values);
  }
  return {at::cat(rows, 1), at::cat(keys, 1), at::cat(values, 1)};
}

at::Tensor scores_of(const at::Tensor& scores, int64_t first, int64_t size) {
  return scores.defined() ? scores.narrow(1, first, size) : scores;
}

std::vector<TokenRange> blocks_of(const TokenRange& candidates) {
  std::vector<TokenRange> blocks = divide(candidates.size, kFitBlock);
  for (TokenRange& one : blocks) one.first += candidates.first;
  return blocks;
}

// Number of tokens that each block keeps: of one head with scores, those among the `count` largest
// scores; else in proportion to the blocks' sizes.
std::vector<int64_t> counts_of(const std::vector<TokenRange>& blocks,
                               const LayerPlan& plan,
                               const at::Tensor& scores) {
  std::vector<int64_t> counts;
  const int64_t all = plan.candidates.size, begin = plan.candidates.first;
  at::Tensor best;
  if (scores.defined() && blocks.size() > 1) best = std::get<1>(scores[0].topk(plan.count)) + begin;
  for (const TokenRange& block : blocks) {
    const int64_t first = block.first - begin, end = first + block.size;
    counts.push_back(best.defined() ? best.ge(block.first)
                                          .logical_and(best.lt(block.first + block.size))
                                          .sum()
                                          .item<int64_t>()
                                    : end * plan.count / all - first * plan.count / all);
  }
  return counts;
}

}  // namespace

FittedRows fit_layer(const LayerHeads& heads, const LayerPlan& plan, at::ScalarType dtype) {
  std::vector<FittedRows> pieces;
  std::vector<at::Tensor> masses;
  if (plan.copied.size > 0) pieces.push_back(copied(heads, plan.copied));
  if (plan.count == 0) return joined(pieces);
  const std::vector<TokenRange> blocks = blocks_of(plan.candidates);
  if (blocks.size() > 1)
    for (const TokenRange& block : blocks)
      masses.push_back(log_mass(heads.queries, tokens_of(heads.keys, block)));
  else
    masses.push_back(at::empty(heads.queries.sizes().slice(0, 2), heads.queries.options()));
  if (plan.copied.size > 0)
    masses.push_back(log_mass(heads.queries, tokens_of(heads.keys, plan.copied)));
  const std::vector<int64_t> counts = counts_of(blocks, plan, heads.scores);
  for (size_t i = 0; i < blocks.size(); ++i) {
    const TokenRange& block = blocks[i];
    const int64_t count = counts[i];
    if (count == 0) continue;
    FittedRows fitted =
        fit_rows({heads.queries,
                  tokens_of(heads.keys, block),
                  tokens_of(heads.values, block),
                  all_but(masses, i),
                  scores_of(heads.scores, block.first - plan.candidates.first, block.size)},
                 count,
                 dtype);
    fitted.rows = fitted.rows + block.first;
    pieces.push_back(std::move(fitted));
  }
  return joined(pieces);
}

}  // namespace precis
