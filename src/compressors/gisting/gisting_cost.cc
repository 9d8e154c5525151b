// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <optional>

#include "base/check.h"
#include "compressors/compressor_files.h"
#include "compressors/compressor_settings.h"
#include "compressors/divided_cost.h"
#include "compressors/gisting/gisting_method.h"
#include "compressors/settings_reader.h"

namespace precis {
namespace {

struct Sizes {
  bool tuned = false;
  int64_t num_gists = 1;
  std::optional<double> ratio;
  bool spread = false;
  int64_t max_segment = 512;
  int64_t rank = 16;
  int64_t rows_before = 0;
};

Sizes checked(const CompressorSettings& settings, ErrorKind kind, const std::string& origin) {
  SettingsReader reader(settings, kind, origin);
  Sizes sizes;
  reader.read_choice("form", "tuned", "frozen", sizes.tuned);
  reader.read_at_least(1, "num_gists", sizes.num_gists);
  if (reader.has("ratio")) reader.read_ratio("ratio", sizes.ratio.emplace());
  reader.read_choice("gist_positions", "spread", "after", sizes.spread);
  if (sizes.spread && (sizes.tuned || !sizes.ratio))
    fail(kind, origin, ": spread gists are of the frozen form and need a ratio");
  reader.read_at_least(1, "max_segment", sizes.max_segment);
  reader.read_at_least(0, "rank", sizes.rank);
  reader.read_at_least(0, "rows_before", sizes.rows_before);
  reader.check_all_read();
  return sizes;
}

CompressorSettings read(const std::filesystem::path& directory) {
  const CompressorFiles files = open_compressor(directory);
  const Settings config(files);
  const bool tuned = config.choice("form", "tuned", "frozen");
  const bool spread = config.choice("gist_positions", "spread", "after");
  CompressorSettings sizes{{"form", tuned ? "tuned" : "frozen"},
                           {"num_gists", config.integer("num_gists")},
                           {"gist_positions", spread ? "spread" : "after"},
                           {"max_segment", config.integer("max_segment")},
                           {"rank", tuned ? 0 : config.integer("rank")},
                           {"rows_before", std::ssize(config.ids("before_text"))}};
  if (config.has("ratio")) sizes["ratio"] = config.number("ratio");
  checked(sizes, ErrorKind::kBadWeights, files.origin());
  return sizes;
}

// With a ratio gists are spread by default, as `precis train` creates them.
CompressorSettings sizes_of(const CompressorSettings& settings) {
  const bool by_ratio = settings.contains("ratio");
  CompressorSettings sizes;
  SettingsReader reader(settings, ErrorKind::kInvalidArgument, "gisting");
  bool tuned = false;
  reader.read("tuned", tuned);
  PRECIS_CHECK(!tuned || !settings.contains("rank"),
               kInvalidArgument,
               "gisting: --rank is of the frozen form, --tuned asks for the other");
  PRECIS_CHECK(!by_ratio || (!tuned && !settings.contains("slots")),
               kInvalidArgument,
               "gisting: --ratio is of the frozen form, and stands in place of --slots");
  sizes["form"] = tuned ? "tuned" : "frozen";
  if (by_ratio) sizes["gist_positions"] = "spread";
  for (const auto& [name, value] : settings) {
    if (name != "tuned") sizes[name == "slots" ? "num_gists" : name] = value;
  }
  return sizes;
}

PlannedCompressor plan(const CompressorSettings& settings, const DecoderConfig&, const Tokenizer*) {
  PlannedCompressor result;
  result.sizes = sizes_of(settings);
  const Sizes sizes = checked(result.sizes, ErrorKind::kInvalidArgument, "gisting");
  result.max_segment = sizes.max_segment;
  result.description = {{"form", sizes.tuned ? "tuned" : "frozen"},
                        {"slots", sizes.ratio ? 0 : sizes.num_gists},
                        {"max_segment", sizes.max_segment}};
  if (sizes.ratio) result.description["ratio"] = *sizes.ratio;
  if (sizes.tuned) return result;
  result.description["rank"] = sizes.rank;
  result.description["gist_positions"] = sizes.spread ? "spread" : "after";
  return result;
}

// The last layer's queries have no LoRA: the gists' attention outputs there are not used.
double lora_elements(const Sizes& sizes, const ModelSizes& m) {
  if (sizes.tuned) return 0;
  return (m.layers - 1) * lora_parameters(m, sizes.rank, m.query) +
         m.layers * 2 * lora_parameters(m, sizes.rank, m.key);
}

// One pass over template, chunk and gists. With spread gists the first token read is kept, too,
// unless a gist is at its position.
MethodCost chunk_cost(const Sizes& sizes, const DecoderConfig& model, int64_t num_tokens) {
  const auto tokens = static_cast<double>(num_tokens);
  const double gists = sizes.ratio ? memory_tokens_at(num_tokens, *sizes.ratio)
                                   : static_cast<double>(sizes.num_gists);
  const double read = static_cast<double>(sizes.rows_before) + tokens + gists;
  const bool keeps_first = sizes.spread && (sizes.rows_before > 0 || tokens >= 2 * gists);
  return {0,
          pass_flops(model, read, read),
          2 * gists * lora_elements(sizes, ModelSizes(model)),
          gists + (keeps_first ? 1 : 0),
          true};
}

MethodCost count(const CompressorSettings& settings,
                 const DecoderConfig& model,
                 int64_t num_tokens) {
  const Sizes sizes = checked(settings, ErrorKind::kInvalidArgument, "cost");
  PRECIS_CHECK(sizes.spread || num_tokens <= sizes.max_segment,
               kInvalidArgument,
               "cost: gisting with gists behind the text does not divide it, and ",
               num_tokens,
               " tokens are over its limit of ",
               sizes.max_segment);
  MethodCost cost = divided_cost(num_tokens, sizes.max_segment, [&](int64_t chunk) {
    return chunk_cost(sizes, model, chunk);
  });
  const ModelSizes m(model);
  if (!sizes.tuned)
    cost.parameters = lora_elements(sizes, m) + static_cast<double>(sizes.num_gists) * m.hidden;
  return cost;
}

}  // namespace

CompressorSizing gisting_sizing() {
  using Type = SettingFlag::Type;
  return {{{"slots", Type::kInteger, "gists of each text", "1"},
           {"ratio", Type::kNumber, "text tokens per gist, in place of --slots"},
           {"rank", Type::kInteger, "of the LoRA", "16"},
           {"tuned", Type::kSwitch, "the form whose model was itself trained"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"}},
          read,
          plan,
          count};
}

}  // namespace precis
