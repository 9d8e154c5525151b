// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_shards.h"

#include <iomanip>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "base/check.h"
#include "io/safetensors_weights.h"

namespace precis {
namespace {

using Shard = std::vector<std::string>;

std::vector<Shard> divide(std::span<const ShardedTensor> tensors, int64_t shard_bytes) {
  std::vector<Shard> shards;
  int64_t bytes = 0;
  for (const ShardedTensor& tensor : tensors) {
    if (shards.empty() || bytes + tensor.bytes > shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(tensor.name);
    bytes += tensor.bytes;
  }
  return shards;
}

std::string shard_name(size_t index, size_t count) {
  const auto number = std::setw(5);
  return concat(
      "model-", std::setfill('0'), number, index + 1, "-of-", number, count, ".safetensors");
}

}  // namespace

void write_shards(const std::filesystem::path& directory,
                  std::span<const ShardedTensor> tensors,
                  int64_t shard_bytes,
                  const std::function<at::Tensor(const std::string& name)>& make) {
  const auto single = directory / "model.safetensors";
  std::error_code ignored;
  PRECIS_CHECK(!std::filesystem::exists(single, ignored),
               kInvalidArgument,
               single.string(),
               ": is there, and would be read in place of the shards; choose another directory");
  const std::vector<Shard> shards = divide(tensors, shard_bytes);
  nlohmann::json files = nlohmann::json::object();
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string file = shard_name(i, shards.size());
    std::vector<at::Tensor> values;
    std::vector<StoredTensor> stored;
    for (const std::string& name : shards[i]) {
      values.push_back(make(name));
      stored.push_back(to_stored(name, values.back()));
      total += stored.back().bytes.size();
      files[name] = file;
    }
    write_safetensors(directory / file, stored, {{"format", "pt"}});
  }
  const nlohmann::json index{{"metadata", {{"total_size", total}}}, {"weight_map", files}};
  write_text_file(directory / "model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace precis
