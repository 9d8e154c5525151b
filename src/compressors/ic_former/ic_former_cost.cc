// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "compressors/divided_cost.h"
#include "compressors/ic_former/ic_former_config.h"
#include "compressors/ic_former/ic_former_method.h"
#include "compressors/sizing.h"
#include "io/safetensors.h"

namespace precis {
namespace {

// Hidden size of the models that IC-Former was published for. Their encoder has an ffn_size of its
// own; for other models the encoder has the model's.
constexpr int64_t kPublishedWidth = 4096;

struct Sizes {
  IcFormerConfig config;
  int64_t num_marks = 0;
  int64_t query_heads_per_key = 1;
};

SettingTable all(Sizes& sizes) {
  SettingTable table = pick(ic_former_settings(sizes.config),
                            {"slots", "max_segment", "num_layers", "ffn_size", "connector"});
  table.push_back({"num_marks", &sizes.num_marks, Setting::Limit::kAtLeast0});
  table.push_back({"query_heads_per_key", &sizes.query_heads_per_key, Setting::Limit::kAtLeast1});
  return table;
}

SettingTable flags(Sizes& sizes) {
  SettingTable table = pick_flags(ic_former_settings(sizes.config),
                                  {"slots", "num_layers", "ffn_size", "max_segment"});
  table[2].default_text = "the model's; 11008 for a width of 4096";
  return table;
}

int64_t query_heads_per_key(const IcFormerConfig& config, const std::string& origin) {
  const int64_t heads = config.num_heads, kv_heads = config.num_kv_heads.value_or(heads);
  PRECIS_CHECK(kv_heads >= 1 && heads >= kv_heads && heads % kv_heads == 0,
               kBadWeights,
               origin,
               ": num_kv_heads is ",
               kv_heads,
               ", expected a number that divides the ",
               heads,
               " heads");
  return heads / kv_heads;
}

// Read off the tensors: compressor.json does not say whether there is an FT embedding.
int64_t num_marks(const std::filesystem::path& directory) {
  const auto stored = SafetensorsFile::open(directory / "compressor.safetensors");
  int64_t count = 0;
  for (const char* mark : {"autoencode_embedding", "instruct_embedding"})
    count += stored.find(mark) != nullptr ? 1 : 0;
  return count;
}

void read(const CompressorFiles& files, Sizes& sizes) {
  read_settings(files, ic_former_settings(sizes.config));
  sizes.query_heads_per_key = query_heads_per_key(sizes.config, files.origin());
  sizes.num_marks = num_marks(files.directory);
}

void fit_to(const DecoderConfig& model, Sizes& sizes) {
  if (model.hidden_size != kPublishedWidth) sizes.config.ffn_size = model.ffn_size;
}

// Width of all key heads of a layer.
double key_width(const Sizes& sizes, const ModelSizes& m) {
  return m.hidden / static_cast<double>(sizes.query_heads_per_key);
}

// A layer has queries, outputs, keys, values, the MLP and three norms; one more norm follows the
// last layer.
double parameters(const Sizes& sizes, const ModelSizes& m) {
  const double layer = 2 * m.hidden * (m.hidden + key_width(sizes, m)) +
                       3 * m.hidden * static_cast<double>(sizes.config.ffn_size) + 3 * m.hidden;
  const double embeddings =
      static_cast<double>(sizes.config.slots) + static_cast<double>(sizes.num_marks);
  return static_cast<double>(sizes.config.num_layers) * layer + m.hidden + embeddings * m.hidden +
         (sizes.config.connector ? connector_parameters(m, true) : 0);
}

// Queries, outputs and the MLP are computed for the digests only, keys and values for text and
// digests.
MethodCost chunk_cost(const Sizes& sizes, const ModelSizes& m, int64_t num_tokens) {
  const auto slots = static_cast<double>(sizes.config.slots);
  const double hidden = m.hidden, keys = key_width(sizes, m),
               read = static_cast<double>(num_tokens) + slots;
  const double layer = 4 * slots * hidden * hidden + 4 * hidden * read * (keys + slots) +
                       6 * slots * hidden * static_cast<double>(sizes.config.ffn_size);
  MethodCost cost;
  cost.compress_flops = static_cast<double>(sizes.config.num_layers) * layer +
                        (sizes.config.connector ? connector_flops(m, slots) : 0);
  cost.memory_tokens = slots;
  return cost;
}

MethodCost count(const Sizes& sizes, const DecoderConfig& model, int64_t num_tokens) {
  const ModelSizes m(model);
  MethodCost cost = divided_cost(num_tokens, sizes.config.max_segment, [&](int64_t chunk) {
    return chunk_cost(sizes, m, chunk);
  });
  cost.parameters = parameters(sizes, m);
  return cost;
}

}  // namespace

CompressorSizing ic_former_sizing() {
  return make_sizing(SizesOf<Sizes>{"ic_former", all, flags, read, count, fit_to});
}

}  // namespace precis
