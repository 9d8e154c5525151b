// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

namespace precis {

struct ShardedTensor {
  std::string name;
  int64_t bytes;  // as written
};

// Writes model-0000i-of-0000n.safetensors and, last, model.safetensors.index.json into a directory
// that is there. Shards are filled in the order of `tensors` up to `shard_bytes`, or with one
// tensor that is larger. `make` is called once for each name and gives its tensor, contiguous, on
// the CPU; those of one shard are held at a time. Throws as write_safetensors(), and
// kInvalidArgument if model.safetensors is there, which readers prefer to shards.
void write_shards(const std::filesystem::path& directory,
                  std::span<const ShardedTensor> tensors,
                  int64_t shard_bytes,
                  const std::function<at::Tensor(const std::string& name)>& make);

}  // namespace precis
