// SPDX-License-Identifier: Apache-2.0
#include "compressors/gisting/gisting_method.h"

#include "base/check.h"
#include "compressors/gisting/gisting_config.h"
#include "compressors/gisting/import_gisting.h"

namespace precis {
namespace {

constexpr const char* kName = "gisting";
constexpr double kRatio = 4;  // default of spread gists

SettingTable creation_settings(GistingConfig& config) {
  SettingTable table =
      pick_flags(gisting_settings(config),
                 {"ratio", "num_gists", "max_segment", "rank", "alpha", "gist_positions"});
  table[0].default_text = "4";
  table[1].help = "gists of each text, in place of --ratio";
  table[1].default_text = "";
  table[5].default_text = "spread, unless --slots is given";
  return table;
}

// The frozen form. If the model takes a BOS, it is read before the text: a memory at the beginning
// of a prompt would have none otherwise. With the setting `slots` the gists follow the text;
// otherwise they are spread over it, by a ratio.
std::unique_ptr<Compressor> create(const CompressorSettings& settings,
                                   const Decoder& decoder,
                                   const Tokenizer* tokenizer,
                                   uint64_t seed) {
  const bool by_number = settings.contains("slots");
  PRECIS_CHECK(!settings.contains("ratio") || !by_number,
               kInvalidArgument,
               "--ratio of gisting stands in place of --slots");
  GistingConfig config;
  const SpecialTokens special = tokenizer ? tokenizer->special_tokens() : SpecialTokens{};
  if (special.add_bos && special.bos) config.before_text = {*special.bos};
  config.spread_positions = !by_number;
  read_settings(settings, creation_settings(config), kName);
  if (config.spread_positions && !by_number) config.ratio = config.ratio.value_or(kRatio);
  return create_gisting(config, decoder, seed);
}

std::unique_ptr<Compressor> read_published(const std::filesystem::path& source,
                                           const CompressorSettings& settings,
                                           const Decoder& decoder,
                                           const Tokenizer* tokenizer) {
  PRECIS_CHECK(tokenizer != nullptr,
               kNotFound,
               source.string(),
               ": the model has no tokenizer, which gisting's template needs");
  return import_gisting(decoder, *tokenizer, gisting_import_options(settings));
}

}  // namespace

CompressorMethod gisting_method() {
  return {.name = kName,
          .load = loader(load_gisting),
          .creation = CompressorCreation{flags_of(creation_settings), create},
          .sizing = gisting_sizing(),
          .importing = CompressorImport{flags_of(gisting_import_settings), true, read_published}};
}

}  // namespace precis
