// SPDX-License-Identifier: Apache-2.0
#include "memory/turn_keys.h"

#include <ATen/ATen.h>

#include <vector>

#include "ops/rotary.h"

namespace precis {
namespace {

// The rotation that leads from what the decoder uses at the old positions to what it uses at the
// new ones, [k, head_dim / 2] float64. Not the rotation by the difference itself: the decoder
// rounds its angles to float32, which at large positions is coarser than a key may be off (rows
// that do not follow each other, as spread gists, are off by that rounding). A quotient also leaves
// an attention factor in the keys as it is.
ops::RotaryTable turn(const RopeConfig& rope,
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

// keys: [kv_heads, n, head_dim]; table: of [n] positions.
at::Tensor turned_alike(const at::Tensor& keys, const ops::RotaryTable& table) {
  // The reference, not the kernel: this table is in float64.
  return ops::reference::rotary(keys.transpose(0, 1), table).transpose(0, 1);
}

// table: of [kv_heads * n] positions.
at::Tensor turned_each(const at::Tensor& keys, const ops::RotaryTable& table) {
  return ops::reference::rotary(keys.flatten(0, 1).unsqueeze(1), table).view(keys.sizes());
}

}  // namespace

at::Tensor turned_keys(const at::Tensor& keys,
                       const at::Tensor& from,
                       const at::Tensor& to,
                       const DecoderConfig& config) {
  const bool alike = from.dim() == 1;
  std::vector<at::Tensor> turned;
  ops::RotaryTable global, local;
  if (alike) {
    global = turn(config.rope, config.head_dim, from, to);
    local = config.local_rope ? turn(*config.local_rope, config.head_dim, from, to) : global;
  }
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const bool windowed = config.windowed[layer];
    if (alike) {
      turned.push_back(turned_alike(keys[layer], windowed ? local : global));
      continue;
    }
    const RopeConfig& rope = windowed && config.local_rope ? *config.local_rope : config.rope;
    const ops::RotaryTable own =
        turn(rope, config.head_dim, from[layer].flatten(), to[layer].flatten());
    turned.push_back(turned_each(keys[layer], own));
  }
  return at::stack(turned);
}

}  // namespace precis
