// SPDX-License-Identifier: Apache-2.0
#include "compressors/icae/icae_method.h"

#include "compressors/icae/icae.h"
#include "compressors/icae/import_icae.h"
#include "compressors/setting_table.h"

namespace precis {
namespace {

constexpr const char* kName = "icae";

// Published ICAEs have no connector; small models cannot read memories without one.
IcaeConfig new_config() {
  IcaeConfig config;
  config.connector = true;
  return config;
}

SettingTable creation_settings(IcaeConfig& config) {
  SettingTable table = pick_flags(icae_settings(config),
                                  {"slots", "max_segment", "rank", "alpha", "slot_positions"});
  table.back().default_text = "spread, where the model's window holds the text";
  return table;
}

std::unique_ptr<Compressor> create(const CompressorSettings& settings,
                                   const Decoder& decoder,
                                   const Tokenizer*,
                                   uint64_t seed) {
  IcaeConfig config = new_config();
  read_settings(settings, creation_settings(config), kName);
  // A sliding window counts tokens, not positions: in a chunk that is longer than the window, a
  // memory token at a position inside the text would not see the tokens around it.
  const int64_t window = decoder.config().window;
  if (!settings.contains("slot_positions"))
    config.spread_positions = window == 0 || config.max_segment <= window;
  return create_icae(config, decoder, seed);
}

SettingTable import_settings(IcaeImportOptions& options) {
  const auto kNone = Setting::Limit::kNone;
  return {{"max_segment",
           &options.max_segment,
           kNone,
           "text tokens in one pass",
           "",
           "four for each memory token"},
          {"alpha", &options.alpha, kNone, "of the LoRA, which is scaled by alpha / rank"},
          {"generation",
           choice(options.generation, {"none", "llama", "mistral"}),
           kNone,
           "whose template to use: llama (2023), mistral (2024) or none",
           "",
           "by the base"}};
}

std::unique_ptr<Compressor> read_published(const std::filesystem::path& source,
                                           const CompressorSettings& settings,
                                           const Decoder& decoder,
                                           const Tokenizer*) {
  IcaeImportOptions options;
  read_settings(settings, import_settings(options), kName);
  return import_icae(source, decoder, options);
}

}  // namespace

CompressorMethod icae_method() {
  return {.name = kName,
          .load = loader(load_icae),
          .creation = CompressorCreation{flags_of(creation_settings, new_config()), create},
          .sizing = icae_sizing(),
          .importing = CompressorImport{flags_of(import_settings), false, read_published}};
}

}  // namespace precis
