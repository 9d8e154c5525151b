// SPDX-License-Identifier: Apache-2.0
#include "compressors/compressor_files.h"
#include "compressors/compressor_settings.h"
#include "compressors/divided_cost.h"
#include "compressors/icae/icae_method.h"
#include "compressors/settings_reader.h"

namespace precis {
namespace {

struct Sizes {
  int64_t slots = 128;
  int64_t max_segment = 512;
  int64_t rank = 128;
  bool connector = false;
  int64_t rows_before = 0;
};

Sizes checked(const CompressorSettings& settings, ErrorKind kind, const std::string& origin) {
  SettingsReader reader(settings, kind, origin);
  Sizes sizes;
  reader.read_at_least(1, "slots", sizes.slots);
  reader.read_at_least(1, "max_segment", sizes.max_segment);
  reader.read_at_least(1, "rank", sizes.rank);
  reader.read("connector", sizes.connector);
  reader.read_at_least(0, "rows_before", sizes.rows_before);
  reader.check_all_read();
  return sizes;
}

CompressorSettings read(const std::filesystem::path& directory) {
  const CompressorFiles files = open_compressor(directory);
  const Settings config(files);
  CompressorSettings sizes{{"slots", config.integer("slots")},
                           {"max_segment", config.integer("max_segment")},
                           {"rank", config.integer("rank")},
                           {"connector", config.flag("connector", false)},
                           {"rows_before", std::ssize(config.ids("before_text"))}};
  checked(sizes, ErrorKind::kBadWeights, files.origin());
  return sizes;
}

PlannedCompressor plan(const CompressorSettings& settings, const DecoderConfig&, const Tokenizer*) {
  const Sizes sizes = checked(settings, ErrorKind::kInvalidArgument, "icae");
  return {settings,
          {{"slots", sizes.slots}, {"rank", sizes.rank}, {"max_segment", sizes.max_segment}},
          sizes.max_segment};
}

// Elements of the LoRA on queries and values.
double lora_elements(const Sizes& sizes, const ModelSizes& m) {
  return m.layers *
         (lora_parameters(m, sizes.rank, m.query) + lora_parameters(m, sizes.rank, m.key));
}

// AE, LM and FT are embeddings besides those of the memory tokens.
double parameters(const Sizes& sizes, const ModelSizes& m) {
  return lora_elements(sizes, m) + (static_cast<double>(sizes.slots) + 3) * m.hidden +
         (sizes.connector ? connector_parameters(m, true) : 0);
}

// One pass over the chunk and its memory tokens.
MethodCost chunk_cost(const Sizes& sizes, const DecoderConfig& model, int64_t num_tokens) {
  const ModelSizes m(model);
  const auto slots = static_cast<double>(sizes.slots);
  const double read = static_cast<double>(num_tokens) + slots;
  MethodCost cost;
  cost.compress_flops =
      pass_flops(model, read, read) + (sizes.connector ? connector_flops(m, slots) : 0);
  cost.adapter_flops = 2 * read * lora_elements(sizes, m);
  cost.memory_tokens = slots;
  return cost;
}

MethodCost count(const CompressorSettings& settings,
                 const DecoderConfig& model,
                 int64_t num_tokens) {
  const Sizes sizes = checked(settings, ErrorKind::kInvalidArgument, "cost");
  check_can_be_read("rows_before", sizes.rows_before);
  MethodCost cost = divided_cost(sizes.rows_before + num_tokens,
                                 sizes.max_segment,
                                 [&](int64_t chunk) { return chunk_cost(sizes, model, chunk); });
  cost.parameters = parameters(sizes, ModelSizes(model));
  return cost;
}

}  // namespace

CompressorSizing icae_sizing() {
  using Type = SettingFlag::Type;
  return {{{"slots", Type::kInteger, "memory tokens of each chunk", "128"},
           {"rank", Type::kInteger, "of the LoRA", "128"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"}},
          read,
          plan,
          count};
}

}  // namespace precis
