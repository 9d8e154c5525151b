// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "compressors/ic_former/ic_former.h"
#include "compressors/ic_former/ic_former_config.h"
#include "compressors/parameters.h"

namespace precis {
namespace {

constexpr const char* kMethod = "ic_former";

using Noise = std::function<at::Tensor(at::IntArrayRef)>;  // draws N(0, 1) of a shape

constexpr double kInitialDeviation = 0.02;  // standard deviation of matrices, as in the paper
constexpr double kDigestDeviation = 0.1;    // of digests from the mean embedding, times the RMS

// For digests that attend to the token at their own position (start_at_positions).
constexpr double kQuietDeviation = 0.002;   // of matrices whose outputs start near zero
constexpr double kDigestRms = 0.1;          // of digests; that of normed tokens is 1
constexpr double kOwnPositionScore = 18.0;  // attention score at the digest's position; far away 0
constexpr double kSlowestFrequency = 0.12;  // lower rotary frequencies do not tell neighbours apart

// Initial digests, AE, FT and connector if there is a connector.
void start_around_embeddings(IcFormerWeights& weights, const Decoder& decoder, const Noise& noise) {
  const EmbeddingStatistics embeddings = embedding_statistics(decoder);
  for (at::Tensor* rows : {&weights.digests, &weights.autoencode, &weights.instruct})
    *rows = embeddings.mean + noise(rows->sizes()) * embeddings.rms * kDigestDeviation;
  weights.connector = create_connector(embeddings, ConnectorNorm::kLayerNorm);
}

// The direction w, [hidden] float64, for which w . x / rms(x) is nearest to 1 over all embeddings
// x, by ridge regression: projecting on it gives nearly the same key for every token.
at::Tensor common_direction(const Decoder& decoder) {
  const int64_t hidden = decoder.config().hidden_size, vocabulary = decoder.config().vocab_size;
  const auto index = at::TensorOptions(at::kLong).device(decoder.options().device());
  constexpr int64_t kIdsPerProduct = 4096;
  at::Tensor moments = at::zeros({hidden, hidden}, index.dtype(at::kDouble));
  at::Tensor mean = at::zeros({hidden}, moments.options());
  for (int64_t first = 0; first < vocabulary; first += kIdsPerProduct) {
    const int64_t last = std::min(first + kIdsPerProduct, vocabulary);
    const at::Tensor rows = decoder.embed(at::arange(first, last, index)).to(at::kDouble);
    const at::Tensor unit = rows / rows.square().mean(1, true).sqrt().clamp_min(1e-12);
    moments += unit.t().mm(unit) / static_cast<double>(vocabulary);
    mean += unit.sum(0) / static_cast<double>(vocabulary);
  }
  const double ridge = 1e-3 * moments.trace().item<double>() / static_cast<double>(hidden);
  const at::Tensor regular = moments + at::eye(hidden, moments.options()) * std::max(ridge, 1e-12);
  return std::get<0>(at::linalg_solve_ex(regular, mean));
}

// One head's query: the key rotated by `offset` positions, [head_dim]. Its score is largest for the
// token `offset` positions after the digest.
at::Tensor rotated(const at::Tensor& key, double offset, const IcFormerConfig& config) {
  const int64_t half = key.size(0) / 2;
  const at::Tensor exponents = at::arange(half, key.options()) / static_cast<double>(half);
  const at::Tensor angles = at::pow(config.rope_base, exponents.neg()) * offset;
  const at::Tensor first = key.narrow(0, 0, half);
  return at::cat({first * angles.cos(), first * angles.sin()}, 0);
}

// A head's key, [head_dim], the same for all tokens. The dot product of two rotated copies peaks at
// kOwnPositionScore where their positions are equal.
at::Tensor peaked_key(int64_t head_dim, const IcFormerConfig& config, at::TensorOptions options) {
  const at::Tensor exponents = at::arange(0, head_dim, 2, options) / static_cast<double>(head_dim);
  const at::Tensor used = at::pow(config.rope_base, exponents.neg()).gt(kSlowestFrequency);
  const double score = kOwnPositionScore * std::sqrt(static_cast<double>(head_dim));
  const at::Tensor half = (used.to(options.dtype()) * (score / used.sum().item<double>())).sqrt();
  return at::cat({half, at::zeros_like(half)}, 0);
}

// Initialises the net so that untrained memories are the embeddings of every r-th token, which the
// frozen model can read. In the first layer all heads of a digest attend to the token at its
// position. In later layers the heads attend to different tokens of its share, with outputs near
// zero.
void start_at_positions(IcFormerWeights& weights,
                        const IcFormerConfig& config,
                        const Decoder& decoder,
                        const Noise& noise) {
  const int64_t hidden = decoder.config().hidden_size, heads = config.num_heads;
  const auto options = weights.digests.options();
  const at::Tensor common = common_direction(decoder);
  // Digests have no component along the keys' direction, so that only tokens score.
  const at::Tensor unit = common / common.norm().clamp_min(1e-12);
  const at::Tensor rows = weights.digests.to(at::kDouble);
  const at::Tensor digests = rows - rows.matmul(unit).unsqueeze(1) * unit;
  const at::Tensor normed = digests / digests.square().mean(1, true).sqrt().clamp_min(1e-12);
  weights.digests = (normed * kDigestRms).to(options);  // small beside the token that is added
  const at::Tensor middle = normed.mean(0);
  const at::Tensor asks =
      middle / middle.dot(middle).clamp_min(1e-12);  // the product with a digest is 1
  const at::Tensor key = peaked_key(hidden / heads, config, common.options());
  const double share = static_cast<double>(config.max_segment) / static_cast<double>(config.slots);
  for (size_t i = 0; i < weights.net.layers.size(); ++i) {
    ic_former::CrossAttentionLayer& layer = weights.net.layers[i];
    std::vector<at::Tensor> queries;
    for (int64_t head = 0; head < heads; ++head) {
      const double place = (static_cast<double>(head) + 0.5) / static_cast<double>(heads) - 0.5;
      queries.push_back(rotated(key, i == 0 ? 0.0 : place * share, config));
    }
    layer.query = at::cat(queries, 0).outer(asks).to(options);
    layer.key = key.repeat({heads}).outer(common).to(options);
    if (i == 0) {
      layer.value = at::eye(hidden, options);
      layer.output = at::eye(hidden, options);
    } else {
      layer.value = noise({hidden, hidden}) / std::sqrt(static_cast<double>(hidden));
      layer.output = noise({hidden, hidden}) * kQuietDeviation;
    }
    layer.down = noise(layer.down.sizes()) * kQuietDeviation;
  }
  const EmbeddingStatistics embeddings = embedding_statistics(decoder);
  weights.connector.norm_weight = embeddings.rms.expand({hidden}).clone();
  weights.connector.norm_bias = at::zeros({hidden}, options);
}

}  // namespace

std::unique_ptr<Compressor> create_ic_former(const IcFormerConfig& config,
                                             const Decoder& decoder,
                                             uint64_t seed) {
  check_ic_former_config(config, decoder, ErrorKind::kInvalidArgument, kMethod);
  const auto options = parameter_options(decoder);
  const int64_t hidden = decoder.config().hidden_size;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  // Drawn on the CPU in float32, so that all devices and dtypes start from the same weights.
  const auto noise = [&](at::IntArrayRef shape) {
    return at::empty(shape, at::kFloat).normal_(0.0, 1.0, generator).to(options);
  };
  IcFormerWeights weights;
  weights.net = ic_former::make_digest_net(
      digest_net_size(config, decoder), [&](const std::string&, at::IntArrayRef shape) {
        return shape.size() == 1 ? at::ones(shape, options) : noise(shape) * kInitialDeviation;
      });
  weights.digests = at::zeros({config.slots, hidden}, options);
  weights.autoencode = at::zeros({hidden}, options);
  weights.instruct = at::zeros({hidden}, options);
  if (config.connector) start_around_embeddings(weights, decoder, noise);
  // With fewer key heads the values are too narrow to hold an embedding.
  const bool whole_values = config.num_kv_heads.value_or(config.num_heads) == config.num_heads;
  if (config.connector && config.spread_positions && whole_values)
    start_at_positions(weights, config, decoder, noise);
  return make_ic_former(config, std::move(weights), decoder);
}

}  // namespace precis
