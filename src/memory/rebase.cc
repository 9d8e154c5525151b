// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include "base/check.h"
#include "memory/ragged.h"
#include "memory/rotate_keys.h"
#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"

namespace precis {
namespace {

void check_memory(const CachedTokens& memory, const DecoderConfig& config) {
  PRECIS_CHECK(kv_shape_of(memory) == config.kv_shape(),
               kInvalidArgument,
               "rebase: the memory has keys ",
               memory.keys.sizes(),
               ", the model ",
               config.num_layers,
               " layers of ",
               config.num_kv_heads,
               " key heads of ",
               config.head_dim);
}

at::Tensor rotated(const CachedTokens& memory, const DecoderConfig& config, int64_t new_first) {
  const auto index = at::TensorOptions(at::kLong).device(memory.keys.device());
  if (!memory.is_ragged()) {
    const at::Tensor offsets = at::arange(memory.keys.size(2), index);
    return rotate_keys(memory.keys, offsets + memory.first_position, offsets + new_first, config);
  }
  const at::Tensor sums = memory.lengths.sum(1);
  const std::span<const int64_t> sizes(sums.const_data_ptr<int64_t>(), sums.numel());
  const auto at_position = [&](int64_t position) {
    return at::full({memory.keys.size(0)}, position, index);
  };
  return rotate_tokens(
      memory.keys, at_position(memory.first_position), at_position(new_first), sizes, config);
}

}  // namespace

CachedTokens rebase(const CachedTokens& memory,
                    const DecoderConfig& config,
                    int64_t new_first_position) {
  check_memory(memory, config);
  const int64_t covered = memory.next_position - memory.first_position;
  PRECIS_CHECK(new_first_position >= 0 && new_first_position <= config.context_length - covered,
               kInvalidArgument,
               "rebase: ",
               covered,
               " positions from ",
               new_first_position,
               " on are outside the model's window of ",
               config.context_length);
  CachedTokens moved = memory;
  moved.keys = rotated(memory, config, new_first_position);
  moved.first_position = new_first_position;
  moved.next_position = new_first_position + covered;
  return moved;
}

}  // namespace precis
