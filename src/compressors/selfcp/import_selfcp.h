// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "compressors/selfcp/selfcp.h"

namespace precis {

// Reads a safetensors file with connector.weight, connector.bias, tag_embedding, and norm.weight
// and norm.bias unless the variant has no LayerNorm; `config` has the settings. Throws as
// safetensors_file_weights() and make_selfcp(), kBadWeights for tensors that are missing, surplus
// or of another shape.
std::unique_ptr<Compressor> import_selfcp(const std::filesystem::path& source,
                                          SelfCpConfig config,
                                          const Decoder& decoder);

}  // namespace precis
