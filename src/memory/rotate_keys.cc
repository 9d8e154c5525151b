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

// Each head has its own positions. keys: [kv_heads, n, head_dim]; table: of [kv_heads * n]
// positions.
at::Tensor rotate_per_head(const at::Tensor& keys, const ops::RotaryTable& table) {
  return ops::reference::rotary(keys.flatten(0, 1).unsqueeze(1), table).view(keys.sizes());
}

}  // namespace

at::Tensor rotate_keys(const at::Tensor& keys,
                       const at::Tensor& from,
                       const at::Tensor& to,
                       const DecoderConfig& config) {
  const bool shared = from.dim() == 1;
  std::vector<at::Tensor> rotated;
  ops::RotaryTable global, local;
  if (shared) {
    global = relative_rotation(config.rope, config.head_dim, from, to);
    local = config.local_rope ? relative_rotation(*config.local_rope, config.head_dim, from, to)
                              : global;
  }
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const bool windowed = config.windowed[layer];
    if (shared) {
      rotated.push_back(rotate_shared(keys[layer], windowed ? local : global));
      continue;
    }
    const RopeConfig& rope = windowed && config.local_rope ? *config.local_rope : config.rope;
    const ops::RotaryTable own =
        relative_rotation(rope, config.head_dim, from[layer].flatten(), to[layer].flatten());
    rotated.push_back(rotate_per_head(keys[layer], own));
  }
  return at::stack(rotated);
}

}  // namespace precis
