// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "precis/extend/tokenizer.h"
#include "tokenizers/tokenizer_settings.h"

namespace precis {

// Reads a tokenizer.json of Hugging Face's tokenizers. `settings` come from the
// tokenizer_config.json beside it. Throws kNotFound, kBadWeights, or kUnsupported naming the
// feature that Precis lacks.
std::unique_ptr<Tokenizer> load_tokenizer_json(const std::filesystem::path& path,
                                               const TokenizerSettings& settings);

}  // namespace precis
