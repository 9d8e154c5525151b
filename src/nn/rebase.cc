// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include <vector>

#include "base/check.h"
#include "ops/rotary.h"
#include "precis/decoder.h"
#include "precis/memory_tensors.h"

namespace precis {
namespace {

void check_memory(const CachedTokens& memory, const DecoderConfig& config) {
  const at::Tensor& keys = memory.keys;
  const bool fits = keys.dim() == 4 && keys.size(0) == config.num_layers &&
                    keys.size(1) == config.num_kv_heads && keys.size(3) == config.head_dim;
  PRECIS_CHECK(fits,
               kInvalidArgument,
               "rebase: the memory has keys ",
               keys.sizes(),
               ", the model ",
               config.num_layers,
               " layers of ",
               config.num_kv_heads,
               " key heads of ",
               config.head_dim);
}

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

}  // namespace

CachedTokens rebase(const CachedTokens& memory,
                    const DecoderConfig& config,
                    int64_t new_first_position) {
  check_memory(memory, config);
  const int64_t size = memory.keys.size(2);
  const int64_t covered = memory.next_position - memory.first_position;
  PRECIS_CHECK(new_first_position >= 0 && new_first_position <= config.context_length - covered,
               kInvalidArgument,
               "rebase: ",
               covered,
               " positions from ",
               new_first_position,
               " on are outside the model's window of ",
               config.context_length);
  const at::Tensor rows =
      at::arange(size, at::TensorOptions(at::kLong).device(memory.keys.device()));
  const at::Tensor from = rows + memory.first_position, to = rows + new_first_position;
  const ops::RotaryTable global = turn(config.rope, config.head_dim, from, to);
  const ops::RotaryTable local =
      config.local_rope ? turn(*config.local_rope, config.head_dim, from, to) : global;
  std::vector<at::Tensor> keys;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    // The reference, not the kernel: this table is in float64.
    keys.push_back(ops::reference::rotary(memory.keys[layer].transpose(0, 1),
                                          config.windowed[layer] ? local : global)
                       .transpose(0, 1));
  }
  return {at::stack(keys), memory.values, new_first_position, new_first_position + covered};
}

}  // namespace precis
