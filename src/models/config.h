// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "precis/extend/decoder.h"

namespace precis {

// Reads a Hugging Face config.json, with the keys of old checkpoints (rope_theta, rope_scaling) or
// of new ones (rope_parameters, layer_types), and the defaults of transformers for absent keys.
// `origin` names the file in messages. Throws kUnsupported for an unknown architecture or a setting
// that is not implemented (io/model_keys.cc), kBadWeights for missing or invalid values.
DecoderConfig decoder_config(const nlohmann::json& config, const std::string& origin);

}  // namespace precis
