// SPDX-License-Identifier: Apache-2.0
#include "compressors/divided_cost.h"

#include "base/check.h"
#include "compressors/divide.h"

namespace precis {

MethodCost divided_cost(int64_t num_tokens, int64_t max_chunk, const ChunkCost& chunk_cost) {
  const auto chunks = divide(num_tokens, max_chunk);
  const MethodCost first = chunk_cost(chunks.front().size), last = chunk_cost(chunks.back().size);
  const auto others = static_cast<double>(chunks.size() - 1);
  MethodCost cost;
  cost.compress_flops = others * first.compress_flops + last.compress_flops;
  cost.adapter_flops = others * first.adapter_flops + last.adapter_flops;
  cost.memory_tokens = others * first.memory_tokens + last.memory_tokens;
  cost.cached = first.cached;
  return cost;
}

void check_can_be_read(const char* name, int64_t num_tokens) {
  PRECIS_CHECK(num_tokens <= kLongestText,
               kInvalidArgument,
               "cost: ",
               name,
               " is ",
               num_tokens,
               ", expected at most ",
               kLongestText);
}

double connector_parameters(const ModelSizes& model, bool layer_norm) {
  return model.hidden * model.hidden + model.hidden + (layer_norm ? 2 * model.hidden : 0);
}

double connector_flops(const ModelSizes& model, double num_tokens) {
  return 2 * num_tokens * model.hidden * model.hidden;
}

double lora_parameters(const ModelSizes& model, int64_t rank, double outputs) {
  return static_cast<double>(rank) * (model.hidden + outputs);
}

double memory_tokens_at(int64_t num_tokens, double ratio) {
  return static_cast<double>(tokens_at_ratio(num_tokens, ratio));
}

}  // namespace precis
