// SPDX-License-Identifier: Apache-2.0
#include "engine/engine_components.h"

#include <algorithm>
#include <functional>

#include "base/check.h"
#include "precis/extend/load_tokenizer.h"

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

PromptTokenizer Engine::Components::prompt_tokenizer() const {
  return {tokenizer.get(), chat ? &*chat : nullptr, chat_problem, info.cached};
}

Stages Engine::Components::stages() const {
  Stages all{*decoder, prompt_tokenizer(), std::nullopt};
  if (compressor)
    all.compression.emplace(CompressionStage{*compressor, info, *decoder, all.tokenizer});
  return all;
}

ServingThread& Engine::Components::serving() const {
  const std::lock_guard lock(serving_mutex_);
  if (!serving_) {
    serving_ = std::make_unique<ServingThread>(
        stages(), decoding(), serving_options, [this](const std::function<void()>& work) {
          run(work);
        });
  }
  return *serving_;
}

CompressionStage Engine::Components::compression() const {
  PRECIS_CHECK(
      compressor != nullptr, kInvalidArgument, "engine: it was assembled without a compressor");
  return {*compressor, info, *decoder, prompt_tokenizer()};
}

}  // namespace precis
