// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/ic_former_method.h"

#include "base/check.h"
#include "compressors/ic_former/ic_former_config.h"
#include "compressors/ic_former/import_ic_former.h"

namespace precis {
namespace {

constexpr const char* kName = "ic_former";

// The largest number of heads, up to the model's, that divides its width into even head sizes.
int64_t num_heads_for(const DecoderConfig& model) {
  int64_t heads = model.num_heads;
  while (heads > 1 && model.hidden_size % (2 * heads) != 0) --heads;
  return heads;
}

IcFormerConfig new_config() {
  IcFormerConfig config;
  config.connector = true;
  config.spread_positions = true;
  return config;
}

SettingTable creation_settings(IcFormerConfig& config) {
  return pick_flags(ic_former_settings(config),
                    {"slots", "max_segment", "num_layers", "token_table", "slot_positions"});
}

std::unique_ptr<Compressor> create(const CompressorSettings& settings,
                                   const Decoder& decoder,
                                   const Tokenizer*,
                                   uint64_t seed) {
  IcFormerConfig config = new_config();
  config.ffn_size = decoder.config().ffn_size;
  config.num_heads = num_heads_for(decoder.config());
  read_settings(settings, creation_settings(config), kName);
  return create_ic_former(config, decoder, seed);
}

SettingTable import_settings(IcFormerImportOptions& options) {
  return {{"max_segment", &options.max_segment, Setting::Limit::kNone, "text tokens in one pass"}};
}

// The texts of the published scripts, each tokenized on its own. The scripts tokenize "Prompt: "
// and the question as one text. "Prompt:" has no space here, since Llama's tokenizers put one
// before the question when it is tokenized on its own.
IcFormerTemplate published_template(const Tokenizer& tokenizer) {
  const auto ids = [&](const char* text) {
    const TextRun run{text, /*trusted=*/true};
    return tokenizer.encode_runs({&run, 1});
  };
  IcFormerTemplate instruct;
  instruct.before = ids("<s>[INST] Response the Prompt based on the below text:\n\n");
  instruct.after = ids("\n\nPrompt:");
  instruct.end = ids("[/INST]");
  return instruct;
}

std::unique_ptr<Compressor> read_published(const std::filesystem::path& source,
                                           const CompressorSettings& settings,
                                           const Decoder& decoder,
                                           const Tokenizer* tokenizer) {
  PRECIS_CHECK(tokenizer != nullptr,
               kNotFound,
               "ic_former: the model has no tokenizer, which the template of published weights "
               "needs");
  IcFormerImportOptions options;
  read_settings(settings, import_settings(options), kName);
  options.instruct = published_template(*tokenizer);
  return import_ic_former(source, decoder, options);
}

}  // namespace

CompressorMethod ic_former_method() {
  return {.name = kName,
          .load = loader(load_ic_former),
          .flag_name = "ic-former",
          .creation = CompressorCreation{flags_of(creation_settings, new_config()), create},
          .sizing = ic_former_sizing(),
          .importing = CompressorImport{flags_of(import_settings), false, read_published}};
}

}  // namespace precis
