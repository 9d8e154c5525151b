// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "io/gguf.h"

namespace precis {

// Throw kUnsupported, naming the key, where a configuration asks for a computation that the
// architecture does not have here (model_keys.cc). Keys that are not known are named in the log.

// `architecture` as DecoderConfig names it; `origin` names the file in messages.
void check_config_keys(const nlohmann::json& config,
                       const std::string& architecture,
                       const std::string& origin);
void check_gguf_keys(const GgufFile& file, const std::string& architecture);

}  // namespace precis
