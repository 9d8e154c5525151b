// SPDX-License-Identifier: Apache-2.0
#include "compressors/selfcp/import_selfcp.h"

#include "base/check.h"
#include "compressors/parameters.h"
#include "io/safetensors_weights.h"

namespace precis {

std::unique_ptr<Compressor> import_selfcp(const std::filesystem::path& source,
                                          SelfCpConfig config,
                                          const Decoder& decoder) {
  const Weights stored(safetensors_file_weights(source), parameter_options(decoder));
  const int64_t hidden = decoder.config().hidden_size;
  config.layer_norm = stored.has("norm.weight") || stored.has("norm.bias");
  SelfCpWeights weights;
  weights.connector = take_connector(
      stored, hidden, config.layer_norm ? ConnectorNorm::kLayerNorm : ConnectorNorm::kNone);
  weights.tag_embedding = stored.take("tag_embedding", {hidden});
  stored.check_all_taken();
  PRECIS_CHECK(!config.separator || *config.separator < decoder.config().vocab_size,
               kInvalidArgument,
               "selfcp: separator ",
               *config.separator,
               " is outside the vocabulary of ",
               decoder.config().vocab_size);
  return make_selfcp(config, std::move(weights), decoder);
}

}  // namespace precis
