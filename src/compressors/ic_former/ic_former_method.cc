// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/ic_former_method.h"

#include "base/check.h"
#include "compressors/ic_former/ic_former.h"
#include "compressors/ic_former/import_ic_former.h"
#include "compressors/settings_reader.h"

namespace precis {
namespace {

using Type = SettingFlag::Type;

constexpr const char* kName = "ic_former";

// The largest number of heads, up to the model's, that divides its width into even head sizes.
int64_t num_heads_for(const DecoderConfig& model) {
  int64_t heads = model.num_heads;
  while (heads > 1 && model.hidden_size % (2 * heads) != 0) --heads;
  return heads;
}

std::unique_ptr<Compressor> create(const CompressorSettings& settings,
                                   const Decoder& decoder,
                                   const Tokenizer*,
                                   uint64_t seed) {
  SettingsReader reader(settings, ErrorKind::kInvalidArgument, kName);
  IcFormerConfig config;
  config.connector = true;
  config.ffn_size = decoder.config().ffn_size;
  config.num_heads = num_heads_for(decoder.config());
  config.spread_positions = true;
  reader.read("slots", config.slots);
  reader.read("max_segment", config.max_segment);
  reader.read("layers", config.num_layers);
  reader.read("token_table", config.token_table);
  reader.read_choice("slot_positions", "spread", "after", config.spread_positions);
  reader.check_all_read();
  return create_ic_former(config, decoder, seed);
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
  SettingsReader reader(settings, ErrorKind::kInvalidArgument, kName);
  IcFormerImportOptions options;
  reader.read("max_segment", options.max_segment);
  reader.check_all_read();
  options.instruct = published_template(*tokenizer);
  return import_ic_former(source, decoder, options);
}

CompressorCreation creation() {
  return {{{"slots", Type::kInteger, "memory tokens of each chunk", "128"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"},
           {"layers", Type::kInteger, "of its encoder", "3"},
           {"token_table",
            Type::kSwitch,
            "keep the keys and values of every id of the vocabulary: more memory, less time"},
           {"slot_positions",
            Type::kText,
            "positions of the memory tokens: after the text or spread over it",
            "spread",
            {"after", "spread"}}},
          create};
}

CompressorImport importing() {
  return {{{"max_segment", Type::kInteger, "text tokens in one pass", "512"}},
          /*source_is_model=*/false,
          read_published};
}

}  // namespace

CompressorMethod ic_former_method() {
  CompressorMethod method;
  method.name = kName;
  method.flag_name = "ic-former";
  method.load = loader(load_ic_former);
  method.creation = creation();
  method.sizing = ic_former_sizing();
  method.importing = importing();
  return method;
}

}  // namespace precis
