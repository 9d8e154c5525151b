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

// Writes model-0000i-of-0000n.safetensors and, last, model.safetensors.index.json into an existing
// directory. Shards are filled in the order of `tensors` up to `shard_bytes`; a larger tensor has a
// shard of its own. `make` is called once for each name and returns its tensor, contiguous, on the
// CPU; the tensors of one shard are held at a time. Throws as write_safetensors(), and
// kInvalidArgument if the directory has a model.safetensors, which readers prefer to shards.
void write_shards(const std::filesystem::path& directory,
                  std::span<const ShardedTensor> tensors,
                  int64_t shard_bytes,
                  const std::function<at::Tensor(const std::string& name)>& make);

}  // namespace precis
