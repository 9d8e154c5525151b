// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "precis/decoder.h"

namespace precis {

// The rotary embedding that a Hugging Face config.json describes; `layer_type` selects an entry
// where rope_parameters holds one for each type of layer. Throws kUnsupported for an unknown
// scaling, kBadWeights for impossible values.
RopeConfig rope_config(const nlohmann::json& config,
                       const DecoderConfig& decoder,
                       const std::string& origin,
                       const std::string& layer_type = "");

// Gemma 3: the rotary embedding of windowed layers.
RopeConfig local_rope_config(const nlohmann::json& config,
                             const DecoderConfig& decoder,
                             const std::string& origin);

}  // namespace precis
