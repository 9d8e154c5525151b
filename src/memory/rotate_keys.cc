// SPDX-License-Identifier: Apache-2.0
#include "memory/rotate_keys.h"

#include <ATen/ATen.h>

#include <vector>

#include "ops/rotary.h"

namespace precis {
namespace {

// The rotation from k old positions to k new ones, [k, head_dim / 2] float64: the quotient of the
// two rotations that the decoder applies, not the rotation by the difference of positions. The
// decoder rounds its angles to float32, and a difference would not reproduce that error, which is
// large at large positions. The quotient also leaves an attention factor in the keys unchanged.
ops::RotaryTable relative_rotation(const RopeConfig& rope,
                                   int64_t head_dim,
                                   const at::Tensor& from,
                                   const at::Tensor& to) {
  const at::Tensor frequencies = ops::rotary_frequencies(rope, head_dim).to(from.device());
  const auto table = [&](const at::Tensor& positions) {
    const ops::RotaryTable narrow = ops::rotary_table(frequencies, positions, 1.0);
    return ops::RotaryTable{narrow.cos.to(at::kDouble), narrow.sin.to(at::kDouble)};
  };
  const ops::RotaryTable before = table(from), after = table(to);
  const at::Tensor length = before.cos.square() + before.sin.square();
  return {(after.cos * before.cos + after.sin * before.sin) / length,
          (after.sin * before.cos - after.cos * before.sin) / length};
}

// All heads have the same positions. keys: [kv_heads, n, head_dim]; table: of [n] positions.
at::Tensor rotate_shared(const at::Tensor& keys, const ops::RotaryTable& table) {
  // The reference rather than the kernel, since the table is float64.
  return ops::reference::rotary(keys.transpose(0, 1), table).transpose(0, 1);
}

// The rope of a layer.
const RopeConfig& rope_of(const DecoderConfig& config, int64_t layer) {
  return config.windowed[layer] && config.local_rope ? *config.local_rope : config.rope;
}

// All heads have the same positions. keys: [num_layers, kv_heads, n, head_dim].
at::Tensor rotate_all_heads(const at::Tensor& keys,
                            const at::Tensor& from,
                            const at::Tensor& to,
                            const DecoderConfig& config) {
  const auto table = [&](const RopeConfig& rope) {
    return relative_rotation(rope, config.head_dim, from, to);
  };
  const ops::RotaryTable global = table(config.rope);
  const ops::RotaryTable local = config.local_rope ? table(*config.local_rope) : global;
  std::vector<at::Tensor> rotated;
  for (int64_t layer = 0; layer < config.num_layers; ++layer)
    rotated.push_back(rotate_shared(keys[layer], config.windowed[layer] ? local : global));
  return at::stack(rotated);
}

}  // namespace

at::Tensor rotate_tokens(const at::Tensor& keys,
                         const at::Tensor& from,
                         const at::Tensor& to,
                         std::span<const int64_t> layer_sizes,
                         const DecoderConfig& config) {
  std::vector<at::Tensor> rotated;
  int64_t first = 0;
  for (size_t layer = 0; layer < layer_sizes.size(); ++layer) {
    const auto own = [&](const at::Tensor& x) { return x.narrow(0, first, layer_sizes[layer]); };
    const ops::RotaryTable table = relative_rotation(
        rope_of(config, static_cast<int64_t>(layer)), config.head_dim, own(from), own(to));
    rotated.push_back(ops::reference::rotary(own(keys).unsqueeze(1), table).squeeze(1));
    first += layer_sizes[layer];
  }
  return at::cat(rotated, 0);
}

at::Tensor rotate_keys(const at::Tensor& keys,
                       const at::Tensor& from,
                       const at::Tensor& to,
                       const DecoderConfig& config) {
  if (from.dim() == 1) return rotate_all_heads(keys, from, to, config);
  const std::vector<int64_t> layer_sizes(keys.size(0), keys.size(1) * keys.size(2));
  return rotate_tokens(keys.flatten(0, 2), from.flatten(), to.flatten(), layer_sizes, config)
      .view(keys.sizes());
}

}  // namespace precis
