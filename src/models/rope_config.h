// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "precis/extend/decoder.h"

namespace precis {

// The rotary embedding of a Hugging Face config.json, with the precedence of transformers:
// rope_scaling, else rope_parameters; the base, if they have none, is rope_theta of config.json.
// Throws kUnsupported for an unknown scaling, kBadWeights for invalid values.
RopeConfig rope_config(const nlohmann::json& config,
                       const DecoderConfig& decoder,
                       const std::string& origin);

// The same for Gemma 3, whose rope_parameters have an entry for each type of layer: of layers with
// full attention, to which rope_scaling applies, too, and of layers with a sliding window.
RopeConfig global_rope_config(const nlohmann::json& config,
                              const DecoderConfig& decoder,
                              const std::string& origin);
RopeConfig local_rope_config(const nlohmann::json& config,
                             const DecoderConfig& decoder,
                             const std::string& origin);

}  // namespace precis
