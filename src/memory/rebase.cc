// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include "base/check.h"
#include "memory/rotate_keys.h"
#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"

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
  const at::Tensor offsets =
      at::arange(size, at::TensorOptions(at::kLong).device(memory.keys.device()));
  const at::Tensor keys = rotate_keys(
      memory.keys, offsets + memory.first_position, offsets + new_first_position, config);
  return {keys, memory.values, new_first_position, new_first_position + covered, memory.num_sinks};
}

}  // namespace precis
