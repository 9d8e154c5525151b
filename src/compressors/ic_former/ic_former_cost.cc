// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "compressors/compressor_files.h"
#include "compressors/compressor_settings.h"
#include "compressors/divided_cost.h"
#include "compressors/ic_former/ic_former_method.h"
#include "compressors/settings_reader.h"
#include "io/safetensors.h"

namespace precis {
namespace {

// Hidden size of the models that IC-Former was published for. Their encoder has an ffn_size of its
// own; for other models the encoder has the model's.
constexpr int64_t kPublishedWidth = 4096;

struct Sizes {
  int64_t slots = 128;
  int64_t max_segment = 512;
  int64_t num_layers = 3;
  int64_t ffn_size = 11008;
  bool connector = false;
  int64_t num_marks = 0;
  int64_t query_heads_per_key = 1;
};

Sizes checked(const CompressorSettings& settings, ErrorKind kind, const std::string& origin) {
  SettingsReader reader(settings, kind, origin);
  Sizes sizes;
  reader.read_at_least(1, "slots", sizes.slots);
  reader.read_at_least(1, "max_segment", sizes.max_segment);
  reader.read_at_least(1, "num_layers", sizes.num_layers);
  reader.read_at_least(1, "ffn_size", sizes.ffn_size);
  reader.read("connector", sizes.connector);
  reader.read_at_least(0, "num_marks", sizes.num_marks);
  reader.read_at_least(1, "query_heads_per_key", sizes.query_heads_per_key);
  reader.check_all_read();
  return sizes;
}

int64_t query_heads_per_key(const Settings& config, const std::string& origin) {
  if (!config.has("num_kv_heads")) return 1;
  const int64_t heads = config.integer("num_heads"), kv_heads = config.integer("num_kv_heads");
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

CompressorSettings read(const std::filesystem::path& directory) {
  const CompressorFiles files = open_compressor(directory);
  const Settings config(files);
  CompressorSettings sizes{{"slots", config.integer("slots")},
                           {"max_segment", config.integer("max_segment")},
                           {"num_layers", config.integer("num_layers")},
                           {"ffn_size", config.integer("ffn_size")},
                           {"connector", config.flag("connector", false)},
                           {"query_heads_per_key", query_heads_per_key(config, files.origin())},
                           {"num_marks", num_marks(directory)}};
  checked(sizes, ErrorKind::kBadWeights, files.origin());
  return sizes;
}

PlannedCompressor plan(const CompressorSettings& settings,
                       const DecoderConfig& model,
                       const Tokenizer*) {
  PlannedCompressor result;
  if (model.hidden_size != kPublishedWidth) result.sizes["ffn_size"] = model.ffn_size;
  for (const auto& [name, value] : settings)
    result.sizes[name == "layers" ? "num_layers" : name] = value;
  const Sizes sizes = checked(result.sizes, ErrorKind::kInvalidArgument, "ic_former");
  result.description = {{"slots", sizes.slots},
                        {"layers", sizes.num_layers},
                        {"ffn_size", sizes.ffn_size},
                        {"max_segment", sizes.max_segment}};
  result.max_segment = sizes.max_segment;
  return result;
}

// Width of all key heads of a layer.
double key_width(const Sizes& sizes, const ModelSizes& m) {
  return m.hidden / static_cast<double>(sizes.query_heads_per_key);
}

// A layer has queries, outputs, keys, values, the MLP and three norms; one more norm follows the
// last layer.
double parameters(const Sizes& sizes, const ModelSizes& m) {
  const double layer = 2 * m.hidden * (m.hidden + key_width(sizes, m)) +
                       3 * m.hidden * static_cast<double>(sizes.ffn_size) + 3 * m.hidden;
  const double embeddings = static_cast<double>(sizes.slots) + static_cast<double>(sizes.num_marks);
  return static_cast<double>(sizes.num_layers) * layer + m.hidden + embeddings * m.hidden +
         (sizes.connector ? connector_parameters(m, true) : 0);
}

// Queries, outputs and the MLP are computed for the digests only, keys and values for text and
// digests.
MethodCost chunk_cost(const Sizes& sizes, const ModelSizes& m, int64_t num_tokens) {
  const auto slots = static_cast<double>(sizes.slots);
  const double hidden = m.hidden, keys = key_width(sizes, m),
               read = static_cast<double>(num_tokens) + slots;
  const double layer = 4 * slots * hidden * hidden + 4 * hidden * read * (keys + slots) +
                       6 * slots * hidden * static_cast<double>(sizes.ffn_size);
  MethodCost cost;
  cost.compress_flops = static_cast<double>(sizes.num_layers) * layer +
                        (sizes.connector ? connector_flops(m, slots) : 0);
  cost.memory_tokens = slots;
  return cost;
}

MethodCost count(const CompressorSettings& settings,
                 const DecoderConfig& model,
                 int64_t num_tokens) {
  const Sizes sizes = checked(settings, ErrorKind::kInvalidArgument, "cost");
  const ModelSizes m(model);
  MethodCost cost = divided_cost(
      num_tokens, sizes.max_segment, [&](int64_t chunk) { return chunk_cost(sizes, m, chunk); });
  cost.parameters = parameters(sizes, m);
  return cost;
}

}  // namespace

CompressorSizing ic_former_sizing() {
  using Type = SettingFlag::Type;
  return {{{"slots", Type::kInteger, "memory tokens of each chunk", "128"},
           {"layers", Type::kInteger, "of its encoder", "3"},
           {"ffn_size", Type::kInteger, "of its encoder", "the model's; 11008 for a width of 4096"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"}},
          read,
          plan,
          count};
}

}  // namespace precis
