// SPDX-License-Identifier: Apache-2.0
#include "compressors/compressor_files.h"
#include "compressors/compressor_settings.h"
#include "compressors/divided_cost.h"
#include "compressors/selfcp/selfcp_method.h"
#include "compressors/settings_reader.h"

namespace precis {
namespace {

struct Sizes {
  double ratio = 12.0;
  int64_t max_segment = 512;
  bool separator = true;
  bool layer_norm = true;
};

Sizes checked(const CompressorSettings& settings, ErrorKind kind, const std::string& origin) {
  SettingsReader reader(settings, kind, origin);
  Sizes sizes;
  reader.read_ratio("ratio", sizes.ratio);
  reader.read_at_least(1, "max_segment", sizes.max_segment);
  reader.read("separator", sizes.separator);
  reader.read("layer_norm", sizes.layer_norm);
  reader.check_all_read();
  return sizes;
}

CompressorSettings read(const std::filesystem::path& directory) {
  const CompressorFiles files = open_compressor(directory);
  const Settings config(files);
  CompressorSettings sizes{{"ratio", config.number("ratio")},
                           {"max_segment", config.integer("max_segment")},
                           {"separator", config.has("separator_id")},
                           {"layer_norm", config.flag("layer_norm", true)}};
  checked(sizes, ErrorKind::kBadWeights, files.origin());
  return sizes;
}

PlannedCompressor plan(const CompressorSettings& settings, const DecoderConfig&, const Tokenizer*) {
  const Sizes sizes = checked(settings, ErrorKind::kInvalidArgument, "selfcp");
  return {
      settings, {{"ratio", sizes.ratio}, {"max_segment", sizes.max_segment}}, sizes.max_segment};
}

// One pass over separator, chunk and tags; the connector reads the tags.
MethodCost count(const CompressorSettings& settings,
                 const DecoderConfig& model,
                 int64_t num_tokens) {
  const Sizes sizes = checked(settings, ErrorKind::kInvalidArgument, "cost");
  const ModelSizes m(model);
  MethodCost cost = divided_cost(num_tokens, sizes.max_segment, [&](int64_t chunk) {
    const double tags = memory_tokens_at(chunk, sizes.ratio);
    const double read = (sizes.separator ? 1 : 0) + static_cast<double>(chunk) + tags;
    return MethodCost{0, pass_flops(model, read, read) + connector_flops(m, tags), 0, tags};
  });
  cost.parameters = connector_parameters(m, sizes.layer_norm) + m.hidden;
  return cost;
}

}  // namespace

CompressorSizing selfcp_sizing() {
  using Type = SettingFlag::Type;
  return {{{"ratio", Type::kNumber, "text tokens per memory token", "12"},
           {"max_segment", Type::kInteger, "text tokens in one pass", "512"}},
          read,
          plan,
          count};
}

}  // namespace precis
