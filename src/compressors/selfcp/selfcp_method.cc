// SPDX-License-Identifier: Apache-2.0
#include "compressors/selfcp/selfcp_method.h"

#include "base/check.h"
#include "compressors/selfcp/import_selfcp.h"
#include "compressors/selfcp/selfcp.h"
#include "compressors/settings_reader.h"

namespace precis {
namespace {

using Type = SettingFlag::Type;

constexpr const char* kName = "selfcp";

// Byte token <0x00> of Llama's vocabulary, which the authors' code reads before a text.
constexpr int64_t kPublishedSeparator = 3;

std::unique_ptr<Compressor> create(const CompressorSettings& settings,
                                   const Decoder& decoder,
                                   const Tokenizer*,
                                   uint64_t) {
  SettingsReader reader(settings, ErrorKind::kInvalidArgument, kName);
  SelfCpConfig config;
  config.ratio = 4;
  config.reads_prefix = false;
  reader.read("ratio", config.ratio);
  reader.read("max_segment", config.max_segment);
  reader.read("separator", config.separator);
  reader.check_all_read();
  return create_selfcp(config, decoder);
}

std::unique_ptr<Compressor> read_published(const std::filesystem::path& source,
                                           const CompressorSettings& settings,
                                           const Decoder& decoder,
                                           const Tokenizer*) {
  SettingsReader reader(settings, ErrorKind::kInvalidArgument, kName);
  SelfCpConfig config;
  int64_t separator = kPublishedSeparator;
  reader.read("ratio", config.ratio);
  reader.read("max_segment", config.max_segment);
  reader.read("separator", separator);
  reader.check_all_read();
  PRECIS_CHECK(separator >= -1,
               kInvalidArgument,
               "selfcp: --separator is ",
               separator,
               ", expected an id, or -1 for none");
  if (separator >= 0) config.separator = separator;
  return import_selfcp(source, config, decoder);
}

CompressorCreation creation() {
  return {{{"ratio", Type::kNumber, "text tokens per memory token", "4"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"},
           {"separator", Type::kInteger, "id of a token to read before the text"}},
          create};
}

CompressorImport importing() {
  return {{{"ratio", Type::kNumber, "text tokens per memory token", "12"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"},
           {"separator", Type::kInteger, "id of the token read before the text, -1: none", "3"}},
          /*source_is_model=*/false,
          read_published};
}

}  // namespace

CompressorMethod selfcp_method() {
  CompressorMethod method;
  method.name = kName;
  method.load = loader(load_selfcp);
  method.creation = creation();
  method.sizing = selfcp_sizing();
  method.importing = importing();
  return method;
}

}  // namespace precis
