// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "precis/extend/tokenizer.h"

namespace precis {

// The tokenizer of a model: a .gguf file, or a Hugging Face directory with tokenizer.json or else
// tokenizer.model. Throws kNotFound, kBadWeights (damaged) or kUnsupported, naming the file.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model);

// The source text of the model's chat template, if it has one. Throws as load_tokenizer().
std::optional<std::string> load_chat_template(const std::filesystem::path& model);

}  // namespace precis
