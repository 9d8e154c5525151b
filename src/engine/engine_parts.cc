// SPDX-License-Identifier: Apache-2.0
#include "engine/engine_parts.h"

#include <algorithm>

#include "base/check.h"
#include "memory/memory_contents.h"
#include "precis/extend/memory_tensors.h"
#include "tokenizers/load_tokenizer.h"

namespace precis {
namespace {

// Special tokens may lie beyond the model's rows, as where only the tokenizer was given a "<pad>":
// their ids are refused where they are used.
bool has_rows_for(const Tokenizer& tokenizer, int64_t rows) {
  for (TokenId id = rows; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_special(id)) return false;
  }
  return true;
}

bool says_nothing(const Prompt::Piece& piece) {
  if (const auto* text = std::get_if<Prompt::Text>(&piece)) return text->text.empty();
  if (const auto* ids = std::get_if<Prompt::Ids>(&piece)) return ids->ids.empty();
  return false;
}

}  // namespace

int64_t threads_for(int64_t asked, int64_t cores) {
  return asked > 0 ? asked : std::min(num_threads(), cores);
}

Engine::Parts::Parts(std::unique_ptr<Decoder> own_decoder,
                     std::unique_ptr<Tokenizer> own_tokenizer,
                     std::unique_ptr<Compressor> own_compressor,
                     const std::string& origin)
    : decoder(std::move(own_decoder)), tokenizer(std::move(own_tokenizer)) {
  PRECIS_CHECK(!tokenizer || has_rows_for(*tokenizer, decoder->config().vocab_size),
               kBadWeights,
               origin,
               ": the tokenizer has ",
               tokenizer->vocab_size(),
               " ids, the model ",
               decoder->config().vocab_size);
  if (own_compressor) use(std::move(own_compressor));
}

void Engine::Parts::use(std::unique_ptr<Compressor> own_compressor) {
  compressor = std::move(own_compressor);
  info = compressor->info();
}

void Engine::Parts::load_chat(const std::filesystem::path& model) {
  const auto source = load_chat_template(model);
  if (!source) return;
  try {
    chat.emplace(*source);
  } catch (const Error& error) {
    chat_problem = concat(model.string(), ": ", error.what());
  }
}

Stages Engine::Parts::stages() const {
  Stages all{*decoder,
             {tokenizer.get(), chat ? &*chat : nullptr, chat_problem, info.cached},
             std::nullopt};
  if (compressor) all.compression.emplace(CompressionStage{*compressor, info, *decoder});
  return all;
}

GenerationOptions Engine::Parts::without_reserved_ids(GenerationOptions options) const {
  options.suppressed_ids.insert(
      options.suppressed_ids.end(), info.reserved_ids.begin(), info.reserved_ids.end());
  return options;
}

bool Engine::Parts::leaves_nothing_to_read(const Prompt& prompt) const {
  const auto& pieces = prompt.turns().back().pieces;
  const auto last = std::find_if_not(pieces.rbegin(), pieces.rend(), says_nothing);
  if (last == pieces.rend() || !prompt.turns().back().role.empty()) return false;
  const auto* memory = std::get_if<Memory>(&*last);
  const auto* text = std::get_if<Prompt::Text>(&*last);
  const bool cached =
      memory != nullptr
          ? std::holds_alternative<CachedTokens>(memory->contents().tensors)
          : text != nullptr && text->treatment == Prompt::Treatment::kCompress && info.cached;
  return cached && (!compressor || compressor->memory_template(MemoryUse::kContinue).after.empty());
}

CompressionStage Engine::Parts::compression() const {
  PRECIS_CHECK(
      compressor != nullptr, kInvalidArgument, "engine: it was assembled without a compressor");
  return {*compressor, info, *decoder};
}

}  // namespace precis
