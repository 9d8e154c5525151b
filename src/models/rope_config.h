// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "precis/extend/decoder.h"

namespace precis {

// The rotary embedding that a Hugging Face config.json describes, found as transformers finds it:
// rope_scaling, else rope_parameters, whose missing base is rope_theta beside them. Throws
// kUnsupported for an unknown scaling, kBadWeights for impossible values.
RopeConfig rope_config(const nlohmann::json& config,
                       const DecoderConfig& decoder,
                       const std::string& origin);

// Gemma 3, whose rope_parameters hold an entry for each type of layer: of layers that see
// everything, which rope_scaling is about too, and of those with a window.
RopeConfig global_rope_config(const nlohmann::json& config,
                              const DecoderConfig& decoder,
                              const std::string& origin);
RopeConfig local_rope_config(const nlohmann::json& config,
                             const DecoderConfig& decoder,
                             const std::string& origin);

}  // namespace precis
