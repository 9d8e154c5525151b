// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "base/check.h"
#include "compressors/divided_cost.h"
#include "compressors/gisting/gisting_config.h"
#include "compressors/gisting/gisting_method.h"
#include "compressors/sizing.h"

namespace precis {
namespace {

using Form = GistingConfig::Form;

struct Sizes {
  GistingConfig config;
  int64_t rows_before = 0;
  bool tuned = false;  // as a flag, in place of "form"
};

SettingTable all(Sizes& sizes) {
  SettingTable table = pick(gisting_settings(sizes.config),
                            {"form", "ratio", "num_gists", "gist_positions", "max_segment"});
  table.push_back({"rank", &sizes.config.rank, Setting::Limit::kAtLeast0});
  table.push_back({"rows_before", &sizes.rows_before, Setting::Limit::kAtLeast0});
  return table;
}

void check_spread(const GistingConfig& config, ErrorKind kind, const std::string& origin) {
  if (config.spread_positions && (config.form == Form::kTuned || !config.ratio))
    fail(kind, origin, ": spread gists are of the frozen form and need a ratio");
}

void read(const CompressorFiles& files, Sizes& sizes) {
  GistingConfig& config = sizes.config;
  read_settings(files, pick(gisting_settings(config), {"form"}));
  read_settings(files, gisting_settings(config));
  check_spread(config, ErrorKind::kBadWeights, files.origin());
  if (config.form == Form::kTuned) config.rank = 0;
  sizes.rows_before = std::ssize(config.before_text);
}

SettingTable flags(Sizes& sizes) {
  SettingTable table =
      pick_flags(gisting_settings(sizes.config), {"num_gists", "ratio", "rank", "max_segment"});
  table[1].help = "text tokens per gist, in place of --slots";
  const auto kNone = Setting::Limit::kNone;
  table.push_back({"tuned", &sizes.tuned, kNone, "the form whose model was itself trained"});
  return table;
}

// With a ratio gists are spread by default, as `precis train` creates them.
Sizes sizes_of(const CompressorSettings& settings) {
  Sizes sizes;
  GistingConfig& config = sizes.config;
  read_settings(settings, flags(sizes), "gisting");
  PRECIS_CHECK(!sizes.tuned || !settings.contains("rank"),
               kInvalidArgument,
               "gisting: --rank is of the frozen form, --tuned asks for the other");
  PRECIS_CHECK(!config.ratio || (!sizes.tuned && !settings.contains("slots")),
               kInvalidArgument,
               "gisting: --ratio is of the frozen form, and stands in place of --slots");
  config.form = sizes.tuned ? Form::kTuned : Form::kFrozen;
  config.spread_positions = config.ratio.has_value();
  check_limits(all(sizes), ErrorKind::kInvalidArgument, "gisting");
  return sizes;
}

PlannedCompressor plan(const CompressorSettings& settings, const DecoderConfig&, const Tokenizer*) {
  Sizes sizes = sizes_of(settings);
  const GistingConfig& config = sizes.config;
  PlannedCompressor result{values_of(all(sizes)), {}, config.max_segment};
  result.description = result.sizes;
  for (const char* name : {"num_gists", "rows_before"}) result.description.erase(name);
  if (config.form == Form::kTuned)
    for (const char* name : {"rank", "gist_positions"}) result.description.erase(name);
  result.description["slots"] = config.ratio ? 0 : config.num_gists;
  return result;
}

// The last layer's queries have no LoRA: the gists' attention outputs there are not used.
double lora_elements(const GistingConfig& config, const ModelSizes& m) {
  if (config.form == Form::kTuned) return 0;
  return (m.layers - 1) * lora_parameters(m, config.rank, m.query) +
         m.layers * 2 * lora_parameters(m, config.rank, m.key);
}

// One pass over template, chunk and gists. With spread gists the first token read is kept, too,
// unless a gist is at its position.
MethodCost chunk_cost(const Sizes& sizes, const DecoderConfig& model, int64_t num_tokens) {
  const GistingConfig& config = sizes.config;
  const auto tokens = static_cast<double>(num_tokens);
  const double gists = config.ratio ? memory_tokens_at(num_tokens, *config.ratio)
                                    : static_cast<double>(config.num_gists);
  const double read = static_cast<double>(sizes.rows_before) + tokens + gists;
  const bool keeps_first =
      config.spread_positions && (sizes.rows_before > 0 || tokens >= 2 * gists);
  return {0,
          pass_flops(model, read, read),
          2 * gists * lora_elements(config, ModelSizes(model)),
          gists + (keeps_first ? 1 : 0),
          true};
}

MethodCost count(const Sizes& sizes, const DecoderConfig& model, int64_t num_tokens) {
  const GistingConfig& config = sizes.config;
  check_spread(config, ErrorKind::kInvalidArgument, "cost");
  PRECIS_CHECK(config.spread_positions || num_tokens <= config.max_segment,
               kInvalidArgument,
               "cost: gisting with gists behind the text does not divide it, and ",
               num_tokens,
               " tokens are over its limit of ",
               config.max_segment);
  MethodCost cost = divided_cost(num_tokens, config.max_segment, [&](int64_t chunk) {
    return chunk_cost(sizes, model, chunk);
  });
  const ModelSizes m(model);
  if (config.form == Form::kFrozen)
    cost.parameters = lora_elements(config, m) + static_cast<double>(config.num_gists) * m.hidden;
  return cost;
}

}  // namespace

CompressorSizing gisting_sizing() {
  CompressorSizing sizing = make_sizing(SizesOf<Sizes>{"gisting", all, flags, read, count});
  sizing.plan = plan;
  return sizing;
}

}  // namespace precis
