// SPDX-License-Identifier: Apache-2.0
#include "engine/engine_components.h"

#include <algorithm>

#include "base/check.h"
#include "tokenizers/load_tokenizer.h"

namespace precis {
namespace {

// Whether all ids are below the decoder's vocab_size. Special tokens may be beyond it, as a "<pad>"
// that only the tokenizer was given: their ids are refused where they are used.
bool fits(const Tokenizer& tokenizer, int64_t vocab_size) {
  for (TokenId id = vocab_size; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_special(id)) return false;
  }
  return true;
}

}  // namespace

int64_t threads_for(int64_t asked, int64_t cores) {
  return asked > 0 ? asked : std::min(num_threads(), cores);
}

Engine::Components::Components(std::unique_ptr<Decoder> own_decoder,
                               std::unique_ptr<Tokenizer> own_tokenizer,
                               std::unique_ptr<Compressor> own_compressor,
                               const std::string& origin)
    : decoder(std::move(own_decoder)), tokenizer(std::move(own_tokenizer)) {
  PRECIS_CHECK(!tokenizer || fits(*tokenizer, decoder->config().vocab_size),
               kBadWeights,
               origin,
               ": the tokenizer has ",
               tokenizer->vocab_size(),
               " ids, the model ",
               decoder->config().vocab_size);
  if (own_compressor) use(std::move(own_compressor));
}

void Engine::Components::use(std::unique_ptr<Compressor> own_compressor) {
  compressor = std::move(own_compressor);
  info = compressor->info();
}

void Engine::Components::load_chat(const std::filesystem::path& model) {
  const auto source = load_chat_template(model);
  if (!source) return;
  try {
    chat.emplace(*source);
  } catch (const Error& error) {
    chat_problem = concat(model.string(), ": ", error.what());
  }
}

Stages Engine::Components::stages() const {
  Stages all{*decoder,
             {tokenizer.get(), chat ? &*chat : nullptr, chat_problem, info.cached},
             std::nullopt};
  if (compressor) all.compression.emplace(CompressionStage{*compressor, info, *decoder});
  return all;
}

GenerationOptions Engine::Components::without_reserved_ids(GenerationOptions options) const {
  options.suppressed_ids.insert(
      options.suppressed_ids.end(), info.reserved_ids.begin(), info.reserved_ids.end());
  return options;
}

CompressionStage Engine::Components::compression() const {
  PRECIS_CHECK(
      compressor != nullptr, kInvalidArgument, "engine: it was assembled without a compressor");
  return {*compressor, info, *decoder};
}

}  // namespace precis
