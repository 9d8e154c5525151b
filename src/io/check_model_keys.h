// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "io/gguf.h"

namespace precis {

// Throw kUnsupported, naming the key, if a configuration requests a computation that Precis does
// not implement for the architecture (model_keys.cc). Unknown keys are logged as warnings.

// `architecture` as DecoderConfig names it; `origin` names the file in messages.
void check_config_keys(const nlohmann::json& config,
                       const std::string& architecture,
                       const std::string& origin);
void check_gguf_keys(const GgufFile& file, const std::string& architecture);

}  // namespace precis
