// SPDX-License-Identifier: Apache-2.0
#include "compressors/gisting/gisting_method.h"

#include "base/check.h"
#include "compressors/gisting/gisting.h"
#include "compressors/gisting/import_gisting.h"
#include "compressors/settings_reader.h"

namespace precis {
namespace {

using Type = SettingFlag::Type;

constexpr const char* kName = "gisting";
constexpr double kRatio = 4;  // default of spread gists

// The frozen form. If the model takes a BOS, it is read before the text: a memory at the beginning
// of a prompt would have none otherwise. With the setting `slots` the gists follow the text;
// otherwise they are spread over it, by a ratio.
std::unique_ptr<Compressor> create(const CompressorSettings& settings,
                                   const Decoder& decoder,
                                   const Tokenizer* tokenizer,
                                   uint64_t seed) {
  SettingsReader reader(settings, ErrorKind::kInvalidArgument, kName);
  const bool by_number = reader.has("slots");
  PRECIS_CHECK(!reader.has("ratio") || !by_number,
               kInvalidArgument,
               "--ratio of gisting stands in place of --slots");
  GistingConfig config;
  const SpecialTokens special = tokenizer ? tokenizer->special_tokens() : SpecialTokens{};
  if (special.add_bos && special.bos) config.before_text = {*special.bos};
  config.spread_positions = !by_number;
  reader.read("slots", config.num_gists);
  reader.read("ratio", config.ratio);
  reader.read_choice("slot_positions", "spread", "after", config.spread_positions);
  if (config.spread_positions && !by_number) config.ratio = config.ratio.value_or(kRatio);
  reader.read("max_segment", config.max_segment);
  reader.read("rank", config.rank);
  reader.read("alpha", config.alpha);
  reader.check_all_read();
  return create_gisting(config, decoder, seed);
}

CompressorCreation creation() {
  return {{{"ratio", Type::kNumber, "text tokens per memory token", "4"},
           {"slots", Type::kInteger, "gists of each text, in place of --ratio"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"},
           {"rank", Type::kInteger, "of the LoRA", "16"},
           {"alpha", Type::kNumber, "of the LoRA, which is scaled by alpha / rank", "32"},
           {"slot_positions",
            Type::kText,
            "positions of the memory tokens: after the text or spread over it",
            "spread, unless --slots is given",
            {"after", "spread"}}},
          create};
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

CompressorImport importing() {
  return {{{"memory_tokens", Type::kInteger, "gist tokens that the model was tuned with", "1"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"},
           {"no_input", Type::kSwitch, "for prompts without a text after the memory (\"Input:\")"}},
          /*source_is_model=*/true,
          read_published};
}

}  // namespace

CompressorMethod gisting_method() {
  CompressorMethod method;
  method.name = kName;
  method.load = loader(load_gisting);
  method.creation = creation();
  method.sizing = gisting_sizing();
  method.importing = importing();
  return method;
}

}  // namespace precis
