// SPDX-License-Identifier: Apache-2.0
#include "compressors/divided_cost.h"
#include "compressors/icae/icae.h"
#include "compressors/icae/icae_method.h"
#include "compressors/sizing.h"

namespace precis {
namespace {

struct Sizes {
  IcaeConfig config;
  int64_t rows_before = 0;
};

SettingTable all(Sizes& sizes) {
  SettingTable table =
      pick(icae_settings(sizes.config), {"slots", "max_segment", "rank", "connector"});
  table.push_back({"rows_before", &sizes.rows_before, Setting::Limit::kAtLeast0});
  return table;
}

SettingTable flags(Sizes& sizes) {
  return pick_flags(icae_settings(sizes.config), {"slots", "rank", "max_segment"});
}

void read(const CompressorFiles& files, Sizes& sizes) {
  read_settings(files, icae_settings(sizes.config));
  sizes.rows_before = std::ssize(sizes.config.before_text);
}

// Elements of the LoRA on queries and values.
double lora_elements(const IcaeConfig& config, const ModelSizes& m) {
  return m.layers *
         (lora_parameters(m, config.rank, m.query) + lora_parameters(m, config.rank, m.key));
}

// AE, LM and FT are embeddings besides those of the memory tokens.
double parameters(const IcaeConfig& config, const ModelSizes& m) {
  return lora_elements(config, m) + (static_cast<double>(config.slots) + 3) * m.hidden +
         (config.connector ? connector_parameters(m, true) : 0);
}

// One pass over the chunk and its memory tokens.
MethodCost chunk_cost(const IcaeConfig& config, const DecoderConfig& model, int64_t num_tokens) {
  const ModelSizes m(model);
  const auto slots = static_cast<double>(config.slots);
  const double read = static_cast<double>(num_tokens) + slots;
  MethodCost cost;
  cost.compress_flops =
      pass_flops(model, read, read) + (config.connector ? connector_flops(m, slots) : 0);
  cost.adapter_flops = 2 * read * lora_elements(config, m);
  cost.memory_tokens = slots;
  return cost;
}

MethodCost count(const Sizes& sizes, const DecoderConfig& model, int64_t num_tokens) {
  check_can_be_read("rows_before", sizes.rows_before);
  MethodCost cost =
      divided_cost(sizes.rows_before + num_tokens, sizes.config.max_segment, [&](int64_t chunk) {
        return chunk_cost(sizes.config, model, chunk);
      });
  cost.parameters = parameters(sizes.config, ModelSizes(model));
  return cost;
}

}  // namespace

CompressorSizing icae_sizing() {
  return make_sizing(SizesOf<Sizes>{"icae", all, flags, read, count});
}

}  // namespace precis
