// SPDX-License-Identifier: Apache-2.0
#include "train/embedding_loss.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <variant>
#include <vector>

#include "base/spread_position.h"

namespace precis {
namespace {

// Appends the tokens in the middle of `count` equal shares of the text.
void add_middles(std::span<const TokenId> text, int64_t count, std::vector<TokenId>& middles) {
  for (int64_t i = 0; i < count; ++i)
    middles.push_back(text[spread_position(i, count, std::ssize(text))]);
}

}  // namespace

double embedding_loss(const Decoder& decoder,
                      const Compressor& compressor,
                      std::span<const TrainingExample> examples,
                      const CompressOptions& options,
                      bool backward,
                      double scale) {
  std::vector<Segment> segments;
  const int64_t limit = compressor.info().max_segment;
  for (const TrainingExample& example : examples) {
    segments.push_back(example.segment);
    std::vector<TokenId>& ids = segments.back().tokens;
    ids.resize(std::min<int64_t>(std::ssize(ids), limit));
  }
  std::vector<at::Tensor> embeddings;
  std::vector<TokenId> middles;
  const std::vector<MemoryTensors> memories = compressor.compress(segments, options);
  for (size_t i = 0; i < segments.size(); ++i) {
    embeddings.push_back(std::get<SoftTokens>(memories[i]).embeddings);
    add_middles(segments[i].tokens, embeddings.back().size(0), middles);
  }
  const at::Tensor index = at::tensor(middles, at::kLong).to(decoder.options().device());
  const at::Tensor memory = at::cat(embeddings, 0);
  const auto wide = memory.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor wanted = decoder.embed(index).to(wide);
  const at::Tensor loss = (memory.to(wide) - wanted).square().mean();
  if (backward) (loss * scale).backward();
  return loss.item<double>();
}

double embedding_variance(const Decoder& decoder) {
  const auto index = at::TensorOptions(at::kLong).device(decoder.options().device());
  const at::Tensor table =
      decoder.embed(at::arange(decoder.config().vocab_size, index)).to(at::kDouble);
  return (table - table.mean(0)).square().mean().item<double>();
}

}  // namespace precis
