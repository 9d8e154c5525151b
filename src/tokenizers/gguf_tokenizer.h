// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "io/gguf.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// The tokenizer and the source text of the chat template in a GGUF file, if it has one. Throws
// kBadWeights or kUnsupported, naming the file.
std::unique_ptr<Tokenizer> load_gguf_tokenizer(const GgufFile& file);
std::optional<std::string> load_gguf_chat_template(const GgufFile& file);

// tokenizer.ggml.model "gpt2": byte pair encoding over bytes. Throws kBadWeights, or kUnsupported
// naming a tokenizer.ggml.pre that Precis does not know.
std::unique_ptr<Tokenizer> make_gguf_bpe_tokenizer(const GgufFile& file);

// tokenizer.ggml.model "llama": a SentencePiece vocabulary with scores. Throws kBadWeights, or
// kUnsupported if the model rewrites its text before encoding.
std::unique_ptr<Tokenizer> make_gguf_spm_tokenizer(const GgufFile& file);

}  // namespace precis
