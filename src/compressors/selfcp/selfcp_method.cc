// SPDX-License-Identifier: Apache-2.0
#include "compressors/selfcp/selfcp_method.h"

#include "base/check.h"
#include "compressors/parameters.h"
#include "compressors/selfcp/selfcp.h"
#include "compressors/setting_table.h"
#include "io/safetensors_weights.h"

namespace precis {
namespace {

constexpr const char* kName = "selfcp";

// Byte token <0x00> of Llama's vocabulary, which the authors' code reads before a text.
constexpr int64_t kPublishedSeparator = 3;

SelfCpConfig new_config() {
  SelfCpConfig config;
  config.ratio = 4;
  config.reads_prefix = false;
  return config;
}

SettingTable creation_settings(SelfCpConfig& config) {
  return pick_flags(selfcp_settings(config), {"ratio", "max_segment", "separator_id"});
}

std::unique_ptr<Compressor> create(const CompressorSettings& settings,
                                   const Decoder& decoder,
                                   const Tokenizer*,
                                   uint64_t) {
  SelfCpConfig config = new_config();
  read_settings(settings, creation_settings(config), kName);
  return create_selfcp(config, decoder);
}

struct ImportOptions {
  SelfCpConfig config;
  int64_t separator = kPublishedSeparator;  // -1: none
};

SettingTable import_settings(ImportOptions& options) {
  SettingTable table = pick_flags(selfcp_settings(options.config), {"ratio", "max_segment"});
  table.push_back({"separator",
                   &options.separator,
                   Setting::Limit::kNone,
                   "id of the token read before the text, -1: none"});
  return table;
}

std::optional<TokenId> checked_separator(int64_t separator, const Decoder& decoder) {
  PRECIS_CHECK(separator >= -1,
               kInvalidArgument,
               "selfcp: --separator is ",
               separator,
               ", expected an id, or -1 for none");
  const int64_t vocabulary = decoder.config().vocab_size;
  PRECIS_CHECK(separator < vocabulary,
               kInvalidArgument,
               "selfcp: separator ",
               separator,
               " is outside the vocabulary of ",
               vocabulary);
  if (separator < 0) return std::nullopt;
  return separator;
}

// A safetensors file with connector.weight, connector.bias, tag_embedding, and norm.weight and
// norm.bias unless the variant has no LayerNorm.
std::unique_ptr<Compressor> read_published(const std::filesystem::path& source,
                                           const CompressorSettings& settings,
                                           const Decoder& decoder,
                                           const Tokenizer*) {
  ImportOptions options;
  read_settings(settings, import_settings(options), kName);
  SelfCpConfig& config = options.config;
  config.separator = checked_separator(options.separator, decoder);
  const Weights stored(safetensors_file_weights(source), parameter_options(decoder));
  config.layer_norm = stored.has("norm.weight") || stored.has("norm.bias");
  return make_selfcp(config, take_selfcp_weights(stored, config, decoder), decoder);
}

}  // namespace

CompressorMethod selfcp_method() {
  return {.name = kName,
          .load = loader(load_selfcp),
          .creation = CompressorCreation{flags_of(creation_settings, new_config()), create},
          .sizing = selfcp_sizing(),
          .importing = CompressorImport{flags_of(import_settings), false, read_published}};
}

}  // namespace precis
