// SPDX-License-Identifier: Apache-2.0
#include "compressors/icae/icae_method.h"

#include "base/check.h"
#include "compressors/icae/icae.h"
#include "compressors/icae/import_icae.h"
#include "compressors/settings_reader.h"

namespace precis {
namespace {

using Type = SettingFlag::Type;

constexpr const char* kName = "icae";

// Published ICAEs have no connector; small models cannot read memories without one.
std::unique_ptr<Compressor> create(const CompressorSettings& settings,
                                   const Decoder& decoder,
                                   const Tokenizer*,
                                   uint64_t seed) {
  SettingsReader reader(settings, ErrorKind::kInvalidArgument, kName);
  IcaeConfig config;
  config.connector = true;
  reader.read("slots", config.slots);
  reader.read("max_segment", config.max_segment);
  reader.read("rank", config.rank);
  reader.read("alpha", config.alpha);
  // A sliding window counts tokens, not positions: in a chunk that is longer than the window, a
  // memory token at a position inside the text would not see the tokens around it.
  const int64_t window = decoder.config().window;
  config.spread_positions = window == 0 || config.max_segment <= window;
  reader.read_choice("slot_positions", "spread", "after", config.spread_positions);
  reader.check_all_read();
  return create_icae(config, decoder, seed);
}

IcaeGeneration generation_named(const std::string& name) {
  if (name == "llama") return IcaeGeneration::kLlama;
  if (name == "mistral") return IcaeGeneration::kMistral;
  PRECIS_CHECK(name == "none",
               kInvalidArgument,
               "icae: generation is \"",
               name,
               "\", expected llama, mistral or none");
  return IcaeGeneration::kNone;
}

std::unique_ptr<Compressor> read_published(const std::filesystem::path& source,
                                           const CompressorSettings& settings,
                                           const Decoder& decoder,
                                           const Tokenizer*) {
  SettingsReader reader(settings, ErrorKind::kInvalidArgument, kName);
  IcaeImportOptions options;
  std::optional<std::string> generation;
  reader.read("max_segment", options.max_segment);
  reader.read("alpha", options.alpha);
  reader.read("generation", generation);
  reader.check_all_read();
  if (generation) options.generation = generation_named(*generation);
  return import_icae(source, decoder, options);
}

CompressorCreation creation() {
  return {{{"slots", Type::kInteger, "memory tokens of each chunk", "128"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"},
           {"rank", Type::kInteger, "of the LoRA", "128"},
           {"alpha", Type::kNumber, "of the LoRA, which is scaled by alpha / rank", "32"},
           {"slot_positions",
            Type::kText,
            "positions of the memory tokens: after the text or spread over it",
            "spread, where the model's window holds the text",
            {"after", "spread"}}},
          create};
}

CompressorImport importing() {
  return {{{"max_segment", Type::kInteger, "text tokens in one pass", "four for each memory token"},
           {"alpha", Type::kNumber, "of the LoRA, which is scaled by alpha / rank", "32"},
           {"generation",
            Type::kText,
            "whose template to use: llama (2023), mistral (2024) or none",
            "by the base",
            {"none", "llama", "mistral"}}},
          /*source_is_model=*/false,
          read_published};
}

}  // namespace

CompressorMethod icae_method() {
  CompressorMethod method;
  method.name = kName;
  method.load = loader(load_icae);
  method.creation = creation();
  method.sizing = icae_sizing();
  method.importing = importing();
  return method;
}

}  // namespace precis
